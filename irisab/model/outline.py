"""The first questions of the first tree, for people to look at. Start at `outline()`.

Level by level and few of them, whatever the size of the forest: they are told to everybody.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.model.columns import Columns
from irisab.model.nodes import Nodes
from irisab.model.schema import Feature

# What fits on a screen.
MOST_QUESTIONS = 15
# A question about more categories is none that people could read.
MOST_CATEGORIES = 20
_LARGEST = float(np.finfo(np.float64).max)
# No category of anybody's.
_UNKNOWN = "\0never learnt"


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is said at the end: the probabilities of the classes, or one value."""

    says: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class More:
    """So many questions that are not told."""

    questions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Is the value of a column at most `at_most`, or one of `is_in`?

    `missing` and `others` tell whether a gap, and a category that none has learnt, count as yes;
    None where the model refuses them.
    """

    column: int
    at_most: float
    yes: Outline
    no: Outline
    is_in: tuple[str | float, ...] | None = None
    missing: bool | None = None
    others: bool | None = None


Outline = Question | Leaf | More


def outline(nodes: Nodes, missing_left: NDArray[np.bool_] | None = None) -> Outline:
    """Return the top of the first tree; `missing_left` (nodes,) where it takes gaps."""
    asked = _first(nodes)

    def told(node: int, end: int) -> Outline:
        if nodes.feature[node] < 0:
            return Leaf(tuple(nodes.value[~nodes.feature[node]].tolist()))
        if node not in asked:
            return More((end - node) // 2)
        right = int(nodes.right[node])
        return Question(
            column=int(nodes.feature[node]),
            # JSON has no infinity, and no value is above this.
            at_most=float(np.clip(nodes.cut[node], -_LARGEST, _LARGEST)),
            yes=told(node + 1, right),
            no=told(right, end),
            missing=None if missing_left is None else bool(missing_left[node]),
        )

    ends = [*nodes.roots[1:2].tolist(), len(nodes.records)]
    return told(0, ends[0])


def _first(nodes: Nodes) -> set[int]:
    """Return the nodes of the questions that are told: level by level."""
    asked: set[int] = set()
    waiting = deque([0])
    while waiting and len(asked) < MOST_QUESTIONS:
        node = waiting.popleft()
        if nodes.feature[node] >= 0:
            asked.add(node)
            waiting += [node + 1, int(nodes.right[node])]
    return asked


def before(columns: Columns, asked: Outline) -> Outline | None:
    """Return the same questions about the features that the columns are made of.

    None where one is about a scaled value, a gap, or more categories than people could read.
    """
    if not isinstance(asked, Question):
        return asked
    yes, no = before(columns, asked.yes), before(columns, asked.no)
    if yes is None or no is None:
        return None
    source, goes = columns.sources[asked.column], _answered(columns, asked)
    of_feature = replace(asked, column=source, yes=yes, no=no)
    table = columns.table_of(asked.column)
    if table is not None:
        return _of_category(of_feature, list(table), goes)
    plain = columns.arithmetic(asked.column) == []
    return replace(of_feature, missing=goes(math.nan)) if plain else None


_Answered = Callable[[Any], bool | None]


def _answered(columns: Columns, asked: Question) -> _Answered:
    """Return what says whether a feature's value leads to yes, None where it is refused."""
    see, source = columns.function([asked.column]), columns.sources[asked.column]

    def goes(value: Any) -> bool | None:
        row: list[Any] = [None] * source
        try:
            (seen,) = see([*row, value])
        except ValueError:
            return None
        return asked.missing if seen != seen else seen <= asked.at_most

    return goes


def _of_category(
    asked: Question, values: Sequence[str | float], goes: _Answered
) -> Question | None:
    """Return the question about the fewer categories, which may be the other way round."""
    answers = {value: goes(value) for value in values}
    yes, no = (tuple(v for v in values if bool(answers[v]) is side) for side in (True, False))
    gap = None if all(isinstance(value, str) for value in values) else math.nan
    asked = replace(asked, is_in=yes, missing=goes(gap), others=goes(_UNKNOWN))
    if len(no) < len(yes):
        asked = replace(
            asked,
            is_in=no,
            missing=_not(asked.missing),
            others=_not(asked.others),
            yes=asked.no,
            no=asked.yes,
        )
    return asked if len(asked.is_in or ()) <= MOST_CATEGORIES else None


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def seated(asked: Outline, seats: Sequence[int], n_classes: int) -> Outline:
    """Return the same where classes were never seen: of those the probability is 0."""
    if isinstance(asked, Question):
        yes, no = (seated(each, seats, n_classes) for each in (asked.yes, asked.no))
        return replace(asked, yes=yes, no=no)
    if isinstance(asked, More):
        return asked
    says = dict(zip(seats, asked.says, strict=True))
    return Leaf(tuple(says.get(each, 0.0) for each in range(n_classes)))


def as_json(
    asked: Outline, features: Sequence[Feature], class_names: Sequence[str]
) -> dict[str, Any]:
    """Return an outline with the names of features and classes; a regression has no classes."""
    if isinstance(asked, More):
        return {"more": asked.questions}
    if isinstance(asked, Leaf):
        best = max(asked.says)
        if not class_names:
            return {"value": best}
        return {"class_name": class_names[asked.says.index(best)], "probability": best}
    categories = asked.is_in is not None
    return {
        "feature": features[asked.column].name,
        **({"is_in": list(asked.is_in or ())} if categories else {"at_most": asked.at_most}),
        "missing": asked.missing,
        "others": asked.others,
        "yes": as_json(asked.yes, features, class_names),
        "no": as_json(asked.no, features, class_names),
    }
