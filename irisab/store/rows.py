"""Rows as the history keeps them. Start at `encoder()`.

Rows of numbers and booleans are little-endian float64, as they have always been. A row with text
in it is JSON; which of the two it is, the types of its revision say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from struct import Struct
from typing import Any

from irisab.model.schema import row_to_json

NUMERIC = {"number", "boolean"}
Encode = Callable[[Sequence[Sequence[Any]]], list[bytes]]


def is_numeric(types: Sequence[str]) -> bool:
    """Tell whether rows of features of these types are kept as float64."""
    return NUMERIC.issuperset(types)


def columns(features: Sequence[str], types: Sequence[str]) -> str:
    """Return what revisions share whose rows can be read together, as JSON."""
    if is_numeric(types):
        return json.dumps(list(features))
    return json.dumps([list(features), list(types)])


def encoder(types: Sequence[str]) -> Encode:
    """Return what makes of rows, a value for each of `types`, what the column `features` holds of
    each: of numbers eight bytes a value, a third of what the row takes in memory."""
    if is_numeric(types):
        pack = _doubles(len(types)).pack
        return lambda rows: [pack(*row) for row in rows]
    return lambda rows: [json.dumps(row_to_json(row), ensure_ascii=False).encode() for row in rows]


@cache
def _doubles(width: int) -> Struct:
    return Struct(f"<{width}d")


def decode(blob: bytes, types: Sequence[str]) -> list[Any]:
    """Return the row of which `encoder` has made this: NaN or None where a value is missing."""
    if is_numeric(types):
        return [*_doubles(len(blob) // 8).unpack(blob)]
    return [
        float("nan") if value is None and kind in NUMERIC else value
        for value, kind in zip(json.loads(blob), types, strict=True)
    ]
