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
from time import thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import BundleError

Answer = tuple[int, tuple[float, ...]]
Row = Sequence[float]
Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
# A feature's index, its sorted cutoffs, and one mask for each interval between them.
_Feature = tuple[int, list[float], list[int]]

# Above this a walk is slower but leaves room in a small host's memory.
MASK_BYTES = 32 << 20
# Remembered answers, per forest: thousands of them for a small forest, few for a large one.
MEMO_BYTES = 1 << 20
# Pairs of row and tree that descend at once: the working arrays stay in the processor's cache.
DESCENT_CELLS = 1 << 14
# Rows of a batch that show, after as many others, whether going on one by one is worth it. Of
# eight, the first ones made it seem twice as slow as it is.
TRIAL_ROWS = 32
# So many times slower, as measured at load, that it need not be tried.
HOPELESS = 4

_FORESTS = {"RandomForestClassifier", "ExtraTreesClassifier"}
_TREES = {"DecisionTreeClassifier", "ExtraTreeClassifier"}


def flatten(estimator: Any) -> dict[str, np.ndarray] | None:
    """Return the plain arrays of a fitted forest or tree classifier, else None.

    None stands for everything whose `predict_proba` the plain form might not reproduce:
    subclasses, several outputs, leaves that hold counts (scikit-learn before 1.3).
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
    """The checked arrays with what preorder implies, for nodes of all trees.

    feature    (nodes,)             -1 at leaves
    cut        (nodes,)             -inf at leaves
    right      (nodes,)             index of the right child; the node itself at leaves
    rank       (nodes + 1,)         number of leaves before the node
    roots      (trees,)             index of each root
    value      (outcomes, classes)  the different probabilities of leaves
    outcome    (leaves,)            index into `value`
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.n_features, self.feature, threshold, self.value = _checked(arrays)
        split = self.feature >= 0
        self.cut = np.full(len(split), -np.inf)
        self.cut[split] = cutoffs(threshold)
        self.rank = np.concatenate(([0], np.cumsum(~split)))
        depth = np.concatenate(([0], np.cumsum(np.where(split, 1, -1))))
        if depth[-1] >= 0 or depth[:-1].min() <= depth[-1]:
            raise BundleError("The forest is damaged: its nodes do not form whole trees.")
        self.roots = np.searchsorted(-np.minimum.accumulate(depth), np.arange(-depth[-1]))
        self.right = np.where(split, _next_at_same(depth)[:-1], np.arange(len(split)))
        self.pure = bool((self.value.max(axis=1) == 1).all()
                         and np.count_nonzero(self.value) == len(self.value))  # fmt: skip
        self.outcome = np.arange(len(self.value), dtype=np.int32)
        if self.pure:
            self.outcome = self.value.argmax(axis=1).astype(np.int32)
            self.value = np.eye(self.value.shape[1])


def _next_at_same(depth: Ints) -> Ints:
    """Return, for each entry, the index of the next one that is equal (the last: itself).

    Depth rises by 1 behind a split and falls by 1 behind a leaf, so in preorder the next node
    at the depth of a split is its right child.
    """
    order = np.argsort(depth, kind="stable")
    following = np.arange(len(depth))
    following[order[:-1]] = order[1:]
    return following


def _checked(arrays: Mapping[str, np.ndarray]) -> tuple[int, Ints, Floats, Floats]:
    """Return n_features, feature, threshold, value; raise BundleError if they do not fit."""
    for name, kind, ndim in (("n_features", "i", 0), ("feature", "i", 1),
                             ("threshold", "f", 1), ("value", "f", 2)):  # fmt: skip
        if name not in arrays:
            raise BundleError(f"The forest is damaged: it has no array {name!r}.")
        array = arrays[name]
        if array.dtype.kind != kind or array.ndim != ndim:
            raise BundleError(f"The forest is damaged: {name!r} has a wrong type or shape.")
    n_features, feature = int(arrays["n_features"]), arrays["feature"].astype(np.intp)
    threshold, value = (
        np.asarray(arrays[name], dtype=np.float64) for name in ("threshold", "value")
    )
    splits = int(np.count_nonzero(feature >= 0))
    if len(threshold) != splits or len(value) != len(feature) - splits or not value.size:
        raise BundleError("The forest is damaged: its arrays do not fit together.")
    if not -1 <= feature.min() <= feature.max() < n_features:
        raise BundleError(f"The forest is damaged: a node tests none of {n_features} features.")
    if np.isnan(threshold).any() or not _are_probabilities(value):
        raise BundleError("The forest is damaged: a threshold or a probability is impossible.")
    return n_features, feature, threshold, value


