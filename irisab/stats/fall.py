"""Whether a model is right less often than it was, from its labels day by day. See `log_e_fall()`.

What it is measured by is its own labels of the days before, and not its exam: that of thirty rows
has a standard error of five percentage points, and its rows need not be like those that get labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from irisab.stats.sequential import log_e_two_rates


class Day(NamedTuple):
    """The labels of predictions made on a day, one for each user (else request)."""

    day: int
    labelled: int
    correct: int


def log_e_fall(days: Sequence[Day]) -> float:
    """Log evidence that the share of right answers fell on some day; `days` in their order.

    Nobody knows on which. So each day after the first gets a part of the stake, 1 / (n (n + 1)) for
    the n-th, which are all of it for ever, and bets that before it and from it on are two rates. A
    mean of e-values is one, and leaving out those that speak for a rise makes it no larger: a model
    that stays as it is passes 20 once in twenty times, however often one looks.
    """
    right, wrong = sum(each.correct for each in days), sum(map(_wrong, days))
    before_right = before_wrong = 0
    logs = []
    for day, after in zip(days, days[1:], strict=False):
        before_right += day.correct
        before_wrong += _wrong(day)
        before = before_wrong, before_right
        since = wrong - before_wrong, right - before_right
        if since[0] * sum(before) > before[0] * sum(since):
            # Days without labels between the two part the labels alike.
            stake = 1 / (day.day - days[0].day + 1) - 1 / (after.day - days[0].day + 1)
            logs.append(math.log(stake) + log_e_two_rates(before, since))
    top = max(logs, default=-math.inf)
    return top + math.log(sum(math.exp(each - top) for each in logs)) if logs else top


def _wrong(day: Day) -> int:
    return day.labelled - day.correct
