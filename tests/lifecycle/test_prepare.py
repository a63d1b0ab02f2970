"""What is built in front of an estimator, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline

from irisab.lifecycle import estimators, prepare
from irisab.lifecycle.dataset import load_iris
from irisab.lifecycle.rows import Dataset, checked
from irisab.versions import KINDS, ModelOptions

IRIS = checked(load_iris())
CLASSIFIERS = [kind for kind in KINDS if kind != "linear_regression"]


def table(*, texts: bool = True, gaps: bool = True) -> Dataset:
    """Return 60 rows of age, colour and a boolean; the colour decides."""
    colours = [["red", "blue", "green", None if gaps else "red"][n % 4] for n in range(60)]
    ages = [float("nan") if gaps and n % 5 == 0 else float(n * 7 % 50) for n in range(60)]
    columns = {"age": ages, "new": [float(n % 2) for n in range(60)], "colour": colours}
    if not texts:
        del columns["colour"]
    types = {"age": "number", "new": "boolean", "colour": "category"}
    return checked(
        Dataset(
            name="table",
            rows=np.array(list(zip(*columns.values(), strict=True)), dtype=object),
            labels=np.array([n % 4 in (0, 3) for n in range(60)]).astype(int),
            features=[(name, None) for name in columns],
            class_names=["no", "yes"],
            types=[types[name] for name in columns],  # type: ignore[misc]
        )
    )


def built(kind: str, dataset: Dataset) -> Any:
    estimator = estimators.build(ModelOptions(kind=kind), "classification")
    return prepare.prepared(kind, estimator, dataset)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_complete_numbers_need_nothing(kind: str) -> None:
    """Trees take them as they are; a logistic regression has them scaled."""
    found = built(kind, IRIS)
    assert isinstance(found, Pipeline) == (kind == "logistic_regression")


@pytest.mark.parametrize("kind", prepare.TAKE_MISSING)
def test_gaps_in_numbers_are_left_to_estimators_that_take_them(kind: str) -> None:
    """The bare estimator is fitted on NaN."""
    dataset = table(texts=False)
    found = built(kind, dataset)
    assert not isinstance(found, Pipeline)
    found.fit(dataset.rows, dataset.labels)


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("gaps", [True, False])
@pytest.mark.parametrize("texts", [True, False])
def test_every_kind_learns_from_every_column(kind: str, gaps: bool, texts: bool) -> None:
    """Texts, gaps and booleans; a new category and a gap where there was none are answered."""
    dataset = table(texts=texts, gaps=gaps)
    fitted = built(kind, dataset).fit(dataset.rows, dataset.labels)
    if texts:
        assert fitted.score(dataset.rows, dataset.labels) == 1
        new = np.array([[30.0, 1.0, "black"], [float("nan"), 0.0, None]], dtype=object)
        if gaps or kind in prepare.TAKE_MISSING:
            assert set(fitted.predict(new)) <= {0, 1}


def test_what_is_built_is_scikit_learns_own_pipeline() -> None:
    """One-hot for most, by number for the one that splits on sets of categories."""
    forest = built("random_forest", table())
    assert [name for name, _ in forest.steps] == ["prepare", "model"]
    assert isinstance(forest["model"], RandomForestClassifier)
    (name, encoder, columns), (_, numbers, others) = forest["prepare"].transformers
    assert (name, columns, numbers, others) == ("categories", [2], "passthrough", [0, 1])
    assert type(encoder).__name__ == "OneHotEncoder"
    boosting = built("hist_gradient_boosting", table())
    assert isinstance(boosting["model"], HistGradientBoostingClassifier)
    assert boosting["model"].categorical_features == [0]
    assert type(boosting["prepare"].transformers[0][1]).__name__ == "OrdinalEncoder"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "random_forest",
            "age: 20 % missing, taken as missing; "
            "colour: one-hot, 3 categories, 25 % missing, taken as missing",
        ),
        (
            "gradient_boosting",
            "age: 20 % missing, the median instead; "
            "colour: one-hot, 3 categories, 25 % missing, taken as missing",
        ),
        (
            "hist_gradient_boosting",
            "age: 20 % missing, taken as missing; "
            "colour: by their numbers, 3 categories, 25 % missing, taken as missing",
        ),
        (
            "logistic_regression",
            "age: 20 % missing, the median instead; "
            "colour: one-hot, 3 categories, 25 % missing, taken as missing; numbers: scaled",
        ),
    ],
)
def test_it_is_said_in_a_line(kind: str, said: str) -> None:
    """Feature by feature, those alike together; nothing where nothing is done."""
    assert prepare.explain(kind, table()) == said
    assert prepare.explain("random_forest", IRIS) is None
    rows = table().rows.copy()
    twice = replace(
        table(), rows=np.column_stack([rows, rows[:, 0]]),
        features=[*table().features, ("size", None)], types=[*table().types, "number"],
    )  # fmt: skip
    assert (prepare.explain("random_forest", twice) or "").startswith("age, size: 20 % missing")
