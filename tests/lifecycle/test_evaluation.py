"""Versions on the same exam, and the models that are kept."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from processes import write_config
from sklearn.datasets import load_diabetes
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import recall_score

from irisab.__main__ import run
from irisab.errors import BundleError, DataError
from irisab.lifecycle import evaluation, exam, kept_models, training
from irisab.lifecycle.dataset import load_csv, load_iris
from irisab.model import bundle


@pytest.fixture
def models(tmp_path: Path, iris_models: Path) -> Path:
    return Path(shutil.copytree(iris_models, tmp_path / "models", symlinks=True))


@pytest.fixture
def config(tmp_path: Path, models: Path) -> Path:
    return write_config(tmp_path, models)


def judged(models: Path, *versions: str, **options: Any) -> Any:
    bundles = {name: bundle.load(models, name) for name in versions}
    control = bundles[versions[0]]
    paper = evaluation.of_bundle(control)
    options = {"alpha": 0.05, "margin": 0.01, **options}
    return evaluation.evaluate(bundles, paper, control=versions[0], **options)


def test_an_exam_is_of_rows_that_nobody_has_learned_from(models: Path) -> None:
    """They are the salt's fifth of the kept rows, and not one is among those fitted on."""
    paper = evaluation.of_bundle(bundle.load(models, "v1"))
    fitted = bundle.read_manifest(models, "v1")["rows"]
    assert len(paper.positions) + fitted == 150 and paper.left_out == fitted
    assert 20 <= len(paper.positions) <= 40
    units = [exam.unit_of(row) for row in paper.dataset.rows.tolist()]
    chosen = {units[each] for each in paper.positions}
    assert all(exam.is_exam(each, salt="irisab") == (each in chosen) for each in units)


def test_scores_are_scikit_learns(models: Path) -> None:
    """Accuracy and recall of each version are what its pickle gets on the same rows."""
    found = judged(models, "v1", "v2")
    paper = evaluation.of_bundle(bundle.load(models, "v1"))
    rows = paper.dataset.rows[paper.positions]
    truth = paper.dataset.labels[paper.positions]
    for name, scores in found["versions"].items():
        estimator = joblib.load(models / name / "current" / "model.joblib")
        said = estimator.predict(rows)
        assert scores["accuracy"] == pytest.approx((said == truth).mean())
        recalls = [each["recall"] for each in scores["per_class"].values()]
        assert recalls == pytest.approx(recall_score(truth, said, average=None))


def test_a_version_that_knows_nothing_is_worse(models: Path, config: Path) -> None:
    """The same rows, an exact test, and exit code 1; the other way round it is better."""
    dummy = DummyClassifier(strategy="most_frequent")
    training.fit(models, "v3", load_iris(), estimator=dummy)
    (pair,) = judged(models, "v1", "v3")["pairs"]
    assert pair["verdict"] == "worse" and pair["p_value"] < 1e-4
    assert run(["--config", str(config), "evaluate", "v1", "v3"]) == 1
    assert run(["--config", str(config), "evaluate", "v3", "v1"]) == 0


def test_few_rows_make_nobody_equivalent(models: Path, config: Path) -> None:
    """Twins on thirty rows are inconclusive at a margin of 1 %, and equivalent at 20 %."""
    (pair,) = judged(models, "v1", "v2")["pairs"]
    assert pair["verdict"] == "inconclusive"
    assert run(["--config", str(config), "evaluate"]) == 3
    (pair,) = judged(models, "v1", "v2", margin=0.2)["pairs"]
    assert pair["verdict"] == "equivalent"


