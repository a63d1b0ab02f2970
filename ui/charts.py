"""The pictures, as Vega-Lite specifications: https://vega.github.io/vega-lite/docs/

Plain values, because Altair, which writes the same, takes a hundred times as long for it, and a
page may show over a hundred pictures. Mid-tone colours, legible on light and on dark ground alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]

BLUE, ORANGE, GREY, RED = "#3b8bb5", "#c9762b", "#8f8a84", "#b5566b"
CYCLE = [BLUE, ORANGE, "#4d9a6a", "#a06cb5", "#b59a3b", "#b5566b", "#5b6fb5", "#7a8f3b"]

NAMES = {"domain": False, "grid": False, "labelLimit": 130, "ticks": False, "title": None}
BAR_MARK = {"type": "bar", "color": BLUE, "cornerRadiusEnd": 2, "size": 16}
DOT_MARK = {"type": "circle", "color": BLUE, "opacity": 1, "size": 140}
LINE_MARK = {"type": "rule", "color": BLUE, "opacity": 0.5, "strokeWidth": 3}
TICK_MARK = {"type": "tick", "color": ORANGE, "opacity": 1, "size": 28, "thickness": 3}
GROUND_MARK = {"type": "rect", "color": GREY, "opacity": 0.45}
OUTLINE_MARK = {"type": "line", "color": BLUE, "interpolate": "step-after", "strokeWidth": 2.5}
GROUND_BAR_MARK = {"type": "bar", "color": GREY, "opacity": 0.45, "size": 16}
OUTLINE_BAR_MARK = {"type": "bar", "filled": False, "stroke": BLUE, "strokeWidth": 2.5, "size": 16}
VOTE_MARK = {"type": "circle", "opacity": 1, "size": 90}

COURSE_MARK = {"type": "line", "strokeWidth": 2, "invalid": "break-paths-filter-domains"}
POINT_MARK = {"type": "point", "filled": True, "opacity": 1, "size": 36}
ALARM_MARK = {"type": "rule", "color": ORANGE, "strokeDash": [6, 3], "strokeWidth": 2}
EVENT_MARK = {"type": "rule", "color": GREY, "strokeDash": [2, 3]}
LETTER_MARK = {"type": "text", "baseline": "bottom", "dy": -3, "fontWeight": "bold", "y": 0}
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [10, 4], [4, 1], [1, 3], [6, 1, 1, 1]]
SHAPES = [
    *("circle", "square", "triangle-up", "diamond"),
    *("cross", "triangle-down", "triangle-left", "triangle-right"),
]
# Without a stroke: the dashes of a line would go around its shape.
LEGEND = {
    "columns": 2,
    "labelLimit": 130,
    "orient": "bottom",
    "symbolStrokeWidth": 0,
    "title": None,
}

# Pixels of a chart over time.
COURSE = 220
# Pixels of one bar with its surroundings, and of the axis below.
BAR, THIN_BAR, AXIS = 36, 24, 30
# A vote is one dot; more trees than this share dots.
MOST_DOTS = 100


def shares(requests: Mapping[str, int], weights: Mapping[str, float]) -> Spec:
    """Draw how often each version answered, with a tick at its configured weight (percent)."""
    total = sum(requests.values()) or 1
    rows = [
        {"name": name, "share": answered / total, "weight": weights.get(name, 0) / 100}
        for name, answered in requests.items()
    ]
    share = _measure("share", axis=_percent(5), scale={"domain": [0, 1]})
    bars = _named(rows, BAR_MARK, x=share)
    ticks = _named(rows, TICK_MARK, x=_measure("weight"))
    return _layered([bars, ticks], _height(rows), "How often each version answered")


def accuracies(intervals: Mapping[str, tuple[float, float, float]]) -> Spec:
    """Draw for each version its accuracy and the interval it lies in: (accuracy, low, high)."""
    rows = [
        {"name": name, "accuracy": accuracy, "low": low, "high": high}
        for name, (accuracy, low, high) in intervals.items()
    ]
    ends = [
        max(min(row["low"] for row in rows) - 0.01, 0),
        min(max(row["high"] for row in rows) + 0.01, 1),
    ]
    low = _measure("low", axis=_percent(5), scale={"domain": ends})
    lines = _named(rows, LINE_MARK, x=low, x2={"field": "high"})
    dots = _named(rows, DOT_MARK, x=_measure("accuracy"))
    return _layered([lines, dots], _height(rows), "Accuracy of each version")


def errors(means: Mapping[str, float]) -> Spec:
    """Draw the mean error of each version as a bar."""
    rows = [{"name": name, "error": error} for name, error in means.items()]
    axis = _values(0, max(means.values()), title="")
    bars = _named(rows, BAR_MARK, x=_measure("error", axis=axis))
    return _layered([bars], _height(rows), "Mean error of each version")


def against_limits(scores: Mapping[str, tuple[float, float]]) -> Spec:
    """Draw scores from 0 to 1 as bars, each with a tick at its alarm: (score, limit)."""
    rows = [
        {"name": name, "score": score, "limit": limit, "above": score > limit}
        for name, (score, limit) in scores.items()
    ]
    score = _measure("score", axis=_axis(5), scale={"domain": [0, 1]})
    colour = {"condition": {"test": "datum.above", "value": RED}, "value": BLUE}
    bars = _named(rows, BAR_MARK, x=score, color=colour)
    ticks = _named(rows, TICK_MARK, x=_measure("limit"))
    return _layered([bars, ticks], _height(rows), "Drift against the alarm")


def distribution(histogram: Mapping[str, Any], *, title: str = "") -> Spec:
    """Draw the training distribution as grey bars, and the window's as a blue outline."""
    if "categories" in histogram:
        return _categories(histogram, title=title)
    edges, window = histogram["edges"], histogram["window"]
    ends, top = [edges[0], edges[-1]], max(*histogram["training"], *(window or [0])) or 1
    x = _measure("at", axis=_values(*ends, title=title), scale={"domain": ends, "nice": True})
    y = _measure("share", axis=_percent(3), scale={"domain": [0, top], "nice": True})
    boxes = _boxes(edges, histogram["training"])
    layers = [_layer(boxes, GROUND_MARK, x=x, x2={"field": "to"}, y=y, y2={"field": "floor"})]
    if window:
        outline = _outline(edges, window)
        layers.append(_layer(outline, OUTLINE_MARK, x=x, y=y, order=_measure("order")))
    return _layered(layers, 150, f"Values now and in training {title}".strip())


