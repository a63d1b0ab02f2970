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
from irisab.model.links import link_of
from irisab.model.nodes import Nodes, sum_in_order, voting
from irisab.model.walk import Walk
from irisab.model.wide import widen
from irisab.model.writing import Part, can_be_written, write_leaves, write_sums

Score = Callable[[Row], Answer]
# Wide rows that are scored together hold so many numbers at most.
WIDE_CELLS = 1 << 20


class Trees:
    """An ensemble of plain arrays, ready to score rows of the columns that it sees.

    Raise `BundleError` if the arrays are damaged. `method` is the form that measured faster for
    single rows, unless given: "written", "walk" or "bitset".
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
        # Of branches and nodes nothing is kept: they are larger than what scores.
        self._wide, nodes = widen(branches)
        self._sums, self._walk = _Sums(about, branches), Walk(nodes)
        forms = self._forms(about["link"], branches, nodes)
        chosen = {method: forms[method]} if method in forms else forms
        fastest = Fastest(chosen, self._score_together, branches.probe())
        self.method = fastest.method
        self.score_row, self.score_rows = fastest.score_row, fastest.score_rows

    def _forms(self, link: str, branches: Branches, nodes: Nodes) -> dict[str, Score]:
        widened, of_leaves, walk = self._wide.widened(), self._sums.of_leaves, self._walk
        forms: dict[str, Score] = {}
        if can_be_written(branches):
            forms["written"] = self._sums.written(branches)
        if link == "mean" and masks_fit(nodes):
            forms["bitset"] = _masked(nodes, widened)
        forms["walk"] = lambda row: of_leaves(walk.leaves(widened(row)))
        return forms

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


class _Sums:
    """What leaves add up to, in the order of the trees, and what is answered then."""

    def __init__(self, about: Mapping[str, Any], branches: Branches) -> None:
        self._base, self._turns = branches.base, branches.turns
        self._value, sums = branches.nodes.value, len(branches.base)
        self._one, self._many = link_of(
            about["link"], sums=sums, divide=about["divide"], at_zero=about.get("at_zero", 0)
        )

    def of_leaves(self, leaves: np.ndarray) -> Answer:
        """Return the answer for the leaf that a row reaches in each tree."""
        value = self._value.take(leaves, axis=0).reshape(-1, len(self._base))
        total = sum_in_order(np.concatenate([self._base[None], value]))
        return self._many(total)[0]

    def of_many(self, leaves: Any, n_rows: int) -> list[Answer]:
        """Return the answers for the leaves that many rows reach, given tree by tree."""
        total = np.tile(self._base, (n_rows, 1))
        for tree, reached in enumerate(leaves):
            value = self._value.take(reached, axis=0)
            if self._turns:
                total[:, tree % len(self._base)] += value[:, 0]
            else:
                total += value
        return self._many(total)

    def written(self, branches: Branches) -> Score:
        """Return what scores a row with the trees written as Python."""
        if len(branches.nodes.roots) == 1:
            return self._of_one_tree(branches)
        if len(self._base) > 1 and not self._turns:
            find = _one_after_the_other(write_leaves(branches), [])
            return lambda row: self.of_leaves(find(row))
        base = self._base.tolist()
        begin = base[0] if len(base) == 1 else base
        one, add = self._one, _one_after_the_other(write_sums(branches), begin)
        return lambda row: one(add(row))

    def _of_one_tree(self, branches: Branches) -> Score:
        """Return what scores a row where there is an answer for each leaf."""
        (find,) = write_leaves(branches)
        answers = [self.of_leaves(np.array([leaf])) for leaf in range(len(self._value))]
        return lambda row: answers[find(row, ())[0]]


def _one_after_the_other(parts: Sequence[Part], begin: Any) -> Callable[[Row], Any]:
    if len(parts) == 1:
        (part,) = parts
        return lambda row: part(row, begin)

    def through_all(row: Row) -> Any:
        found = begin
        for part in parts:
            found = part(row, found)
        return found

    return through_all
