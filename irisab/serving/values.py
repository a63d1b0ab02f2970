"""Values of features as JSON has them, checked by what the model expects. Start at `check_of()`.

A check returns the value as it stands in a row: a float for numbers and booleans, NaN where it is
missing; text for categories and texts, None where it is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from irisab.model.schema import FLOAT32_MAX, Feature

# Longer than any name of a category that a person would choose.
MAX_TEXT = 10_000
# So many categories are named in a message.
NAMED = 5

Check = Callable[[Any], Any]


def check_of(feature: Feature) -> Check:
    """Return the check of a feature's values; it raises `ValueError` with what they must be."""
    checks = {"number": _number, "boolean": _boolean, "category": _category, "text": _text}
    check = checks[feature.type](feature)
    gap = math.nan if feature.is_numeric else None

    def optional(value: Any) -> Any:
        return gap if value is None else check(value)

    return optional if feature.missing else check


def kind(value: Any) -> str:
    """Name the type of a JSON value for a message."""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _number(feature: Feature) -> Check:
    def check(value: Any) -> float:
        if type(value) not in (int, float):
            raise ValueError(f"must be a number, not {kind(value)}")
        if not -FLOAT32_MAX <= value <= FLOAT32_MAX:
            raise ValueError("is too large: the model computes with numbers up to 3.4e38")
        return float(value)

    return check


def _boolean(feature: Feature) -> Check:
    def check(value: Any) -> float:
        # Some programs have no true and false.
        if type(value) is bool or (type(value) in (int, float) and value in (0, 1)):
            return float(value)
        raise ValueError(f"must be true or false, not {kind(value)}")

    return check


def _category(feature: Feature) -> Check:
    known = set(feature.categories or ())
    example = ", ".join(map(repr, (feature.categories or ())[:NAMED]))

    def check(value: Any) -> str:
        if type(value) is int and str(value) in known:  # a code that a program took for a number
            return str(value)
        if type(value) is not str:
            raise ValueError(f"must be text such as {example}, not {kind(value)}")
        return _bounded(value)

    return check


def _text(feature: Feature) -> Check:
    def check(value: Any) -> str:
        if type(value) is not str:
            raise ValueError(f"must be text, not {kind(value)}")
        return _bounded(value)

    return check


def _bounded(value: str) -> str:
    if len(value) > MAX_TEXT:
        raise ValueError(f"has {len(value)} characters, the limit is {MAX_TEXT}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (a lone surrogate)") from None
    return value