def _categories(histogram: Mapping[str, Any], *, title: str) -> Spec:
    names, window = histogram["categories"], histogram["window"]
    marks = [(GROUND_BAR_MARK, histogram["training"]), (OUTLINE_BAR_MARK, window or [])]
    layers = []
    for mark, shares in marks:
        rows = [{"name": name, "share": share} for name, share in zip(names, shares, strict=False)]
        share = _measure("share", axis=_axis(3, title=title, format="~%"), scale={"zero": True})
        if rows:
            layers.append(_named(rows, mark, x=share))
    height = THIN_BAR * len(names) + AXIS
    return _layered(layers, height, f"Values now and in training {title}".strip())


def votes(probabilities: Mapping[str, float], *, voters: int | None) -> Spec:
    """Draw one dot per voter, coloured by the class it votes for."""
    counts = _counted(probabilities, min(voters or MOST_DOTS, MOST_DOTS))
    ballots = [name for name, count in counts.items() for _ in range(count)]
    across = math.ceil(math.sqrt(4 * len(ballots)))
    rows = [{"x": at % across, "y": at // across, "class": name} for at, name in enumerate(ballots)]
    ends_x, ends_y = [-0.5, across - 0.5], [len(ballots) // across + 0.5, -0.5]
    colour = {
        "field": "class",
        "type": "nominal",
        "scale": {"domain": list(counts), "range": CYCLE},
        "legend": {"columns": 2, "labelLimit": 90, "orient": "bottom", "title": None},
    }
    x, y = (
        _measure(name, axis=None, scale={"domain": ends})
        for name, ends in (("x", ends_x), ("y", ends_y))
    )
    dots = _layer(rows, VOTE_MARK, x=x, y=y, color=colour)
    height = 120 + 20 * math.ceil(len(counts) / 2)
    spec = _layered([dots], height, "Votes for each class")
    return spec | {"config": {"view": {"strokeWidth": 0}}}


def _counted(probabilities: Mapping[str, float], dots: int) -> dict[str, int]:
    """Count the votes for each class that got some, the most first; no two share a colour."""
    ranked = sorted(probabilities.items(), key=lambda each: -each[1])
    shares = dict(ranked[: len(CYCLE) - 1])
    shares["all others"] = sum(share for _, share in ranked[len(shares) :])
    return {name: count for name, share in shares.items() if (count := round(share * dots))}


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
    axis = _percent(4) if share else _values(0, top, title="")
    if all(isinstance(row["value"], int | None) for row in rows):
        axis["tickMinStep"] = 1
    value = _measure("value", axis=axis, scale={"domain": [0, top], "nice": not share})
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
        _layer(rows, COURSE_MARK, x=across, y=value, color=colour, strokeDash=dashes),
        _layer(rows, POINT_MARK, x=across, y=value, color=colour, shape=shape),
        *_marks(marks, across),
    ]
    if alarm is not None:
        layers.append(_layer([{"value": alarm}], ALARM_MARK, y=value))
    return _layered(layers, COURSE, description)


def course_of_accuracy(
    rows: Sequence[Mapping[str, Any]],
    marks: Sequence[Mapping[str, Any]],
    across: Spec,
    description: str,
) -> Spec:
    """Draw the accuracy of one version over time, with the interval that each lies in."""
    floor = min((row["low"] for row in rows if row["low"] is not None), default=0)
    scale = {"domain": [max(0, floor - 0.01), 1]}
    low = _measure("low", axis=_percent(4), scale=scale)
    layers = [
        _layer(rows, {**LINE_MARK, "strokeWidth": 2}, x=across, y=low, y2={"field": "high"}),
        _layer(rows, {**DOT_MARK, "size": 40}, x=across, y=_measure("value", scale=scale)),
        *_marks(marks, across),
    ]
    return _layered(layers, COURSE, description)


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
        _layer(marks, EVENT_MARK, x=across, tooltip=hint),
        _layer(marks, LETTER_MARK, x=across, text=text, tooltip=hint),
    ]


def _layer(rows: Sequence[Mapping[str, Any]], mark: Spec, **encoding: Spec) -> Spec:
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}


