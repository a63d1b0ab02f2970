"""What a model is asked, and what it says: its columns and its task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Type = Literal["number", "category", "boolean", "text"]
Task = Literal["classification", "regression"]

# The largest float32: scikit-learn's trees turn every feature into one.
FLOAT32_MAX = 3.4028234663852886e38


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A column of the training data.

    `min`, `max` and `mean` are of the rows fitted on, None where the column has no numbers;
    `missing` says whether a value may be left out; `categories` are those seen in training.
    """

    name: str
    unit: str | None
    type: Type = "number"
    missing: bool = False
    min: float | None
    max: float | None
    mean: float | None
    categories: tuple[str, ...] | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether a value is kept as a float: a number, or a boolean as 1.0 or 0.0."""
        return self.type in ("number", "boolean")


def row_to_json(row: Sequence[Any]) -> list[Any]:
    """Return a row as JSON can say it: a gap is null."""
    return [None if isinstance(each, float) and math.isnan(each) else each for each in row]


def row_from_json(values: Sequence[Any], features: Sequence[Feature]) -> list[Any]:
    """Return the row that `row_to_json` was given."""
    return [
        math.nan if value is None and feature.is_numeric else value
        for value, feature in zip(values, features, strict=True)
    ]
