"""The history as CSV rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from processes import ROW, Served, write_config
from sklearn.tree import DecisionTreeClassifier

from irisab.lifecycle import training
from irisab.lifecycle.dataset import load_csv, load_iris
from irisab.store import export, history


@pytest.fixture
def served(tmp_path: Path, iris_models: Path) -> Iterator[Served]:
    found = Served(write_config(tmp_path, iris_models))
    yield found
    found.close()


def test_an_empty_history_has_a_header_only(tmp_path: Path) -> None:
    """Before the first prediction there is nothing to print, and no file is made."""
    found = history.History(tmp_path / "none.sqlite3")
    assert len(list(export.prediction_rows(found))) == 1
    assert list(export.training_rows(found)) == [["label"]]
    assert not (tmp_path / "none.sqlite3").exists()


def test_rows_come_in_pages_and_in_order(served: Served) -> None:
    """More rows than a page are all there, oldest first, each once."""
    rows = np.random.default_rng(3).uniform(1, 5, (1000, 4)).round(3).tolist()
    for _ in range(2):
        served.predict(rows)
    served.predict(ROW)
    served.flush()
    header, *lines = export.prediction_rows(served.history)
    first = header.index("sepal_length")
    assert [list(line[first : first + 4]) for line in lines] == [*rows, *rows, ROW]


def test_each_row_says_who_said_what(served: Served) -> None:
    """The version that answered and its shadow are in columns of their own."""
    answer = served.predict(model_version=None)
    served.flush()
    header, line = export.prediction_rows(served.history)
    found = dict(zip(header, line, strict=True))
    other = "v2" if answer["model_version"] == "v1" else "v1"
    assert found["request_id"] == answer["request_id"]
    assert found["timestamp"] == answer["timestamp"]
    assert found["version"] == answer["model_version"]
    assert found["prediction"] == "setosa"
    assert found[f"shadow_{other}"] == "setosa"
    assert found[f"shadow_{answer['model_version']}"] == ""
    assert found["label"] == "" and found["user"] == ""


def test_since_leaves_older_rows_out(served: Served) -> None:
    """Only what happened from that moment on is printed."""
    served.predict()
    served.flush()
    (row,) = served.history.rows()
    assert len(list(export.prediction_rows(served.history, since=row["time"] - 1))) == 2
    assert len(list(export.prediction_rows(served.history, since=row["time"] + 1))) == 1


def test_training_rows_are_labelled_and_readable(served: Served, tmp_path: Path) -> None:
    """Only labelled rows, features and class name, as load_csv takes them."""
    iris = load_iris()
    request_id = served.predict(iris.rows.tolist())["request_id"]
    served.predict()
    labels = {"request_id": request_id, "labels": iris.labels.tolist()}
    assert served.client.post("/feedback", labels).status == 200
    lines = list(export.training_rows(served.history))
    assert len(lines) == 151
    table = tmp_path / "t.csv"
    table.write_text("\n".join(",".join(map(str, line)) for line in lines))
    dataset, notes = load_csv(table, target="label")
    assert notes == [] and np.array_equal(dataset.rows, iris.rows)
    assert dataset.class_names == iris.class_names
    assert np.array_equal(dataset.labels, iris.labels)


def test_a_feature_may_be_called_label(tmp_path: Path) -> None:
    """The right answers then get another title, so that `train --data` reads all of it."""
    path = tmp_path / "label.csv"
    lines = [f"{i},{i % 3},{'ab'[i % 2]}" for i in range(40)]
    path.write_text("\n".join(["label,b,kind", *lines]))
    dataset, _ = load_csv(path, target="kind")
    for version in ("v1", "v2"):
        training.fit(
            tmp_path / "models", version, dataset, estimator=DecisionTreeClassifier(random_state=1)
        )
    found = Served(write_config(tmp_path, tmp_path / "models"))
    answer = found.predict([3.0, 0.0])
    label = {"request_id": answer["request_id"], "label": "b"}
    assert found.client.post("/feedback", label).status == 200
    assert list(export.training_rows(found.history)) == [["label", "b", "label_"], [3.0, 0.0, "b"]]
    found.close()


def test_rows_of_other_features_are_left_out(served: Served) -> None:
    """After a change of the model's features, a file has the rows of the newest ones only."""
    served.predict()
    other = history.Revision(
        id="other",
        control="v1",
        split={"v1": 100.0},
        models={"v1": "x"},
        features=["height"],
        class_names=["no", "yes"],
        class_numbers=[0, 1],
        experiment="e",
    )
    served.flush()
    served.recorder.announce(other)
    served.flush()
    header, *lines = export.prediction_rows(served.history)
    assert "height" in header and lines == []
