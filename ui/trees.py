"""The top of a tree as lines, with the way of one case through it. No drawing here.

`tree` is what GET /config tells of a version: questions with `yes` and `no`, down to what a leaf
says, or to how many more questions follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import words

Json = Mapping[str, Any]
Row = Mapping[str, Any]


class Line(NamedTuple):
    """A question, a leaf or what is left out (`kind`); `lit` where the case comes by.

    `parent` is the index of the question above, -1 for the first, and `answer` leads from there.
    """

    kind: str
    text: str
    depth: int
    parent: int
    answer: str
    lit: bool


def lines(tree: Json, features: Sequence[Json], row: Row) -> list[Line]:
    """List the tree from the top, the side of yes before that of no."""
    told: list[Line] = []
    known = {each["name"]: each for each in features}

    def tell(node: Json, depth: int, parent: int, answer: str, lit: bool) -> None:
        here = len(told)
        kind, text = _said(node, known)
        told.append(Line(kind, text, depth, parent, answer, lit))
        if kind == "question":
            said = answered(node, known[node["feature"]], row[node["feature"]])
            for side in ("yes", "no"):
                leads = lit and said is (side == "yes")
                tell(node[side], depth + 1, here, side, leads)

    tell(tree, 0, -1, "", True)
    return told


def answered(question: Json, feature: Json, value: Any) -> bool | None:
    """Answer a question for a value; None where the model refuses it."""
    if value is None:
        return _bool(question["missing"])
    if "at_most" in question:
        return bool(value <= question["at_most"])
    if value in question["is_in"]:
        return True
    return False if value in (feature["categories"] or [value]) else _bool(question["others"])


def _bool(answer: Any) -> bool | None:
    return None if answer is None else bool(answer)


def asked(tree: Json) -> list[str]:
    """Name the features that are asked about, the first ones first: level by level."""
    level, names = [tree], []
    while level:
        questions = [each for each in level if "feature" in each]
        names += [each["feature"] for each in questions]
        level = [each[side] for each in questions for side in ("yes", "no")]
    return list(dict.fromkeys(names))


def _said(node: Json, features: Mapping[str, Json]) -> tuple[str, str]:
    if "feature" in node:
        return "question", _question(node, features[node["feature"]])
    if "more" in node:
        return "more", f"{words.count(node['more'], 'more question')}, not shown"
    if "value" in node:
        return "leaf", words.number(node["value"])
    return "leaf", _class(node)


def _class(leaf: Json) -> str:
    name, sure = words.title(leaf["class_name"]), leaf["probability"]
    return name if sure == 1 else f"{name}, {words.percent(sure)}"


def _question(node: Json, feature: Json) -> str:
    name = words.title(feature["name"])
    if "is_in" in node:
        return f"{name}: {' or '.join(map(_category, node['is_in'])) or 'unknown'}?"
    if feature["type"] == "boolean":
        return f"{name}: no?"
    unit = f" {feature['unit']}" if feature["unit"] else ""
    return f"{name} at most {words.number(node['at_most'])}{unit}?"


def _category(value: Any) -> str:
    return value if isinstance(value, str) else words.number(value)


def way(told: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Give the questions on the way of the case, each with its answer."""
    lit = [line for line in told if line.lit]
    for question, after in zip(lit, lit[1:], strict=False):
        yield question.text, after.answer


def end(told: Sequence[Line]) -> Line:
    """Give the last line that the case comes to."""
    return [line for line in told if line.lit][-1]
