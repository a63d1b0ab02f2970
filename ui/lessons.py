"""The pictures of the Learn page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grammar
from grammar import BLUE, GREY, ORANGE, RED, Spec
from simulated import Moved
from trees import Line

EXAMPLE_MARK = {"type": "point", "color": BLUE, "filled": True, "opacity": 0.75, "size": 70}
CASE_MARK = {
    "type": "point",
    "angle": 45,
    "color": RED,
    "filled": True,
    "opacity": 1,
    "shape": "cross",
    "size": 320,
}
NAME_MARK = {
    "type": "text",
    "align": "left",
    "baseline": "bottom",
    "dx": 10,
    "dy": -8,
    "fontWeight": "bold",
}

# Pixels of a line of a tree, and of a step to the right where there is room for it.
LINE, STEP, DEEPEST = 24, 18, 110
WAY_MARK = {"type": "rule", "color": BLUE, "strokeCap": "round", "strokeWidth": 4}
BRANCH_MARK = {"type": "rule", "color": GREY, "opacity": 0.7, "strokeWidth": 1}
NODE_MARK = {"type": "point", "filled": True, "opacity": 1}
LINE_TEXT = {"type": "text", "align": "left", "baseline": "middle", "dx": 10, "fontSize": 13}
KINDS = {"question": "circle", "leaf": "square", "more": "triangle-right"}
SIGNS = {
    "color": {"condition": {"test": "datum.lit", "value": BLUE}, "value": GREY},
    "shape": {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": list(KINDS), "range": list(KINDS.values())},
        "legend": None,
    },
    "size": {"condition": {"test": "datum.lit", "value": 150}, "value": 60},
}

BEFORE_MARK = {"type": "line", "color": GREY, "strokeWidth": 2.5}
AFTER_MARK = {"type": "line", "color": BLUE, "strokeDash": [6, 3], "strokeWidth": 2.5}
GAP_MARK = {"type": "rule", "color": ORANGE, "strokeWidth": 4}


def cases(
    rows: Sequence[Mapping[str, Any]],
    case: Mapping[str, Any],
    x: Spec,
    y: Spec,
    *,
    classes: Sequence[str],
) -> Spec:
    """Draw examples with the case among them, told apart by `class`, without any by `value`.

    `x` and `y` are the two encodings, which `axis()` makes, and keys of all rows.
    """
    names = list(dict.fromkeys(row["class"] for row in rows)) if classes else []
    signs = grammar.classes(names, among=classes) if classes else _by_value()
    layers = [grammar.layer(rows, EXAMPLE_MARK, x=x, y=y, **signs)]
    if case["x"] is not None and case["y"] is not None:
        layers.append(grammar.layer([case], CASE_MARK, x=x, y=y))
        layers.append(grammar.layer([case], NAME_MARK, x=x, y=y, text={"value": "this case"}))
    return grammar.layered(layers, 340, "The examples, and the case among them")


def _by_value() -> dict[str, Spec]:
    return {
        "size": grammar.measure("value", legend=None, scale={"range": [20, 220], "zero": False})
    }


def axis(field: str, label: str, ends: tuple[float, float] | None) -> Spec:
    """Give an axis of a feature: from end to end of what can be chosen, None for categories."""
    if ends is None:
        names = {"grid": False, "labelAngle": 0, "labelLimit": 90, "title": label}
        return {"field": field, "type": "nominal", "axis": names, "scale": {"padding": 0.5}}
    values = grammar.values(*ends, title=label) | {"grid": False}
    return grammar.measure(field, axis=values, scale={"domain": list(ends), "zero": False})


def tree(lines: Sequence[Line]) -> Spec:
    """Draw a tree as an indented list, from the top, with the way of the case thick and bold."""
    step = min(STEP, DEEPEST / max(1, *(line.depth for line in lines)))
    nodes = [
        {**line._asdict(), "x": 8 + step * line.depth, "y": here, "text": _text(line)}
        for here, line in enumerate(lines)
    ]
    most = max(node["x"] for node in nodes)
    x, y = _pixels(most), _rows(len(nodes))
    # The way comes last, so that it lies above the rest.
    layers = [*_branches(nodes, x, y, lit=False), *_branches(nodes, x, y, lit=True)]
    layers.append(grammar.layer(nodes, NODE_MARK, x=x, y=y, **SIGNS))
    for lit, weight in ((False, "normal"), (True, "bold")):
        mark = {**LINE_TEXT, "fontWeight": weight, "limit": {"expr": f"width - {most + 12:.0f}"}}
        some = [node for node in nodes if node["lit"] is lit]
        text = {"field": "text", "type": "nominal"}
        layers.append(grammar.layer(some, mark, x=x, y=y, text=text))
    spec = grammar.layered(layers, LINE * len(nodes), "The first tree, and the way of the case")
    return spec | {"config": {"view": {"strokeWidth": 0}}}


def _branches(nodes: Sequence[Mapping[str, Any]], x: Spec, y: Spec, *, lit: bool) -> list[Spec]:
    """Draw what leads to the nodes: down from the question above, and to the right."""
    some = [node for node in nodes if node["parent"] >= 0 and node["lit"] is lit]
    above = [nodes[node["parent"]] for node in some]
    ends = [
        {"x": start["x"], "y": start["y"], "to_x": node["x"], "to_y": node["y"]}
        for node, start in zip(some, above, strict=True)
    ]
    right = [end | {"y": end["to_y"]} for end in ends]
    mark = WAY_MARK if lit else BRANCH_MARK
    return [
        grammar.layer(ends, mark, x=x, y=y, y2={"field": "to_y"}),
        grammar.layer(right, mark, x=x, x2={"field": "to_x"}, y=y),
    ]


def _text(line: Line) -> str:
    return f"{line.answer}: {line.text}" if line.answer else line.text


def _pixels(most: float) -> Spec:
    """Place by pixels from the left, however wide the picture is."""
    ends = [0, most]
    return grammar.measure("x", axis=None, scale={"domain": ends, "range": ends, "zero": False})


def _rows(count: int) -> Spec:
    return grammar.measure("y", axis=None, scale={"domain": [count - 0.5, -0.5], "nice": False})


def gap(moved: Moved, *, title: str) -> Spec:
    """Draw how many rows have at most so much, before and after, and where that differs most."""
    assert moved.gap is not None
    ends = (moved.curve[0][0], moved.curve[-1][0])
    x = grammar.measure(
        "at", axis=grammar.values(*ends, title=title), scale={"domain": list(ends), "nice": True}
    )
    y = grammar.measure("share", axis=grammar.percent(3), scale={"domain": [0, 1]})
    layers = [
        grammar.layer(
            [{"at": each[0], "share": each[which]} for each in moved.curve], mark, x=x, y=y
        )
        for which, mark in ((1, BEFORE_MARK), (2, AFTER_MARK))
    ]
    at, before, after = moved.gap
    widest = [{"at": at, "share": min(before, after), "to": max(before, after)}]
    layers.append(grammar.layer(widest, GAP_MARK, x=x, y=y, y2={"field": "to"}))
    return grammar.layered(layers, 150, f"Both curves of {title}, and the gap between them")
