"""Request ids: their order is the order of the history. Start at `RequestIds`."""

from __future__ import annotations

import logging
import os
from struct import Struct

log = logging.getLogger(__name__)

# The operating system is asked for randomness once for many requests.
RANDOM = Struct("512Q")
UUID = Struct(">QQ")
# What a UUIDv7 counts time in here: a millisecond has twelve bits of fraction.
TICKS_MILLISECOND = 1 << 12
TICKS = 1000 * TICKS_MILLISECOND
UUID_TIME = Struct(">QHQ")
# Clocks of one host differ by less from one start to the next.
CLOCK_SECONDS = 60


class RequestIds:
    """UUIDv7 (RFC 9562, 5.7, with a fraction of the millisecond in rand_a).

    Each is later than the one before, whatever the clock does (6.2): the history goes by this
    order. `newest` is the last id on record, None where there is none.
    """

    def __init__(self, newest: bytes | None, *, now: float) -> None:
        self._random: list[int] = []
        self._ticks = _ticks(newest, now)

    def new(self, now: float) -> bytes:
        """Return the id of a request at `now`, in seconds since 1970."""
        self._ticks = max(int(now * TICKS), self._ticks + 1)
        milliseconds, fraction = divmod(self._ticks, TICKS_MILLISECOND)
        try:
            random = self._random.pop()
        except IndexError:
            random, *others = RANDOM.unpack(os.urandom(RANDOM.size))
            self._random += others
        return UUID.pack(milliseconds << 16 | 7 << 12 | fraction, 2 << 62 | random >> 2)


def _ticks(newest: bytes | None, now: float) -> int:
    """Return the time of an id; 0 where there is none."""
    if newest is None:
        return 0
    milliseconds, rest, _ = UUID_TIME.unpack(b"\0\0" + newest)
    if milliseconds > 1000 * (now + CLOCK_SECONDS):
        log.warning(
            "the history ends %.0f s in the future: the clock was wrong then, or is now",
            milliseconds / 1000 - now,
        )
    return int(milliseconds * TICKS_MILLISECOND | rest & TICKS_MILLISECOND - 1)
