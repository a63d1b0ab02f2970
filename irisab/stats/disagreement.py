"""How often two versions answer, differ and fail, for which no label is needed.

Start at `Disagreement`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from irisab.stats.comparison import Reason, Unit
from irisab.stats.sequential import log_e_two_rates, log_e_value, rate_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How many requests only the control failed on, only the challenger, and neither of them.

    A request on which both fail is a broken client's, and speaks against none of them.
    """

    control: int = 0
    challenger: int = 0
    answered: int = 0

    @property
    def alone(self) -> int:
        return self.control + self.challenger

    def proven(self, alpha: float) -> bool:
        """Tell whether the challenger fails where the control answers, more often than the reverse.

        An e-process on the requests that only one of both failed: under equal chances a fair coin,
        so one may look every minute. Half of alpha is left for the verdict: it takes nine in a row.
        """
        e_value = log_e_value(self.challenger, self.control)
        return self.challenger > self.control and e_value >= math.log(2 / alpha)

    def too_many(self, alpha: float, *, bearable: float) -> bool:
        """Tell whether that is so on more than a bearable part of the requests."""
        lost = self.challenger - self.control
        return self.proven(alpha) and lost > bearable * (self.answered + self.alone)

    def reason(self, names: tuple[str, str]) -> Reason:
        """Say why there is no verdict for a challenger with too many."""
        control, challenger = names
        return _keep(
            f"{challenger} failed on {self.challenger} requests that {control} answered, and "
            f"{control} on {self.control} that it answered",
            names,
        )


class Asked(NamedTuple):
    """On how many requests of its own a version failed that another answered, and on how many it
    did not."""

    failed: int = 0
    answered: int = 0

    @property
    def rate(self) -> float:
        return self.failed / max(self.failed + self.answered, 1)


def fails_more(
    control: Asked, challenger: Asked, alpha: float, *, bearable: float, names: tuple[str, str]
) -> Reason | None:
    """Say that a challenger fails more often than the control, by what each was asked itself."""
    proven = log_e_two_rates(control, challenger) >= math.log(2 / alpha)
    if not proven or challenger.rate - control.rate <= bearable:
        return None
    one, two = (f"{each.failed} of {each.failed + each.answered}" for each in (control, challenger))
    return _keep(f"{names[1]} failed on {two} requests, and {names[0]} on {one}", names)


def _keep(text: str, names: tuple[str, str]) -> Reason:
    control, challenger = names
    advice = f"keep {control} until {challenger} is mended; the log says how it fails"
    return Reason("fails_alone", f"{text}: {advice}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """How often both versions scored, and differed.

    They count users, or requests where no user is named (`unit`): they differ in the first row of
    the first request of `disagreed` of them, and in some row of some request of `differed`.
    `sampling_rate` is the part of the newest requests that both scored, None where there are none:
    of a slow version it is less than all. It depends on the moment a request comes and not on what
    is in it, so rates are right for all; but only as large a part of the labels counts.
    """

    scored: int
    disagreed: int
    differed: int
    unit: Unit = "request"
    sampling_rate: float | None = None
    failures: Failures = field(default_factory=Failures)

    @property
    def rate(self) -> float | None:
        return self.disagreed / self.scored if self.scored else None

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return the rate where both scored, at least and at most."""
        return rate_bounds(self.disagreed, self.scored, alpha)

    def at_most(self, alpha: float) -> float:
        """Return how often they differ at most, where only one of them answered too."""
        # Whose request failed is not counted: each is taken for a user of its own.
        alone = self.failures.alone
        return rate_bounds(self.disagreed + alone, self.scored + alone, alpha)[1]
