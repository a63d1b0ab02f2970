"""What a model's columns are."""

from __future__ import annotations

from dataclasses import dataclass

# The largest float32: scikit-learn's trees turn every feature into one.
FLOAT32_MAX = 3.4028234663852886e38


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A column of the training data; `min`, `max` and `mean` are of the rows fitted on."""

    name: str
    unit: str | None
    min: float
    max: float
    mean: float
