"""The nodes of a forest with all that preorder implies. Start at `Nodes`."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

import numpy as np

from irisab.errors import BundleError
from irisab.model.answer import Answer
from irisab.model.arrays import Floats, Ints, checked


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

    feature    (nodes,)             -1 at leaves
    cut        (nodes,)             NaN at leaves: no value is below it
    right      (nodes,)             index of the right child; the node itself at leaves
    rank       (nodes + 1,)         number of leaves before the node
    roots      (trees,)             index of each root
    value      (outcomes, columns)  what leaves say: of a forest, the different probabilities
    outcome    (leaves,)            index into `value`

    `cuts` are those of the splits, in order. Raise `BundleError` if there are no whole trees.
    """

    def __init__(self, n_features: int, feature: Ints, cuts: Floats, value: Floats) -> None:
        self.n_features, self.feature, self.value = n_features, feature, value
        split = feature >= 0
        self.cut = np.full(len(split), np.nan)
        self.cut[split] = cuts
        self.rank = np.concatenate(([0], np.cumsum(~split)))
        balance = np.concatenate(([0], np.cumsum(np.where(split, 1, -1))))
        if balance[-1] >= 0 or balance[:-1].min() <= balance[-1]:
            raise BundleError("The forest is damaged: its nodes do not form whole trees.")
        self.roots = np.searchsorted(-np.minimum.accumulate(balance), np.arange(-balance[-1]))
        self.right = np.where(split, _next_at_same(balance)[:-1], np.arange(len(split)))
        self.outcome = np.arange(len(value), dtype=np.int32)
        self.pure = False

    def testing(self, n_features: int, feature: Ints, cut: Floats) -> Nodes:
        """Return the same trees with other tests: arrays of shape (nodes,)."""
        other = copy(self)
        other.n_features, other.feature, other.cut = n_features, feature, cut
        return other


def forest_nodes(arrays: Mapping[str, np.ndarray]) -> Nodes:
    """Return the nodes of a forest's plain arrays; raises `BundleError`."""
    n_features, feature, threshold, value = checked(arrays)
    return voting(Nodes(n_features, feature, cutoffs(threshold), value))


def voting(nodes: Nodes) -> Nodes:
    """Return the nodes with each class once, if each leaf is sure of one: `pure` says so then."""
    nodes = copy(nodes)
    value = nodes.value
    nodes.pure = bool((value.max(axis=1) == 1).all() and np.count_nonzero(value) == len(value))
    if nodes.pure:
        nodes.outcome = value.argmax(axis=1).astype(np.int32)
        nodes.value = np.eye(value.shape[1])
    return nodes


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
