"""Which labelled rows no version ever learns from. See `is_exam()`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from irisab.lifecycle.rows import Dataset

SHARE = 0.2


def is_exam(unit: str, *, salt: str) -> bool:
    """Tell whether `unit` is for the exam: the same for ever, on every host that has the salt.

    The unit is a row's group or user where it has one, so that none is torn apart, else its
    `unit_of`.
    """
    digest = hashlib.blake2b(f"{salt}\0{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < SHARE * 2**64


def unit_of(row: Sequence[float | str | None]) -> str:
    """Return the text of a row by its features alone, so that equal rows stay together."""
    return json.dumps([_canonical(value) for value in row])


def _canonical(value: float | str | None) -> float | str | None:
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    # -0.0 is 0.0, and a gap is a gap, whatever a table writes for it.
    return None if math.isnan(number) else number + 0.0


def units(dataset: Dataset) -> Sequence[str]:
    """Return of each row what must not be torn apart: its group, else the row itself."""
    return dataset.groups or [unit_of(row) for row in dataset.rows.tolist()]


def members(dataset: Dataset, *, salt: str) -> NDArray[np.bool_]:
    """Mark the exam's rows of a dataset: shape (n_rows,)."""
    return np.array([is_exam(unit, salt=salt) for unit in units(dataset)], dtype=bool)