def _named(rows: Sequence[Mapping[str, Any]], mark: Spec, **encoding: Spec) -> Spec:
    """Give a layer of one line per name, in the order given."""
    name = {"axis": NAMES, "field": "name", "sort": None, "type": "nominal"}
    return _layer(rows, mark, y=name, **encoding)


def _measure(field: str, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", **more}


def _axis(ticks: int, *, title: str | None = None, **more: Any) -> Spec:
    return {
        "labelPadding": 4,
        "tickCount": ticks,
        "title": title or None,
        "titlePadding": 4,
        **more,
    }


def _percent(ticks: int) -> Spec:
    return _axis(ticks, format="~%")


def _values(low: float, high: float, *, title: str) -> Spec:
    """Label measurements as people write them: a year has no comma and no half."""
    size = max(abs(low), abs(high))
    spelt = "~f" if size < 1e6 else "~s"
    extreme = size and not 1e-4 <= size < 1e15
    whole = {"tickMinStep": 1} if low % 1 == high % 1 == 0 and high - low >= 2 else {}
    return _axis(5, title=title, format="~e" if extreme else spelt, **whole)


def _height(rows: Sequence[Mapping[str, Any]]) -> int:
    return BAR * len(rows) + AXIS


def _layered(layers: list[Spec], height: int, description: str) -> Spec:
    """Put layers together, with a size and a name for those who can't see them."""
    padding = {"bottom": 5, "left": 0, "right": 5, "top": 5}
    return {"layer": layers, "height": height, "padding": padding, "description": description}


def _boxes(edges: list[float], shares: list[float]) -> list[dict[str, float]]:
    return [
        {"at": low, "to": high, "share": share, "floor": 0}
        for low, high, share in zip(edges, edges[1:], shares, strict=False)
    ]


def _outline(edges: list[float], shares: list[float]) -> list[dict[str, float]]:
    """Trace a histogram: up from the ground, along its tops, and down again."""
    ends = [(edges[-1], shares[-1]), (edges[-1], 0.0)]
    points = [(edges[0], 0.0), *zip(edges, shares, strict=False), *ends]
    return [{"at": at, "share": share, "order": order} for order, (at, share) in enumerate(points)]
