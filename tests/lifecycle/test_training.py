"""Training: any numeric table, the same bytes each time, the accuracy that scikit-learn gives."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mean_absolute_error, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from irisab import config
from irisab.errors import DataError
from irisab.lifecycle import exam, prepare, scores, training
from irisab.lifecycle.dataset import load_csv, load_iris
from irisab.lifecycle.rows import Dataset
from irisab.model import bundle

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
    # Two of the flowers have the same measurements, and are in the same fold.
    same = [exam.unit_of(row) for row in IRIS.rows.tolist()]
    first = np.array([n for n, each in enumerate(same) if each not in same[:n]])
    assert len(first) == len(IRIS.rows) - 1
    folds = [
        [np.flatnonzero(np.isin(same, np.array(same)[first[part]])) for part in fold]
        for fold in StratifiedKFold(5, shuffle=True, random_state=42).split(
            first, IRIS.labels[first]
        )
    ]
    accuracies = cross_val_score(
        RandomForestClassifier(trees, random_state=42), IRIS.rows, IRIS.labels, cv=folds
    )
    found = manifest(iris_models, version)
    assert found["accuracy"] == found["cv_accuracy"] == accuracies.mean()
    assert found["cv_standard_error"] == pytest.approx(accuracies.std(ddof=1) / 5**0.5)
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
    assert different <= {"trained_at", "files", "memory"}  # what is measured


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


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.1, ""), (3, r"\rfitting v1: 1 s( \rfitting v1: \d+ s)* \n")]
)
def test_progress_is_shown_from_the_first_second_on(
    seconds: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is quick says nothing, and the documented lines stay alone on stdout."""
    with training._progress("fitting v1"):
        time.sleep(seconds)
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(said, err)


# -- any task, any estimator ----------------------------------------------------------------


def values(rows: int = 60) -> Dataset:
    """Return a table whose target is twice the first column and a bit of the second."""
    table = np.random.default_rng(1).normal(size=(rows, 2))
    return Dataset(
        name="values",
        rows=table,
        labels=2 * table[:, 0] + 0.1 * table[:, 1],
        features=[("a", None), ("b", None)],
        task="regression",
    )


def test_a_regression_is_measured_by_its_errors(tmp_path: Path) -> None:
    """MAE and RMSE are scikit-learn's own, in five folds and in the exam; there is no accuracy."""
    dataset = values()
    estimator = DecisionTreeRegressor(random_state=0)
    found = training.fit(tmp_path, "v1", dataset, estimator=estimator)
    folds = KFold(5, shuffle=True, random_state=42)
    wrong = [
        -cross_val_score(estimator, dataset.rows, dataset.labels, cv=folds, scoring=f"neg_{name}")
        for name in ("mean_absolute_error", "root_mean_squared_error")
    ]
    said = manifest(tmp_path, "v1")
    assert found == said["mae"] == pytest.approx(wrong[0].mean())
    assert said["rmse"] == pytest.approx(wrong[1].mean())
    assert said["cv_standard_error"] == pytest.approx(wrong[0].std(ddof=1) / 5**0.5)
    assert said["accuracy"] is said["cv_accuracy"] is None
    assert (said["task"], said["class_names"], said["class_numbers"]) == ("regression", [], [])
    members = exam.members(dataset, salt="irisab")
    fitted = estimator.fit(dataset.rows[~members], dataset.labels[~members])
    assert said["exam"] == {
        "rows": members.sum(),
        "mae": pytest.approx(
            mean_absolute_error(dataset.labels[members], fitted.predict(dataset.rows[members]))
        ),
        "rmse": pytest.approx(
            root_mean_squared_error(dataset.labels[members], fitted.predict(dataset.rows[members]))
        ),
    }
    answers = bundle.load(tmp_path, "v1").model.score_rows(dataset.rows[members].tolist())
    assert [value for value, _ in answers] == fitted.predict(dataset.rows[members]).tolist()
    assert [probabilities for _, probabilities in answers] == [()] * members.sum()


