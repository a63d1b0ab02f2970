"""How far the recent input is from the training data. Start at `measure()`.

Two figures, because each sees what the other misses: the mean shift over all features, and per
feature the two-sample Kolmogorov-Smirnov distance (Kolmogorov 1933, Smirnov 1939), the largest gap
between the two empirical distribution functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# More stored values would not be seen in a KS distance: the step is 1/2000.
REFERENCE_VALUES = 2000
BINS = 10


# Compared by identity, so that what is worked out from one can be kept.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The training data of a model, as far as drift needs it.

    `mean` and `std` (ddof 0) are of all rows; `columns` holds each feature's sorted values, or
    evenly spaced quantiles of them where there were more than `REFERENCE_VALUES` rows.
    """

    names: tuple[str, ...]
    mean: Array
    std: Array
    columns: tuple[Array, ...]

    @property
    def varied(self) -> NDArray[np.bool_]:
        """Which features have more than one value: shape (n_features,)."""
        low, high = np.array([(column[0], column[-1]) for column in self.columns]).T
        # Both: the std of equal numbers need not come out as 0, and that of tiny ones may.
        varied: NDArray[np.bool_] = (low < high) & (self.std > 0)
        return varied


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftScores:
    """`score` is the mean shift, `features` the KS distance per feature, both 0 to 1."""

    score: float
    features: Mapping[str, float]


def summarise(rows: Array, *, names: Sequence[str]) -> Reference:
    """Describe training rows of shape (n_rows, n_features)."""
    return Reference(
        names=tuple(names),
        mean=rows.mean(axis=0),
        std=rows.std(axis=0),
        columns=tuple(_thin(np.sort(column)) for column in rows.T),
    )


def _thin(ordered: Array) -> Array:
    if len(ordered) <= REFERENCE_VALUES:
        return ordered
    picked: Array = ordered[np.linspace(0, len(ordered) - 1, REFERENCE_VALUES).round().astype(int)]
    return picked


def measure(window: Array, reference: Reference) -> DriftScores:
    """Compare rows of shape (n_rows, n_features) with the training data."""
    pairs = zip(reference.names, reference.columns, window.T, strict=True)
    return DriftScores(
        score=mean_shift(window, reference),
        features={name: ks_distance(column, values) for name, column, values in pairs},
    )


def mean_shift(window: Array, reference: Reference) -> float:
    """Return the mean over features of `shifts`, capped at 1."""
    return float(min(shifts(window, reference).mean(), 1.0))


def shifts(window: Array, reference: Reference) -> Array:
    """Return |mean(window) - mean(train)| / std(train) by feature: shape (n_features,).

    A feature that never varied in training counts 0 where the window equals it, else 1.
    """
    distance = np.abs(window.mean(axis=0) - reference.mean)
    shift = np.divide(distance, reference.std, out=np.zeros_like(distance), where=reference.varied)
    constant = np.array([column[0] for column in reference.columns])
    left_constant = ~reference.varied & (window != constant).any(axis=0)
    return np.where(left_constant, 1.0, shift)


def ks_distance(ordered: Array, values: Array) -> float:
    """Return the two-sample KS distance of sorted training values and a window's values."""
    values = np.sort(values)
    steps = np.concatenate([ordered, values])
    below = np.searchsorted(ordered, steps, side="right") / len(ordered)
    return float(np.abs(below - np.searchsorted(values, steps, side="right") / len(values)).max())


def distributions(window: Array | None, reference: Reference) -> dict[str, Any]:
    """Return histograms per feature as shares of each bin, training beside window.

    The bins span the training range and the window's; without a window its shares are null.
    """
    columns = [None] * len(reference.names) if window is None else list(window.T)
    return {
        name: _histogram(training, values)
        for name, training, values in zip(reference.names, reference.columns, columns, strict=True)
    }


def _histogram(training: Array, values: Array | None) -> dict[str, list[float] | None]:
    everything = training if values is None else np.concatenate([training, values])
    low, high = everything.min(), everything.max()
    half = 0.5 if low == high else 0.0
    # NumPy's own edges refuse bins that are narrower than the numbers are apart.
    edges = np.linspace(low - half, high + half, BINS + 1)
    return {
        "edges": edges.tolist(),
        "training": _shares(training, edges),
        "window": None if values is None else _shares(values, edges),
    }


def _shares(values: Array, edges: Array) -> list[float]:
    counts, _ = np.histogram(values, bins=edges)
    shares: list[float] = (counts / len(values)).tolist()
    return shares
