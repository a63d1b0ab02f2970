"""Labels as people send them: by their own ids, piece by piece, wrong at first."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import ROW, Served, write_config
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

from irisab.lifecycle import training
from irisab.lifecycle.rows import Dataset

OTHER = [6.0, 2.9, 4.5, 1.5]


@pytest.fixture
def served(tmp_path: Path, iris_models: Path) -> Iterator[Served]:
    made = Served(write_config(tmp_path, iris_models, "[split]\nv1 = 90\nv2 = 10\n"))
    yield made
    made.close()


def tell(served: Served, **body: Any) -> tuple[int, Any]:
    answer = served.client.post("/feedback", body)
    return answer.status, answer.json["status" if answer.status == 200 else "detail"]


def evidence(served: Served) -> Any:
    """Return everything that labels have counted for, but how much of it there was."""
    revision = served.history.revision()
    one, two = revision.models["v1"], revision.models["v2"]
    return (
        served.history.version_counts(revision.id),
        served.history.tally(one, two),
        served.history.class_counts(revision.id),
    )


def test_a_callers_own_id_names_the_newest_request(served: Served) -> None:
    """It is answered, kept, and takes the place of request_id in feedback."""
    first = served.predict(id="order-17")
    second = served.predict(OTHER, id="order-17")
    assert first["id"] == second["id"] == "order-17"
    assert tell(served, id="order-17", label="setosa") == (200, "matched")
    served.flush()
    labels = {row["request_id"].hex(): row["label"] for row in served.history.rows()}
    assert labels == {first["request_id"]: None, second["request_id"]: 0}
    assert tell(served, id="order-18", label=0)[0] == 404
    batch = served.predict([ROW, OTHER], id="b")
    assert batch["id"] == "b" and tell(served, id="b", labels=[0, 1]) == (200, "matched")


@pytest.mark.parametrize("label", [0, 0.0, "setosa"])
def test_a_class_may_be_said_in_several_ways(label: Any, served: Served) -> None:
    """Its number, with a fraction too, or its name."""
    request_id = served.predict()["request_id"]
    assert tell(served, request_id=request_id, label=label) == (200, "matched")
    assert tell(served, request_id=request_id, label=0) == (200, "duplicate")


@pytest.mark.parametrize("label", [True, 0.5, 7, "rose"])
def test_what_is_no_class_is_refused_with_the_classes(label: Any, served: Served) -> None:
    """True is no class of Iris, nor is a half."""
    status, detail = tell(served, request_id=served.predict()["request_id"], label=label)
    assert status == 400 and "there are 0 (setosa), 1 (versicolor), 2 (virginica)" in detail


def test_true_is_the_class_of_that_name(tmp_path: Path) -> None:
    """Classes True and False take JSON's true and false, and texts in any case stay texts."""
    dataset = Dataset(
        name="alive",
        rows=np.arange(40.0)[:, None],
        labels=np.arange(40) % 2,
        features=(("x", None),),
        class_names=("False", "True"),
        class_numbers=(0, 1),
    )
    training.fit(tmp_path / "models", "v1", dataset, estimator=RandomForestClassifier(3))
    served = Served(write_config(tmp_path, tmp_path / "models", "[split]\nv1 = 100\n"))
    try:
        request_id = served.predict([3.0])["request_id"]
        assert tell(served, request_id=request_id, label=True) == (200, "matched")
        assert tell(served, request_id=request_id, label=1.0) == (200, "duplicate")
        assert tell(served, request_id=request_id, label=False)[0] == 409
    finally:
        served.close()


def test_a_batch_may_be_labelled_piece_by_piece(served: Served) -> None:
    """null says nothing; in the end it is as if all labels had come at once."""
    rows = [ROW, OTHER, [7.0, 3.2, 4.7, 1.4], [6.3, 3.3, 6.0, 2.5]]
    at_once = Served(write_config(served.config.parent / "other", _copied(served), _SPLIT))
    try:
        for number, user in enumerate((None, "somebody", "somebody")):
            for each in (served, at_once):
                random.seed(number)  # who has no name gets the same version from both
                each.predict(rows, id=f"b{number}", **({"user_id": user} if user else {}))
        for number in range(3):
            name = f"b{number}"
            assert tell(served, id=name, labels=[0, None, None, None]) == (200, "matched")
            assert tell(served, id=name, labels=[None, None, 1, None]) == (200, "matched")
            assert tell(served, id=name, labels=[0, 2, 1, 0]) == (200, "matched")
            assert tell(served, id=name, labels=[None, 2, None, 0]) == (200, "duplicate")
            assert tell(at_once, id=name, labels=[0, 2, 1, 0]) == (200, "matched")
        assert evidence(served)[1:] == evidence(at_once)[1:]
        assert _sums(evidence(served)[0]) == _sums(evidence(at_once)[0])
    finally:
        at_once.close()


