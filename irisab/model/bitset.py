"""Evaluation of a forest by one mask of leaves per feature.

The idea of QuickScorer (Lucchese et al., "QuickScorer: a fast algorithm to rank documents with
additive ensembles of regression trees", SIGIR 2015). Every leaf of every tree is one bit of an
integer; the interval of a feature's value picks a precomputed mask of the leaves still reachable;
the AND over the features leaves one leaf per tree.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.model.answer import Answer, Row
from irisab.model.nodes import Nodes, answers_of, sum_in_order
from irisab.model.written import compiled

# A feature's index, its sorted cutoffs, and one mask for each interval between them.
_Feature = tuple[int, list[float], list[int]]
# Above this a walk is slower but leaves room in a small host's memory.
MASK_BYTES = 32 << 20
# Remembered answers, per forest: thousands of them for a small forest, few for a large one.
MEMO_BYTES = 1 << 20


class Bitset:
    """The AND of one mask per feature, then a look-up of what the leaves left say together."""

    def __init__(self, nodes: Nodes) -> None:
        self._n_trees, self._outcome, self._value = len(nodes.roots), nodes.outcomes(), nodes.value
        self._memo: dict[int, Answer] = {}
        entry = nodes.n_leaves // 7 + 40 * nodes.value.shape[1] + 300
        self._memo_size = MEMO_BYTES // entry
        answer = self._voter(nodes) if nodes.pure else self._added
        self.score_row = _scorer(_masks(nodes), answer)

    def _voter(self, nodes: Nodes) -> Callable[[int], Answer]:
        """Return what answers where every leaf is sure of its class: the sums are votes."""
        # The last class has the votes that are left.
        classes = [_pack(self._outcome == label) for label in range(nodes.value.shape[1] - 1)]
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
        answer = self._memo.get(live)
        if answer is None:
            packed = live.to_bytes(len(self._outcome) // 8 + 1, "little")
            bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
            leaves = self._outcome.take(np.flatnonzero(bits))
            total = sum_in_order(self._value.take(leaves, axis=0))
            answer = self._remember(live, answers_of(total, self._n_trees)[0])
        return answer

    def _remember(self, key: int, answer: Answer) -> Answer:
        if len(self._memo) >= self._memo_size:
            self._memo.clear()
        # Two threads may work out the same: both return the one stored first.
        return self._memo.setdefault(key, answer)


def _scorer(features: list[_Feature], answer: Callable[[int], Answer]) -> Callable[[Row], Answer]:
    """Return the AND written out as Python: a loop around it takes an eighth of the time."""
    scope: dict[str, Any] = {"bisect_left": bisect_left, "answer": answer}
    lines = []
    for each, (feature, cuts, masks) in enumerate(features):
        scope |= {f"cuts{each}": cuts, f"masks{each}": masks}
        mask = f"masks{each}[bisect_left(cuts{each}, row[{feature}])]"
        lines.append(f"live &= {mask}" if each else f"live = {mask}")
    return compiled("row", [*lines, "return answer(live)"], scope)


def _masks(nodes: Nodes) -> list[_Feature]:
    """Return, per feature tested, its sorted cutoffs and the mask of each interval between."""
    rank = nodes.ranks()
    start, middle, end = rank[:-1], rank[nodes.right], rank[_ends(nodes)]
    features = []
    for feature in range(nodes.n_features):
        at = np.flatnonzero(nodes.feature == feature)
        if at.size:
            cuts = sorted(set(nodes.cut[at].tolist()))
            above = np.searchsorted(cuts, nodes.cut[at], side="right")
            columns = (each.tolist() for each in (above, start[at], middle[at], end[at]))
            tests = sorted(zip(*columns, strict=True))
            features.append((feature, cuts, _intervals(tests, len(cuts), nodes.n_leaves)))
    return features or [(0, [], [(1 << nodes.n_leaves) - 1])]


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


def _ends(nodes: Nodes) -> list[int]:
    """Return, for each node, the index behind its subtree."""
    right, ends = nodes.right.tolist(), list(range(1, len(nodes.right) + 1))
    for node in np.flatnonzero(nodes.feature >= 0)[::-1].tolist():
        ends[node] = ends[right[node]]
    return ends


def _pack(bits: NDArray[np.bool_]) -> int:
    """Return bits as an integer, the first one its lowest."""
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


def masks_fit(nodes: Nodes) -> bool:
    """Whether all masks together stay within MASK_BYTES, without building one."""
    room = MASK_BYTES // (nodes.n_leaves * 4 // 30 + 40)
    for feature in range(nodes.n_features):
        room -= len(np.unique(nodes.cut[nodes.feature == feature])) + 1
        if room < 0:
            return False
    return True
