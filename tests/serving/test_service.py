"""One prediction: exact answers, honest observation, watching that may fail."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import ROW, Served, replace_in, replace_model, write_config
from scipy.stats import binom

from irisab.lifecycle.dataset import load_iris
from irisab.model import bundle
from irisab.serving import report, shadow
from irisab.store.history import History


@pytest.fixture
def served(tmp_path: Path, iris_models: Path) -> Iterator[Served]:
    found = Served(write_config(tmp_path, iris_models))
    yield found
    found.close()


def pickled(models: Path, version: str) -> Any:
    import joblib

    return joblib.load(models / version / "current" / bundle.PICKLE)


def random_rows(count: int) -> list[list[float]]:
    iris = load_iris().rows
    random = np.random.default_rng(7)
    rows: list[list[float]] = random.uniform(
        iris.min(axis=0) - 0.5, iris.max(axis=0) + 0.5, (count, iris.shape[1])
    ).tolist()
    return [[round(value, 3) for value in row] for row in rows]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_answers_equal_scikit_learn(version: str, served: Served, iris_models: Path) -> None:
    """Through JSON and back, probabilities are scikit-learn's to the last bit."""
    rows = random_rows(1000)
    expected = pickled(iris_models, version).predict_proba(np.array(rows)).tolist()
    assert served.predict(rows, model_version=version)["probabilities"] == expected
    for row, probabilities in zip(rows[:50], expected[:50], strict=True):
        assert served.predict(row, model_version=version)["probabilities"] == probabilities


@pytest.mark.parametrize(
    "shares", [{"v1": 50, "v2": 50}, {"v1": 90, "v2": 10}, {"v1": 0, "v2": 100}]
)
def test_traffic_follows_the_split(
    shares: dict[str, int], tmp_path: Path, iris_models: Path
) -> None:
    """10,000 requests are spread as configured, within the 99.99 % binomial interval."""
    lines = "\n".join(f"{name} = {share}" for name, share in shares.items())
    served = Served(write_config(tmp_path, iris_models, f"[split]\n{lines}\n"))
    random.seed(1)
    for _ in range(10_000):
        served.service.predict(b'{"features": [5.1, 3.5, 1.4, 0.2]}')
    low, high = binom.interval(0.9999, 10_000, shares["v2"] / 100)
    assert low <= served.sample("model_version_requests_total", version="v2") <= high
    served.close()


def test_three_versions_share_traffic(tmp_path: Path, iris_models: Path) -> None:
    """33/33/34 holds for three versions, each within the 99.99 % binomial interval."""
    models = tmp_path / "models"
    for version in ("v1", "v2"):
        (models / version).parent.mkdir(exist_ok=True)
        (models / version).symlink_to(iris_models / version)
    (models / "v3").symlink_to(iris_models / "v1")
    served = Served(write_config(tmp_path, models, "[split]\nv1 = 33\nv2 = 33\nv3 = 34\n"))
    random.seed(1)
    counts = Counter(served.predict()["model_version"] for _ in range(10_000))
    for version, share in (("v1", 0.33), ("v2", 0.33), ("v3", 0.34)):
        low, high = binom.interval(0.9999, 10_000, share)
        assert low <= counts[version] <= high
    served.close()


def test_every_request_is_counted_once(served: Served) -> None:
    """A batch is one request and as many rows; a forced version counts too."""
    served.predict()
    served.predict([ROW, ROW, [6.3, 3.3, 6.0, 2.5]])
    served.predict(model_version="v1")
    assert served.sample("prediction_requests_total") == 3
    by_version = [
        served.sample("model_version_requests_total", version=version) for version in ("v1", "v2")
    ]
    assert sum(by_version) == 3
    rows = sum(
        served.sample("prediction_class_total", version=version, class_name=name)
        for version in ("v1", "v2")
        for name in ("setosa", "versicolor", "virginica")
    )
    assert rows == 5


