"""irisab import: what it prints, and how the version is served afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from fitted_models import ROWS, kinds, measurements, passengers, survivors, write
from processes import Served, write_config
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC

from irisab.__main__ import run
from irisab.cli import imports
from irisab.lifecycle.dataset import load_iris


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, tmp_path / "models")


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    return write(measurements(), kinds(), tmp_path / "leaves.csv")


def dumped(model: Any, folder: Path) -> str:
    joblib.dump(model, folder / "model.joblib")
    return str(folder / "model.joblib")


def command(config: Path, *arguments: str) -> int:
    return run(["--config", str(config), *arguments])


def bringing(file: str, version: str, leaves: Path) -> list[str]:
    return ["import", file, "--version", version, "--data", str(leaves), "--target", "kind"]


def manifest(config: Path, version: str) -> Any:
    return json.loads((config.parent / f"models/{version}/current/manifest.json").read_text())


def test_what_is_printed(
    config: Path, leaves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the model is, what it scored and on what, how it is served, and what to type next."""
    file = dumped(LogisticRegression().fit(measurements(), kinds()), tmp_path)
    told = bringing(file, "v3", leaves)
    assert command(config, *told) == 2
    refused = capsys.readouterr().err
    assert refused.startswith(f"irisab: {file}: is a pickle,") and "--trust" in refused
    assert refused.count("\n") == 1
    assert command(config, *told, "--trust") == 0
    found = manifest(config, "v3")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "Model v3 is a LogisticRegression, 2 features, 3 classes; it was not fitted again",
        f"Model v3 Accuracy: {found['accuracy']:.4f}",
        f"  of {ROWS} rows of leaves.csv, standard error "
        f"{found['measured']['standard_error']:.2g}; too good, if the model has learnt from them",
        f"  exam of {found['exam']['rows']} rows: Accuracy: {found['exam']['accuracy']:.4f}",
    ]
    assert lines[4] == "It is served without scikit-learn, from its numbers alone"
    assert lines[5].startswith(f"To serve it: write v3 = PERCENT into [split] of {config}, then ")
    assert lines[5].endswith(" reload") and len(lines) == 6


def test_a_version_is_replaced_only_by_force(
    config: Path, leaves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 before anything is opened."""
    file = dumped(LinearSVC().fit(measurements(), kinds()), tmp_path)
    told = ["import", file, "--version", "v1", "--trust", "--data", str(leaves)]
    assert command(config, *told) == 0
    out = capsys.readouterr().out
    assert "Model v1 score: unknown, there are no rows with the truth\n" in out
    assert out.splitlines()[-1].startswith("To serve it: ") and "PERCENT" not in out
    assert command(config, *told, "--target", "kind") == 2
    assert capsys.readouterr().err == (
        "irisab: version v1 has a model already; to replace it, add --force\n"
    )
    assert command(config, *told, "--target", "kind", "--force") == 0
    assert manifest(config, "v1")["accuracy"] is not None


def test_a_failed_import_is_not_made_up_for_with_iris(
    config: Path, leaves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make run` asks whose model it shall be; the import that succeeds answers."""
    file = dumped(LogisticRegression().fit(measurements(), kinds()), tmp_path)
    told = bringing(file, "v1", leaves)
    assert command(config, *told) == 2
    assert command(config, "train", "--first") == 2
    assert f"version v1 was to be made from {file}, and never was" in capsys.readouterr().err
    assert command(config, *told, "--trust") == 0
    assert list((tmp_path / "models").iterdir()) == [tmp_path / "models" / "v1"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--version", "v3", "--target", "kind"], "--target is a column of --data"),
        (["--version", "no name"], "'no name'"),
        (["--version", "v3"], "No such file or directory"),
    ],
)
def test_what_is_told_wrongly(
    arguments: list[str], sentence: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and one sentence."""
    assert command(config, "import", "none.pkl", *arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("irisab: ") and error.count("\n") == 1


def test_a_host_that_cannot_shut_a_process_in_says_so() -> None:
    """Honestly, and what code in the file could do."""
    assert list(imports._unsealed([])) == []
    [line] = imports._unsealed(["write files"])
    assert line.startswith("WARNING: ") and line.endswith("code in the file could write files")


def test_an_imported_pipeline_is_served(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name, with text, beside another that was imported: as its own library answers."""
    frame = passengers()[["sex", "port"]]
    truth = survivors(passengers())
    csv = write(frame, truth, tmp_path / "boat.csv", column="survived")
    encoder = ColumnTransformer([("texts", OneHotEncoder(), ["sex", "port"])])
    models = [LogisticRegression(), KNeighborsClassifier(3)]
    fitted = [make_pipeline(encoder, each).fit(frame, truth) for each in models]
    for version, model in zip(("v1", "v2"), fitted, strict=True):
        told = ["--version", version, "--data", str(csv), "--target", "survived", "--trust"]
        assert command(config, "import", dumped(model, tmp_path), *told) == 0
    assert "served by its own library" in capsys.readouterr().out
    assert command(config, "check") == 0
    assert f"KNeighborsClassifier, accuracy {fitted[1].score(frame, truth):.4f}" in (
        capsys.readouterr().out
    )
    served = Served(config)
    try:
        for version, model in zip(("v1", "v2"), fitted, strict=True):
            for row in frame.head(5).to_dict("records"):
                asked = {"features": row, "model_version": version}
                answer = served.client.post("/predict", asked).json
                expected = model.predict_proba(frame.iloc[:0].from_records([row]))[0]
                assert answer["class_name"] == ["no", "yes"][int(expected.argmax())]
                assert answer["probabilities"] == pytest.approx(expected, abs=2.3e-16)
    finally:
        served.close()


def test_a_model_without_a_score_is_checked_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` says that it is unknown."""
    config = write_config(tmp_path, tmp_path / "models", "[split]\nv3 = 100\n")
    iris = load_iris()
    csv = tmp_path / "rows.csv"
    np.savetxt(csv, iris.rows, delimiter=",", header="a,b,c,d", comments="")
    model = LinearSVC().fit(iris.rows, iris.labels)
    told = ["--version", "v3", "--data", str(csv), "--trust"]
    assert command(config, "import", dumped(model, tmp_path), *told) == 0
    assert command(config, "check") == 0
    assert "LinearSVC, score unknown, trained 20" in capsys.readouterr().out
