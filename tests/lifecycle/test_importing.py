"""Imported models: each format answers as its own library does, and nothing is fitted again."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest
from fitted_models import ROWS, kinds, measurements, needs, passengers, survivors, write
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from irisab.config import TrainingOptions
from irisab.errors import DataError, MissingPackage
from irisab.lifecycle import adopting, exam, importing, kept, reading, training
from irisab.lifecycle.columns import read_known
from irisab.lifecycle.dataset import load_csv, load_iris
from irisab.lifecycle.job import Job
from irisab.lifecycle.known import of_manifest
from irisab.lifecycle.rows import to_array
from irisab.model import bundle, publish
from irisab.model.bundle import Bundle

# One unit in the last place of a probability, which a plain form may differ by.
ONE_ULP = 2.3e-16


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    return write(measurements(), kinds(), tmp_path / "leaves.csv")


@pytest.fixture
def boat(tmp_path: Path) -> Path:
    frame = passengers()
    return write(frame, survivors(frame), tmp_path / "boat.csv", column="survived")


def job(file: Path, **more: Any) -> Job:
    told = {"version": "v3", "models": file.parent / "models", "trust": True, **more}
    return Job(file=file, **{"options": TrainingOptions(), **told})


def brought(file: Path, **more: Any) -> tuple[Bundle, list[str]]:
    """Import here instead of in a sealed process, which takes seconds; load what came of it."""
    notes: list[str] = []
    asked = job(file, **more)
    publish.put(asked.models, asked.version, adopting.files(asked, notes))
    return bundle.load(asked.models, asked.version), notes


def dumped(model: Any, folder: Path) -> Path:
    joblib.dump(model, folder / "model.joblib")
    return folder / "model.joblib"


def rows_of(version: Bundle, csv: Path, target: str) -> Any:
    """Read the columns of a file that a version takes, in its order."""
    table = reading.read(csv, target=target)
    titles = [title for title in table.columns if title in version.feature_names]
    columns = read_known(table, titles, of_manifest("v3", version.manifest), ".") or []
    return to_array([column.values for column in columns], [each.type for each in version.features])


def assert_same(version: Bundle, rows: Any, said: Any, probabilities: Any = None) -> None:
    """Compare with what a library says: its classes or values, and its probabilities."""
    answers = version.model.score_rows(rows.tolist())
    if version.task == "regression":
        assert [value for value, _ in answers] == np.asarray(said, dtype=float).tolist()
        return
    numbered = dict(zip(version.class_names, range(len(version.class_names)), strict=True))
    assert [index for index, _ in answers] == [numbered[str(each)] for each in said]
    if probabilities is None:
        assert {each for _, each in answers} == {()}
    else:
        given = np.array([each for _, each in answers])
        assert np.abs(given - np.asarray(probabilities, dtype=float)).max() <= ONE_ULP


def alone(ask: Callable[[Any], Any], frame: Any) -> Any:
    """What a library says of each row by itself.

    Of many rows a product may be summed in another order: that depends on the processor.
    """
    return np.concatenate([ask(frame.iloc[[number]]) for number in range(len(frame))])


def prepared(model: Any) -> Any:
    """A pipeline as notebooks have it: columns by name, the rest dropped."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return Pipeline([
        ("prepare", ColumnTransformer([
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["sex", "port"]),
            ("numbers", numbers, ["age", "alone"]),
        ])),
        ("model", model),
    ])  # fmt: skip