def test_the_history_has_what_was_asked_and_said(served: Served) -> None:
    """Each row is kept with its features, answer, votes and user, the user as a hash only."""
    answer = served.predict([ROW, [6.3, 3.3, 6.0, 2.5]], user_id="someone@example.org")
    served.flush()
    rows = list(served.history.rows())
    assert [row["request_id"].hex() for row in rows] == [answer["request_id"]] * 2
    assert [row["prediction"] for row in rows] == answer["predictions"]
    assert np.frombuffer(rows[0]["features"]).tolist() == ROW
    assert set(json.loads(rows[0]["votes"])) == {"v1", "v2"}
    assert b"someone" not in served.service.snapshot.config.data.history.read_bytes()
    assert len(rows[0]["user"]) == 16


def test_without_shadow_only_the_chosen_version_scores(tmp_path: Path, iris_models: Path) -> None:
    """shadow = no: the history knows of one vote."""
    served = Served(write_config(tmp_path, iris_models, "[experiment]\nshadow = no\n"))
    version = served.predict()["model_version"]
    served.flush()
    assert [json.loads(row["votes"]) for row in served.history.rows()] == [{version: 0}]
    served.close()


class Failing:
    """A model that cannot answer."""

    def score_row(self, row: Any) -> Any:
        raise RuntimeError("broken on purpose")

    score_rows = score_row


class Slow:
    """A model that computes for longer than others may be kept waiting."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def score_row(self, row: Any) -> Any:
        time.sleep(self.seconds)
        return 1, (0.0, 1.0, 0.0)


class Waiting(Slow):
    """A slow model that comes to no end until it is told to."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.go = threading.Event()
        self.go.set()

    def score_row(self, row: Any) -> Any:
        assert self.go.wait(60)
        return super().score_row(row)


class Remembering:
    """A model that is quick on rows that it has answered before, and on no others."""

    def __init__(self) -> None:
        self.known: set[tuple[float, ...]] = set()

    def score_row(self, row: Any) -> Any:
        if tuple(row) not in self.known:
            time.sleep(0.02)
            self.known.add(tuple(row))
        return 0, (1.0, 0.0, 0.0)


def test_a_failing_shadow_never_touches_the_answer(served: Served) -> None:
    """A version that fails in the shadow is counted, and the answer is as before."""
    replace_in(served.config, "[data]", "[split]\nv1 = 100\nv2 = 0\n[data]")
    served.reload()
    before = served.predict()
    served.flush()
    replace_model(served, "v2", Failing())
    for count in range(1, 11):
        answer = served.predict()
        for each in ("prediction", "model_version", "class_name", "probabilities"):
            assert answer[each] == before[each]
        served.flush()
        assert served.sample("shadow_errors_total", version="v2") == count
    votes = [json.loads(row["votes"]) for row in served.history.rows()]
    assert votes == [{"v1": 0, "v2": 0}] + 10 * [{"v1": 0}]


def test_the_report_is_what_it_would_be_if_worked_out_now(served: Served) -> None:
    """It is kept while nothing changes, and no longer: not after a prediction, label or reload."""
    reports = [served.service.report()]
    request_id = served.predict(user_id="ann")["request_id"]
    served.flush()
    reports.append(served.service.report())
    assert served.service.report() is reports[1]
    served.client.post("/feedback", {"request_id": request_id, "label": 0})
    reports.append(served.service.report())
    replace_in(served.config, "[data]", "[drift]\nwindow = 50\n[data]")
    served.reload()
    reports.append(served.service.report())
    told = served.client.get("/report").json
    assert told.pop("command").endswith("irisab.ini") and told["drift"].pop("candidate") is None
    for each in served.service.report(), told:
        assert each == report.build(served.history, served.service.snapshot)
    assert all(before != after for before, after in pairwise(reports))


def test_a_failing_version_is_a_500_and_counted(served: Served) -> None:
    """A model's own failure is ours, not the client's, and ends in the report's errors: not where
    the client chose the version, whose requests are not counted there either."""
    replace_in(served.config, "[data]", "[split]\nv1 = 100\nv2 = 0\n[data]")
    served.reload()
    replace_model(served, "v1", Failing())
    for count, options in enumerate(({"model_version": "v1"}, {}), start=1):
        answer = served.client.post("/predict", {"features": ROW, **options})
        assert answer.status == 500
        assert "v1 failed" in answer.json["detail"]
        assert served.sample("prediction_errors_total", reason="model") == count
        served.flush()
        assert served.client.get("/report").json["versions"]["v1"]["errors"] == count - 1
    assert served.sample("prediction_requests_total") == 0


