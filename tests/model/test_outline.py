"""The top of the first tree, as people see it: it must lead where the tree itself leads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from irisab.model.outline import MOST_QUESTIONS, Leaf, More, Outline, Question, as_json
from irisab.model.plain import flatten, restore
from irisab.model.schema import Feature

IRIS = load_iris(return_X_y=True)
COLOURS, SIZES = ["red", "green", "blue", None], ["small", "large"]


def outline(estimator: Any, n_classes: int | None = None) -> Outline | None:
    plain = flatten(estimator, n_classes=n_classes)
    assert plain is not None
    return restore(plain.about, plain.arrays).outline


def every(asked: Outline) -> Iterator[Outline]:
    yield asked
    if isinstance(asked, Question):
        yield from every(asked.yes)
        yield from every(asked.no)


def end(asked: Outline | None, row: Any) -> tuple[float, ...] | None:
    """Follow a row to its leaf; None where a question of its way is not told."""
    while isinstance(asked, Question):
        asked = asked.yes if answer(asked, row[asked.column]) else asked.no
    return asked.says if isinstance(asked, Leaf) else None


def answer(asked: Question, value: Any) -> bool | None:
    if value is None or value != value:
        return asked.missing
    if asked.is_in is None:
        return bool(value <= asked.at_most)
    return True if value in asked.is_in else asked.others if value == "new" else False


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_it_leads_where_the_first_tree_leads(kind: Any) -> None:
    """Also for values that are a threshold, or that float32 rounds across one."""
    forest = kind(5, max_depth=4, random_state=0).fit(*IRIS)
    first, told = forest.estimators_[0], outline(forest)
    cuts = [each.at_most for each in every(told) if isinstance(each, Question)]  # type: ignore[arg-type]
    near = [each for cut in cuts for each in (cut, math.nextafter(cut, 9), np.float32(cut))]
    random = np.random.default_rng(0)
    rows = np.concatenate([IRIS[0], random.choice(near, (300, 4))])
    for row, says in zip(rows, first.predict_proba(rows), strict=True):
        assert end(told, row) == tuple(says)


def test_it_is_short_whatever_the_tree() -> None:
    """A large tree is told level by level, with the number of questions that are left out."""
    forest = RandomForestClassifier(3, random_state=0).fit(*load_digits(return_X_y=True))
    told = outline(forest)
    assert told is not None
    kinds = [type(each) for each in every(told)]
    assert kinds.count(Question) == MOST_QUESTIONS
    left_out = sum(each.questions for each in every(told) if isinstance(each, More))
    assert left_out + MOST_QUESTIONS == forest.estimators_[0].tree_.node_count // 2
    assert len(json.dumps(as_json(told, features(64), list("0123456789")))) < 4000


def features(count: int) -> list[Feature]:
    names = [f"pixel_{number}" for number in range(count)]
    return [Feature(name=name, unit=None, min=0, max=16, mean=8) for name in names]


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
        ),
    ],
    ids=["one-hot", "ordinal"],
)
def test_it_asks_about_features(encoder: Any) -> None:
    """Not about the columns made of them: categories by name, also gaps and what is new."""
    random = np.random.default_rng(1)
    rows = np.array(
        [[*each, number] for each in product(COLOURS, SIZES) for number in (1.0, 2.0, np.nan)] * 9,
        dtype=object,
    )
    front = ColumnTransformer([("texts", encoder, [0, 1])], remainder="passthrough")
    forest = RandomForestClassifier(3, max_depth=4, random_state=2)
    pipeline = make_pipeline(front, forest).fit(rows, random.integers(3, size=len(rows)))
    told = outline(pipeline)
    asked = [each for each in every(told) if isinstance(each, Question)]  # type: ignore[arg-type]
    assert {each.column for each in asked} == {0, 1, 2}
    for row in product([*COLOURS, "new"], [*SIZES, "new"], (0.5, 1.5, 3.0, np.nan)):
        seen = front.transform(np.array([row], dtype=object)).astype(np.float32)
        assert end(told, row) == tuple(forest.estimators_[0].predict_proba(seen)[0])


def test_a_value_is_told_of_a_regression() -> None:
    """A leaf says how much, in units of the target; JSON has it under the names of features."""
    rows, target = load_diabetes(return_X_y=True)
    forest = RandomForestRegressor(3, max_depth=2, random_state=0).fit(rows, target)
    told = outline(forest)
    assert told is not None
    values = forest.estimators_[0].predict(rows)
    assert [end(told, row) for row in rows] == [(value,) for value in values.tolist()]
    said = as_json(told, features(10), [])
    assert said["feature"].startswith("pixel_")
    assert said["yes"]["yes"] == {"value": end(told, [-1] * 10)[0]}  # type: ignore[index]


def test_a_class_that_was_never_seen_keeps_its_seat() -> None:
    """Leaves have a probability for each class of the manifest."""
    known = IRIS[1] != 1
    tree = DecisionTreeClassifier().fit(IRIS[0][known], IRIS[1][known])
    assert end(outline(tree, n_classes=3), IRIS[0][149]) == (0, 0, 1)


@pytest.mark.parametrize(
    "estimator",
    [
        GradientBoostingClassifier(n_estimators=3),
        HistGradientBoostingRegressor(max_iter=3),
        LogisticRegression(max_iter=1000),
        make_pipeline(StandardScaler(), RandomForestClassifier(3)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_no_tree_where_none_answers_in_the_units_of_people(estimator: Any) -> None:
    """Trees that add to a sum, lines, and questions about scaled values are not shown."""
    assert outline(estimator.fit(*IRIS)) is None
