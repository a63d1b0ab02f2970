"""Training: any numeric table, the same bytes each time, the accuracy that scikit-learn gives."""

from __future__ import annotations

import json
import re
import time
from importlib.metadata import distribution
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from irisab import config
from irisab.lifecycle import exam, training
from irisab.lifecycle.dataset import load_iris
from irisab.model import bundle
from irisab.stats import drift

IRIS = load_iris()
PENGUINS = Path(str(distribution("palmerpenguins").locate_file("palmerpenguins/data/penguins.csv")))


def manifest(models: Path, version: str) -> Any:
    return json.loads((models / version / "current" / bundle.MANIFEST).read_text())


@pytest.mark.parametrize(("version", "trees"), [("v1", 50), ("v2", 100)])
def test_accuracy_is_scikit_learns_own(version: str, trees: int, iris_models: Path) -> None:
    """What is printed is scikit-learn's own accuracy in five folds, with its standard error; what
    the exam says is that of the same forest, which has never seen it."""
    members = exam.members(IRIS, salt="irisab")
    forest = RandomForestClassifier(trees, random_state=42)
    forest.fit(IRIS.rows[~members], IRIS.labels[~members])
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    scores = cross_val_score(
        RandomForestClassifier(trees, random_state=42), IRIS.rows, IRIS.labels, cv=folds
    )
    found = manifest(iris_models, version)
    assert found["accuracy"] == found["cv_accuracy"] == scores.mean()
    assert found["cv_standard_error"] == pytest.approx(scores.std(ddof=1) / 5**0.5)
    assert (found["estimator"], found["n_estimators"]) == ("RandomForestClassifier", trees)
    rows, truth = IRIS.rows[members], IRIS.labels[members]
    assert found["exam"]["rows"] == len(rows) == 38
    assert found["exam"]["accuracy"] == forest.score(rows, truth)
    answers = bundle.load(iris_models, version).model.score_rows(rows.tolist())
    assert np.mean([index for index, _ in answers] == truth) == found["exam"]["accuracy"]
    for index, name in enumerate(IRIS.class_names):
        of_class = truth == index
        assert found["exam"]["per_class"][name] == {
            "rows": of_class.sum(),
            "correct": (forest.predict(rows[of_class]) == index).sum(),
            "recall": forest.score(rows[of_class], truth[of_class]),
        }


def test_the_same_seed_gives_the_same_bytes(iris_models: Path, tmp_path: Path) -> None:
    """A model trained again elsewhere is the same model, by its hash."""
    estimator = training.forest(config.ModelOptions(n_estimators=50))
    accuracy = training.fit(tmp_path, "again", IRIS, estimator=estimator)
    ours, theirs = manifest(tmp_path, "again"), manifest(iris_models, "v1")
    plain = [
        (models / version / "current" / bundle.FOREST).read_bytes()
        for models, version in ((tmp_path, "again"), (iris_models, "v1"))
    ]
    assert plain[0] == plain[1]
    assert ours["sha256"] == theirs["sha256"] != manifest(iris_models, "v2")["sha256"]
    assert accuracy == ours["accuracy"]
    different = {name for name in ours if ours[name] != theirs[name]}
    assert different <= {"trained_at", "files"}


def test_another_seed_gives_another_model(iris_models: Path, tmp_path: Path) -> None:
    """The seed decides; which rows are for the exam does not depend on it."""
    estimator = training.forest(config.ModelOptions(n_estimators=50, random_state=7))
    training.fit(tmp_path, "v1", IRIS, estimator=estimator, seed=7)
    ours, theirs = manifest(tmp_path, "v1"), manifest(iris_models, "v1")
    assert ours["sha256"] != theirs["sha256"]
    assert ours["reference"] == theirs["reference"]


def test_the_reference_is_of_the_rows_fitted_on(iris_models: Path) -> None:
    """Ranges, means and drift reference leave the exam out."""
    rows = IRIS.rows[~exam.members(IRIS, salt="irisab")]
    found = bundle.load(iris_models, "v1")
    assert found.reference.mean == pytest.approx(rows.mean(axis=0))
    assert found.reference.std == pytest.approx(rows.std(axis=0, ddof=0))
    for feature, stored, column in zip(
        found.features, found.reference.columns, rows.T, strict=True
    ):
        assert (feature.min, feature.max) == (column.min(), column.max())
        assert feature.mean == pytest.approx(column.mean())
        assert stored.tolist() == sorted(column)
    assert found.manifest["rows"] == len(rows) == 112
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.manifest["trained_at"])


def test_the_ini_describes_the_forest() -> None:
    """Each option of [model.*] reaches scikit-learn under its own name."""
    found = training.forest(
        config.ModelOptions(n_estimators=7, max_depth=3, min_samples_leaf=2, random_state=1)
    )
    assert type(found) is RandomForestClassifier
    expected = {"n_estimators": 7, "max_depth": 3, "min_samples_leaf": 2, "random_state": 1}
    assert expected.items() <= found.get_params().items()


def test_examples_sent_in_turn_are_no_drift(iris_models: Path) -> None:
    """Who clicks through the examples for 100 rows raises no alarm, and sees every class."""
    for version in ("v1", "v2"):
        found = bundle.load(iris_models, version)
        examples = found.manifest["examples"]
        assert {each["class_name"] for each in examples} == set(found.class_names)
        rows = np.array([each["features"] for each in islice(cycle(examples), 100)])
        assert not drift.measure(rows, found.reference).exceeds(0.3)
        for each in examples:
            position = IRIS.rows.tolist().index(each["features"])
            assert each["class_name"] == IRIS.class_names[IRIS.labels[position]]


@pytest.mark.parametrize(("seconds", "said"), [(0.1, ""), (1.3, "\rfitting v1: 1 s \n")])
def test_progress_is_shown_from_the_first_second_on(
    seconds: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is quick says nothing, and the documented lines stay alone on stdout."""
    with training._progress("fitting v1"):
        time.sleep(seconds)
    assert capsys.readouterr() == ("", said)