def failures(served: Served) -> tuple[int, int]:
    """Return on how many requests only v1 failed, and only v2."""
    served.flush()
    hashes = [each.sha256 for each in served.service.snapshot.bundles.values()]
    return served.history.requests(*hashes)[1:]


@pytest.mark.parametrize("features", [ROW, [ROW, ROW]])
def test_the_control_answers_for_a_challenger_that_fails(served: Served, features: Any) -> None:
    """At once, marked, counted as an error of the one that was chosen, and learned from."""
    replace_in(served.config, "[data]", "[split]\nv1 = 0\nv2 = 100\n[data]")
    served.reload()
    replace_model(served, "v2", Failing())
    for count in range(1, 4):
        answer = served.predict(features, id="order-17")
        assert answer["model_version"] == "v1" and answer["fallback"] is True
        assert answer["id"] == "order-17"
        assert served.sample("prediction_fallback_total", version="v2") == count
        assert failures(served) == (0, count)
        versions = served.client.get("/report").json["versions"]
        assert (versions["v2"]["errors"], versions["v1"]["requests"]) == (count, count)
    assert served.sample("shadow_errors_total", version="v2") == 0  # it is not asked twice
    label: dict[str, Any] = {"label": 0} if features == ROW else {"labels": [0, 0]}
    label["request_id"] = answer["request_id"]
    assert served.client.post("/feedback", label).json == {"status": "matched"}


def test_who_asks_for_a_version_gets_no_other(served: Served) -> None:
    """Its failure is told as it is, and says nothing of the experiment."""
    replace_model(served, "v2", Failing())
    answer = served.client.post("/predict", {"features": ROW, "model_version": "v2"})
    assert answer.status == 500 and failures(served) == (0, 0)


def test_failures_are_compared_on_the_same_requests(served: Served) -> None:
    """Whoever was chosen: one that fails alone is noted, a request on which both fail is not."""
    replace_in(served.config, "[data]", "[split]\nv1 = 100\nv2 = 0\n[data]")
    served.reload()
    sound = {name: each.model for name, each in served.service.snapshot.bundles.items()}
    replace_model(served, "v2", Failing())
    served.predict()  # in the shadow
    assert failures(served) == (0, 1)
    replace_model(served, "v1", Failing())
    assert served.client.post("/predict", {"features": ROW}).status == 500
    assert failures(served) == (0, 1)
    replace_model(served, "v2", sound["v2"])
    assert served.client.post("/predict", {"features": ROW}).status == 500
    assert failures(served) == (1, 1)


def test_an_unusable_history_costs_no_prediction(tmp_path: Path, iris_models: Path) -> None:
    """Where the history is not a database, predictions go on and the rest says 503."""
    (tmp_path / "h.sqlite3").write_text("this is no database, and has been here before\n" * 50)
    served = Served(write_config(tmp_path, iris_models))
    request_id = served.predict()["request_id"]
    served.flush()
    label = {"request_id": request_id, "label": 0}
    assert served.client.post("/feedback", label).status == 503
    assert served.client.get("/report").status == 503
    assert b"model_drift_score NaN" in served.client.get("/metrics").body
    assert served.predict()["prediction"] == 0
    served.close()
    assert served.recorder.dropped == 2


