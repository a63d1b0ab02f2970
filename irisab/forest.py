"""Exact evaluation of tree ensembles without scikit-learn.

`flatten` turns a fitted estimator into plain arrays, `Forest` evaluates them. Two forms give
the same answers to the last bit, and the faster one is chosen by measuring at load:

- bitset: the idea of QuickScorer (Lucchese et al., "QuickScorer: a fast algorithm to rank
  documents with additive ensembles of regression trees", SIGIR 2015). Every leaf of every tree
  is one bit of an integer; the interval of a feature's value picks a precomputed mask of the
  leaves still reachable; the AND over the features leaves one leaf per tree.
- walk: from the root of each tree to its leaf.

Plain arrays, nodes in preorder (a node, its left subtree, its right subtree), tree after tree:

    feature     int32 (nodes,)             feature tested by the node, -1 at a leaf
    threshold   float64 (splits,)          left if float32(x) <= threshold; same order
    value       float64 (leaves, classes)  class probabilities of each leaf; same order
    n_features  int64 ()

Preorder makes the structure implicit, so there are no child indices that could be wrong.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BundleError

Answer = tuple[int, tuple[float, ...]]
Row = Sequence[float]
Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Above this the masks would crowd out everything else in a process meant to stay under 60 MB.
MASK_BYTES = 8 << 20
# Remembered answers, per forest: thousands of them for a small forest, few for a large one.
MEMO_BYTES = 1 << 20
# Rows descending at once in the walk: the working arrays stay in the processor's cache.
DESCENT_CELLS = 1 << 14

_FORESTS = {"RandomForestClassifier", "ExtraTreesClassifier"}
_TREES = {"DecisionTreeClassifier", "ExtraTreeClassifier"}


def flatten(estimator: Any) -> dict[str, np.ndarray] | None:
    """Return the plain arrays of a fitted forest or tree classifier, else None.

    None stands for everything whose `predict_proba` the plain form might not reproduce:
    subclasses, several outputs, scikit-learn before 1.3 (leaves held counts), zero weights.
    """
    trees = _trees(estimator)
    if not trees or estimator.n_outputs_ != 1:
        return None
    parts = [_preorder(tree.tree_) for tree in trees]
    feature, threshold, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    if not _are_probabilities(value):
        return None
    n_features = np.array(estimator.n_features_in_, dtype=np.int64)
    return {"feature": feature, "threshold": threshold, "value": value, "n_features": n_features}


def _trees(estimator: Any) -> list[Any]:
    if _is_exactly(estimator, _TREES) and hasattr(estimator, "tree_"):
        return [estimator]
    trees = getattr(estimator, "estimators_", []) if _is_exactly(estimator, _FORESTS) else []
    return list(trees) if all(_is_exactly(tree, _TREES) for tree in trees) else []


def _is_exactly(estimator: Any, names: set[str]) -> bool:
    """Whether the class is scikit-learn's own: a subclass may predict differently."""
    kind = type(estimator)
    return kind.__name__ in names and kind.__module__.startswith("sklearn.")


