"""The pictures, as Altair charts. Mid-tone colours, legible on light and on dark ground alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt

BLUE, ORANGE, GREY = "#3b8bb5", "#c9762b", "#8f8a84"
CYCLE = [BLUE, ORANGE, "#4d9a6a", "#a06cb5", "#b59a3b", "#b5566b", "#5b6fb5", "#7a8f3b"]

NAMES = alt.Axis(grid=False, domain=False, ticks=False, title=None, labelLimit=130)
# Pixels of one bar with its surroundings, and of the axis below.
BAR, AXIS = 36, 30
# A vote is one dot; more trees than this share dots.
MOST_DOTS = 100


def shares(requests: Mapping[str, int], weights: Mapping[str, float]) -> alt.LayerChart:
    """Draw how often each version answered, with a tick at its configured weight (percent)."""
    total = sum(requests.values()) or 1
    rows = [
        {"name": name, "share": answered / total, "weight": weights.get(name, 0) / 100}
        for name, answered in requests.items()
    ]
    scale = alt.Scale(domain=[0, 1])
    bar = _bars(rows).encode(x=alt.X("share:Q", axis=_percent(5), scale=scale))
    tick = _bars(rows).mark_tick(color=ORANGE, thickness=3, size=28, opacity=1).encode(x="weight:Q")
    return _finished(bar + tick, _height(rows), "How often each version answered")


def accuracies(intervals: Mapping[str, tuple[float, float, float]]) -> alt.LayerChart:
    """Draw for each version its accuracy and the interval it lies in: (accuracy, low, high)."""
    rows = [
        {"name": name, "accuracy": accuracy, "low": low, "high": high}
        for name, (accuracy, low, high) in intervals.items()
    ]
    ends = [
        max(min(row["low"] for row in rows) - 0.01, 0),
        min(max(row["high"] for row in rows) + 0.01, 1),
    ]
    low = alt.X("low:Q", axis=_percent(5), scale=alt.Scale(domain=ends))
    line = _bars(rows).mark_rule(color=BLUE, strokeWidth=3, opacity=0.5)
    dot = _bars(rows).mark_circle(color=BLUE, size=140, opacity=1)
    chart = line.encode(x=low, x2="high:Q") + dot.encode(x="accuracy:Q")
    return _finished(chart, _height(rows), "Accuracy of each version")


def against_threshold(scores: Mapping[str, float], threshold: float) -> alt.LayerChart:
    """Draw scores from 0 to 1 as bars, with the alarm line across them."""
    rows = [{"name": name, "score": score} for name, score in scores.items()]
    bar = _bars(rows).encode(x=alt.X("score:Q", axis=_axis(5), scale=alt.Scale(domain=[0, 1])))
    alarm = alt.Chart(_data([{"at": threshold}])).mark_rule(color=ORANGE, strokeWidth=3)
    return _finished(bar + alarm.encode(x="at:Q"), _height(rows), "Drift against the alarm")


def distribution(histogram: Mapping[str, Any], *, title: str = "") -> alt.LayerChart:
    """Draw the training distribution as grey bars, and the window's as a blue outline."""
    edges, window = histogram["edges"], histogram["window"]
    ends, top = [edges[0], edges[-1]], max(*histogram["training"], *(window or [0]))
    x = alt.X("at:Q", axis=_values(*ends, title=title), scale=alt.Scale(domain=ends, nice=True))
    y = alt.Y("share:Q", axis=_percent(3), scale=alt.Scale(domain=[0, top], nice=True))
    ground = alt.Chart(_data(_boxes(edges, histogram["training"])))
    layers = [ground.mark_rect(color=GREY, opacity=0.45).encode(x=x, x2="to:Q", y=y, y2="floor:Q")]
    if window:
        line = alt.Chart(_data(_outline(edges, window)))
        line = line.mark_line(color=BLUE, strokeWidth=2.5, interpolate="step-after")
        layers.append(line.encode(x=x, y=y, order="order:Q"))
    return _finished(alt.layer(*layers), 150, f"Values now and in training {title}".strip())