def test_a_locked_history_costs_no_label(served: Served) -> None:
    """While something locks the history, feedback says 503 and is accepted afterwards."""
    served.predict()
    served.flush()
    with closing(sqlite3.connect(served.config.parent / "h.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        label = {"request_id": served.predict()["request_id"], "label": 0}
        assert served.client.post("/feedback", label).status == 503
        assert served.predict()["prediction"] == 0
        assert served.client.get("/report").status == 200
    assert served.flush()  # as its thread does, twenty times a second
    assert served.client.post("/feedback", label).json == {"status": "matched"}
    assert served.recorder.dropped == 0


def test_a_swap_is_seen_by_the_next_request(served: Served) -> None:
    """After a reload the new split answers, under a new revision; counters go on."""
    served.predict()
    before = served.service.snapshot.revision_id
    replace_in(served.config, "[data]", "[split]\nv1 = 0\nv2 = 100\n[data]")
    served.reload()
    assert served.service.snapshot.revision_id != before
    assert {served.predict()["model_version"] for _ in range(50)} == {"v2"}
    assert served.sample("prediction_requests_total") == 51
    assert served.sample("model_split_weight", version="v1") == 0


def test_labels_outlive_the_revision_they_belong_to(served: Served) -> None:
    """A label that comes after a reload counts for the revision that was served."""
    old = served.service.snapshot.revision_id
    request_id = served.predict(user_id="u-1")["request_id"]
    replace_in(served.config, "[data]", "[split]\nv1 = 90\nv2 = 10\n[data]")
    served.reload()
    label = {"request_id": request_id, "label": "setosa"}
    assert served.client.post("/feedback", label).json == {"status": "matched"}
    counts = served.history.version_counts(old)
    assert sum(each["labelled"] for each in counts.values()) == 1
    assert served.history.version_counts(served.service.snapshot.revision_id) == {}


def test_request_ids_come_in_order_of_time(served: Served) -> None:
    """Request ids are UUIDv7: different, ordered, with version and variant in place."""
    found = [served.predict()["request_id"] for _ in range(200)]
    assert len(set(found)) == 200
    assert {(each[12], each[16] in "89ab") for each in found} == {("7", True)}
    assert found == sorted(found)


def test_the_history_keeps_its_order_when_the_clock_does_not(served: Served) -> None:
    """After a clock that was a day ahead, new rows are still the newest: they are in the drift
    window, outlive the older ones, and get their labels. Their time is the true one."""
    ahead = time.time() + 86400
    served.service._ids._ticks = int(ahead * 4096000)
    old = [served.predict()["request_id"] for _ in range(3)]
    served.flush()
    again = Served(served.config)
    again.recorder.keep_rows = 4
    new = [again.predict([4.9, 3.0, 1.4, 0.2]) for _ in range(3)]
    again.flush()
    kept = [row["request_id"].hex() for row in again.history.rows()]
    assert kept == [old[-1], *(each["request_id"] for each in new)]
    window = again.history.window(3, features=again.service.snapshot.control.feature_names)
    assert window.tolist() == [[4.9, 3.0, 1.4, 0.2]] * 3
    label = {"request_id": new[-1]["request_id"], "label": 0}
    assert again.client.post("/feedback", label).json == {"status": "matched"}
    assert all(row["time"] < ahead - 80000 for row in again.history.rows())
    assert len(list(again.history.rows(since=ahead - 3600))) == 0
    again.close()


def test_the_newest_revision_is_the_last_that_served(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that was served while the clock was a day ahead; so is who was here lately."""
    with monkeypatch.context() as ahead:
        later = time.time() + 86400
        ahead.setattr(time, "time", lambda: later)
        served.service.swap(served.service.snapshot)
        served.predict(user_id="somebody")
        served.flush()
    replace_in(served.config, "[data]", "[split]\nv1 = 100\nv2 = 0\n[data]")
    served.reload()
    served.predict(user_id="another")
    served.flush()
    assert served.history.revision().id == served.service.snapshot.revision_id
    assert [*served.history.revisions()][-1] == served.service.snapshot.revision_id
    assert served.history.active_users(now=time.time()) == 1


def test_a_clock_that_went_back_is_told(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Once, at the start, with how far the history is ahead."""
    served.service._ids._ticks = int((time.time() + 3600) * 4096000)
    served.predict()
    served.flush()
    Served(served.config).close()
    assert re.search(r"the history ends 3\d\d\d s in the future", caplog.text)


def test_a_removed_history_begins_anew(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Labels go to the file that has the name, never to one that has none any more."""
    old = {"request_id": served.predict()["request_id"], "label": 0}
    assert served.client.post("/feedback", old).json == {"status": "matched"}
    for path in served.config.parent.glob("h.sqlite3*"):
        path.unlink()
    assert served.client.post("/feedback", old).status == 404
    new = {"request_id": served.predict()["request_id"], "label": 0}
    assert served.client.post("/feedback", new).json == {"status": "matched"}
    assert "was removed or replaced" in caplog.text
    other = History(served.config.parent / "h.sqlite3")
    assert [(row["request_id"].hex(), row["label"]) for row in other.rows()] == [
        (new["request_id"], 0)
    ]
    assert other.revision().id == served.service.snapshot.revision_id
    other.close()


def test_only_short_work_is_quick(served: Served) -> None:
    """A row for forests is answered where it was read; a slow version is a thread's work."""
    single = b'{"features":[5.1,3.5,1.4,0.2],"user_id":"someone@example.org"}'
    assert len(single) < served.service.quick_bytes < 10_000
    replace_model(served, "v2", Slow(0.002))
    assert served.service.quick_bytes < len(single)


def test_what_a_model_remembers_makes_no_row_quick(served: Served) -> None:
    """How long a row takes is measured with rows that the model has not seen."""
    before = served.service.quick_bytes
    replace_model(served, "v2", Remembering())
    assert served.service.quick_bytes < before / 10


def only_v1_answers(served: Served) -> None:
    replace_in(served.config, "[data]", "[split]\nv1 = 100\nv2 = 0\n[data]")
    served.reload()


def test_a_slow_shadow_keeps_no_answer_waiting(served: Served) -> None:
    """A challenger that takes 0.2 s scores after the answer, and its vote is in the history."""
    only_v1_answers(served)
    replace_model(served, "v2", waiting := Waiting(0.2))
    waiting.go.clear()
    answers = [served.predict() for _ in range(3)]
    waiting.go.set()
    label = {"request_id": answers[0]["request_id"], "label": 0}
    assert served.client.post("/feedback", label).json == {"status": "matched"}
    served.service.close()
    served.flush()
    votes = [json.loads(row["votes"]) for row in served.history.rows()]
    assert votes == [{"v1": 0, "v2": 1}] * 3
    assert served.sample("shadow_latency_seconds_count", version="v2") == 3
    assert served.sample("shadow_latency_seconds_sum", version="v2") > 0.6


def test_the_shadow_has_a_budget(served: Served) -> None:
    """Of many requests a slow challenger scores some. The others are told, and have one vote."""
    only_v1_answers(served)
    replace_model(served, "v2", Slow(0.05))
    for _ in range(100):
        served.predict()
    served.service.close()
    served.flush()
    votes = [json.loads(row["votes"]) for row in served.history.rows()]
    scored = votes.count({"v1": 0, "v2": 1})
    # One second of work may be waiting at once, and a tenth of the time since.
    assert 10 <= scored <= 40
    assert votes.count({"v1": 0}) == served.sample("shadow_skipped_total") == 100 - scored
    revision = served.history.revision()
    agreement = served.history.agreement(revision.models["v1"], revision.models["v2"])
    assert (
        agreement["scored"] == scored == served.sample("shadow_disagreements_total", version="v2")
    )
    assert served.sample("experiment_sampling_rate", version="v2") == scored / 100


def test_what_is_in_a_row_decides_nothing(served: Served) -> None:
    """Whether a request is scored at once, or may be left out, does not depend on how quickly it
    was answered, as a row is that the model remembers."""
    only_v1_answers(served)
    replace_model(served, "v2", Slow(0.05))
    _, answered = served.service.answer(b'{"features": [5.1, 3.5, 1.4, 0.2]}')
    (other,) = shadow.others_of(answered)
    for slow, expected in [(0.05, False), (1e-6, True)]:
        other.cost.seconds = slow
        for latency in (1e-9, 10.0):
            assert shadow.is_cheap(answered._replace(latency=latency), [other]) is expected
    served.service.follow(answered)


def test_a_shadow_that_turns_slow_is_put_aside(served: Served) -> None:
    """What was quick at load, and is not with the rows that come, soon delays nobody."""
    only_v1_answers(served)
    model = Slow(0.0)
    replace_model(served, "v2", model)
    model.seconds = 0.05
    waited = []
    for _ in range(20):
        started = time.monotonic()
        served.predict()
        waited.append(time.monotonic() - started)
    assert sum(each > 0.05 for each in waited) < 5
