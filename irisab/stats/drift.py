"""How far the recent input is from the training data. Start at `measure()`.

Two figures, because each sees what the other misses: the mean shift over all features of numbers,
and per feature the two-sample Kolmogorov-Smirnov distance (Kolmogorov 1933, Smirnov 1939), the
largest gap between the two empirical distribution functions. Of categories it is the total
variation distance, half the sum of the differences of shares; where values may be missing, the
change of the missing share counts as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# More stored values would not be seen in a KS distance: the step is 1/2000.
REFERENCE_VALUES = 2000
BINS = 10
# Of a category with more values, the rest is one bar.
BARS = 12
OTHERS = "(others)"


# Compared by identity, so that what is worked out from one can be kept.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The training data of a model, as far as drift needs it.

    `mean` and `std` (ddof 0) are of all rows; `columns` holds each feature's sorted values, or
    evenly spaced quantiles of them where there were more than `REFERENCE_VALUES` rows. A feature of
    text has `shares` of its categories instead (else None), and no values; `missing` is the share
    of rows without a value. Both are empty where no feature needs them. `rows` were there in all.
    """

    names: tuple[str, ...]
    mean: Array
    std: Array
    columns: tuple[Array, ...]
    shares: tuple[Mapping[str, float] | None, ...] = ()
    missing: tuple[float, ...] = ()
    rows: int = 0

    def shares_of(self, feature: int) -> Mapping[str, float] | None:
        """Return the shares of a feature's categories, None where it has numbers."""
        return self.shares[feature] if self.shares else None

    def missing_of(self, feature: int) -> float:
        """Return the share of training rows in which a feature has no value."""
        return self.missing[feature] if self.missing else 0.0

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


def measure(window: NDArray[Any], reference: Reference) -> DriftScores:
    """Compare rows of shape (n_rows, n_features) with the training data."""
    return DriftScores(
        score=mean_shift(*numbers(window, reference)),
        features={
            name: _distance(column, feature, reference)
            for feature, (name, column) in enumerate(zip(reference.names, window.T, strict=True))
        },
    )


def numbers(window: NDArray[Any], reference: Reference) -> tuple[Array, Reference]:
    """Return the features of numbers alone, NaN where a value is missing, and their reference.

    Those without a single value in training are left out, too.
    """
    if window.dtype == np.float64 and all(map(len, reference.columns)):
        return window, reference
    kept, part = _of_numbers(reference)
    return window[:, kept].astype(np.float64), part


# One for each model that serves: what chance reaches is kept for a reference, too.
@lru_cache(maxsize=8)
def _of_numbers(reference: Reference) -> tuple[list[int], Reference]:
    kept = [number for number, column in enumerate(reference.columns) if len(column)]
    return kept, Reference(
        names=tuple(reference.names[each] for each in kept),
        mean=reference.mean[kept],
        std=reference.std[kept],
        columns=tuple(reference.columns[each] for each in kept),
    )


def _distance(column: NDArray[Any], feature: int, reference: Reference) -> float:
    shares = reference.shares_of(feature)
    if shares is not None:
        return total_variation(shares, reference.missing_of(feature), column)
    values = column.astype(np.float64)
    there = values[~np.isnan(values)]
    gaps = abs(1 - len(there) / len(values) - reference.missing_of(feature))
    known = reference.columns[feature]
    return max(gaps, ks_distance(known, there)) if len(known) and len(there) else gaps


def total_variation(shares: Mapping[str, float], missing: float, column: NDArray[Any]) -> float:
    """Return half the sum of differences of shares; a gap and each unseen text count as well."""
    known: dict[str | None, float] = {name: share * (1 - missing) for name, share in shares.items()}
    known[None] = missing
    now = Counter(column.tolist())
    return 0.5 * sum(abs(known.get(name, 0.0) - now[name] / len(column)) for name in {*known, *now})


def mean_shift(window: Array, reference: Reference) -> float:
    """Return the mean over features of `shifts`, capped at 1; 0 where there are none."""
    return float(min(shifts(window, reference).mean(), 1.0)) if reference.names else 0.0


def shifts(window: Array, reference: Reference) -> Array:
    """Return |mean(window) - mean(train)| / std(train) by feature: shape (n_features,).

    A feature that never varied in training counts 0 where the window equals it, else 1; one
    without a value in the window counts 0.
    """
    there = ~np.isnan(window)
    counts = there.sum(axis=0)
    sums = np.where(there, window, 0.0).sum(axis=0)
    means = np.divide(sums, counts, out=reference.mean.copy(), where=counts > 0)
    distance = np.abs(means - reference.mean)
    shift = np.divide(distance, reference.std, out=np.zeros_like(distance), where=reference.varied)
    constant = np.array([column[0] for column in reference.columns])
    left_constant = ~reference.varied & ((window != constant) & there).any(axis=0)
    return np.where(left_constant, 1.0, shift)


def ks_distance(ordered: Array, values: Array) -> float:
    """Return the two-sample KS distance of sorted training values and a window's values."""
    values = np.sort(values)
    steps = np.concatenate([ordered, values])
    below = np.searchsorted(ordered, steps, side="right") / len(ordered)
    return float(np.abs(below - np.searchsorted(values, steps, side="right") / len(values)).max())


def distributions(window: NDArray[Any] | None, reference: Reference) -> dict[str, Any]:
    """Return histograms per feature as shares of each bin, training beside window.

    The bins span the training range and the window's; of text they are the categories. Without a
    window its shares are null.
    """
    columns = [None] * len(reference.names) if window is None else list(window.T)
    return {
        name: _distribution(feature, column, reference)
        for feature, (name, column) in enumerate(zip(reference.names, columns, strict=True))
    }


def _distribution(
    feature: int, column: NDArray[Any] | None, reference: Reference
) -> dict[str, Any]:
    shares = reference.shares_of(feature)
    if shares is not None:
        return _bars(shares, column)
    values = None if column is None else column.astype(np.float64)
    if values is not None:
        values = values[~np.isnan(values)]
    return _histogram(reference.columns[feature], values)


def _bars(shares: Mapping[str, float], column: NDArray[Any] | None) -> dict[str, Any]:
    """Return shares of the most frequent categories, and of all others together."""
    names = sorted(shares, key=lambda name: -shares[name])[:BARS]
    now = None if column is None else Counter(each for each in column.tolist() if each is not None)
    total = max(sum(now.values()), 1) if now is not None else 1
    training = [shares[name] for name in names]
    window = None if now is None else [now[name] / total for name in names]
    rest = None if window is None else max(0.0, 1 - sum(window))
    return {
        "categories": [*names, OTHERS],
        "training": [*training, max(0.0, 1 - sum(training))],
        "window": None if window is None else [*window, rest],
    }


def _histogram(training: Array, values: Array | None) -> dict[str, list[float] | None]:
    everything = training if values is None else np.concatenate([training, values])
    if not everything.size:
        everything = np.zeros(1)
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
    shares: list[float] = (counts / max(len(values), 1)).tolist()
    return shares
