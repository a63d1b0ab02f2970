"""The nodes of a forest with all that preorder implies. Start at `Nodes`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import BundleError
from irisab.model.answer import Answer
from irisab.model.arrays import ROWS, Floats, Ints, are_probabilities, forest_array

RECORD = np.dtype([("cut", "f8"), ("feature", "i4"), ("right", "i4")])


def cutoffs(threshold: Floats) -> Floats:
    """Return, for each threshold t, the largest float64 c so that float32(x) <= t iff x <= c.

    scikit-learn rounds x to float32 (half to even) before comparing; with c no row needs to be
    rounded. c is the midpoint between the largest float32 <= t and the next one, itself
    included if a tie rounds down. Beyond float32's range the next one would be 2**128.
    """
    with np.errstate(over="ignore"):
        below = threshold.astype(np.float32)
        below = np.where(below > threshold, np.nextafter(below, np.float32(-np.inf)), below)
        above = np.nextafter(below, np.float32(np.inf))
    bound = 2.0**128
    midpoint = (np.clip(below.astype(float), -bound, bound)
                + np.clip(above.astype(float), -bound, bound)) / 2  # fmt: skip
    tie_rounds_down = below.view(np.uint32) % 2 == 0
    cut = np.where(tie_rounds_down, midpoint, np.nextafter(midpoint, -np.inf))
    return np.where(np.isposinf(below), np.inf, cut)


class Nodes:
    """Nodes of all trees in preorder, with what preorder implies.

    Each is a record like scikit-learn's own, so that a step touches one line of the cache, and a
    large forest is in memory once: `records` (nodes,) has

    feature    the one tested; at a leaf -1 - i, where value[i] is what it says
    cut        NaN at leaves: no value is below it
    right      index of the right child; the node itself at leaves

    `roots` (trees,) are the indices of the roots; `value` (outcomes, columns) is what leaves say,
    of a forest the different probabilities: `says` (leaves,) has the outcome of each, else each has
    its own. Raise `BundleError` if there are no whole trees.
    """

    def __init__(
        self,
        n_features: int,
        feature: Ints,
        value: Floats,
        says: NDArray[np.int32] | None = None,
    ) -> None:
        self.n_features, self.value, self.pure = n_features, value, False
        ends = _ends(feature)
        if not ends or ends[-1] != len(feature):
            raise BundleError("The forest is damaged: its nodes do not form whole trees.")
        self.roots = np.array([0, *ends[:-1]])
        self.records = np.empty(len(feature), dtype=RECORD)
        leaves = 0
        for first, end in _together(ends):
            some, split = self.records[first:end], feature[first:end] >= 0
            rank = leaves + np.cumsum(~split)
            says_here = rank - 1 if says is None else says.take(rank - 1, mode="clip")
            some["feature"] = np.where(split, feature[first:end], ~says_here)
            some["right"] = first + _right(split)
            some["cut"] = np.nan
            leaves = int(rank[-1])

    def set_cuts(self, thresholds: Floats, *, float32: bool) -> None:
        """Give the splits what they compare with, in order: thresholds, or their `cutoffs`."""
        done = 0
        for first in range(0, len(self.records), ROWS):
            some = self.records[first : first + ROWS]
            split = some["feature"] >= 0
            cuts = thresholds[done : done + np.count_nonzero(split)]
            some["cut"][split] = cutoffs(cuts) if float32 else cuts
            done += len(cuts)

    @property
    def feature(self) -> Any:
        return self.records["feature"]

    @property
    def cut(self) -> Any:
        return self.records["cut"]

    @property
    def right(self) -> Any:
        return self.records["right"]

    @property
    def n_leaves(self) -> int:
        return (len(self.records) + len(self.roots)) // 2

    def outcomes(self) -> Any:
        """Return, for each leaf, the index into `value`."""
        return ~self.feature[self.feature < 0]

    def ranks(self) -> Any:
        """Return the number of leaves before each node, and of all: shape (nodes + 1,)."""
        return np.concatenate(([0], np.cumsum(self.feature < 0)))

    def testing(self, n_features: int, feature: Ints, cut: Floats) -> Nodes:
        """Return the same trees with other tests: arrays of shape (nodes,)."""
        other = copy(self)
        other.n_features, other.records = n_features, self.records.copy()
        other.records["feature"], other.records["cut"] = feature, cut
        return other


def forest_nodes(arrays: Mapping[str, np.ndarray]) -> Nodes:
    """Return the nodes of a forest's plain arrays; raises `BundleError`.

    Each array is asked for once, and let go before the next: from a file, only one is in memory.
    """
    n_features = int(forest_array(arrays, "n_features"))
    value, says = _outcomes(np.asarray(forest_array(arrays, "value"), dtype=np.float64))
    feature = forest_array(arrays, "feature")
    n_splits = int(np.count_nonzero(feature >= 0))
    if len(feature) - n_splits != (len(value) if says is None else len(says)):
        raise _misfit()
    if not -1 <= feature.min() <= feature.max() < n_features:
        raise BundleError(f"The forest is damaged: a node tests none of {n_features} features.")
    nodes = Nodes(n_features, feature, value, says)
    nodes.pure = says is not None
    del feature, says
    threshold = np.asarray(forest_array(arrays, "threshold"), dtype=np.float64)
    if len(threshold) != n_splits:
        raise _misfit()
    if np.isnan(threshold).any():
        raise BundleError("The forest is damaged: a threshold is no number.")
    nodes.set_cuts(threshold, float32=True)
    return nodes


def _outcomes(value: Floats) -> tuple[Floats, NDArray[np.int32] | None]:
    """Return the different outcomes of leaves, and which each has: None where it has its own."""
    if not value.size:
        raise _misfit()
    if not are_probabilities(value):
        raise BundleError("The forest is damaged: a probability is impossible.")
    says = _sure(value)
    return (value, None) if says is None else (np.eye(value.shape[1]), says)


def _misfit() -> BundleError:
    return BundleError("The forest is damaged: its arrays do not fit together.")


def _sure(value: Floats) -> NDArray[np.int32] | None:
    """Return the class of each leaf where all are sure of one."""
    says = np.empty(len(value), dtype=np.int32)
    for first in range(0, len(value), ROWS):
        some = value[first : first + ROWS]
        if not (some.max(axis=1) == 1).all() or np.count_nonzero(some) != len(some):
            return None
        says[first : first + ROWS] = some.argmax(axis=1)
    return says


def voting(nodes: Nodes) -> Nodes:
    """Return the nodes with each class once, if each leaf is sure of one: `pure` says so then."""
    says = _sure(nodes.value)
    if says is None:
        return nodes
    feature = np.where(nodes.feature < 0, ~says.take(~nodes.feature, mode="clip"), nodes.feature)
    other = nodes.testing(nodes.n_features, feature, nodes.cut)
    other.value, other.pure = np.eye(nodes.value.shape[1]), True
    return other


def _ends(feature: Ints) -> list[int]:
    """Return the index behind each tree: where leaves are one more than splits, counted from it."""
    ends: list[int] = []
    height = lowest = 0
    for first in range(0, len(feature), ROWS):
        balance = height + np.cumsum(np.where(feature[first : first + ROWS] < 0, -1, 1))
        lows = np.minimum.accumulate(np.concatenate(([lowest], balance)))
        ends += (first + 1 + np.flatnonzero(balance < lows[:-1])).tolist()
        height, lowest = int(balance[-1]), int(lows[-1])
    return ends


def _together(ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first node and end of trees that are looked at together: one, or many small ones."""
    first = 0
    for end in ends:
        if end - first >= ROWS or end == ends[-1]:
            yield first, end
            first = end


def _right(split: NDArray[np.bool_]) -> Ints:
    """Return the right child of each node of whole trees; of a leaf, itself."""
    balance = np.concatenate(([0], np.cumsum(np.where(split, 1, -1))))
    return np.where(split, _next_at_same(balance)[:-1], np.arange(len(split)))


def _next_at_same(balance: Ints) -> Ints:
    """Return, for each entry, the index of the next one that is equal (the last: itself).

    The balance rises by 1 behind a split and falls by 1 behind a leaf, so in preorder the next
    node at the balance of a split is its right child.
    """
    order = np.argsort(balance, kind="stable")
    following = np.arange(len(balance))
    following[order[:-1]] = order[1:]
    return following


def answers_of(total: Floats, n_trees: int) -> list[Answer]:
    """Return the answers for the sums over trees, shape (rows, classes)."""
    total /= n_trees
    best = total.argmax(axis=1).tolist()
    return list(zip(best, map(tuple, total.tolist()), strict=True))


def sum_in_order(value: Floats) -> Floats:
    """Return the sum of value (trees, classes) as (1, classes), adding tree by tree.

    As scikit-learn does: `np.sum` may add pairwise, which can differ in the last bit.
    """
    return np.add.accumulate(value)[-1:]
