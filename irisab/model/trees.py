"""Exact evaluation of any ensemble of trees without scikit-learn. Start at `Trees`.

Its trees are written as Python, walked, or read by a bitset: the answers are the same to the last
bit, and the fastest form is chosen by measuring at load.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from irisab.model.answer import Answer, Row
from irisab.model.bitset import Bitset, masks_fit
from irisab.model.branches import Branches
from irisab.model.fastest import Fastest
from irisab.model.nodes import Nodes, voting
from irisab.model.outline import Outline, outline
from irisab.model.sums import Sums
from irisab.model.walk import Walk
from irisab.model.wide import widen
from irisab.model.writing import can_be_written

Score = Callable[[Row], Answer]
# Wide rows that are scored together hold so many numbers at most.
WIDE_CELLS = 1 << 20


class Trees:
    """An ensemble of plain arrays, ready to score rows of the columns that it sees.

    Raise `BundleError` if the arrays are damaged. `method` is the form that measured faster for
    single rows, unless given: "written", "walk" or "bitset". `outline` is the top of the first
    tree, None where trees do not answer each by itself.
    """

    def __init__(
        self,
        about: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        n_columns: int,
        *,
        method: str | None = None,
    ) -> None:
        branches = Branches(about, arrays, n_columns)
        gaps = branches.missing_left if about.get("gaps") else None
        alone = not about["turns"]
        self.outline: Outline | None = outline(branches.nodes, gaps) if alone else None
        # Of branches and nodes nothing is kept: they are larger than what scores.
        self._wide, nodes = widen(branches)
        self._sums, self._walk = Sums(about, branches), Walk(nodes)
        makers = self._makers(about["link"], branches, nodes)
        chosen = [method] if method in makers else [*makers]
        forms = {name: makers[name]() for name in chosen}
        fastest = Fastest(forms, self._score_together, branches.probe())
        self.method = fastest.method
        self.score_row, self.score_rows = fastest.score_row, fastest.score_rows

    def _makers(
        self, link: str, branches: Branches, nodes: Nodes
    ) -> dict[str, Callable[[], Score]]:
        """Return what makes each form that there is room for."""
        widened, of_leaves, walk = self._wide.widened(), self._sums.of_leaves, self._walk
        makers: dict[str, Callable[[], Score]] = {}
        if can_be_written(branches):
            makers["written"] = lambda: self._sums.written(branches)
        if link == "mean" and masks_fit(nodes):
            makers["bitset"] = lambda: _masked(nodes, widened)
        makers["walk"] = lambda: lambda row: of_leaves(walk.leaves(widened(row)))
        return makers

    def _score_together(self, rows: Sequence[Row]) -> list[Answer]:
        step = max(1, WIDE_CELLS // self._wide.width)
        answers = []
        for first in range(0, len(rows), step):
            x = np.array(rows[first : first + step], dtype=np.float64)
            leaves = self._walk.leaves_together(self._wide.rows(x))
            answers += self._sums.of_many(leaves, len(x))
        return answers


def _masked(nodes: Nodes, widened: Callable[[Row], Row]) -> Score:
    """Return what scores a row by masks. They know no NaN: infinity stands for it there."""
    # Some splits tell NaN from all the rest, by a threshold of infinity.
    cut = np.minimum(nodes.cut, np.finfo(np.float64).max)
    score = Bitset(voting(nodes.testing(nodes.n_features, nodes.feature, cut))).score_row
    return lambda row: score([x if x == x else math.inf for x in widened(row)])
