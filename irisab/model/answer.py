"""What a version says of a row, whatever its form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

# The index of the class, and the probability of each class.
Answer = tuple[int, tuple[float, ...]]
Row = Sequence[float]


class Model(Protocol):
    """What a version does with rows that `payload` has checked.

    An answer is the index of the class and the probability of each class.
    """

    def score_row(self, row: Row) -> Answer: ...

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]: ...