def votes(probabilities: Mapping[str, float], *, voters: int | None) -> alt.Chart:
    """Draw one dot per voter, coloured by the class it votes for."""
    counts = _counted(probabilities, min(voters or MOST_DOTS, MOST_DOTS))
    ballots = [name for name, count in counts.items() for _ in range(count)]
    across = math.ceil(math.sqrt(4 * len(ballots)))
    rows = [{"x": at % across, "y": at // across, "class": name} for at, name in enumerate(ballots)]
    ends_x, ends_y = [-0.5, across - 0.5], [len(ballots) // across + 0.5, -0.5]
    colours = alt.Scale(domain=list(counts), range=CYCLE)
    legend = alt.Legend(orient="bottom", title=None, columns=2, labelLimit=90)
    chart = alt.Chart(_data(rows)).mark_circle(size=90, opacity=1)
    chart = chart.encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=ends_x)),
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(domain=ends_y)),
        color=alt.Color("class:N", scale=colours, legend=legend),
    )
    height = 120 + 20 * math.ceil(len(counts) / 2)
    return _finished(chart, height, "Votes for each class").configure_view(strokeWidth=0)


def _counted(probabilities: Mapping[str, float], dots: int) -> dict[str, int]:
    """Count the votes for each class that got some, the most first; no two share a colour."""
    ranked = sorted(probabilities.items(), key=lambda each: -each[1])
    shares = dict(ranked[: len(CYCLE) - 1])
    shares["all others"] = sum(share for _, share in ranked[len(shares) :])
    return {name: count for name, share in shares.items() if (count := round(share * dots))}


def _data(rows: Iterable[Mapping[str, Any]]) -> alt.Data:
    return alt.Data(values=list(rows))


def _bars(rows: list[dict[str, Any]]) -> alt.Chart:
    """Begin a chart of one bar per name, in the order given."""
    bar = alt.Chart(_data(rows)).mark_bar(color=BLUE, size=16, cornerRadiusEnd=2)
    return bar.encode(y=alt.Y("name:N", sort=None, axis=NAMES))


def _axis(ticks: int, *, title: str | None = None, **more: Any) -> alt.Axis:
    return alt.Axis(title=title or None, tickCount=ticks, labelPadding=4, titlePadding=4, **more)


def _percent(ticks: int) -> alt.Axis:
    return _axis(ticks, format="~%")


def _values(low: float, high: float, *, title: str) -> alt.Axis:
    """Label measurements as people write them: a year has no comma and no half."""
    size = max(abs(low), abs(high))
    spelt = "~f" if size < 1e6 else "~s"
    extreme = size and not 1e-4 <= size < 1e15
    whole = {"tickMinStep": 1} if low % 1 == high % 1 == 0 and high - low >= 2 else {}
    return _axis(5, title=title, format="~e" if extreme else spelt, **whole)


def _height(rows: list[dict[str, Any]]) -> int:
    return BAR * len(rows) + AXIS


def _finished(chart: Any, height: int, description: str) -> Any:
    """Give a chart its size, and a name for those who can't see it."""
    padding = {"left": 0, "top": 5, "right": 5, "bottom": 5}
    return chart.properties(height=height, padding=padding, description=description)


def _boxes(edges: list[float], shares: list[float]) -> Iterable[dict[str, float]]:
    for low, high, share in zip(edges, edges[1:], shares, strict=False):
        yield {"at": low, "to": high, "share": share, "floor": 0}


def _outline(edges: list[float], shares: list[float]) -> Iterable[dict[str, float]]:
    """Trace a histogram: up from the ground, along its tops, and down again."""
    ends = [(edges[-1], shares[-1]), (edges[-1], 0.0)]
    points = [(edges[0], 0.0), *zip(edges, shares, strict=False), *ends]
    for order, (at, share) in enumerate(points):
        yield {"at": at, "share": share, "order": order}
