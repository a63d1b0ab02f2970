"""An input for each feature, by its type: a slider, a box, a switch or text. Start at `draw()`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st
import words
from sliders import Scale, scale

# As JSON has it; None is a value that is not known.
Value = float | str | bool | None


def scales(config: dict[str, Any]) -> list[Scale | None]:
    """Fit a scale to each feature that is a number with a range, None to the others."""
    rows = [example["features"] for example in config["examples"]]
    return [
        _scale(feature, [row[at] for row in rows]) for at, feature in enumerate(config["features"])
    ]


def _scale(feature: dict[str, Any], values: list[Value]) -> Scale | None:
    if feature["type"] != "number" or feature["min"] is None:
        return None
    return scale(feature, [value for value in values if isinstance(value, float | int)])


def draw(
    features: Sequence[dict[str, Any]],
    known: Sequence[Scale | None],
    *,
    start: dict[str, Value],
    key: str,
) -> list[Value]:
    """Draw all inputs at the values of `start`, or at usual ones, and give the row they make."""
    return [
        _input(feature, its, start.get(feature["name"], usual(feature)), key)
        for feature, its in zip(features, known, strict=True)
    ]


def usual(feature: dict[str, Any]) -> Value:
    """Give a value that is nothing special: the mean, or the first category."""
    if feature["type"] == "boolean":
        return (feature["mean"] or 0) >= 0.5
    if feature["type"] == "number":
        return feature["mean"] or 0.0
    return next(iter(feature["categories"] or ()), "")


def _input(feature: dict[str, Any], its: Scale | None, start: Value, key: str) -> Value:
    # Another model's feature of the same name is another input.
    key = f"{key} {feature['type']} {feature['name']} {feature['min']} {feature['max']}"
    unknown, start = start is None, usual(feature) if start is None else start
    if not feature["missing"]:
        return _known(feature, its, start, key)
    # Drawn first: whether the value is known decides how the input looks.
    place = st.container()
    name = f"{words.plain(words.title(feature['name']))} is unknown"
    unknown = st.checkbox(name, value=unknown, key=f"{key} ?", persist_state="session")
    with place:
        value = _known(feature, its, start, key, disabled=unknown)
    return None if unknown else value


def _known(
    feature: dict[str, Any], its: Scale | None, start: Any, key: str, *, disabled: bool = False
) -> Value:
    label, options = words.label(feature), _options(feature)
    more: Any = {"key": key, "disabled": disabled, "persist_state": "session"}
    if its:
        label = f"{label} · trained on {words.trained_on(feature)}"
        ends, stops = (its.low, its.high), {"step": its.step, "format": f"%.{its.decimals}f"}
        return st.slider(label, *ends, value=its.snap(start), **stops, **more)
    if feature["type"] == "number":
        return st.number_input(label, value=float(start), format="%g", **more)
    if feature["type"] == "boolean":
        return st.toggle(label, value=bool(start), **more)
    if options:
        at = options.index(start) if start in options else 0
        return st.selectbox(label, options, index=at, **more)
    return st.text_input(label, value=start, **more)


def _options(feature: dict[str, Any]) -> list[str]:
    return list(feature["categories"] or ()) if feature["type"] == "category" else []