_SPLIT = "[split]\nv1 = 90\nv2 = 10\n"


def _copied(served: Served) -> Path:
    folder = served.config.parent / "other"
    folder.mkdir()
    return Path(
        shutil.copytree(served.service.snapshot.config.data.models, folder / "m", symlinks=True)
    )


def _sums(counts: Any) -> tuple[int, int]:
    """Who answers is dealt by chance: only the sums over versions are the same."""
    return (
        sum(each["labelled"] for each in counts.values()),
        sum(each["correct"] for each in counts.values()),
    )


@pytest.mark.parametrize("user", [None, "somebody"])
def test_a_wrong_label_is_taken_back_whole(user: str | None, served: Served) -> None:
    """Corrected, all counts are what they would be had the label been right at first."""
    named = {"user_id": user} if user else {}
    served.predict(OTHER, id="a", model_version=None, **named)
    assert tell(served, id="a", label=1) == (200, "matched")
    right = evidence(served)
    assert tell(served, id="a", label=2)[0] == 409
    assert evidence(served) == right
    assert tell(served, id="a", label=2, correct=True) == (200, "corrected")
    assert evidence(served) != right
    assert tell(served, id="a", label=1, correct=True) == (200, "corrected")
    assert evidence(served)[0] == right[0]
    assert tell(served, id="a", label=1, correct=True) == (200, "duplicate")
    corrected = sum(
        served.sample("prediction_feedback_total", version=each, outcome="corrected")
        for each in ("v1", "v2")
    )
    assert corrected == 2


def test_the_sentence_says_how_to_correct(served: Served) -> None:
    """Whoever sends another label learns what to send with it."""
    served.predict(id="a")
    tell(served, id="a", label=0)
    status, detail = tell(served, id="a", label=1)
    assert status == 409 and '"correct": true' in detail


def test_labels_of_a_regression_are_numbers(tmp_path: Path) -> None:
    """They are kept as they are; who is closer by more than the tie is right."""
    models = tmp_path / "models"
    x = np.arange(60.0)[:, None]
    for version, slope in (("v1", 1.0), ("v2", 2.0)):
        dataset = Dataset(
            name="line",
            rows=x,
            labels=slope * x[:, 0],
            features=(("x", None),),
            class_names=(),
            class_numbers=(),
            task="regression",
        )
        training.fit(models, version, dataset, estimator=LinearRegression())
    served = Served(write_config(tmp_path, models, "[experiment]\ntie = 1\n"))
    try:
        answers = [served.predict([float(n)], id=str(n)) for n in (0.0, 10.0, 20.0)]
        assert set(answers[0]) >= {"prediction"} and "class_name" not in answers[0]
        for name in ("0.0", "10.0", "20.0"):
            assert tell(served, id=name, label=2 * float(name)) == (200, "matched")
        assert tell(served, id="0.0", label="two")[0] == 400
        revision = served.history.revision()
        assert revision.task == "regression" and revision.tie == 1
        tally = served.history.tally(revision.models["v1"], revision.models["v2"])
        # At 0 both say 0: within the tie. At 10 and 20 v2 is closer.
        assert sum(each["challenger_only"] for each in tally.values()) == 2
        assert sum(each["both"] for each in tally.values()) == 1
        sums = served.history.error_sums(revision.id)
        absolute = {"v1": {10.0: 10.0, 20.0: 20.0}, "v2": {}}
        expected = sum(
            absolute[answer["model_version"]].get(float(answer["id"]), 0.0) for answer in answers
        )
        assert sum(each["absolute"] for each in sums.values()) == pytest.approx(expected)
        assert sum(each["labelled"] for each in sums.values()) == 3
        served.flush()
        for name, each in served.client.get("/report").json["versions"].items():
            errors = absolute[name].values() if each["labelled"] else []
            assert each["accuracy"] is None and each["per_class"] is None
            if each["labelled"] == 3:
                assert each["mae"] == pytest.approx(sum(errors) / 3)
    finally:
        served.close()
