"""GET /timeline: buckets of every length, gaps that are gaps, and events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from processes import ROW, Served, write_config
from traffic import NOW

from irisab.serving import buckets
from irisab.store.events import EventLog
from irisab.store.timeline import DAY, HOUR, STEPS, Drift, Figures, start
from irisab.store.writer import Failure

UNKNOWN = {"p50": None, "p95": None, "mae": None, "rmse": None}
NOTHING = {"requests": 0, "rows": 0, "errors": 0, "labelled": 0, "correct": 0, **UNKNOWN}


@pytest.fixture
def served(tmp_path: Path, iris_models: Path) -> Iterator[Served]:
    text = "[split]\nv1 = 50\nv2 = 50\n[drift]\nwindow = 10\n"
    found = Served(write_config(tmp_path, iris_models, text))
    yield found
    found.close()


def told(served: Served, query: str = "") -> Any:
    answer = served.client.get("/timeline", environ={"QUERY_STRING": query})
    assert answer.status == 200, answer.body
    return answer.json


def versions(told: Any, name: str) -> dict[str, float]:
    """Return a figure of each version, added up over the buckets."""
    return {
        version: sum(each["versions"][version][name] for each in told["buckets"])
        for version in told["buckets"][0]["versions"]
    }


@pytest.mark.parametrize(
    ("hours", "seconds", "count"),
    [
        (1, 60, 60),
        (2, 60, 120),
        (3, 900, 12),
        (24, 900, 96),
        (48, 900, 192),
        (49, HOUR, 49),
        (192, HOUR, 192),
        (193, DAY, 9),
        (744, DAY, 31),
        (24_000, DAY, 1000),
    ],
)
def test_buckets_are_as_long_as_the_span_asks_for(
    hours: int, seconds: int, count: int, served: Served
) -> None:
    """Each follows on the one before, in whole steps of UTC; the last one holds this moment."""
    found = buckets.told(served.history, served.service.snapshot, hours, now=NOW)
    assert found["seconds"] == seconds
    begins = [datetime.fromisoformat(each["at"]).timestamp() for each in found["buckets"]]
    assert len(begins) == count and begins[-1] == start(NOW, seconds)
    assert begins == [*range(int(begins[0]), int(NOW) + 1, seconds)]
    ends = [datetime.fromisoformat(found[end]).timestamp() for end in ("from", "to")]
    assert ends == [begins[0], begins[-1] + seconds]


@pytest.mark.parametrize(("seconds", "hours"), buckets.SPANS.items())
def test_no_step_is_asked_for_that_is_forgotten(seconds: int, hours: int) -> None:
    """What can be asked for is kept for longer than that."""
    assert hours * HOUR < STEPS[seconds]
    assert [*buckets.SPANS] == [*STEPS]
    assert max(most * HOUR / step for step, most in buckets.SPANS.items()) <= 1000


def test_what_is_told_is_what_happened(served: Served) -> None:
    """Requests, rows, errors, latency, labels, drift and events, each in its bucket."""
    shown = [served.predict([ROW] * 2, user_id=f"user {number}") for number in range(20)]
    served.recorder.fail(Failure(served.service.snapshot.revision_id, "v2", time.time() - 3 * DAY))
    served.flush()
    first = shown[0]
    body = {"request_id": first["request_id"], "labels": [0, 1]}
    assert served.client.post("/feedback", body).status == 200
    served.service.look_at_drift()
    served.flush()
    EventLog(served.history._reader._path).add("reload", "serving", version=None, by="irisab")
    found = told(served, "hours=24")
    requests = versions(found, "requests")
    assert requests == {
        name: sum(each["model_version"] == name for each in shown) for name in ("v1", "v2")
    }
    assert versions(found, "rows") == {name: 2 * each for name, each in requests.items()}
    assert versions(found, "labelled")[first["model_version"]] == 2
    assert versions(found, "correct")[first["model_version"]] == 1
    assert versions(found, "errors") == {"v1": 0, "v2": 0}  # three days ago
    for bucket in found["buckets"]:
        for each in bucket["versions"].values():
            assert each == NOTHING or 0 < each["p50"] <= each["p95"]
    drift = [each["drift"] for each in found["buckets"] if each["drift"] is not None]
    assert drift and set(drift[-1]["features"]) == set(served.service.snapshot.reference.names)
    assert drift[-1]["score"] == pytest.approx(served.service.report()["drift"]["score"], abs=1e-4)
    assert [each["kind"] for each in found["events"]] == ["reload"]
    assert versions(told(served, "hours=100"), "errors") == {"v1": 0, "v2": 1}


def test_a_gap_is_a_gap(served: Served) -> None:
    """No requests, no latency; no label, no error; no look, no drift: null, and not 0."""
    found = told(served)
    assert found["seconds"] == 900 and len(found["buckets"]) == 96
    for bucket in found["buckets"]:
        assert bucket["versions"] == {"v1": NOTHING, "v2": NOTHING}
        assert bucket["drift"] is None
    assert found["events"] == []


def test_nothing_is_looked_at_twice(served: Served) -> None:
    """Drift without a new row would be news of nothing; before a window is full there is none."""
    for _ in range(9):
        served.predict()
    served.flush()
    served.service.look_at_drift()
    assert not served.recorder._queue
    served.predict()
    served.flush()
    served.service.look_at_drift()
    served.service.look_at_drift()
    assert [type(each) for each in served.recorder._queue] == [Drift]


@pytest.mark.parametrize(
    "query",
    [
        *("hours=0", "hours=-1", "hours=24001", "hours=1.5", "hours=", "hours=a", "hours=%D9%A1"),
        *("hours=24&hours=1", "hours=24&more=1", "days=1", f"hours={'9' * 5000}", "hours=1e3"),
    ],
)
def test_what_cannot_be_told_is_refused(query: str, served: Served) -> None:
    """In a sentence, with what can be asked for."""
    answer = served.client.get("/timeline", environ={"QUERY_STRING": query})
    assert answer.status == 400
    sentence = "ask for a number of hours from 1 to 24000, such as /timeline?hours=24"
    assert sentence in answer.json["detail"].lower()


@pytest.mark.parametrize("labelled", [0, 4])
def test_a_regression_has_errors_in_place_of_a_share(labelled: int) -> None:
    """Mean and root mean square error of the labels of a bucket; without any, null."""
    figures = Figures(requests=4, labelled=labelled, absolute=8.0, squared=64.0)
    found = buckets._figures(figures, regression=True)
    expected = {"mae": 2.0, "rmse": 4.0} if labelled else {"mae": None, "rmse": None}
    assert {name: found[name] for name in expected} == expected


def test_no_answer_is_large(served: Served) -> None:
    """A thousand days of two versions fit into the half of a megabyte."""
    assert len(json.dumps(told(served, "hours=24000"))) < 500_000
