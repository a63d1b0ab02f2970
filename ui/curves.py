"""The pictures of what happened over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grammar
from grammar import CYCLE, DOT_MARK, GREY, LEGEND, LINE_MARK, ORANGE, SHAPES, Spec

COURSE_MARK = {"type": "line", "strokeWidth": 2, "invalid": "break-paths-filter-domains"}
POINT_MARK = {"type": "point", "filled": True, "opacity": 1, "size": 36}
ALARM_MARK = {"type": "rule", "color": ORANGE, "strokeDash": [6, 3], "strokeWidth": 2}
EVENT_MARK = {"type": "rule", "color": GREY, "strokeDash": [2, 3]}
LETTER_MARK = {"type": "text", "baseline": "bottom", "dy": -3, "fontWeight": "bold", "y": 0}
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [10, 4], [4, 1], [1, 3], [6, 1, 1, 1]]

# Pixels of a chart over time.
COURSE = 220


def course(
    rows: Sequence[Mapping[str, Any]],
    marks: Sequence[Mapping[str, Any]],
    across: Spec,
    description: str,
    *,
    share: bool = False,
    alarm: float | None = None,
) -> Spec:
    """Draw values over time, a line for each name, which no gap is bridged by; `marks` are events.

    A name has a colour, dashes and a shape of its own, so that none is told by colour alone.
    """
    names = list(dict.fromkeys(row["name"] for row in rows))
    high = max((row["value"] for row in rows if row["value"] is not None), default=0)
    top = 1 if share else max(high, alarm or 0) or 1
    axis = grammar.percent(4) if share else grammar.values(0, top, title="")
    if all(isinstance(row["value"], int | None) for row in rows):
        axis["tickMinStep"] = 1
    value = grammar.measure("value", axis=axis, scale={"domain": [0, top], "nice": not share})
    colour, dashes, shape = (
        {
            "field": "name",
            "type": "nominal",
            "scale": {"domain": names, "range": signs},
            "legend": LEGEND,
        }
        for signs in (CYCLE, DASHES, SHAPES)
    )
    layers = [
        grammar.layer(rows, COURSE_MARK, x=across, y=value, color=colour, strokeDash=dashes),
        grammar.layer(rows, POINT_MARK, x=across, y=value, color=colour, shape=shape),
        *_marks(marks, across),
    ]
    if alarm is not None:
        layers.append(grammar.layer([{"value": alarm}], ALARM_MARK, y=value))
    return grammar.layered(layers, COURSE, description)


def course_of_accuracy(
    rows: Sequence[Mapping[str, Any]],
    marks: Sequence[Mapping[str, Any]],
    across: Spec,
    description: str,
) -> Spec:
    """Draw the accuracy of one version over time, with the interval that each lies in."""
    floor = min((row["low"] for row in rows if row["low"] is not None), default=0)
    scale = {"domain": [max(0, floor - 0.01), 1]}
    low = grammar.measure("low", axis=grammar.percent(4), scale=scale)
    layers = [
        grammar.layer(rows, {**LINE_MARK, "strokeWidth": 2}, x=across, y=low, y2={"field": "high"}),
        grammar.layer(
            rows, {**DOT_MARK, "size": 40}, x=across, y=grammar.measure("value", scale=scale)
        ),
        *_marks(marks, across),
    ]
    return grammar.layered(layers, COURSE, description)


def time(ends: Sequence[Spec], *, by_day: bool) -> Spec:
    """Give the axis of a chart over time, with the same ends whatever is drawn."""
    axis = {"grid": False, "labelOverlap": True, "tickCount": 5, "title": None}
    axis["format"] = "%d %b" if by_day else "%H:%M"
    scale = {"domain": list(ends), "type": "utc"}
    return {"field": "at", "type": "temporal", "scale": scale, "axis": axis}


def _marks(marks: Sequence[Mapping[str, Any]], across: Spec) -> list[Spec]:
    """Draw what happened: a line for each event, with its letter above."""
    if not marks:
        return []
    text = {"field": "letter", "type": "nominal"}
    hint = {"field": "text", "type": "nominal", "title": "What happened"}
    return [
        grammar.layer(marks, EVENT_MARK, x=across, tooltip=hint),
        grammar.layer(marks, LETTER_MARK, x=across, text=text, tooltip=hint),
    ]
