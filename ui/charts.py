"""The pictures of what is so now: bars, dots and distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import grammar
from grammar import BLUE, CYCLE, DOT_MARK, GREY, LINE_MARK, ORANGE, RED, Spec

BAR_MARK = {"type": "bar", "color": BLUE, "cornerRadiusEnd": 2, "size": 16}
TICK_MARK = {"type": "tick", "color": ORANGE, "opacity": 1, "size": 28, "thickness": 3}
GROUND_MARK = {"type": "rect", "color": GREY, "opacity": 0.45}
OUTLINE_MARK = {"type": "line", "color": BLUE, "interpolate": "step-after", "strokeWidth": 2.5}
GROUND_BAR_MARK = {"type": "bar", "color": GREY, "opacity": 0.45, "size": 16}
OUTLINE_BAR_MARK = {"type": "bar", "filled": False, "stroke": BLUE, "strokeWidth": 2.5, "size": 16}
VOTE_MARK = {"type": "point", "filled": True, "opacity": 1, "size": 90}

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
    share = grammar.measure("share", axis=grammar.percent(5), scale={"domain": [0, 1]})
    bars = grammar.named(rows, BAR_MARK, x=share)
    ticks = grammar.named(rows, TICK_MARK, x=grammar.measure("weight"))
    return grammar.layered([bars, ticks], _height(rows), "How often each version answered")


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
    low = grammar.measure("low", axis=grammar.percent(5), scale={"domain": ends})
    lines = grammar.named(rows, LINE_MARK, x=low, x2={"field": "high"})
    dots = grammar.named(rows, DOT_MARK, x=grammar.measure("accuracy"))
    return grammar.layered([lines, dots], _height(rows), "Accuracy of each version")


def errors(means: Mapping[str, float]) -> Spec:
    """Draw the mean error of each version as a bar."""
    rows = [{"name": name, "error": error} for name, error in means.items()]
    axis = grammar.values(0, max(means.values()), title="")
    bars = grammar.named(rows, BAR_MARK, x=grammar.measure("error", axis=axis))
    return grammar.layered([bars], _height(rows), "Mean error of each version")


def against_limits(scores: Mapping[str, tuple[float, float]]) -> Spec:
    """Draw scores from 0 to 1 as bars, each with a tick at its alarm: (score, limit)."""
    rows = [
        {"name": name, "score": score, "limit": limit, "above": score > limit}
        for name, (score, limit) in scores.items()
    ]
    score = grammar.measure("score", axis=grammar.axis(5), scale={"domain": [0, 1]})
    colour = {"condition": {"test": "datum.above", "value": RED}, "value": BLUE}
    bars = grammar.named(rows, BAR_MARK, x=score, color=colour)
    ticks = grammar.named(rows, TICK_MARK, x=grammar.measure("limit"))
    return grammar.layered([bars, ticks], _height(rows), "Drift against the alarm")


def distribution(histogram: Mapping[str, Any], *, title: str = "") -> Spec:
    """Draw the training distribution as grey bars, and the window's as a blue outline."""
    if "categories" in histogram:
        return _categories(histogram, title=title)
    edges, window = histogram["edges"], histogram["window"]
    ends, top = [edges[0], edges[-1]], max(*histogram["training"], *(window or [0])) or 1
    x = grammar.measure(
        "at", axis=grammar.values(*ends, title=title), scale={"domain": ends, "nice": True}
    )
    y = grammar.measure("share", axis=grammar.percent(3), scale={"domain": [0, top], "nice": True})
    boxes = _boxes(edges, histogram["training"])
    layers = [
        grammar.layer(boxes, GROUND_MARK, x=x, x2={"field": "to"}, y=y, y2={"field": "floor"})
    ]
    if window:
        outline = _outline(edges, window)
        layers.append(
            grammar.layer(outline, OUTLINE_MARK, x=x, y=y, order=grammar.measure("order"))
        )
    return grammar.layered(layers, 150, f"Values now and in training {title}".strip())


def _categories(histogram: Mapping[str, Any], *, title: str) -> Spec:
    names, window = histogram["categories"], histogram["window"]
    marks = [(GROUND_BAR_MARK, histogram["training"]), (OUTLINE_BAR_MARK, window or [])]
    layers = []
    for mark, shares in marks:
        rows = [{"name": name, "share": share} for name, share in zip(names, shares, strict=False)]
        share = grammar.measure(
            "share", axis=grammar.axis(3, title=title, format="~%"), scale={"zero": True}
        )
        if rows:
            layers.append(grammar.named(rows, mark, x=share))
    height = THIN_BAR * len(names) + AXIS
    return grammar.layered(layers, height, f"Values now and in training {title}".strip())


def votes(probabilities: Mapping[str, float], *, voters: int | None) -> Spec:
    """Draw one dot per voter, told apart by the class it votes for."""
    counts = _counted(probabilities, min(voters or MOST_DOTS, MOST_DOTS))
    ballots = [name for name, count in counts.items() for _ in range(count)]
    across = math.ceil(math.sqrt(4 * len(ballots)))
    rows = [{"x": at % across, "y": at // across, "class": name} for at, name in enumerate(ballots)]
    ends_x, ends_y = [-0.5, across - 0.5], [len(ballots) // across + 0.5, -0.5]
    x, y = (
        grammar.measure(name, axis=None, scale={"domain": ends})
        for name, ends in (("x", ends_x), ("y", ends_y))
    )
    signs = grammar.classes(list(counts), among=list(probabilities))
    dots = grammar.layer(rows, VOTE_MARK, x=x, y=y, **signs)
    height = 120 + 20 * math.ceil(len(counts) / 2)
    spec = grammar.layered([dots], height, "Votes for each class")
    return spec | {"config": {"view": {"strokeWidth": 0}}}


def _counted(probabilities: Mapping[str, float], dots: int) -> dict[str, int]:
    """Count the votes for each class that got some, the most first; no two share a colour."""
    ranked = sorted(probabilities.items(), key=lambda each: -each[1])
    shares = dict(ranked[: len(CYCLE) - 1])
    shares["all others"] = sum(share for _, share in ranked[len(shares) :])
    return {name: count for name, share in shares.items() if (count := round(share * dots))}


def _height(rows: Sequence[Mapping[str, Any]]) -> int:
    return BAR * len(rows) + AXIS


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
