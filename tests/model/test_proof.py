"""The proof finds the smallest difference; what is not proven equal is served by its pickle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from irisab.model import around, steps
from irisab.model import plain as plain_forms
from irisab.model.around import rows_around
from irisab.model.bundle import FOREST, PICKLE, PLAIN
from irisab.model.estimator import Estimator
from irisab.model.forms import formed
from irisab.model.plain import Plain, flatten, restore
from irisab.model.proof import prove
from irisab.model.sink import Memory

IRIS = load_iris(return_X_y=True)
WINE = load_wine(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def colours() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    rows = np.empty((90, 2), dtype=object)
    rows[:, 0] = [None, *random.choice(["red", "green", "blue"], 89)]
    rows[:, 1] = random.normal(size=90)
    return rows, (rows[:, 0] == "red") * 3.0 + rows[:, 1].astype(float)


def encoded() -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    front = ColumnTransformer([("text", encoder, [0]), ("number", StandardScaler(), [1])])
    return make_pipeline(front, Ridge())


FITTED: dict[str, Callable[[], tuple[Any, Any]]] = {
    "boosting": lambda: (
        GradientBoostingClassifier(n_estimators=5, random_state=0).fit(*IRIS), IRIS[0]),
    "forest": lambda: (RandomForestRegressor(5, random_state=0).fit(*DIABETES), DIABETES[0]),
    "scaled": lambda: (
        make_pipeline(StandardScaler(), LogisticRegression()).fit(*WINE), WINE[0]),
    "tree": lambda: (RandomForestRegressor(1, random_state=0).fit(*DIABETES), DIABETES[0]),
    "ridge": lambda: (Ridge().fit(*DIABETES), DIABETES[0]),
    "scaled forest": lambda: (
        make_pipeline(StandardScaler(), RandomForestRegressor(5, random_state=0)).fit(*WINE),
        WINE[0]),
    "encoded": lambda: (encoded().fit(*colours()), colours()[0]),
}  # fmt: skip


def proof(fitted: Any, rows: Any, damage: Callable[[Any, Any], None]) -> str | None:
    plain = flatten(fitted)
    assert plain is not None
    about, arrays = dict(plain.about), {name: each.copy("K") for name, each in plain.arrays.items()}
    damage(about, arrays)
    numeric = rows.dtype != object
    n_classes = len(getattr(fitted, "classes_", ()))
    asked = Estimator(fitted, n_classes=n_classes, numeric=numeric)
    other = Plain(about=about, arrays=arrays)
    return prove(other, restore(about, arrays), asked, rows[:30].tolist(), seconds=60.0)


def nothing(about: Any, arrays: Any) -> None:
    """Leave a form as it is."""


def nudge(name: str, at: int) -> Callable[[Any, Any], None]:
    def damage(about: Any, arrays: Any) -> None:
        arrays[name].ravel()[at] = np.nextafter(arrays[name].ravel()[at], np.inf)

    return damage


def nudge_float32(about: Any, arrays: Any) -> None:
    arrays["threshold"][-1] = np.nextafter(np.float32(arrays["threshold"][-1]), np.float32(np.inf))


def turn_gap(about: Any, arrays: Any) -> None:
    arrays["missing_left"][0] ^= True


def shift(step: int) -> Callable[[Any, Any], None]:
    def damage(about: Any, arrays: Any) -> None:
        column = about["front"]["columns"][-1]
        name, number = column[1 + step]
        column[1 + step] = [name, math.nextafter(number, math.inf)]

    return damage


def tell(key: str, value: Any) -> Callable[[Any, Any], None]:
    def damage(about: Any, arrays: Any) -> None:
        about["front"]["tables"][0][key] = value

    return damage


@pytest.mark.parametrize("kind", FITTED)
def test_an_equal_form_is_proven(kind: str) -> None:
    """Without any damage there is nothing to say."""
    fitted, rows = FITTED[kind]()
    assert proof(fitted, rows, nothing) is None


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("boosting", nudge_float32),
        ("forest", nudge_float32),
        ("tree", nudge("value", 7)),
        ("forest", turn_gap),
        ("ridge", nudge("coefficients", 2)),
        ("ridge", nudge("intercept", 0)),
        ("scaled forest", nudge_float32),
        ("scaled forest", shift(0)),
        ("encoded", shift(1)),
        ("encoded", tell("other", 0.0)),
        ("encoded", tell("other", None)),
        ("encoded", tell("none", 1.0)),
        ("encoded", tell("codes", [1.0, 0.0, 2.0])),
    ],
)
def test_the_smallest_difference_is_found(kind: str, damage: Any) -> None:
    """One unit in the last place of one number, one branch of a gap, one code of a category; of
    thirty rows only, the rest is tried around them."""
    fitted, rows = FITTED[kind]()
    said = proof(fitted, rows, damage)
    assert said is not None
    assert "where scikit-learn says" in said


def test_time_is_bounded() -> None:
    """What has no end is tried as long as it may be."""
    fitted = RandomForestRegressor(30, random_state=0).fit(*DIABETES)
    plain = flatten(fitted)
    asked = Estimator(fitted, n_classes=0)
    model = restore(plain.about, plain.arrays)
    assert prove(plain, model, asked, DIABETES[0].tolist(), seconds=0) is None


def feature(name: str, *, missing: bool = False) -> dict[str, Any]:
    figures = {"min": 0.0, "max": 1.0, "mean": 0.5}
    return {"name": name, "unit": None, "missing": missing, **figures}


def contrary(rows: Any) -> Any:
    """Return probabilities that no class of scikit-learn's would give."""
    return np.tile([0.5, 0.25, 0.25], (len(rows), 1))