def _answers(total: Floats, n_trees: int) -> list[Answer]:
    """Return the answers for the sums over trees, shape (rows, classes)."""
    total /= n_trees
    best = total.argmax(axis=1).tolist()
    return list(zip(best, map(tuple, total.tolist()), strict=True))


def _in_order(value: Floats) -> Floats:
    """Return the sum of value (trees, classes) as (1, classes), adding tree by tree.

    As scikit-learn does: `np.sum` may add pairwise, which can differ in the last bit.
    """
    return np.add.accumulate(value)[-1:]


class _Walk:
    """From the root of each tree to its leaf: a loop for one row, level by level for many."""

    def __init__(self, nodes: _Nodes) -> None:
        self._roots, self._value = nodes.roots, nodes.value
        # One record a node, like scikit-learn's own, so a step touches one line of the cache.
        kind = [("cut", "f8"), ("feature", "i4"), ("right", "i4")]
        self._nodes = np.empty(len(nodes.feature), dtype=kind)
        for name, _ in kind:
            self._nodes[name] = getattr(nodes, name)
        self._outcome = nodes.outcome.take(nodes.rank[:-1], mode="clip")
        self._views = [self._nodes[name].data for name in ("feature", "cut", "right")]

    def score_row(self, row: Row) -> Answer:
        feature, cut, right = self._views
        leaves = []
        for node in self._roots.tolist():
            while (tested := feature[node]) >= 0:
                node = node + 1 if row[tested] <= cut[node] else right[node]
            leaves.append(node)
        value = self._value.take(self._outcome.take(leaves), axis=0)
        return _answers(_in_order(value), len(leaves))[0]

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]:
        x = np.array(rows, dtype=np.float64)
        total = np.zeros((len(x), self._value.shape[1]))
        step = max(1, DESCENT_CELLS // len(x))
        for first in range(0, len(self._roots), step):
            for leaf in self._descend(x, self._roots[first : first + step]):
                total += self._value.take(self._outcome.take(leaf), axis=0)
        return _answers(total, len(self._roots))

    def _descend(self, x: Floats, roots: Ints) -> Ints:
        """Return the leaves (roots, rows) that the rows of x (rows, features) reach.

        Leaves lead to themselves, so those that arrived are put aside only every third level.
        """
        reached = np.empty(len(roots) * len(x), dtype=np.intp)
        cell, node = np.arange(len(reached)), np.repeat(roots, len(x))
        offset = np.tile(np.arange(len(x)) * x.shape[1], len(roots))
        while cell.size:
            for _ in range(3):
                at = self._nodes.take(node)
                goes_left = x.take(offset + at["feature"]) <= at["cut"]
                node = np.where(goes_left, node + 1, at["right"])
            at_leaf = self._nodes["feature"][node] < 0
            reached[cell[at_leaf]] = node[at_leaf]
            going = np.flatnonzero(~at_leaf)
            cell, node, offset = cell.take(going), node.take(going), offset.take(going)
        return reached.reshape(len(roots), len(x))


class _Bitset:
    """The AND of one mask per feature, then a look-up of what the leaves left say together."""

    def __init__(self, nodes: _Nodes) -> None:
        self._n_trees, self._outcome, self._value = len(nodes.roots), nodes.outcome, nodes.value
        self._memo: dict[int, Answer] = {}
        entry = len(nodes.outcome) // 7 + 40 * nodes.value.shape[1] + 300
        self._memo_size = MEMO_BYTES // entry
        answer = self._voter(nodes) if nodes.pure else self._added
        self.score_row = _scorer(_masks(nodes), answer)

    def _voter(self, nodes: _Nodes) -> Callable[[int], Answer]:
        """Return what answers where every leaf is sure of its class: the sums are votes."""
        # The last class has the votes that are left.
        classes = [_pack(nodes.outcome == label) for label in range(nodes.value.shape[1] - 1)]
        base, recall, remember = self._n_trees + 1, self._memo.get, self._remember

        def answer(live: int) -> Answer:
            votes = 0
            for leaves in classes:
                votes = votes * base + (live & leaves).bit_count()
            return recall(votes) or remember(votes, self._elected(votes))

        return answer

    def _elected(self, votes: int) -> Answer:
        """Return the answer for the votes of all classes but the last, a digit each."""
        counts: list[int] = []
        for _ in range(self._value.shape[1] - 1):
            votes, count = divmod(votes, self._n_trees + 1)
            counts.insert(0, count)
        counts.append(self._n_trees - sum(counts))
        return counts.index(max(counts)), tuple([count / self._n_trees for count in counts])

    def _added(self, live: int) -> Answer:
        found = self._memo.get(live)
        if found is None:
            packed = live.to_bytes(len(self._outcome) // 8 + 1, "little")
            bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
            leaves = self._outcome.take(np.flatnonzero(bits))
            total = _in_order(self._value.take(leaves, axis=0))
            found = self._remember(live, _answers(total, self._n_trees)[0])
        return found

    def _remember(self, key: int, answer: Answer) -> Answer:
        if len(self._memo) >= self._memo_size:
            self._memo.clear()
        # Two threads may work out the same: both return the one stored first.
        return self._memo.setdefault(key, answer)


def _scorer(features: list[_Feature], answer: Callable[[int], Answer]) -> Callable[[Row], Answer]:
    (feature0, cuts0, masks0), *others = features

    def score_row(row: Row) -> Answer:
        live = masks0[bisect_left(cuts0, row[feature0])]
        for feature, cuts, masks in others:
            live &= masks[bisect_left(cuts, row[feature])]
        return answer(live)

    return score_row


def _masks(nodes: _Nodes) -> list[_Feature]:
    """Return, per feature tested, its sorted cutoffs and the mask of each interval between."""
    start, middle, end = nodes.rank[:-1], nodes.rank[nodes.right], nodes.rank[_ends(nodes)]
    features = []
    for feature in range(nodes.n_features):
        at = np.flatnonzero(nodes.feature == feature)
        if at.size:
            cuts = sorted(set(nodes.cut[at].tolist()))
            above = np.searchsorted(cuts, nodes.cut[at], side="right")
            columns = (each.tolist() for each in (above, start[at], middle[at], end[at]))
            tests = sorted(zip(*columns, strict=True))
            features.append((feature, cuts, _intervals(tests, len(cuts), len(nodes.outcome))))
    return features or [(0, [], [(1 << len(nodes.outcome)) - 1])]


def _intervals(tests: list[tuple[int, int, int, int]], n_cuts: int, n_leaves: int) -> list[int]:
    """Return the mask of each interval of one feature.

    Each test is the first interval above a node's cutoff and the leaves where its left ones
    start, its right ones start, and both end; sorted. All tests on its way leave each leaf one
    run of intervals: from the highest of its lower bounds, that is the one set last in rising
    order, to the lowest of its upper ones.
    """
    first = np.zeros(n_leaves, dtype=np.int32)
    last = np.full(n_leaves, n_cuts, dtype=np.int32)
    for above, _, middle, end in tests:
        first[middle:end] = above
    for above, start, middle, _ in reversed(tests):
        last[start:middle] = above - 1
    return [_pack((first <= each) & (each <= last)) for each in range(n_cuts + 1)]


def _ends(nodes: _Nodes) -> list[int]:
    """Return, for each node, the index behind its subtree."""
    right, ends = nodes.right.tolist(), list(range(1, len(nodes.right) + 1))
    for node in np.flatnonzero(nodes.feature >= 0)[::-1].tolist():
        ends[node] = ends[right[node]]
    return ends


def _pack(bits: NDArray[np.bool_]) -> int:
    """Return bits as an integer, the first one its lowest."""
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


def _masks_fit(nodes: _Nodes) -> bool:
    """Whether all masks together stay within MASK_BYTES, without building one."""
    room = MASK_BYTES // (len(nodes.outcome) * 4 // 30 + 40)
    for feature in range(nodes.n_features):
        room -= len(set(nodes.cut[nodes.feature == feature].tolist())) + 1
        if room < 0:
            return False
    return True


class Forest:
    """A forest of plain arrays, ready to score rows that are already validated.

    Raise BundleError if the arrays are damaged. `method` is the form that measured faster for
    single rows, unless given.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, method: str | None = None) -> None:
        nodes = _Nodes(arrays)
        self.n_features = nodes.n_features
        self.n_trees, self.n_classes = len(nodes.roots), nodes.value.shape[1]
        walk = _Walk(nodes)
        forms: dict[str, Callable[[Row], Answer]] = {}
        if method != "walk" and _masks_fit(nodes):
            forms["bitset"] = _Bitset(nodes).score_row
        if method != "bitset" or not forms:
            forms["walk"] = walk.score_row
        rows = _probe(nodes)
        seconds = {name: _seconds_a_row(score_row, rows) for name, score_row in forms.items()}
        self.method = min(seconds, key=seconds.__getitem__)
        self.score_row, self._alone = forms[self.method], seconds[self.method]
        self._score_together = walk.score_rows
        self._overhead, self._each = _seconds_together(walk.score_rows, rows)

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]:
        """Score many rows: one by one, or the rest together if the first ones show that it pays.

        How long a row takes alone depends on how often its leaves were seen before.
        """
        if self._alone * len(rows) > HOPELESS * self._seconds_together(len(rows)):
            return self._score_together(rows)
        # The first rows fetch masks and code into the processor's cache, and would seem slow.
        answers = list(map(self.score_row, rows[:TRIAL_ROWS]))
        start = thread_time()
        answers += map(self.score_row, rows[TRIAL_ROWS : 2 * TRIAL_ROWS])
        rest = rows[2 * TRIAL_ROWS :]
        alone = (thread_time() - start) / TRIAL_ROWS * len(rest)
        if alone > self._seconds_together(len(rest)):
            return answers + self._score_together(rest)
        return answers + list(map(self.score_row, rest))

    def _seconds_together(self, n_rows: int) -> float:
        return self._overhead + self._each * n_rows


def _probe(nodes: _Nodes) -> list[list[float]]:
    """Return rows made of the forest's own cutoffs, mixed, to measure with.

    Without `numpy.random`, which would take 7 MB of memory for good.
    """
    rows = np.zeros((64, nodes.n_features))
    for feature in range(nodes.n_features):
        cuts = nodes.cut[(nodes.feature == feature) & np.isfinite(nodes.cut)]
        if cuts.size:
            rows[:, feature] = cuts[np.arange(len(rows)) * (37 + 2 * feature) % len(cuts)]
    return rows.tolist()


def _seconds_a_row(score_row: Callable[[Row], Answer], rows: list[list[float]]) -> float:
    """Return the best of some timings: the least disturbed. New rows each time, as in service.

    Like all timings here, of this thread alone: other work on the host must not decide.
    """
    best = float("inf")
    for first in range(0, 24, 4):
        start = thread_time()
        for row in rows[first : first + 4]:
            score_row(row)
        best = min(best, (thread_time() - start) / 4)
    return best


def _seconds_together(
    score_rows: Callable[[Sequence[Row]], list[Answer]], rows: list[list[float]]
) -> tuple[float, float]:
    """Return a and b where scoring n rows together takes a + b n seconds."""
    few, many = float("inf"), float("inf")
    for _ in range(3):
        start = thread_time()
        score_rows(rows[:1])
        middle = thread_time()
        score_rows(rows)
        few, many = min(few, middle - start), min(many, thread_time() - middle)
    each = max(0.0, many - few) / (len(rows) - 1)
    return max(0.0, few - each), each
