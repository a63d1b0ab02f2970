"""What the Learn page plays with: made up here, nothing of it reaches the service."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

BINS = 12
Point = tuple[float, float, float]


class Arm(NamedTuple):
    """What became of a version: requests that it answered, and answered rightly."""

    requests: int
    correct: int


def split(requests: int, *, share: float, right: tuple[float, float], seed: int) -> dict[str, Arm]:
    """Let chance give B its share of the requests, and A and B be right as often as told.

    The same seed gives the same luck, so that what changes comes from what was changed.
    """
    luck = random.Random(seed)
    counts = [[0, 0], [0, 0]]
    for _ in range(requests):
        which = int(luck.random() < share)
        counts[which][0] += 1
        counts[which][1] += luck.random() < right[which]
    return {name: Arm(*count) for name, count in zip("AB", counts, strict=True)}


class Moved(NamedTuple):
    """A histogram as the drift report has them, and how far its `window` is from training.

    `curve` has both curves, (value, share of rows up to it before, and after); `gap` is where they
    are furthest apart. Categories have neither.
    """

    histogram: dict[str, Any]
    distance: float
    curve: Sequence[Point] = ()
    gap: Point | None = None


def moved(training: Mapping[str, Any], by: float) -> Moved:
    """Add the same to all values of a histogram, and measure the KS distance to what it was.

    Inside a bin the values are taken as spread evenly.
    """
    edges, below = training["edges"], [0.0, *accumulate(training["training"])]
    steps = sorted({*edges, *(edge + by for edge in edges)})
    curve = [(at, _at(at, edges, below), _at(at - by, edges, below)) for at in steps]
    gap = max(curve, key=lambda each: abs(each[1] - each[2]))
    width = (steps[-1] - steps[0]) / BINS
    bins = [steps[0] + width * each for each in range(BINS)] + [steps[-1]]
    histogram = {
        "edges": bins,
        "training": _shares([_at(edge, edges, below) for edge in bins]),
        "window": _shares([_at(edge - by, edges, below) for edge in bins]),
    }
    return Moved(histogram, abs(gap[1] - gap[2]), curve, gap)


def _at(value: float, edges: Sequence[float], below: Sequence[float]) -> float:
    """Return the share of values up to this one."""
    if value <= edges[0]:
        return 0.0
    for low, high, before, after in zip(edges, edges[1:], below, below[1:], strict=False):
        if value <= high:
            return before + (after - before) * (value - low) / (high - low)
    return below[-1]


def _shares(curve: Sequence[float]) -> list[float]:
    return [after - before for before, after in zip(curve, curve[1:], strict=False)]


def replaced(training: Mapping[str, Any], share: float) -> Moved:
    """Let a share of all rows have another category than before: the total variation distance.

    The last category of a histogram stands for all that have no bar of their own.
    """
    before = training["training"]
    after = [each * (1 - share) for each in before]
    after[-1] += share
    distance = sum(abs(one - other) for one, other in zip(before, after, strict=True)) / 2
    return Moved({**training, "window": after}, distance)
