"""Gauges: the truth at the moment of the scrape, and NaN where it cannot be known."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from processes import ROW, Served, replace_in, write_config
from traffic import prediction

from irisab import __version__
from irisab.serving import gauges, snapshot
from irisab.serving.snapshot import ReloadOutcome

Found = dict[str, dict[tuple[str, ...], float]]
OF_THE_HISTORY = {
    "model_drift_score",
    "model_drift_limit",
    "feature_drift_score",
    "feature_drift_limit",
    "accuracy_fall_e_value",
    "experiment_e_value",
    "experiment_sample_ratio_ok",
    "prediction_active_users",
}


@pytest.fixture
def served(tmp_path: Path, iris_models: Path) -> Iterator[Served]:
    found = Served(write_config(tmp_path, iris_models, "[split]\nv1 = 90\nv2 = 10\n"))
    yield found
    found.close()


def collect(served: Served) -> Found:
    """Return the gauges as name -> label values -> value."""
    return {
        family.name: {tuple(each.labels.values()): each.value for each in family.samples}
        for family in gauges.collect(served.service).families
    }


def test_a_history_that_cannot_be_read_costs_only_what_it_knows(served: Served) -> None:
    """Drift and evidence are NaN then, for which no alert fires; the others stay true."""
    path = served.history._reader._path
    path.write_bytes(b"not a database at all, whatever its name says" * 50)
    found = collect(served)
    for name in OF_THE_HISTORY:
        assert all(math.isnan(value) for value in found[name].values()), name
    assert len(found["feature_drift_score"]) == 4
    assert set(found["experiment_verdict"].values()) == {0}
    assert found["model_split_weight"] == {("v1",): 90, ("v2",): 10}
    assert found["config_last_reload_successful"] == {(): 1}
    path.unlink()


def test_a_locked_history_can_still_be_read(served: Served) -> None:
    """A writer that holds the file keeps nobody from looking."""
    served.predict(user_id="ann")
    served.flush()
    other = sqlite3.connect(served.history._reader._path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert collect(served)["prediction_active_users"] == {(): 1}
    other.close()


def test_a_fall_of_the_accuracy_shows(served: Served) -> None:
    """Labels of predictions that were right for a week and are wrong now are evidence; the other
    version has none, and a label that is corrected is none any more."""
    revision = served.service.snapshot.revision_id
    now = time.time()
    asked = [
        prediction([{"v1": 0}], revision=revision, rows=[ROW], at=now - (9 - number // 20) * 86_400)
        for number in range(200)
    ]
    for item in asked:
        served.recorder.record(item)
    served.flush()
    wrong = [each.request_id for each in asked[140:]]
    for item in asked:
        served.history.label(item.request_id, [int(item.request_id in wrong)])
    found = collect(served)["accuracy_fall_e_value"]
    assert found["v1",] > 1e6 and found["v2",] == 0
    for each in wrong:
        served.history.label(each, [0], correct=True)
    assert collect(served)["accuracy_fall_e_value"] == {("v1",): 0, ("v2",): 0}


def test_a_refused_reload_shows(served: Served) -> None:
    """The flag falls, and the time stays that of the configuration that serves."""
    accepted = served.service.reload.accepted
    assert abs(accepted - time.time()) < 60
    served.service.reload = ReloadOutcome(ok=False, error="no", at=time.time(), accepted=accepted)
    found = collect(served)
    assert found["config_last_reload_successful"] == {(): 0}
    assert found["config_last_reload_success_timestamp_seconds"] == {(): accepted}


def test_weights_follow_a_reload(served: Served) -> None:
    """The split that serves is the one that is shown; a version that left is gone."""
    replace_in(served.config, "v1 = 90\nv2 = 10", "v2 = 100")
    served.service.swap(snapshot.build(served.config))
    found = collect(served)
    assert found["model_split_weight"] == {("v2",): 100}
    assert found["experiment_verdict"] == {}


def test_dropped_rows_are_counted(served: Served) -> None:
    """What the history lost is the recorder's count."""
    served.recorder.record(prediction(revision="nobody announced it"))
    served.flush()
    assert collect(served)["history_rows_dropped"] == {(): 1}


def test_rows_that_wait_are_told(served: Served) -> None:
    """A locked history shows before a row is lost, and no longer once it is free."""
    assert collect(served)["history_last_write_successful"] == {(): 1}
    served.flush()
    served.recorder._writer._connection.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(served.history._reader._path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        served.predict()
        served.flush()
        assert collect(served)["history_last_write_successful"] == {(): 0}
        assert collect(served)["history_rows_dropped"] == {(): 0}
    served.flush()
    assert collect(served)["history_last_write_successful"] == {(): 1}


def test_one_verdict_holds_for_each_challenger(served: Served) -> None:
    """Exactly one of the four is 1, and the e-value of no evidence is 1."""
    found = collect(served)
    verdicts = found["experiment_verdict"]
    assert {version for version, _ in verdicts} == {"v2"}
    assert sum(verdicts.values()) == 1 and len(verdicts) == 4
    assert found["experiment_e_value"] == {("v2",): 1}
    assert found["experiment_sample_ratio_ok"] == {(): 1}


def test_drift_is_above_its_limit_where_the_report_warns(served: Served) -> None:
    """What warns in the report is above its limit in the gauges, and nothing else is."""
    for row in [[5.0, 3.0, 1.5, 0.2], [6.0, 3.0, 4.5, 9.0]] * 50:
        served.predict(row)
    served.flush()
    found, report = collect(served), served.client.get("/report").json["drift"]
    assert report["status"] == "WARNING"
    scores, limits = found["feature_drift_score"], found["feature_drift_limit"]
    assert [name for (name,) in scores if scores[name,] > limits[name,]] == report["above"]
    assert found["model_drift_limit"] == {(): report["limit"]}


def test_the_build_is_named(served: Served) -> None:
    """With irisab's version and Python's."""
    ((version, python),) = collect(served)["irisab_build_info"]
    assert version == __version__
    assert python.startswith("3.")
