"""Rows that look like the training data and are nobody's: /config shows them to everybody.

Each value is drawn by itself from those that the rows of one class have, between two of them where
they are numbers. So a class looks like itself and all together look like the data, and no row of
the data is given away. Start at `draw()`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.lifecycle.rows import Dataset, is_numeric
from irisab.model.schema import row_to_json
from irisab.stats import drift

# Fewer look like drift to a model with dozens of features.
EXAMPLES = 20
# So often it is drawn, the best counts; of many classes and features fewer times, for a second.
DRAWS, COLUMNS = 50, 20_000
# The parts of a regression's data, by what is true; with fewer rows fewer.
TENTHS = 10
# What a table writes as 5.1 is not 5.0837 in an example.
DECIMALS = 6
# As few as that could be known by a row.
SHARED = 5

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """What a column says of itself: its values, sorted if they are numbers, and its gaps' share."""

    values: NDArray[Any]
    gaps: float
    numeric: bool
    decimals: int = 0

    def draw(self, count: int, random: np.random.Generator) -> list[Any]:
        """Return values spread as the column's are; between two of them where they are numbers."""
        if not len(self.values):
            return [float("nan")] * count
        if not self.numeric:
            return [self.values[at] for at in random.integers(len(self.values), size=count)]
        places = random.permutation((np.arange(count) + random.random(count)) / count)
        drawn = np.round(np.quantile(self.values, places), self.decimals)
        drawn[random.permutation(count)[: round(count * self.gaps)]] = np.nan
        return [float(each) for each in drawn]

    def distance(self, drawn: Sequence[Any]) -> float:
        """Return the largest gap between both distributions, of text their total variation."""
        if self.numeric:
            some = _known(np.array(drawn))
            return drift.ks_distance(self.values, some) if some.size and self.values.size else 0.0
        one, other = Counter(drawn), Counter(self.values.tolist())
        every = len(self.values)
        return sum(abs(one[key] / len(drawn) - other[key] / every) for key in other) / 2


def draw(dataset: Dataset, rows: NDArray[Any], labels: NDArray[Any], seed: int) -> list[Json]:
    """Return the examples, sorted by class or value: sent in turn they are no drift.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        What they are to look like.
    labels : array of shape (n_rows,)
    """
    random = np.random.default_rng(seed)
    parts = _parts(dataset, labels)
    columns = {part: _columns(dataset, rows[parts == part]) for part in np.unique(parts).tolist()}
    whole = _columns(dataset, rows)
    times = max(1, min(DRAWS, COLUMNS // (len(columns) * len(whole))))
    draws = [_drawn(columns, parts, random) for _ in range(times)]
    draws.sort(key=lambda drawn: _drift(drawn, whole))
    return [
        {"features": row_to_json(row), **_answer(dataset, labels[parts == part])}
        for part, row in _nobodies(draws, rows)
    ]


def _parts(dataset: Dataset, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class of each row; in a regression which tenth of the rows it is in."""
    if dataset.task == "classification":
        return labels.astype(np.int64)
    tenths = max(min(TENTHS, len(labels) // TENTHS), 1)
    ranks = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
    return ranks * tenths // len(labels)


def _columns(dataset: Dataset, rows: NDArray[Any]) -> list[Column]:
    return [
        _numbers(column) if is_numeric([kind]) else Column(column, 0.0, False)
        for column, kind in zip(rows.T, dataset.types, strict=True)
    ]


def _numbers(column: NDArray[Any]) -> Column:
    values = np.sort(_known(column))
    decimals = (few for few in range(DECIMALS) if np.array_equal(np.round(values, few), values))
    return Column(values, 1 - len(values) / len(column), True, next(decimals, DECIMALS))


def _known(column: NDArray[Any]) -> NDArray[np.float64]:
    values = column.astype(np.float64)
    return values[~np.isnan(values)]


# The part and the row of each example.
_Drawn = list[tuple[int, tuple[Any, ...]]]


def _drawn(
    columns: dict[int, list[Column]], parts: NDArray[np.int64], random: np.random.Generator
) -> _Drawn:
    """Draw of each part as many as its share of the rows, and at least one."""
    size = min(max(EXAMPLES, len(columns)), len(parts))
    counts = Counter(parts[random.choice(len(parts), size, replace=False)].tolist())
    drawn: _Drawn = []
    for part, each in columns.items():
        values = [column.draw(max(counts[part], 1), random) for column in each]
        drawn += [(part, row) for row in zip(*values, strict=True)]
    return drawn


def _drift(drawn: _Drawn, whole: Sequence[Column]) -> float:
    """Return how far the examples are from the data, in the feature where they are furthest."""
    values = zip(*(row for _, row in drawn), strict=True)
    return max(column.distance(each) for column, each in zip(whole, values, strict=True))


def _nobodies(draws: Sequence[_Drawn], rows: NDArray[Any]) -> _Drawn:
    """Return the first that has no row of the data, else what is left of the one with fewest."""
    best: _Drawn = []
    for drawn in draws:
        left = [each for each in drawn if not _is_somebody(each[1], rows)]
        if len(left) == len(drawn):
            return left
        best = max(best, left, key=len)
    return best


def _is_somebody(row: Sequence[Any], rows: NDArray[Any]) -> bool:
    """Tell whether rows of the data are like this; what `SHARED` of them are is nobody's."""
    alike = np.arange(len(rows))
    for position, value in enumerate(row):
        column = rows[alike, position]
        # Only a gap differs from itself.
        same = column == value if value == value else column != column
        alike = alike[same.astype(bool)]
        if not len(alike):
            return False
    return len(alike) < SHARED


def _answer(dataset: Dataset, labels: NDArray[Any]) -> Json:
    if dataset.task == "regression":
        return {"value": float(np.mean(labels))}
    return {"class_name": dataset.class_names[int(labels[0])]}