def _preorder(tree: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return feature, threshold and value of one `sklearn.tree._tree.Tree` in preorder."""
    left, right = tree.children_left, tree.children_right
    order, stack = [], [0]
    while stack:
        node = stack.pop()
        order.append(node)
        if left[node] >= 0:
            stack += (right[node], left[node])
    split = left[order] >= 0
    feature = np.where(split, tree.feature[order], -1).astype(np.int32)
    value = tree.value[order][~split, 0, :].astype(np.float64)
    return feature, tree.threshold[order][split].astype(np.float64), value


def _are_probabilities(value: np.ndarray) -> bool:
    return bool(np.all(value >= 0) and np.allclose(value.sum(axis=1), 1, rtol=0, atol=1e-6))


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


class _Nodes:
    """The checked arrays with everything preorder implies.

    Per node: `feature` (-1 at leaves), `cut` (nan at leaves), `right` (index of the right
    child), `end` (index behind the subtree), `rank` (leaves before the node; one entry more).
    `roots`: index of each tree's root. `value`: (leaves, classes).
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.n_features, feature, threshold, self.value = _checked(arrays)
        split = feature >= 0
        depth = np.concatenate(([0], np.cumsum(np.where(split, 1, -1))))
        n_trees = int(-depth[-1])
        if n_trees < 1 or depth[:-1].min() <= depth[-1]:
            raise BundleError("The forest is damaged: its nodes do not form whole trees.")
        self.feature = feature.astype(np.intp)
        self.cut = np.full(len(feature), np.nan)
        self.cut[split] = cutoffs(threshold)
        self.right, self.end = _next_at(depth, 0), _next_at(depth, -1)
        self.rank = np.concatenate(([0], np.cumsum(~split)))
        self.roots = np.searchsorted(-np.minimum.accumulate(depth), np.arange(n_trees))


def _next_at(depth: Ints, change: int) -> Ints:
    """Return, for each node, the index of the next one whose depth is its own plus `change`.

    In preorder with depth rising by 1 behind a split and falling by 1 behind a leaf, the right
    child is the next node at the same depth and a subtree ends at the next node one lower.
    """
    size = len(depth)
    key = depth * size + np.arange(size)
    order = np.argsort(key)
    wanted = key[:-1] + change * size + 1
    return order[np.minimum(np.searchsorted(key[order], wanted), size - 1)]


def _checked(arrays: Mapping[str, np.ndarray]) -> tuple[int, Ints, Floats, Floats]:
    """Return n_features, feature, threshold, value; raise BundleError if they do not fit."""
    for name, kind, ndim in (("n_features", "i", 0), ("feature", "i", 1),
                             ("threshold", "f", 1), ("value", "f", 2)):  # fmt: skip
        if name not in arrays:
            raise BundleError(f"The forest is damaged: it has no array {name!r}.")
        array = arrays[name]
        if array.dtype.kind != kind or array.ndim != ndim:
            raise BundleError(f"The forest is damaged: {name!r} has a wrong type or shape.")
    n_features, feature = int(arrays["n_features"]), arrays["feature"]
    threshold, value = arrays["threshold"], arrays["value"]
    splits = int(np.count_nonzero(feature >= 0))
    if len(threshold) != splits or len(value) != len(feature) - splits or value.shape[1] < 1:
        raise BundleError("The forest is damaged: its arrays differ in length.")
    if feature.size and not -1 <= feature.min() <= feature.max() < n_features:
        raise BundleError(f"The forest is damaged: a node tests none of {n_features} features.")
    if np.isnan(threshold).any() or not _are_probabilities(value):
        raise BundleError("The forest is damaged: a threshold or probability is not a number.")
    return n_features, feature, threshold.astype(np.float64), value.astype(np.float64)


def _answers(leaf: Ints, value: Floats) -> list[Answer]:
    """Return the answers for leaf indices of shape (rows, trees).

    Like scikit-learn, add the trees up one after the other and divide once; `accumulate`,
    because `sum` adds pairwise, which may differ in the last bit.
    """
    total = value[leaf[:, 0]]
    for column in leaf.T[1:]:
        total += value[column]
    total /= leaf.shape[1]
    best = total.argmax(axis=1).tolist()
    return list(zip(best, map(tuple, total.tolist()), strict=True))


class _Walk:
    """From the root of each tree to its leaf."""

    def __init__(self, nodes: _Nodes) -> None:
        self._value = nodes.value
        self._roots = nodes.roots
        self._feature, self._right, self._rank = nodes.feature, nodes.right, nodes.rank
        self._cut = nodes.cut
        self._columns = nodes.feature.tolist(), nodes.cut.tolist(), nodes.right.tolist()

    def score_row(self, row: Row) -> Answer:
        feature, cut, right = self._columns
        leaves = []
        for node in self._roots.tolist():
            while (tested := feature[node]) >= 0:
                node = node + 1 if row[tested] <= cut[node] else right[node]
            leaves.append(node)
        return _answers(self._rank[leaves][None, :], self._value)[0]

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]:
        step = max(1, DESCENT_CELLS // len(self._roots))
        answers: list[Answer] = []
        for start in range(0, len(rows), step):
            answers += _answers(self._descend(np.asarray(rows[start : start + step])), self._value)
        return answers

    def _descend(self, x: Floats) -> Ints:
        """Return the leaf index (rows, trees) that each row of x (rows, features) reaches."""
        node = np.tile(self._roots, len(x))
        offset = np.repeat(np.arange(len(x)) * x.shape[1], len(self._roots))
        x = x.ravel()
        active = np.flatnonzero(self._feature[node] >= 0)
        while active.size:
            at = node[active]
            goes_left = x[offset[active] + self._feature[at]] <= self._cut[at]
            at = np.where(goes_left, at + 1, self._right[at])
            node[active] = at
            active = active[self._feature[at] >= 0]
        return self._rank[node].reshape(-1, len(self._roots))


class _Bitset:
    """The AND of one mask per feature, then a look-up of the leaves left."""

    def __init__(self, nodes: _Nodes) -> None:
        self._features = _masks(nodes)
        self._n_leaves = len(nodes.value)
        self._value = nodes.value
        self._all = (1 << self._n_leaves) - 1
        self._memo: dict[int, Answer] = {}
        entry = self._n_leaves // 7 + 64 * nodes.value.shape[1] + 300
        self._memo_size = max(16, MEMO_BYTES // entry)

    def score_row(self, row: Row) -> Answer:
        live = self._all
        for feature, cuts, masks in self._features:
            live &= masks[bisect_left(cuts, row[feature])]
        answer = self._memo.get(live)
        return self._remember(live) if answer is None else answer

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]:
        return list(map(self.score_row, rows))

    def _remember(self, live: int) -> Answer:
        packed = live.to_bytes(-(-self._n_leaves // 8), "little")
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
        answer = _answers(np.flatnonzero(bits)[None, :], self._value)[0]
        if len(self._memo) >= self._memo_size:
            self._memo.clear()
        # Two threads may work out the same leaves: both return the one stored first.
        return self._memo.setdefault(live, answer)


def _mask_bytes(nodes: _Nodes) -> int:
    """Return the size of all masks before any is built."""
    per_mask = len(nodes.value) / 30 * 4 + 32
    splits = nodes.feature >= 0
    pairs = np.stack((nodes.feature[splits], nodes.cut[splits]), axis=1)
    return int((len(np.unique(pairs, axis=0)) + nodes.n_features) * per_mask)


def _masks(nodes: _Nodes) -> list[tuple[int, list[float], list[int]]]:
    """Return, per feature tested, its sorted cutoffs and the mask of each interval between."""
    full = (1 << len(nodes.value)) - 1
    start, middle, end = (
        nodes.rank[index].tolist()
        for index in (np.arange(len(nodes.feature)), nodes.right, nodes.end)
    )
    features = []
    for feature in np.unique(nodes.feature[nodes.feature >= 0]).tolist():
        index = np.flatnonzero(nodes.feature == feature)
        cuts, group = np.unique(nodes.cut[index], return_inverse=True)
        if_left, if_right = [0] * len(cuts), [0] * len(cuts)
        for node, at in zip(index.tolist(), group.tolist(), strict=True):
            if_left[at] |= _span(middle[node], end[node])
            if_right[at] |= _span(start[node], middle[node])
        dead = [0] * (len(cuts) + 1)
        for at, gone in enumerate(if_right):
            dead[at + 1] = dead[at] | gone
        gone = 0
        for at in range(len(cuts) - 1, -1, -1):
            gone |= if_left[at]
            dead[at] |= gone
        features.append((feature, cuts.tolist(), [full ^ mask for mask in dead]))
    return features


def _span(start: int, stop: int) -> int:
    return ((1 << (stop - start)) - 1) << start


class Forest:
    """A forest of plain arrays, ready to score rows that are already validated.

    Raise BundleError if the arrays are damaged. `method` tells which form measured faster.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, method: str | None = None) -> None:
        nodes = _Nodes(arrays)
        self.n_features = nodes.n_features
        self.n_trees, self.n_classes = len(nodes.roots), nodes.value.shape[1]
        forms: dict[str, _Bitset | _Walk] = {}
        if method != "walk" and _mask_bytes(nodes) <= MASK_BYTES:
            forms["bitset"] = _Bitset(nodes)
        if method != "bitset":
            forms["walk"] = _Walk(nodes)
        probe = _probe(nodes)
        self.method = min(forms, key=lambda name: _seconds(forms[name].score_row, probe))
        self.score_row: Callable[[Row], Answer] = forms[self.method].score_row
        self.score_rows: Callable[[Sequence[Row]], list[Answer]] = forms[self.method].score_rows


def _probe(nodes: _Nodes) -> list[list[float]]:
    """Return a few rows made of the forest's own cutoffs, to measure with."""
    random = np.random.default_rng(0)
    rows = np.zeros((8, nodes.n_features))
    for feature in range(nodes.n_features):
        cuts = nodes.cut[(nodes.feature == feature) & np.isfinite(nodes.cut)]
        if cuts.size:
            rows[:, feature] = random.choice(cuts, len(rows))
    return rows.tolist()


def _seconds(score_row: Callable[[Row], Answer], rows: list[list[float]]) -> float:
    """Return the best of three timings of all rows: the best is the least disturbed."""
    best = float("inf")
    for _ in range(3):
        start = perf_counter()
        for row in rows:
            score_row(row)
        best = min(best, perf_counter() - start)
    return best