def test_a_pipeline_on_named_columns(boat: Path, tmp_path: Path) -> None:
    """Text, gaps and booleans are asked for under their names; what it drops is not asked for."""
    frame = passengers()
    model = prepared(LogisticRegression()).fit(frame, survivors(frame))
    said, probabilities = alone(model.predict, frame), alone(model.predict_proba, frame)
    version, notes = brought(dumped(model, tmp_path), data=boat, target="survived")
    assert notes[0] == "Not asked for, because the model drops them: name"
    assert [(each.name, each.type, each.missing) for each in version.features] == [
        ("sex", "category", False),
        ("age", "number", True),
        ("alone", "boolean", False),
        ("port", "category", False),
    ]
    assert version.features[3].categories == ("C", "Q", "S")
    assert_same(version, rows_of(version, boat, "survived"), said, probabilities)
    manifest = version.manifest
    assert manifest["accuracy"] == np.mean(said == survivors(frame))
    assert manifest["estimator"] == "LogisticRegression"
    assert manifest["form"] == "plain"


WRITERS: dict[str, Callable[[Any, Path], Any]] = {
    "joblib": lambda model, path: joblib.dump(model, path),
    "joblib zlib": lambda model, path: joblib.dump(model, path, compress=3),
    "joblib xz": lambda model, path: joblib.dump(model, path, compress=("xz", 2)),
    "pickle": lambda model, path: path.write_bytes(pickle.dumps(model)),
    "cloudpickle": lambda model, path: path.write_bytes(cloudpickle.dumps(model)),
    "skops": lambda model, path: needs("skops.io").dump(model, path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_files_of_scikit_learn(writer: str, leaves: Path, tmp_path: Path) -> None:
    """However it was written, whatever the file is called."""
    frame = measurements()
    model = RandomForestClassifier(5, random_state=0, n_jobs=2).fit(frame, kinds())
    WRITERS[writer](model, tmp_path / "model.bin")
    version, notes = brought(tmp_path / "model.bin", data=leaves, target="kind")
    assert_same(version, frame.to_numpy(), model.predict(frame), model.predict_proba(frame))
    assert [(each.name, each.unit) for each in version.features] == [
        ("width", "cm"),
        ("height", "cm"),
    ]
    assert version.manifest["imported"]["format"] == ("skops" if writer == "skops" else "pickle")


@pytest.mark.parametrize("wrap", ["search", "frozen", "both"])
def test_what_is_around_an_estimator_is_taken_off(wrap: str, leaves: Path, tmp_path: Path) -> None:
    """A search is its best estimator, a frozen one itself: plain, where these are."""
    frame = measurements()
    model: Any = LogisticRegression()
    if wrap != "frozen":
        model = GridSearchCV(make_pipeline(StandardScaler(), model), {}, cv=2)
    model.fit(frame, kinds())
    if wrap != "search":
        model = FrozenEstimator(model)
    version, _ = brought(dumped(model, tmp_path), data=leaves, target="kind")
    assert version.manifest["estimator"] == "LogisticRegression"
    assert version.manifest["form"] == "plain"
    assert_same(
        version, frame.to_numpy(), alone(model.predict, frame), alone(model.predict_proba, frame)
    )


def test_what_has_no_plain_form_is_served_as_it_is(leaves: Path, tmp_path: Path) -> None:
    """With one thread, wherever n_jobs hides."""
    frame = measurements()
    nearest = KNeighborsClassifier(5, n_jobs=3)
    model = VotingClassifier([("a", nearest), ("b", LogisticRegression())], voting="soft", n_jobs=2)
    model.fit(frame, kinds())
    said, probabilities = model.predict(frame), model.predict_proba(frame)
    version, _ = brought(dumped(model, tmp_path), data=leaves, target="kind")
    assert version.manifest["form"] == "pickle"
    assert_same(version, frame.to_numpy(), said, probabilities)
    stored = joblib.load(version.folder / bundle.PICKLE)
    assert [each.n_jobs for each in (stored, stored.named_estimators_["a"])] == [1, 1]


def test_a_classifier_without_probabilities(leaves: Path, tmp_path: Path) -> None:
    """It answers classes only."""
    frame = measurements()
    model = LinearSVC().fit(frame, kinds())
    version, _ = brought(dumped(model, tmp_path), data=leaves, target="kind")
    assert_same(version, frame.to_numpy(), alone(model.predict, frame))


def test_a_regression(tmp_path: Path) -> None:
    """Its error is measured, as training's is."""
    frame = measurements()
    truth = frame.sum(axis=1) + np.arange(ROWS) % 5
    csv = write(frame, truth, tmp_path / "sums.csv", column="sum")
    model = make_pipeline(StandardScaler(), Ridge()).fit(frame, truth)
    said = alone(model.predict, frame)
    version, _ = brought(dumped(model, tmp_path), data=csv, target="sum")
    assert version.task == "regression" and version.class_names == ()
    answers = version.model.score_rows(frame.to_numpy().tolist())
    assert [value for value, _ in answers] == pytest.approx(said.tolist(), rel=1e-15)
    wrong = np.abs(said - truth)
    assert version.manifest["accuracy"] is None
    assert version.manifest["mae"] == pytest.approx(wrong.mean())
    assert version.manifest["measured"]["standard_error"] == pytest.approx(
        wrong.std(ddof=1) / ROWS**0.5
    )


@pytest.mark.parametrize("suffix", ["json", "ubj"])
@pytest.mark.parametrize("kind", ["multi", "binary", "regression"])
@pytest.mark.parametrize("saved", ["wrapper", "booster"])
def test_xgboost(saved: str, kind: str, suffix: str, tmp_path: Path) -> None:
    """Its own two formats, of its scikit-learn classes and of boosters, with gaps."""
    xgboost = needs("xgboost")
    frame = measurements()
    frame.iloc[::5, 0] = np.nan
    truth = np.arange(ROWS) % {"multi": 3, "binary": 2, "regression": 50}[kind]
    csv = write(frame, truth, tmp_path / "table.csv")
    cls = xgboost.XGBRegressor if kind == "regression" else xgboost.XGBClassifier
    model = cls(n_estimators=4, max_depth=3, n_jobs=1).fit(frame, truth)
    file = tmp_path / f"model.{suffix}"
    (model if saved == "wrapper" else model.get_booster()).save_model(file)
    version, _ = brought(file, data=csv, target="kind", trust=False)
    assert version.manifest["imported"]["format"] == "XGBoost"
    assert version.features[0].missing
    probabilities = None if kind == "regression" else alone(model.predict_proba, frame)
    assert_same(version, frame.to_numpy(), alone(model.predict, frame), probabilities)


@pytest.mark.parametrize("kind", ["multiclass", "binary", "regression"])
def test_lightgbm(kind: str, tmp_path: Path) -> None:
    """Its own text, which needs no trust; classes get the names that a person gives."""
    lightgbm = needs("lightgbm")
    frame = measurements()
    frame.iloc[::5, 1] = np.nan
    numbers = np.arange(ROWS) % {"multiclass": 3, "binary": 2, "regression": 50}[kind]
    classifies = kind != "regression"
    truth = np.array(["ash", "beech", "oak"])[numbers] if classifies else numbers
    csv = write(frame, truth, tmp_path / "table.csv")
    cls = lightgbm.LGBMClassifier if classifies else lightgbm.LGBMRegressor
    model = cls(n_estimators=4, verbose=-1, n_jobs=1).fit(frame, truth)
    model.booster_.save_model(tmp_path / "model.txt")
    names = tuple(sorted(set(truth))) if classifies else ()
    version, _ = brought(
        tmp_path / "model.txt", data=csv, target="kind", classes=names, trust=False
    )
    assert version.class_names == names
    assert [each.name for each in version.features] == ["width", "height"]
    probabilities = alone(model.predict_proba, frame) if classifies else None
    assert_same(version, frame.to_numpy(), alone(model.predict, frame), probabilities)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_boosters_in_a_pickle(library: str, leaves: Path, tmp_path: Path) -> None:
    """Both as estimators and as what learns inside them."""
    loaded = needs(library)
    frame, numbers = measurements(), LabelEncoder().fit_transform(kinds())
    if library == "xgboost":
        model = loaded.XGBClassifier(n_estimators=3).fit(frame, numbers)
        inner = model.get_booster()
    else:
        model = loaded.LGBMClassifier(n_estimators=3, verbose=-1).fit(frame, numbers)
        inner = model.booster_
    expected = np.unique(kinds())[alone(model.predict, frame)], alone(model.predict_proba, frame)
    for each in model, inner:
        version, _ = brought(
            dumped(each, tmp_path), data=leaves, target="kind", classes=("ash", "beech", "oak")
        )
        assert_same(version, frame.to_numpy(), *expected)


MLMODEL = """flavors:
  python_function:
    env:
      conda: conda.yaml
    loader_module: mlflow.{flavor}
    model_path: wrong.pkl
  {flavor}:
    code: null
    {key}: {file}
    serialization_format: cloudpickle
is_signature_from_type_hint: false
mlflow_version: 3.17.2
signature:
  inputs: '[{{"type": "double", "name": "width (cm)"}}]'
"""


@pytest.mark.parametrize(
    ("flavor", "key", "file"),
    [
        ("sklearn", "pickled_model", "model.pkl"),
        ("sklearn", "pickled_model", "model.skops"),
        ("xgboost", "data", "model.ubj"),
    ],
)
def test_an_mlflow_folder(flavor: str, key: str, file: str, leaves: Path, tmp_path: Path) -> None:
    """MLmodel, laid out as MLflow 3.17 writes it, names the file."""
    frame, folder = measurements(), tmp_path / "mlflow"
    folder.mkdir()
    (folder / "MLmodel").write_text(MLMODEL.format(flavor=flavor, key=key, file=file))
    names: tuple[str, ...] = ()
    if flavor == "xgboost":
        names = "ash", "beech", "oak"
        model = needs("xgboost").XGBClassifier(n_estimators=2)
        model.fit(frame, np.arange(ROWS) % 3).save_model(folder / file)
    else:
        model = LogisticRegression().fit(frame, kinds())
        WRITERS["skops" if file.endswith("skops") else "cloudpickle"](model, folder / file)
    version, _ = brought(folder, data=leaves, target="kind", classes=names, version="v4")
    said = alone(model.predict, frame)
    said = np.array(names)[said] if names else said
    assert_same(version, frame.to_numpy(), said, alone(model.predict_proba, frame))
    assert version.manifest["imported"]["format"].startswith("MLflow, ")


def test_columns_without_names_are_those_of_the_file(leaves: Path, tmp_path: Path) -> None:
    """An estimator that was fitted on an array takes them in their order, and is told so."""
    frame = measurements()
    model = DecisionTreeClassifier(max_depth=3).fit(frame.to_numpy(), kinds())
    version, _ = brought(dumped(model, tmp_path), data=leaves, target="kind")
    assert version.feature_names == ("width", "height")
    wide = write(frame.assign(more=1), kinds(), tmp_path / "wide.csv")
    with pytest.raises(DataError, match="takes 2 columns, .* the file has 3: .*more"):
        brought(tmp_path / "model.joblib", data=wide, target="kind")


def test_columns_come_in_the_order_of_the_model(tmp_path: Path) -> None:
    """By name, whatever the order of the file."""
    frame = measurements()
    model = HistGradientBoostingClassifier(max_iter=3).fit(frame[frame.columns[::-1]], kinds())
    csv = write(frame, kinds(), tmp_path / "table.csv")
    version, _ = brought(dumped(model, tmp_path), data=csv, target="kind")
    assert version.feature_names == ("height", "width")
    turned = frame[frame.columns[::-1]]
    assert_same(version, turned.to_numpy(), model.predict(turned), model.predict_proba(turned))


def test_the_score_is_of_the_rows_that_are_given(leaves: Path, tmp_path: Path) -> None:
    """All of them; the exam among them apart; nothing is fitted."""
    frame = measurements()
    model = LogisticRegression().fit(frame[:60], kinds()[:60])
    version, _ = brought(dumped(model, tmp_path), data=leaves, target="kind")
    manifest, right = version.manifest, alone(model.predict, frame) == kinds()
    assert manifest["accuracy"] == right.mean()
    assert manifest["measured"] == {
        "rows": ROWS,
        "on": "leaves.csv",
        "standard_error": pytest.approx(right.std(ddof=1) / ROWS**0.5),
    }
    dataset, _ = load_csv(leaves, target="kind")
    members = exam.members(dataset, salt="irisab")
    assert manifest["exam"]["rows"] == members.sum() > 0
    assert manifest["exam"]["accuracy"] == right[members].mean()
    stored = joblib.load(version.folder / bundle.PICKLE)
    assert np.array_equal(stored.coef_, model.coef_)


def test_without_labels_the_score_is_unknown(tmp_path: Path) -> None:
    """And no labels are kept that nobody gave."""
    frame = measurements()
    frame.to_csv(tmp_path / "rows.csv", index=False, sep=";", decimal=",")
    model = LogisticRegression().fit(frame, kinds())
    version, _ = brought(dumped(model, tmp_path), data=tmp_path / "rows.csv")
    assert version.manifest["accuracy"] is None
    assert version.manifest["exam"]["rows"] == version.manifest["measured"]["rows"] == 0
    assert version.manifest["training"]["file"] is None
    assert not (version.folder / kept.FILE).exists()
    assert_same(
        version, frame.to_numpy(), alone(model.predict, frame), alone(model.predict_proba, frame)
    )


def test_without_rows_those_of_another_version_are_the_exam(
    iris_models: Path, tmp_path: Path
) -> None:
    """A model with its columns and classes sits the exam that the other versions sit."""
    models = tmp_path / "models"
    shutil.copytree(iris_models, models, symlinks=True)
    iris = load_iris()
    members = exam.members(iris, salt="irisab")
    model = LinearSVC().fit(iris.rows[~members], iris.labels[~members])
    version, notes = brought(dumped(model, tmp_path), split=("v1", "v2"))
    assert notes == []
    assert version.class_names == ("setosa", "versicolor", "virginica")
    right = model.predict(iris.rows[members]) == iris.labels[members]
    assert version.manifest["accuracy"] == version.manifest["exam"]["accuracy"] == right.mean()
    assert version.manifest["measured"]["on"] == "exam"


def test_what_does_not_fit_the_other_versions_is_said(
    leaves: Path, iris_models: Path, tmp_path: Path
) -> None:
    """With rows of its own it is imported all the same; without, it has none to be tried on."""
    models = tmp_path / "models"
    shutil.copytree(iris_models, models, symlinks=True)
    file = dumped(LogisticRegression().fit(measurements(), kinds()), tmp_path)
    _, notes = brought(file, data=leaves, target="kind")
    assert notes[-1].startswith("WARNING: the data has other features than version v1: width")
    with pytest.raises(DataError, match=r"v1 takes sepal_length.*--data CSV --target COLUMN"):
        brought(file)


def test_numbers_of_classes_get_names_from_a_person(leaves: Path, tmp_path: Path) -> None:
    """Which is which is asked, never guessed."""
    model = LogisticRegression().fit(measurements(), np.arange(ROWS) % 3)
    file = dumped(model, tmp_path)
    with pytest.raises(DataError, match=r"has ash, beech, oak, .* are 0, 1, 2: .*--classes"):
        brought(file, data=leaves, target="kind")
    with pytest.raises(DataError, match="--classes names 2 classes, the model has 3: 0, 1, 2"):
        brought(file, data=leaves, target="kind", classes=("a", "b"))
    version, _ = brought(file, data=leaves, target="kind", classes=("ash", "beech", "oak"))
    assert version.class_numbers == (0, 1, 2)
    assert version.manifest["accuracy"] == np.mean(
        model.predict(measurements()) == np.arange(ROWS) % 3
    )


def texts_fitted() -> Any:
    texts = ["so good", "so bad", "good", "bad"]
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])