def test_groups_are_not_torn_apart(tmp_path: Path) -> None:
    """Who learns a patient by heart is not examined on the same patient, nor tested on them."""
    noise = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    dataset = Dataset(
        name="patients",
        rows=noise.normal(size=40)[groups][:, None] + noise.normal(scale=1e-6, size=(400, 1)),
        labels=noise.integers(0, 2, 40)[groups],
        features=[("a", None)],
        class_names=["ill", "well"],
    )
    tree = DecisionTreeClassifier(random_state=0)
    assert training.fit(tmp_path, "v1", dataset, estimator=tree) > 0.95
    together = replace(dataset, groups=list(map(str, groups)))
    assert training.fit(tmp_path, "v2", together, estimator=tree) < 0.75
    assert manifest(tmp_path, "v2")["exam"]["accuracy"] < 0.9
    assert manifest(tmp_path, "v1")["exam"]["accuracy"] > 0.95


def test_equal_rows_are_not_torn_apart(tmp_path: Path) -> None:
    """A row that is there ten times is learnt by heart in nine: no fold tests what it has learnt,
    so that five folds say of noise what the exam says."""
    noise = np.random.default_rng(0)
    once = noise.normal(size=(60, 2)).round(3)
    for number, (task, labels, estimator) in enumerate(
        [
            ("classification", noise.integers(0, 2, 60), DecisionTreeClassifier(random_state=0)),
            ("regression", noise.normal(size=60), DecisionTreeRegressor(random_state=0)),
        ]
    ):
        dataset = Dataset(
            name="repeated",
            rows=np.repeat(once, 10, axis=0),
            labels=np.repeat(labels, 10),
            features=[("a", None), ("b", None)],
            class_names=["no", "yes"] if task == "classification" else [],
            task=task,
        )
        found = training.fit(tmp_path, f"v{number}", dataset, estimator=estimator)
        # By heart: all right, and no error at all.
        assert found < 0.75 if task == "classification" else found > 0.5
        for learn, test in scores._folds(dataset, 42):
            assert not {*map(tuple, dataset.rows[learn])} & {*map(tuple, dataset.rows[test])}


def test_a_class_can_count_more(tmp_path: Path) -> None:
    """Weighed, the rare class is found more often."""
    noise = np.random.default_rng(0)
    labels = (np.arange(600) % 20 == 0).astype(int)
    dataset = Dataset(
        name="frauds",
        rows=noise.normal(labels[:, None], 1, (600, 1)),
        labels=labels,
        features=[("a", None)],
        class_names=["ok", "fraud"],
    )
    recall = {}
    for version, weight in (("v1", None), ("v2", "fraud: 20"), ("v3", "balanced")):
        options = config.TrainingOptions(class_weight=weight)
        training.fit(tmp_path, version, dataset, estimator=LogisticRegression(), options=options)
        found = manifest(tmp_path, version)
        recall[version] = found["exam"]["per_class"]["fraud"]["recall"]
        assert found["training"]["class_weight"] == weight
    assert recall["v1"] < 0.2 and recall["v2"] > 0.5 and recall["v3"] > 0.5


def test_a_version_is_never_replaced_unasked(tmp_path: Path, iris_models: Path) -> None:
    """From Python as from the command line: with a word, and under a name that an INI can have."""
    models = Path(shutil.copytree(iris_models, tmp_path / "models", symlinks=True))
    before = manifest(models, "v1")
    tree = DecisionTreeClassifier()
    with pytest.raises(DataError, match="version v1 has a model already; force=True replaces it"):
        training.fit(models, "v1", IRIS, estimator=tree)
    assert manifest(models, "v1") == before
    training.fit(models, "v1", IRIS, estimator=tree, force=True)
    assert manifest(models, "v1")["estimator"] == "DecisionTreeClassifier"
    for name in ("../v1", "", "my model", "v" * 65, ".v"):
        with pytest.raises(DataError, match="a version's name is 1 to 64 letters"):
            training.fit(models, name, IRIS, estimator=tree)


class Counting(DecisionTreeClassifier):
    """A tree that says how often it was fitted."""

    fits = 0

    def fit(self, *arguments: Any, **options: Any) -> Any:
        Counting.fits += 1
        return super().fit(*arguments, **options)


