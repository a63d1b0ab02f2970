"""Exact evaluation of forests without scikit-learn. Start at `Forest`.

A walk and a bitset give the same answers to the last bit; the faster one is chosen by measuring
at load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import thread_time

import numpy as np

from irisab.model.answer import Answer, Row
from irisab.model.bitset import Bitset, masks_fit
from irisab.model.nodes import Nodes
from irisab.model.walk import Walk

# A batch is begun row by row. The first 32 warm up the processor's cache, the next 32 are timed,
# and decide how the rest is scored. With 8 the cold start made row by row seem twice as slow.
TRIAL_ROWS = 32
# So many times slower, as measured at load, that it need not be tried.
HOPELESS = 4


class Forest:
    """A forest of plain arrays, ready to score rows that are already validated.

    Raise BundleError if the arrays are damaged. `method` is the form that measured faster for
    single rows, unless given.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, method: str | None = None) -> None:
        nodes = Nodes(arrays)
        self.n_features = nodes.n_features
        self.n_trees, self.n_classes = len(nodes.roots), nodes.value.shape[1]
        walk = Walk(nodes)
        forms: dict[str, Callable[[Row], Answer]] = {}
        if method != "walk" and masks_fit(nodes):
            forms["bitset"] = Bitset(nodes).score_row
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


def _probe(nodes: Nodes) -> list[list[float]]:
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
