"""Rows around all that a plain form tells apart. Start at `rows_around`.

They are given rows, changed to have each category, an unseen one and a gap, and to reach each
split of each tree on both sides of its threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.model.answer import Row
from irisab.model.branches import Branches
from irisab.model.plain import Plain, PlainModel
from irisab.model.schema import FLOAT32_MAX

_UNSEEN = "a category never seen"
# Of a feature, that lead down to splits; each is tried by itself, however many there are. What
# splits see of them grows with their square: 30,000 towns took 22 GB.
MOST_CATEGORIES = 1000
# Of each feature, which of the values to try lead down the way so far.
Ways = dict[int, NDArray[np.bool_]]


def rows_around(plain: Plain, model: PlainModel, rows: Sequence[Row]) -> Iterator[Row]:
    """Yield rows like the given ones: first each category and gap, then each side of each split.

    `model` is what `plain` was restored to.
    """
    trees = plain.about["family"] == "trees"
    branches = Branches(plain.about, plain.arrays, model.n_columns) if trees else None
    features = [_Feature(model, branches, each, rows[0]) for each in range(model.n_inputs)]
    turn = 0
    for at, feature in enumerate(features):
        for value in feature.apart:
            turn += 1
            yield _with(rows[turn % len(rows)], {at: value})
    if branches is not None:
        yield from _Splits(model, branches, features).rows(rows)


def _with(row: Row, values: dict[int, Any]) -> Row:
    changed = list(row)
    for at, value in values.items():
        changed[at] = value
    return changed


class _Feature:
    """What to try in a feature, and what its columns make of it.

    `apart` are a gap, an unseen category and those that are known; `values` has all that is worth
    trying at splits, and `seen` what these see of each: shape (values, columns that are tested).
    """

    def __init__(self, model: PlainModel, branches: Branches | None, at: int, like: Row) -> None:
        columns = model.columns
        sources = range(model.n_inputs) if columns is None else columns.sources
        begun = [column for column, source in enumerate(sources) if source == at]
        known = _known(model, begun)
        gap = None if like[at] is None or isinstance(like[at], str) else math.nan
        others = [gap, *([_unlike(known)] if known else [])]
        self.apart = [*others, *known]
        self.columns = _tested(branches, begun)
        near = [value for column in self.columns for value in _near(model, branches, column)]
        told = [*others, *_known(model, self.columns)[:MOST_CATEGORIES]]
        taken = [value for value in told if _takes(model, _with(like, {at: value}))]
        self.values = [*dict.fromkeys(near), *taken]
        self.seen = self._seen(model, at, like)

    def _seen(self, model: PlainModel, at: int, like: Row) -> NDArray[np.float64]:
        if model.columns is None:
            return np.array(self.values, dtype=np.float64)[:, None]
        see = model.columns.function(self.columns)
        seen = [see(_with(like, {at: value})) for value in self.values]
        return np.array(seen, dtype=np.float64).reshape(len(seen), len(self.columns))

    def of_column(self, column: int) -> NDArray[np.float64]:
        return self.seen[:, self.columns.index(column)]


def _tested(branches: Branches | None, columns: Sequence[int]) -> list[int]:
    """Return those of some columns that a split tests."""
    if branches is None:
        return []
    tested = set(branches.nodes.feature[branches.split].tolist())
    return [each for each in columns if each in tested]


def _takes(model: PlainModel, row: Row) -> bool:
    """Tell whether a model answers a row with a gap, or with a category that is new to it."""
    try:
        model.score_row(row)
    except Exception:  # None is no number to `struct`, a gap none to a table
        return False
    return True


def _known(model: PlainModel, columns: Sequence[int]) -> list[Any]:
    """Return the values that the tables of some columns know."""
    if model.columns is None:
        return []
    tables = [table for table in map(model.columns.table_of, columns) if table]
    return list(dict.fromkeys(value for table in tables for value in table))


def _unlike(known: Sequence[Any]) -> Any:
    numbers = [each for each in known if not isinstance(each, str)]
    return max(numbers) + 1.0 if numbers else _UNSEEN


def _near(model: PlainModel, branches: Branches | None, column: int) -> list[float]:
    """Return the values of a feature at which tests of a column turn, and those next to them."""
    arithmetic = [] if model.columns is None else model.columns.arithmetic(column)
    if branches is None or arithmetic is None:
        return []
    tested = branches.split & (branches.nodes.feature == column)
    cuts = np.unique(branches.nodes.cut[tested])
    near = [cuts, np.nextafter(cuts, np.inf)]
    if arithmetic:
        near = _widely(_undone(cuts, arithmetic))
    values = np.unique(np.concatenate(near))
    # What is larger is refused before a model sees it.
    thresholds: list[float] = values[np.abs(values) <= FLOAT32_MAX].tolist()
    return thresholds


def _undone(x: Any, arithmetic: Sequence[tuple[str, float]]) -> Any:
    """Return about what a value was before its arithmetic."""
    with np.errstate(all="ignore"):
        for name, constant in reversed(arithmetic):
            x = {
                "-": x + constant,
                "+": x - constant,
                "*": x / constant,
                "/": x * constant,
            }[name]
    return x


def _widely(x: Any) -> list[Any]:
    """Return values and their neighbours: undoing rounds, by a few units in the last place."""
    values, below, above = [x], x, x
    for _ in range(3):
        below, above = np.nextafter(below, -np.inf), np.nextafter(above, np.inf)
        values += [below, above]
    return values


class _Splits:
    """The splits of all trees, with the rows that reach them."""

    def __init__(self, model: PlainModel, branches: Branches, features: Sequence[_Feature]) -> None:
        self._branches, self._features = branches, features
        columns = model.columns
        self._sources = list(range(model.n_inputs)) if columns is None else columns.sources

    def rows(self, rows: Sequence[Row]) -> Iterator[Row]:
        """Yield rows that reach each split: next to its threshold on both sides, and with a gap."""
        turn, right = 0, self._branches.nodes.right.tolist()
        for root in self._branches.nodes.roots.tolist():
            waiting: list[tuple[int, Ways]] = [(root, {})]
            while waiting:
                node, ways = waiting.pop()
                if not self._branches.split[node]:
                    continue
                turn += 1
                at, left = self._tested(node)
                open_ = ways.get(at, np.ones(len(left), dtype=np.bool_))
                yield from self._beside(node, at, left, ways | {at: open_}, rows[turn % len(rows)])
                waiting += [(right[node], ways | {at: open_ & ~left}),
                            (node + 1, ways | {at: open_ & left})]  # fmt: skip

    def _tested(self, node: int) -> tuple[int, NDArray[np.bool_]]:
        """Return the feature that a split tests, and which of its values go left."""
        column = int(self._branches.nodes.feature[node])
        at = self._sources[column]
        seen, category = self._features[at].of_column(column), self._branches.category[node]
        if category >= 0:
            codes = np.nan_to_num(seen, nan=-1.0).clip(-1, 254).astype(np.intp)
            left: NDArray[np.bool_] = self._branches.left[category][codes + 1]
            return at, left
        is_gap = np.isnan(seen) & self._branches.missing_left[node]
        return at, is_gap | (seen <= self._branches.nodes.cut[node])

    def _beside(
        self, node: int, at: int, left: NDArray[np.bool_], ways: Ways, row: Row
    ) -> Iterator[Row]:
        """Yield rows that reach a split, with the values next to its threshold."""
        there = self._led(ways, row, but=at)
        if there is None:
            return
        feature = self._features[at]
        seen = feature.of_column(int(self._branches.nodes.feature[node]))
        for side in (left, ~left):
            numbers = np.flatnonzero(ways[at] & side & ~np.isnan(seen))
            gaps = np.flatnonzero(ways[at] & side & np.isnan(seen))
            nearest = numbers[np.argsort(np.abs(seen[numbers] - self._branches.nodes.cut[node]))]
            for value in [*nearest[:2].tolist(), *gaps[:1].tolist()]:
                yield _with(there, {at: feature.values[value]})

    def _led(self, ways: Ways, row: Row, *, but: int) -> Row | None:
        """Return a row changed so that it goes these ways, None where there is none."""
        values = {}
        for at, open_ in ways.items():
            choice = np.flatnonzero(open_)
            if not choice.size:
                return None
            if at != but:
                values[at] = self._features[at].values[int(choice[(len(choice) - 1) // 2])]
        return _with(row, values)
