"""What a version says of a row, whatever its form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

# Values in the order of the features. A number or boolean is a float, NaN where it is missing; a
# category or text is itself, None where it is missing.
Row = Sequence[float]
# Classification: the index of the class, and the probability of each class.
Answer = tuple[int, tuple[float, ...]]


class Model(Protocol):
    """What a version does with rows that `payload` has checked."""

    def score_row(self, row: Row) -> Answer: ...

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]: ...
