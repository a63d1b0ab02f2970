"""Evaluation of a forest by walking from the root of each tree to its leaf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from irisab.model.answer import Answer, Row
from irisab.model.arrays import Floats, Ints
from irisab.model.nodes import Nodes, answers_of, sum_in_order

# Pairs of row and tree that descend at once: the working arrays stay in the processor's cache.
DESCENT_CELLS = 1 << 14


class Walk:
    """From the root of each tree to its leaf: a loop for one row, level by level for many."""

    def __init__(self, nodes: Nodes) -> None:
        self._roots, self._value, self._nodes = nodes.roots, nodes.value, nodes.records
        self._views = [self._nodes[name].data for name in ("feature", "cut", "right")]

    def score_row(self, row: Row) -> Answer:
        value = self._value.take(self.leaves(row), axis=0)
        return answers_of(sum_in_order(value), len(value))[0]

    def leaves(self, row: Row) -> np.ndarray:
        """Return what the leaf of each tree says, as indices into the values of the nodes."""
        feature, cut, right = self._views
        leaves = []
        for node in self._roots.tolist():
            while (tested := feature[node]) >= 0:
                node = node + 1 if row[tested] <= cut[node] else right[node]
            leaves.append(~tested)
        return np.array(leaves)

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]:
        x = np.array(rows, dtype=np.float64)
        total = np.zeros((len(x), self._value.shape[1]))
        for leaves in self.leaves_together(x):
            total += self._value.take(leaves, axis=0)
        return answers_of(total, len(self._roots))

    def leaves_together(self, x: Floats) -> Iterator[np.ndarray]:
        """Yield, tree after tree, what the leaves of all rows of x (rows, features) say."""
        step = max(1, DESCENT_CELLS // len(x))
        for first in range(0, len(self._roots), step):
            yield from self._descend(x, self._roots[first : first + step])

    def _descend(self, x: Floats, roots: Ints) -> Ints:
        """Return what the leaves (roots, rows) say that the rows of x (rows, features) reach.

        Leaves lead to themselves, so those that arrived are put aside only every third level.
        """
        reached = np.empty(len(roots) * len(x), dtype=np.intp)
        cell, node = np.arange(len(reached)), np.repeat(roots, len(x))
        offset = np.tile(np.arange(len(x)) * x.shape[1], len(roots))
        while cell.size:
            for _ in range(3):
                at = self._nodes.take(node)
                # What a leaf has as its feature is none, and its cut is above nothing.
                goes_left = x.take(offset + at["feature"], mode="clip") <= at["cut"]
                node = np.where(goes_left, node + 1, at["right"])
            tested = self._nodes["feature"][node]
            at_leaf = tested < 0
            reached[cell[at_leaf]] = ~tested[at_leaf]
            going = np.flatnonzero(~at_leaf)
            cell, node, offset = cell.take(going), node.take(going), offset.take(going)
        return reached.reshape(len(roots), len(x))