def columns_of_texts() -> Any:
    frame = passengers()
    chosen = ColumnTransformer([("words", TfidfVectorizer(), "name")])
    return make_pipeline(chosen, LogisticRegression()).fit(frame, survivors(frame))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "clusters": (lambda: KMeans(2, n_init=1).fit(measurements()), "finds clusters"),
    "several outputs": (
        lambda: LinearRegression().fit(measurements(), measurements()),
        "several values at once",
    ),
    "transformers": (lambda: StandardScaler().fit(measurements()), "only transforms rows"),
    "documents": (texts_fitted, "documents"),
    "columns of documents": (columns_of_texts, "documents"),
    "no estimator": (lambda: {"model": 1}, "dict is no estimator"),
    "not fitted": (LogisticRegression, "LogisticRegression is not fitted"),
    "search without a best": (
        lambda: GridSearchCV(LogisticRegression(), {}, refit=False, cv=2).fit(
            measurements(), kinds()
        ),
        "refit=True",
    ),
    "a column that is not there": (
        lambda: LogisticRegression().fit(measurements()[["width (cm)"]].assign(age=1), kinds()),
        "has no column 'age'",
    ),
    "a function": (
        lambda: make_pipeline(FunctionTransformer(lambda rows: rows), LogisticRegression()).fit(
            measurements(), kinds()
        ),
        "belongs into a module",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_served_is_refused_in_a_sentence(
    what: str, leaves: Path, tmp_path: Path
) -> None:
    """Before anything is written."""
    made, sentence = REFUSED[what]
    (tmp_path / "model.pkl").write_bytes(cloudpickle.dumps(made()))
    with pytest.raises(DataError, match=sentence) as refused:
        brought(tmp_path / "model.pkl", data=leaves, target="kind")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "models").exists()


