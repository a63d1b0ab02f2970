"""The fastest of several ways to the same answers, as measured. Start at `Fastest`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import thread_time

import numpy as np

from irisab.model.answer import Answer, Row
from irisab.model.arrays import Floats

# A batch is begun row by row. The first 32 warm up the processor's cache, the next 32 are timed,
# and decide how the rest is scored. With 8 the cold start made row by row seem twice as slow.
TRIAL_ROWS = 32
# So many times slower, as measured at load, that it need not be tried.
HOPELESS = 4
PROBE_ROWS = 64


class Fastest:
    """Of several forms for single rows the one that measured fastest, and one for many rows.

    `method` is its name. `rows` are what to measure with: 64 rows that differ.
    """

    def __init__(
        self,
        forms: Mapping[str, Callable[[Row], Answer]],
        together: Callable[[Sequence[Row]], list[Answer]],
        rows: Sequence[Row],
    ) -> None:
        seconds = {name: _seconds_a_row(score_row, rows) for name, score_row in forms.items()}
        self.method = min(seconds, key=seconds.__getitem__)
        self.score_row, self._alone = forms[self.method], seconds[self.method]
        self._score_together = together
        self._overhead, self._each = _seconds_together(together, rows)

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


def spread(choices: Sequence[Floats]) -> list[list[float]]:
    """Return 64 rows that mix the values given for each column.

    Without `numpy.random`, which would take 7 MB of memory for good.
    """
    rows = np.zeros((PROBE_ROWS, len(choices)))
    for column, values in enumerate(choices):
        if values.size:
            rows[:, column] = values[np.arange(len(rows)) * (37 + 2 * column) % len(values)]
    return rows.tolist()


def _seconds_a_row(score_row: Callable[[Row], Answer], rows: Sequence[Row]) -> float:
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
    score_rows: Callable[[Sequence[Row]], list[Answer]], rows: Sequence[Row]
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
