"""From the sums that a model ends with to what it says. Start at `link_of`.

    mean           sums of probabilities, divided by the number of trees
    identity, exp  a value (regression)
    logistic       one sum: the logit of the second class; half_logistic: half of it
    softmax        a sum for each class
    side, largest  the class alone: the side of 0 that a sum is on, the largest of several

What scikit-learn makes of a single row is repeated operation by operation. Only `exp` is not the
same on every machine: within one unit in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from irisab.errors import BundleError
from irisab.model.answer import Answer
from irisab.model.arrays import Floats

# From the sums of many rows, shape (rows, sums), to their answers; and from those of one row: a
# float where there is one sum, else of shape (sums,).
Many = Callable[[Floats], list[Answer]]
One = Callable[[Any], Answer]
NUMBERS = ("identity", "exp")
OF_ONE_SUM = (*NUMBERS, "logistic", "half_logistic", "side")
OF_SEVERAL = ("mean", "softmax", "largest")
# What only adds and divides gives the same bits on any machine.
EXACT_ANYWHERE = ("mean", "identity", "side", "largest")


def link_of(name: str, *, sums: int, divide: int, at_zero: int) -> tuple[One, Many]:
    """Return what a link makes of one row and of many; raises `BundleError`."""
    if name in OF_SEVERAL and sums > 0:
        mean = _mean(divide)
        several: dict[str, tuple[One, Many]] = {
            # A forest that has seen a single class has one sum of several.
            "mean": (lambda total: mean(np.reshape(total, (1, -1)))[0], mean),
            "softmax": (_softmax_of_one, _softmax),
            "largest": (lambda total: (int(total.argmax()), ()), _largest),
        }
        return several[name]
    if name not in OF_ONE_SUM or sums != 1:
        raise BundleError("The plain form is damaged: its sums do not fit to what it answers.")
    one = _of_one_sum(name, divide, at_zero)
    return one, lambda total: [one(each) for each in total[:, 0].tolist()]


def _of_one_sum(name: str, divide: int, at_zero: int) -> One:
    links: dict[str, Callable[[Any], Any]] = {
        "identity": lambda total: (total / divide, ()),
        "exp": lambda total: (float(np.exp(total)), ()),
        "logistic": lambda total: (_side(total, at_zero), _logistic(total)),
        "half_logistic": lambda total: (_side(total, at_zero), _logistic(2 * total)),
        "side": lambda total: (_side(total, at_zero), ()),
    }
    one: One = links[name]
    return one


def _side(total: float, at_zero: int) -> int:
    return 1 if total > 0 else at_zero if total == 0 else 0


def _logistic(logit: float) -> tuple[float, float]:
    try:
        second = 1 / (1 + math.exp(-logit))
    except OverflowError:  # below -709: exp has no such number, scikit-learn takes infinity
        second = 0.0
    return 1 - second, second


def _mean(divide: int) -> Many:
    def mean(total: Floats) -> list[Answer]:
        total /= divide
        return _with(total, total.argmax(axis=1).tolist())

    return mean


def _softmax(total: Floats) -> list[Answer]:
    # The largest sum, not the largest probability: those may be rounded to the same.
    best = total.argmax(axis=1).tolist()
    total -= total.max(axis=1)[:, None]
    np.exp(total, out=total)
    total /= total.sum(axis=1)[:, None]
    return _with(total, best)


def _softmax_of_one(total: Floats) -> Answer:
    # The same operations as above, with half of the calls.
    listed = total.tolist()
    top = max(listed)
    powers = np.exp(total - top)
    return listed.index(top), tuple((powers / np.add.reduce(powers)).tolist())


def _largest(total: Floats) -> list[Answer]:
    return [(each, ()) for each in total.argmax(axis=1).tolist()]


def _with(probabilities: Floats, best: list[int]) -> list[Answer]:
    return list(zip(best, map(tuple, probabilities.tolist()), strict=True))
