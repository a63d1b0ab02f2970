"""Which version answers a request. Start at `Split.choose`."""

from __future__ import annotations

import hashlib
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate


class Split:
    """Traffic shares of versions.

    Parameters
    ----------
    weights : mapping of version to percent
        Versions at 0 are never chosen.
    salt : str
        The experiment's name: another experiment deals its users anew.
    draw : callable, default=random.random
        Uniform numbers in [0, 1) for requests without a user.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        salt: str,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._weights = [(name, weights[name]) for name in sorted(weights) if weights[name] > 0]
        self._names = [name for name, _ in self._weights]
        total = math.fsum(weight for _, weight in self._weights)
        # Without the last bound: rounded, it could be 0.999..., and a draw above it would choose an
        # index behind the last name.
        self._bounds = list(accumulate(weight / total for _, weight in self._weights))[:-1]
        self._salt = salt
        self._draw = draw

    def choose(self, user_id: str | None = None) -> str:
        """Return the version for this user, or a random one where there is no user."""
        if user_id is None:
            return self._names[bisect_right(self._bounds, self._draw())]
        return self._sticky(user_id)

    def _sticky(self, user_id: str) -> str:
        """Weighted rendezvous hashing (Thaler & Ravishankar 1998; weights after Mosko 2016).

        Each version draws an exponential arrival time with its weight as the rate, and the first
        one wins. A version whose weight grows can only win users, so a new split moves as few
        users as possible, and the order of the versions means nothing.
        """
        return min(
            self._weights, key=lambda each: -math.log(self._uniform(each[0], user_id)) / each[1]
        )[0]

    def _uniform(self, version: str, user_id: str) -> float:
        digest = hashlib.blake2b(
            f"{self._salt}\0{version}\0{user_id}".encode(), digest_size=8
        ).digest()
        # 52 bits and a half are what a float holds; the half keeps it off 0 and 1.
        return ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52
