"""What all pictures are made of: layers, axes and colours, in Vega-Lite's own words.

https://vega.github.io/vega-lite/docs/. Plain values, because Altair, which writes the same, takes
a hundred times as long for it, and a page may show over a hundred pictures. Mid-tone colours,
legible on light and on dark ground alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]

BLUE, ORANGE, GREY, RED = "#3b8bb5", "#c9762b", "#8f8a84", "#b5566b"
CYCLE = [BLUE, ORANGE, "#4d9a6a", "#a06cb5", "#b59a3b", "#b5566b", "#5b6fb5", "#7a8f3b"]

NAMES = {"domain": False, "grid": False, "labelLimit": 130, "ticks": False, "title": None}
DOT_MARK = {"type": "circle", "color": BLUE, "opacity": 1, "size": 140}
LINE_MARK = {"type": "rule", "color": BLUE, "opacity": 0.5, "strokeWidth": 3}
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


def layer(rows: Sequence[Mapping[str, Any]], mark: Spec, **encoding: Spec) -> Spec:
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}


def named(rows: Sequence[Mapping[str, Any]], mark: Spec, **encoding: Spec) -> Spec:
    """Give a layer of one line per name, in the order given."""
    name = {"axis": NAMES, "field": "name", "sort": None, "type": "nominal"}
    return layer(rows, mark, y=name, **encoding)


def measure(field: str, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", **more}


def axis(ticks: int, *, title: str | None = None, **more: Any) -> Spec:
    return {
        "labelPadding": 4,
        "tickCount": ticks,
        "title": title or None,
        "titlePadding": 4,
        **more,
    }


def percent(ticks: int) -> Spec:
    return axis(ticks, format="~%")


def values(low: float, high: float, *, title: str) -> Spec:
    """Label measurements as people write them: a year has no comma and no half."""
    size = max(abs(low), abs(high))
    spelt = "~f" if size < 1e6 else "~s"
    extreme = size and not 1e-4 <= size < 1e15
    whole = {"tickMinStep": 1} if low % 1 == high % 1 == 0 and high - low >= 2 else {}
    return axis(5, title=title, format="~e" if extreme else spelt, **whole)


def layered(layers: list[Spec], height: int, description: str) -> Spec:
    """Put layers together, with a size and a name for those who can't see them."""
    padding = {"bottom": 5, "left": 0, "right": 5, "top": 5}
    return {"layer": layers, "height": height, "padding": padding, "description": description}


def classes(names: Sequence[str], *, among: Sequence[str]) -> dict[str, Spec]:
    """Tell classes apart by colour and by shape, alike in all pictures where there are few."""
    places = {name: at for at, name in enumerate(among if len(among) < len(CYCLE) else names)}
    at = [places.get(name, len(CYCLE) - 1) for name in names]
    return {
        channel: {
            "field": "class",
            "type": "nominal",
            "scale": {"domain": list(names), "range": [signs[each] for each in at]},
            "legend": LEGEND,
        }
        for channel, signs in (("color", CYCLE), ("shape", SHAPES))
    }