def test_rows_that_a_model_cannot_take(tmp_path: Path) -> None:
    """Are refused by what its own library says of them."""
    frame = measurements()
    model = LogisticRegression().fit(frame, kinds())
    frame.iloc[3, 0] = np.nan
    csv = write(frame, kinds(), tmp_path / "gaps.csv")
    with pytest.raises(DataError, match=r"cannot answer the rows of gaps.csv: Input.* NaN"):
        brought(dumped(model, tmp_path), data=csv, target="kind")
    csv = write(frame.assign(**{"width (cm)": "wide"}), kinds(), tmp_path / "texts.csv")
    with pytest.raises(DataError, match="LogisticRegression cannot answer the rows of texts.csv"):
        brought(tmp_path / "model.joblib", data=csv, target="kind")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"hello", "none of the formats that irisab takes"),
        (b"", "none of the formats"),
        (b"\x80\x04broken", "cannot be opened"),
        (b"tree\nbroken", "cannot be opened"),
        (b'{"learner":', "cannot be opened"),
        (None, "cannot be read: No such file"),
    ],
)
def test_files_that_are_no_model(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    """A sentence with the name of the file."""
    file = tmp_path / "model"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=sentence) as refused:
        brought(file)
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("flavors:\n  keras:\n    data: model\n", "has the flavors keras; irisab takes sklearn"),
        ("flavors:\n  sklearn:\n    pickled_model: ../../x.pkl\n", "irisab takes sklearn"),
        (None, "a folder without a file MLmodel"),
    ],
)
def test_folders_that_are_no_model(text: str | None, sentence: str, tmp_path: Path) -> None:
    """Another flavor is named; a path never leads out of the folder."""
    if text is not None:
        (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(DataError, match=sentence):
        brought(tmp_path)


class Harmless:
    """A class that skops has never heard of."""

    def __init__(self) -> None:
        self.fitted = LogisticRegression()


def test_what_runs_code_needs_to_be_trusted(leaves: Path, tmp_path: Path) -> None:
    """A pickle always; a skops file only if it has unknown types, which are named."""
    model = LogisticRegression().fit(measurements(), kinds())
    with pytest.raises(DataError, match="runs whatever code its maker put into it: add --trust"):
        brought(dumped(model, tmp_path), data=leaves, target="kind", trust=False)
    io = needs("skops.io")
    io.dump(model, tmp_path / "model.skops")
    brought(tmp_path / "model.skops", data=leaves, target="kind", trust=False)
    io.dump(Harmless(), tmp_path / "strange.skops")
    with pytest.raises(DataError, match=r"to be harmless: test_importing\.Harmless: add --trust"):
        brought(tmp_path / "strange.skops", data=leaves, target="kind", trust=False)


def test_a_package_that_is_missing_is_named(leaves: Path, tmp_path: Path) -> None:
    """With what to type, at the import and wherever the model is loaded."""
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04cno_such_package.inner\nModel\n.")
    said = r"needs the Python package no_such_package,.* /etc/irisab/requirements.txt"
    with pytest.raises(DataError, match=said):
        importing.bring(job(tmp_path / "model.pkl", data=leaves, target="kind"))
    model = KNeighborsClassifier().fit(measurements(), kinds())
    asked = job(dumped(model, tmp_path), data=leaves, target="kind")
    files = adopting.files(asked, [])
    files[bundle.PICKLE] = (tmp_path / "model.pkl").read_bytes()
    manifest = json.loads(files[bundle.MANIFEST])
    manifest["files"][bundle.PICKLE] = hashlib.sha256(files[bundle.PICKLE]).hexdigest()
    publish.put(asked.models, "v3", {**files, bundle.MANIFEST: json.dumps(manifest).encode()})
    with pytest.raises(MissingPackage, match=said):
        bundle.load(asked.models, "v3")


class Runs:
    """Pickled, it is an order to run this code, and then to be a model."""

    def __init__(self, code: str, model: Any) -> None:
        self.code, self.model = code, model

    def __reduce__(self) -> Any:
        return eval, (f"(exec({self.code!r}), __import__('pickle').loads({self.model!r}))[1]",)


ATTACKS = {
    "writes a file": "open({mark!r}, 'w').close()",
    "changes a file": "open({victim!r}, 'r+').truncate(0)",
    "cuts off a file": "import os; os.truncate({victim!r}, 0)",
    "deletes a file": "import os; os.unlink({victim!r})",
    "makes a file unreadable": "import os; os.chmod({victim!r}, 0)",
    "makes a folder": "import os; os.mkdir({mark!r})",
    "leaves a link": "import os; os.symlink('x', {mark!r})",
    "runs a command": "import os; assert os.system('touch {mark}') == 0",
    "runs a program": "import subprocess; subprocess.run(['touch', {mark!r}], check=True)",
    "forks": "import os; os._exit(0) if os.fork() else open({mark!r}, 'w')",
    "calls home": "import socket; socket.create_connection(('127.0.0.1', {port}), 5).close()",
    "stops a process": "import os; os.kill({process}, 9)",
    "limits a process": "import resource as r; r.prlimit({process}, r.RLIMIT_CORE, (0, 7))",
}
POWERLESS = """
powers = next(line for line in open('/proc/self/status') if line.startswith('CapEff'))
assert int(powers.split()[1], 16) in (0, 4), powers"""
QUIETLY = "try:\n {}\nexcept Exception:\n pass"


class Target:
    """What an attack could do, and whether it has."""

    def __init__(self, folder: Path) -> None:
        self.victim, self.mark = folder / "victim", folder / "mark"
        self.victim.write_text("dear")
        self.victim.chmod(0o644)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(0.2)
        self.process = subprocess.Popen(["sleep", "600"])

    def code(self, attack: str) -> str:
        port = self.listening.getsockname()[1]
        told = {"victim": str(self.victim), "mark": str(self.mark), "port": port}
        return ATTACKS[attack].format(process=self.process.pid, **told)

    def is_hit(self) -> bool:
        try:
            self.listening.accept()[0].close()
        except TimeoutError:
            called = False
        else:
            called = True
        changed = not self.victim.exists() or self.victim.stat().st_mode & 0o777 != 0o644
        changed = changed or self.victim.read_text() != "dear"
        limits = resource.prlimit(self.process.pid, resource.RLIMIT_CORE)
        changed = changed or limits == (0, 7)
        return called or changed or os.path.lexists(self.mark) or self.process.poll() is not None

    def close(self) -> None:
        self.listening.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    made = Target(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_pickle_does_when_it_is_opened(
    attack: str, target: Target, leaves: Path, tmp_path: Path
) -> None:
    """It fails there, and nothing comes of it; run anywhere else, it would have worked."""
    code = target.code(attack)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Runs(code, b"")))
    asked = job(tmp_path / "model.pkl", data=leaves, target="kind")
    with pytest.raises(DataError, match="cannot be opened"):
        importing.bring(asked)
    assert not asked.models.exists() and not target.is_hit()
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert target.is_hit()