def test_what_differs_is_served_by_its_pickle() -> None:
    """And it is said why; what is equal is served plain, and by the older format where there is
    one."""
    about = {"features": [feature(name) for name in "abcd"], "class_names": ["x", "y", "z"]}
    equal = formed(GradientBoostingClassifier(n_estimators=3).fit(*IRIS), about, IRIS[0], Memory())
    assert (equal.about["form"], {*equal.files}) == ("plain", {PICKLE, PLAIN})
    forest = formed(RandomForestClassifier(3).fit(*IRIS), about, IRIS[0], Memory())
    assert ({*forest.about}, {*forest.files}) == ({"form", "memory"}, {PICKLE, FOREST})
    other = GradientBoostingClassifier(n_estimators=3).fit(*IRIS)
    other.predict_proba = contrary
    found = formed(other, about, IRIS[0], Memory())
    assert (found.about["form"], {*found.files}) == ("pickle", {PICKLE})
    assert "where scikit-learn says" in found.about["why_pickle"]
    assert isinstance(found.model, Estimator)
    assert formed(GaussianNB().fit(*IRIS), about, IRIS[0], Memory()).about == {"form": "pickle"}


def test_forests_with_gaps_have_the_newer_format() -> None:
    """The older one has no word for the branch that a gap takes."""
    features = [feature(name, missing=name == "a") for name in "abcd"]
    about = {"features": features, "class_names": ["x", "y", "z"]}
    found = formed(RandomForestClassifier(3).fit(*IRIS), about, IRIS[0], Memory())
    assert {*found.files} == {PICKLE, PLAIN}


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), DecisionTreeRegressor(max_depth=6)], ids=["line", "tree"]
)
def test_many_categories_are_taken_in_parts(
    estimator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made of 300 towns at once is bounded, as the square of 30,000 fills any memory."""
    monkeypatch.setattr(steps, "CELLS", 3000)
    monkeypatch.setattr(plain_forms, "CELLS", 3000)
    monkeypatch.setattr(around, "MOST_CATEGORIES", 20)
    seen: list[int] = []
    asked = OneHotEncoder.transform
    monkeypatch.setattr(
        OneHotEncoder, "transform", lambda self, x: (seen.append(len(x)), asked(self, x))[1]
    )
    towns = np.array([[f"town {each}"] for each in range(300)], dtype=object)
    model = make_pipeline(OneHotEncoder(), estimator).fit(towns, np.arange(300) % 2)
    seen.clear()
    plain = flatten(model)
    assert plain is not None and max(seen) == 10
    scored = restore(plain.about, plain.arrays)
    seen.clear()
    tried = list(rows_around(plain, scored, towns.tolist()))
    assert {town for (town,) in tried} >= {town for (town,) in towns} and len(tried) < 700
    assert scored.score_rows(towns.tolist()) == [scored.score_row(row) for row in towns.tolist()]
    assert proof(model, towns, nothing) is None


def test_every_split_is_reached_on_both_sides() -> None:
    """Each threshold that some row can reach is tried: no leaf of a tree is left out."""
    for scaled in (False, True):
        tree = DecisionTreeRegressor(max_leaf_nodes=40, random_state=0)
        fitted = (make_pipeline(StandardScaler(), tree) if scaled else tree).fit(*DIABETES)
        plain = flatten(fitted)
        model = restore(plain.about, plain.arrays)
        rows = [*rows_around(plain, model, DIABETES[0][:1].tolist())]
        complete = [row for row in rows if not any(map(math.isnan, row))]
        assert {*fitted.predict(complete)} == {*plain.arrays["value"][:, 0]}
