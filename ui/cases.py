"""The examples and one case among them, by two features. No drawing here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import inputs
import words
from sliders import Scale

Json = Mapping[str, Any]
# By name of its feature.
Case = dict[str, inputs.Value]
# Of many classes these are told apart.
MOST_CLASSES = 7
OTHERS = "all others"


def points(config: Json, pair: tuple[str, str]) -> list[dict[str, Any]]:
    """Place each example whose values are known, with its class or value."""
    at = [[each["name"] for each in config["features"]].index(name) for name in pair]
    rows = [
        {"x": example["features"][at[0]], "y": example["features"][at[1]], **_said(example, config)}
        for example in config["examples"]
    ]
    return [row for row in rows if row["x"] is not None and row["y"] is not None]


def _said(example: Json, config: Json) -> dict[str, Any]:
    if config["task"] == "regression":
        return {"value": example["value"]}
    return {"class": names(config)[config["classes"].index(example["class_name"])]}


def names(config: Json) -> list[str]:
    """Write the classes as people would; of many the later ones are one."""
    classes = config["classes"]
    written = [words.titles(classes)(name) for name in classes]
    if len(classes) <= MOST_CLASSES:
        return written
    return [*written[:MOST_CLASSES], *[OTHERS] * (len(classes) - MOST_CLASSES)]


def point(case: Case, pair: tuple[str, str]) -> dict[str, inputs.Value]:
    return {"x": case[pair[0]], "y": case[pair[1]]}


def ends(scale: Scale | None) -> tuple[float, float] | None:
    """Give the ends of an axis, None where a feature has no numbers."""
    return None if scale is None else (scale.low, scale.high)


def table(rows: Sequence[Json], labels: tuple[str, str]) -> dict[str, dict[str, str]]:
    """List the examples: column -> number of the row -> text."""
    columns = [("x", labels[0]), ("y", labels[1])] if labels[0] != labels[1] else [("x", labels[0])]
    said = "class" if rows and "class" in rows[0] else "value"
    return {
        label: {str(number): _text(row[key]) for number, row in enumerate(rows, 1)}
        for key, label in [*columns, (said, said.capitalize())]
    }


def _text(value: inputs.Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return words.plain(value) if isinstance(value, str) else words.number(value or 0.0)
