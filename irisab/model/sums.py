"""What the leaves of trees add up to, and what is answered then. Start at `Sums`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from irisab.model.answer import Answer, Row
from irisab.model.branches import Branches
from irisab.model.links import link_of
from irisab.model.nodes import sum_in_order
from irisab.model.writing import Part, write_leaves, write_sums


class Sums:
    """Adds up what leaves say, in the order of the trees, and answers."""

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

    def of_many(self, leaves: Iterable[np.ndarray], n_rows: int) -> list[Answer]:
        """Return the answers for the leaves that many rows reach, given tree by tree."""
        total = np.tile(self._base, (n_rows, 1))
        for tree, reached in enumerate(leaves):
            value = self._value.take(reached, axis=0)
            if self._turns:
                total[:, tree % len(self._base)] += value[:, 0]
            else:
                total += value
        return self._many(total)

    def written(self, branches: Branches) -> Callable[[Row], Answer]:
        """Return what scores a row with the trees written as Python."""
        if len(branches.nodes.roots) == 1:
            return self._of_one_tree(branches)
        if len(self._base) > 1 and not self._turns:
            find = _one_after_the_other(write_leaves(branches), [])
            return lambda row: self.of_leaves(find(row))
        base, one = self._base.tolist(), self._one
        if len(base) == 1:
            add = _one_after_the_other(write_sums(branches), base[0])
            return lambda row: one(add(row))
        add_each = _one_after_the_other(write_sums(branches), base)
        return lambda row: one(np.array(add_each(row)))

    def _of_one_tree(self, branches: Branches) -> Callable[[Row], Answer]:
        """Return what scores a row where there is an answer for each leaf."""
        (find,) = write_leaves(branches)
        answers = [self.of_leaves(np.array([leaf])) for leaf in range(len(self._value))]
        return lambda row: answers[find(row, ())[0]]


def _one_after_the_other(parts: Sequence[Part], begin: Any) -> Callable[[Row], Any]:
    if len(parts) == 1:
        (part,) = parts
        return lambda row: part(row, begin)

    def through_all(row: Row) -> Any:
        sums = begin
        for part in parts:
            sums = part(row, sums)
        return sums

    return through_all