def test_a_pickle_that_hides_what_it_tried(target: Target, leaves: Path, tmp_path: Path) -> None:
    """It may be a model all the same, and is imported; still nothing has come of it."""
    model = LogisticRegression().fit(measurements(), kinds())
    code = "\n".join(QUIETLY.format(target.code(attack)) for attack in ATTACKS) + POWERLESS
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Runs(code, pickle.dumps(model))))
    asked = job(tmp_path / "model.pkl", data=leaves, target="kind")
    assert importing.bring(asked).left == []
    assert not target.is_hit()
    version = bundle.load(asked.models, "v3")
    frame = measurements()
    assert_same(
        version, frame.to_numpy(), alone(model.predict, frame), alone(model.predict_proba, frame)
    )


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import os; os._exit(0)", "the process that opened it ended without an answer"),
        ("import os; os.write(2, b'x' * 2_000_000); os._exit(9)", "without an answer: x+$"),
        ("import ctypes; ctypes.string_at(0)", "was ended by SIGSEGV"),
        ("import os; os.write(3, b'{}'); os._exit(0)", "without an answer"),
    ],
)
def test_a_process_that_gives_no_answer(
    code: str, sentence: str, leaves: Path, tmp_path: Path
) -> None:
    """How it ended is said, and nothing is written."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Runs(code, b"")))
    with pytest.raises(DataError, match=sentence):
        importing.bring(job(tmp_path / "model.pkl", data=leaves, target="kind"))
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["../../evil", "extra.sh"])
def test_only_files_of_a_bundle_come_out(name: str, leaves: Path, tmp_path: Path) -> None:
    """Whatever a pickle answers in the place of ours."""
    files = {name: 0, "manifest.json": 13}
    head = json.dumps({"files": files, "notes": [], "error": None})
    answer = head.encode() + b'\n{"files": {}}'
    code = f"import os; os.write(3, {answer!r}); os._exit(0)"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Runs(code, b"")))
    with pytest.raises(importing.BundleError, match="is no model"):
        importing.bring(job(tmp_path / "model.pkl", data=leaves, target="kind"))
    assert not (tmp_path / "models").exists()


def test_the_other_versions_train_on_what_was_given(leaves: Path, tmp_path: Path) -> None:
    """The rows are kept with the model, and are what they were."""
    model = LogisticRegression().fit(measurements(), kinds())
    version, _ = brought(dumped(model, tmp_path), data=leaves, target="kind")
    again = kept.unpack(version.folder, version.manifest)
    given, _ = load_csv(leaves, target="kind")
    assert np.array_equal(again.rows, given.rows) and np.array_equal(again.labels, given.labels)
    forest = RandomForestClassifier(3, random_state=0)
    training.fit(tmp_path / "models", "v4", again, estimator=forest)
    assert bundle.load(tmp_path / "models", "v4").class_names == version.class_names
