"""What scoring a row takes, measured at load and kept true while serving. Start at `measured()`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from statistics import median
from time import perf_counter

from irisab.model.answer import Model, Row
from irisab.model.bundle import Bundle
from irisab.model.schema import row_from_json

# Odd, so that one of them is the median. A disturbed one must not decide.
PROBES = 9
# The newest measurement counts for an eighth: a version that turns slow is noticed within some
# requests, and a single disturbed one changes little.
WEIGHT = 0.125


class Cost:
    """Seconds that one row takes alone: a moving average."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def add(self, seconds: float) -> None:
        """Take another measurement into account."""
        self.seconds += WEIGHT * (seconds - self.seconds)


def measured(bundle: Bundle) -> Cost:
    """Return what a row costs that the model has not seen, or what failing on it costs.

    A golden row would do for most models, but a forest remembers rows that it has answered.
    """
    golden = [row_from_json(row, bundle.features) for row in bundle.manifest["golden"]["rows"]]
    return Cost(median([_seconds(bundle.model, row) for row in fresh_rows(golden)]))


def _seconds(model: Model, row: Row) -> float:
    started = perf_counter()
    # Whoever asks a model that fails will be told; here it only has to be timed.
    with suppress(Exception):
        model.score_row(row)
    return perf_counter() - started


def fresh_rows(golden: Sequence[Row]) -> list[Row]:
    """Mix the values of the golden rows: rows that nobody has asked for, and that are possible."""
    width, height = len(golden[0]), len(golden)
    return [
        [golden[(number + (number + 2) * column) % height][column] for column in range(width)]
        for number in range(1, PROBES + 1)
    ]
