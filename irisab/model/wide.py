"""Rows made so wide that x <= cut is the only test there is. Start at `widen`.

A walk and a bitset know no other. So a test that sends NaN to the left sees a copy of its column
with -inf in place of NaN, and a test for a set of categories a column of its own: 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from irisab.model.answer import Row
from irisab.model.arrays import Floats, Ints
from irisab.model.branches import Branches
from irisab.model.nodes import Nodes


def widen(branches: Branches) -> tuple[Wide, Nodes]:
    """Return what makes rows wide, and the nodes of the branches, testing wide rows."""
    nodes, by_set = branches.nodes, branches.category >= 0
    low = branches.split & branches.missing_left & ~by_set
    lowered = np.unique(nodes.feature[low])
    tested = np.stack([nodes.feature[by_set], branches.category[by_set]], axis=1)
    sets, which = np.unique(tested, axis=0, return_inverse=True)
    if not lowered.size and not len(sets):
        return Wide(branches.n_columns, lowered, sets, branches.left), nodes
    feature, cut = nodes.feature.copy(), nodes.cut.copy()
    feature[low] = branches.n_columns + np.searchsorted(lowered, feature[low])
    feature[by_set] = branches.n_columns + len(lowered) + which.ravel()
    cut[by_set] = 0.5
    width = branches.n_columns + len(lowered) + len(sets)
    return Wide(width, lowered, sets, branches.left), nodes.testing(width, feature, cut)


class Wide:
    """What makes rows wide.

    `low` are the columns that are copied; `sets` the pairs of a column and a row of `left`.
    """

    def __init__(self, width: int, low: Ints, sets: Ints, left: NDArray[np.bool_]) -> None:
        self.width, self._low, self._sets, self._left = width, low, sets, left

    def rows(self, x: Floats) -> Floats:
        """Return x (rows, columns) as (rows, width)."""
        low = x[:, self._low]
        columns, sets = self._sets.T
        codes = np.nan_to_num(x[:, columns], nan=-1.0).clip(-1, 254).astype(np.intp)
        goes_right = ~self._left[sets, codes + 1]
        return np.concatenate([x, np.where(np.isnan(low), -np.inf, low), goes_right], axis=1)

    def widened(self) -> Callable[[Row], Row]:
        """Return the function that makes one row wide."""
        if len(self._sets):
            return lambda row: self.rows(np.array([row]))[0].tolist()
        low = self._low.tolist()
        return (lambda row: [*row, *_lowered(row, low)]) if low else _as_it_is


def _lowered(row: Row, columns: Sequence[int]) -> list[float]:
    values = [row[each] for each in columns]
    return [value if value == value else -np.inf for value in values]


def _as_it_is(row: Row) -> Row:
    return row