def test_numbers_are_judged_by_who_is_closer(tmp_path: Path) -> None:
    """A regression has MAE and RMSE; within the tie nobody is closer."""
    table = load_diabetes(as_frame=True)
    path = tmp_path / "diabetes.csv"
    lines = [[*table.feature_names, "progression"], *table.frame.to_numpy().tolist()]
    path.write_text("\n".join(",".join(map(str, line)) for line in lines))
    dataset, _ = load_csv(path, target="progression")
    for version, constant in (("v1", 150.0), ("v2", 400.0)):
        dummy = DummyRegressor(strategy="constant", constant=constant)
        training.fit(tmp_path / "models", version, dataset, estimator=dummy)
    found = judged(tmp_path / "models", "v1", "v2")
    truth = dataset.labels[evaluation.of_bundle(bundle.load(tmp_path / "models", "v1")).positions]
    assert found["versions"]["v1"]["mae"] == pytest.approx(np.abs(truth - 150).mean())
    (pair,) = found["pairs"]
    assert pair["verdict"] == "worse" and pair["control_only"] == (truth < 275).sum()
    (tied,) = judged(tmp_path / "models", "v1", "v2", tie=1000.0)["pairs"]
    assert (tied["control_only"], tied["challenger_only"]) == (0, 0)


def test_rows_that_are_not_kept_are_asked_for(models: Path, config: Path, capsys: Any) -> None:
    """The sentence has the command to type."""
    training.fit(
        models,
        "v1",
        load_iris(),
        estimator=DummyClassifier(),
        force=True,
        options=training.TrainingOptions(keep_mb=0),
    )
    assert run(["--config", str(config), "evaluate"]) == 2
    message = capsys.readouterr().err
    assert "are not kept" in message and "evaluate --data FILE --target COLUMN" in message


def test_json_is_the_contracts(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """rows, versions and pairs, and for models one object a bundle."""
    run(["--config", str(config), "evaluate", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {*found} == {"rows", "versions", "pairs"}
    assert {*found["pairs"][0]} == {
        "control", "challenger", "control_only", "challenger_only", "p_value", "verdict",
    }  # fmt: skip
    run(["--config", str(config), "models", "--json"])
    first, second = json.loads(capsys.readouterr().out)
    assert (first["version"], first["role"], first["share"]) == ("v1", "control", 50)
    assert (second["version"], second["role"], second["form"]) == ("v2", "challenger", "plain")
    assert first["current"] and first["exam"]["rows"] and first["accuracy"] > 0.9


def test_a_replaced_model_can_be_gone_back_to(
    models: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """models lists it with the command; use makes it current, and says to reload."""
    old = bundle.load(models, "v1")
    training.fit(models, "v1", load_iris(), estimator=DummyClassifier(), force=True)
    assert run(["--config", str(config), "models"]) == 0
    listed = capsys.readouterr().out
    assert f"models use v1 {old.folder.name}" in listed
    assert run(["--config", str(config), "models", "use", "v1", old.folder.name[:4]]) == 0
    assert "reload" in capsys.readouterr().out
    assert bundle.load(models, "v1").folder.name == old.folder.name
    # Run twice it says the same.
    assert run(["--config", str(config), "models", "use", "v1", old.folder.name]) == 0


def test_what_cannot_serve_is_not_made_current(models: Path) -> None:
    """A damaged bundle is refused, and nothing changes."""
    old = bundle.load(models, "v1").folder
    training.fit(models, "v1", load_iris(), estimator=DummyClassifier(), force=True)
    current = bundle.load(models, "v1").folder
    (old / "forest.npz").write_bytes(b"damaged")
    with pytest.raises(BundleError):
        kept_models.use(models, "v1", old.name)
    with pytest.raises(DataError, match="several|no model"):
        kept_models.use(models, "v1", "")
    assert bundle.load(models, "v1").folder == current
    assert {each.hash for each in kept_models.listed(models) if each.version == "v1"} == {
        old.name,
        current.name,
    }


def test_going_back_is_never_half_done(models: Path) -> None:
    """Readers find a whole model while others go back and forth."""
    training.fit(models, "v1", load_iris(), estimator=DummyClassifier(), force=True)
    hashes = [each.hash for each in kept_models.listed(models) if each.version == "v1"]
    stop = threading.Event()

    def swing() -> None:
        while not stop.is_set():
            for digest in hashes:
                kept_models.use(models, "v1", digest)

    thread = threading.Thread(target=swing)
    thread.start()
    try:
        assert {bundle.load(models, "v1").folder.name for _ in range(20)} <= {*hashes}
    finally:
        stop.set()
        thread.join()