NAN = np.where(np.arange(600).reshape(150, 4) == 7, np.nan, IRIS.rows)
UNFIT: dict[str, tuple[Dataset, Any, str]] = {
    "a clusterer": (IRIS, KMeans(3), "KMeans finds clusters, and there is no true answer"),
    "a regressor": (
        IRIS,
        DecisionTreeRegressor(),
        "is a regressor, and Iris is data for a classif",
    ),
    "a classifier": (
        values(),
        DecisionTreeClassifier(),
        "is a classifier, and values is data for a",
    ),
    "gaps": (
        replace(IRIS, rows=NAN),
        LogisticRegression(),
        "LogisticRegression cannot learn from Iris: Input X contains NaN.",
    ),
    "labels": (
        replace(IRIS, labels=IRIS.labels - 1),
        Counting(),
        "label -1 is not among the class",
    ),
}


@pytest.mark.parametrize(("dataset", "estimator", "reason"), UNFIT.values(), ids=UNFIT)
def test_what_cannot_be_served_is_refused_at_once(
    dataset: Dataset, estimator: Any, reason: str, tmp_path: Path
) -> None:
    """Before six fits, in a sentence, and without a folder that looks like a version."""
    Counting.fits = 0
    with pytest.raises(DataError) as caught:
        training.fit(tmp_path / "models", "v1", dataset, estimator=estimator)
    assert reason in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "models" / "v1").exists() and Counting.fits == 0


def test_a_model_without_probabilities_is_served_without(tmp_path: Path) -> None:
    """Its classes are all that it says."""
    estimator = LinearSVC(random_state=0)
    training.fit(tmp_path, "v1", IRIS, estimator=estimator)
    learning = ~exam.members(IRIS, salt="irisab")
    expected = estimator.fit(IRIS.rows[learning], IRIS.labels[learning]).predict(IRIS.rows)
    answers = bundle.load(tmp_path, "v1").model.score_rows(IRIS.rows.tolist())
    assert answers == [(index, ()) for index in expected.tolist()]
    assert manifest(tmp_path, "v1")["format"] == 2


def test_text_and_gaps_need_an_irisab_that_knows_them(tmp_path: Path, iris_models: Path) -> None:
    """Numbers and classes stay in the format that an older one can serve, key by key."""
    assert manifest(iris_models, "v1")["format"] == 1
    old = {"name", "unit", "min", "max", "mean"}
    assert all(set(each) == old for each in manifest(iris_models, "v1")["features"])
    dataset, _ = load_csv(PENGUINS, target="species")
    estimator = training.forest(config.ModelOptions(n_estimators=20))
    pipeline = prepare.prepared("random_forest", estimator, dataset)
    assert training.fit(tmp_path, "v1", dataset, estimator=pipeline) > 0.95
    found = manifest(tmp_path, "v1")
    assert found["format"] == 2 and found["estimator"] == "RandomForestClassifier"
    island, length, *_ = bundle.load(tmp_path, "v1").features
    assert (island.type, island.categories) == ("category", ("Biscoe", "Dream", "Torgersen"))
    assert (length.type, length.missing, length.categories) == ("number", True, None)
    assert found["reference"]["mean"][0] is None
    assert sum(found["reference"]["shares"][0].values()) == pytest.approx(1)
    assert 0 < found["reference"]["missing"][1] < 0.02


def test_penguins_equal_scikit_learns_own_pipeline(tmp_path: Path) -> None:
    """What irisab builds answers as a person's own ColumnTransformer does, on the same exam."""
    dataset, _ = load_csv(PENGUINS, target="species")
    members = exam.members(dataset, salt="irisab")
    own = make_pipeline(
        ColumnTransformer(
            [("texts", OneHotEncoder(handle_unknown="ignore"), [0, 5])], remainder="passthrough"
        ),
        RandomForestClassifier(20, random_state=42),
    ).fit(dataset.rows[~members], dataset.labels[~members])
    estimator = training.forest(config.ModelOptions(n_estimators=20))
    pipeline = prepare.prepared("random_forest", estimator, dataset)
    training.fit(tmp_path, "v1", dataset, estimator=pipeline)
    answers = bundle.load(tmp_path, "v1").model.score_rows(dataset.rows[members].tolist())
    assert np.array([each for _, each in answers]) == pytest.approx(
        own.predict_proba(dataset.rows[members])
    )
