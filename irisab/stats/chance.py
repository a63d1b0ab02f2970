"""What drift scores reach by chance, where nothing has drifted. Start at `limits()`.

Rows of a window are taken as independent draws from what the training rows were drawn from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.stats.drift import Array, Reference, numbers, shifts

# At most so many calm windows warn, 1 % together: by any feature, by the mean shift, and by it
# because of features that never varied in training. The latter need little, as their limits hardly
# depend on it.
FEATURES_LEVEL = 0.007
MEAN_SHIFT_LEVEL = 0.002
CONSTANTS_LEVEL = 0.001
# Of two samples of one size; for others 2 is known to do (Wei and Dudley, Statistics &
# Probability Letters 2012).
DKW_CONSTANT = 2.17


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftLimits:
    """The scores above which a window warns: of the mean shift, and per feature."""

    score: float
    features: Mapping[str, float]


def limits(window: NDArray[Any], reference: Reference, *, threshold: float) -> DriftLimits:
    """Return what the scores of a window must exceed: the threshold, and what chance reaches."""
    level = FEATURES_LEVEL / len(reference.names)
    return DriftLimits(
        score=min(_score_limit(*numbers(window, reference), threshold), 1.0),
        features={
            name: max(threshold, _feature_limit(column, feature, reference, level))
            for feature, (name, column) in enumerate(zip(reference.names, window.T, strict=True))
        },
    )


def _feature_limit(column: NDArray[Any], feature: int, reference: Reference, level: float) -> float:
    shares = reference.shares_of(feature)
    if shares is not None:
        kinds = len({*shares, *column.tolist(), None})
        return variation_limit(reference.rows, len(column), kinds, level)
    gaps = int(np.isnan(column.astype(np.float64)).sum())
    known = len(reference.columns[feature])
    if not gaps and not reference.missing_of(feature):
        return ks_limit(known, len(column), level)
    # Two statistics share the level: of the values that are there, and of how many are not.
    there = len(column) - gaps
    distance = ks_limit(known, there, level / 2) if known and there else 0.0
    return max(distance, variation_limit(reference.rows or known, len(column), 1, level / 2))


def variation_limit(trained: int, rows: int, kinds: int, level: float) -> float:
    """Return what the total variation distance of two samples exceeds with at most `level`.

    It is the largest difference of probabilities over all sets of categories: Hoeffding's
    inequality for each of them, and a union bound.
    """
    spread = 1 / max(trained, 1) + 1 / rows
    return min(math.sqrt((kinds * math.log(2) + math.log(1 / level)) * spread / 2), 1.0)


def _score_limit(window: Array, reference: Reference, threshold: float) -> float:
    if not reference.names:
        return threshold
    rows = len(window)
    by_chance = _left_by_chance(window, reference) / len(reference.names)
    limit = max(threshold, mean_shift_limit(reference, rows) + by_chance)
    shift = float(shifts(window, reference).mean())
    if shift <= limit:
        return limit
    # One row far out, such as incomes have, may have made the shift. If so, it is as likely to lie
    # in the training rows, and has to be reckoned with.
    both = [
        np.concatenate([known, values[~np.isnan(values)]])
        for known, values in zip(reference.columns, window.T, strict=True)
    ]
    with_window = _mean_shift_bound(both, reference, rows) + by_chance
    return limit if shift > with_window else with_window


def _left_by_chance(window: Array, reference: Reference) -> int:
    """Return how many features that never varied may do so now by chance.

    If k of all rows, trained and new, have another value, each of these is as likely as any to be
    new: all k are with a probability below (new / all) ** k.
    """
    constant = np.array([column[0] for column in reference.columns])
    others = ((window != constant) & ~np.isnan(window)).sum(axis=0)[~reference.varied]
    new = len(window) / (len(window) + len(reference.columns[0]))
    enough = math.log(CONSTANTS_LEVEL / len(reference.names)) / math.log(new)
    return int(((others > 0) & (others < enough)).sum())


def ks_limit(trained: int, rows: int, level: float) -> float:
    """Return what the KS distance of two samples exceeds with a probability of at most `level`.

    The inequality of Dvoretzky, Kiefer and Wolfowitz for two samples; any distribution will do.
    """
    limit = math.sqrt(math.log(DKW_CONSTANT / level) * (1 / trained + 1 / rows) / 2)
    return min(limit, 1.0)


# A report is asked for again and again; the model and the window seldom change.
@lru_cache(maxsize=4)
def mean_shift_limit(reference: Reference, rows: int) -> float:
    """Return what the mean shift exceeds with a probability of at most MEAN_SHIFT_LEVEL."""
    return _mean_shift_bound(reference.columns, reference, rows)


def _mean_shift_bound(columns: Sequence[Array], reference: Reference, rows: int) -> float:
    """Bound the mean shift of rows whose features have the moments of these columns.

    Chernoff's bound. Features may depend on each other in any way: by Hoelder's inequality the
    moment generating function of an average is at most the geometric mean of those of its parts.
    """
    values = [
        (column - column.mean()) / std
        for column, std, varied in zip(columns, reference.std, reference.varied, strict=True)
        if varied
    ]
    if not values:
        return 0.0
    trained = len(reference.columns[0])
    rare = -math.log(MEAN_SHIFT_LEVEL)

    def bound(theta: float) -> float:
        rise = sum(_log_moment(each, theta, rows, trained) for each in values) / len(values)
        return (rare + rise) / theta

    # Any theta gives a bound; for normal features the best one is near the middle.
    usual = math.sqrt(2 * rare / (1 / rows + 1 / trained))
    best = min(bound(step * usual) for step in np.geomspace(0.25, 1.5, 9).tolist())
    # Features that never varied in training add nothing to the sum while they do not.
    return best * len(values) / len(reference.names)


def _log_moment(values: Array, theta: float, rows: int, trained: int) -> float:
    """Log of E exp(theta |X|) at most, X the mean of `rows` values less that of `trained` ones."""
    tails = [
        rows * _log_mean_exp(values * (sign / rows))
        + trained * _log_mean_exp(values * (-sign / trained))
        for sign in (theta, -theta)
    ]
    return float(np.logaddexp(tails[0], tails[1]))


def _log_mean_exp(values: Array) -> float:
    top = values.max()
    return float(top + np.log(np.exp(values - top).mean()))
