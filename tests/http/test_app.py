"""The HTTP contract, in process."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import ROW, Served, write_config

from irisab.config import HARD_BODY_LIMIT

NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
BY_NAME = dict(zip(NAMES, ROW, strict=True))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, iris_models: Path) -> Iterator[Served]:
    found = Served(write_config(tmp_path_factory.mktemp("app"), iris_models))
    yield found
    found.close()


def features(text: str) -> bytes:
    return f'{{"features": {text}}}'.encode()


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "not json": (b"hello", "not JSON"),
    "half an object": (b'{"features": [5.1,', "not JSON"),
    "two objects": (b'{"features": [5.1,3.5,1.4,0.2]} {}', "not JSON"),
    "trailing comma": (features("[5.1,3.5,1.4,0.2,]"), "not JSON"),
    "single quotes": (b"{'features': [5.1,3.5,1.4,0.2]}", "not JSON"),
    "a list": (b"[5.1,3.5,1.4,0.2]", "JSON object"),
    "null": (b"null", "JSON object"),
    "a number": (b"5", "JSON object"),
    "text": (b'"features"', "JSON object"),
    "no features": (b"{}", "'features' is missing"),
    "misspelt features": (b'{"feature": [5.1,3.5,1.4,0.2]}', "'features' is missing"),
    "features null": (features("null"), "null"),
    "features text": (features('"5.1,3.5,1.4,0.2"'), "text"),
    "features a number": (features("5.1"), "a number"),
    "features true": (features("true"), "true or false"),
    "no values": (features("[]"), "0 values"),
    "too few": (features("[5.1,3.5,1.4]"), "3 values"),
    "too many": (features("[5.1,3.5,1.4,0.2,1]"), "5 values"),
    "an empty row": (features("[[]]"), "0 values"),
    "ragged rows": (features("[[5.1,3.5,1.4,0.2],[5.1]]"), "row 1 has 1 values"),
    "a number among rows": (features("[[5.1,3.5,1.4,0.2],5]"), "row 1 must be a list"),
    "rows in rows": (features("[[[5.1,3.5,1.4,0.2]]]"), "1 values"),
    "null value": (features("[null,3.5,1.4,0.2]"), "sepal_length must be a number, not null"),
    "text value": (features('["5.1",3.5,1.4,0.2]'), "sepal_length must be a number, not text"),
    "boolean value": (features("[true,3.5,1.4,0.2]"), "not true or false"),
    "list value": (features("[5.1,[3.5],1.4,0.2]"), "sepal_width must be a number, not a list"),
    "object value": (features("[5.1,{},1.4,0.2]"), "not an object"),
    "NaN": (features("[NaN,3.5,1.4,0.2]"), "NaN is not a JSON number"),
    "Infinity": (features("[Infinity,3.5,1.4,0.2]"), "Infinity is not a JSON number"),
    "-Infinity": (features("[-Infinity,3.5,1.4,0.2]"), "-Infinity is not"),
    "overflows float64": (features("[1e999,3.5,1.4,0.2]"), "too large"),
    "overflows float32": (features("[1e39,3.5,1.4,0.2]"), "too large"),
    "negative overflow": (features("[5.1,-1e39,1.4,0.2]"), "sepal_width is too large"),
    "huge integer": (features(f"[{'9' * 400},3.5,1.4,0.2]"), "too large"),
    "endless integer": (features(f"[{'9' * 5000},3.5,1.4,0.2]"), "too many digits"),
    "deep nesting": (features("[" * 25_000 + "]" * 25_000), "nested too deeply"),
    "deep objects": (b'{"":' * 13_000 + b"1" + b"}" * 13_000, "nested too deeply"),
    "invalid utf-8": (b'{"features": [5.1,3.5,1.4,0.2], "user_id": "\xff"}', "not UTF-8"),
    "utf-16": ('{"features": [5.1,3.5,1.4,0.2]}'.encode("utf-16"), "not UTF-8"),
    "a NUL byte": (b'{"features": [5.1,3.5,1.4,0.2]}\0', "not JSON"),
    "byte order mark": (b"\xef\xbb\xbf" + features("[5.1,3.5,1.4,0.2]"), "not JSON"),
    "missing name": (features('{"sepal_length": 5.1}'), "no 'sepal_width'"),
    "unknown name": (features(json.dumps(BY_NAME | {"colour": 1})), "unknown 'colour'"),
    "no names": (features("{}"), "no 'sepal_length'"),
    "text by name": (features(json.dumps(BY_NAME | {"petal_width": "x"})), "petal_width must be"),
    "unknown key": (b'{"features": [5.1,3.5,1.4,0.2], "model": "v1"}', "unknown key 'model'"),
    "surrogate key": (b'{"features": [5.1,3.5,1.4,0.2], "\\ud800": 1}', "unknown key"),
    "user a number": (b'{"features": [5.1,3.5,1.4,0.2], "user_id": 17}', "must be text"),
    "user empty": (b'{"features": [5.1,3.5,1.4,0.2], "user_id": ""}', "1 to 128"),
    "user too long": (b'{"features": [1,1,1,1], "user_id": "%s"}' % (b"x" * 129), "1 to 128"),
    "lone surrogate": (b'{"features": [1,1,1,1], "user_id": "\\ud83d"}', "half a character"),
    "version a number": (b'{"features": [1,1,1,1], "model_version": 1}', "must be text"),
    "unknown version": (b'{"features": [1,1,1,1], "model_version": "v9"}', "'v9' is not served"),
    "version empty": (b'{"features": [1,1,1,1], "model_version": ""}', "is not served"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_bodies_get_one_clear_sentence(name: str, served: Served) -> None:
    """A body that cannot be answered is a 400 with a sentence, and not a prediction."""
    body, expected = BAD_BODIES[name]
    before = served.sample("prediction_requests_total")
    errors = served.sample("prediction_errors_total", reason="bad_request")
    answer = served.client.post("/predict", body)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert expected.lower() in answer.json["detail"].lower()
    assert answer.json["status"] == 400 and answer.json["title"] == "Bad Request"
    assert answer.json["detail"].endswith(".") and len(answer.json["detail"]) < 300
    assert served.sample("prediction_requests_total") == before
    assert served.sample("prediction_errors_total", reason="bad_request") == errors + 1


def test_bad_requests_leave_no_history(served: Served) -> None:
    """What is refused between good requests costs them no row, and leaves none."""
    served.flush()
    before = len(list(served.history.rows()))
    for number, (body, _) in enumerate(BAD_BODIES.values()):
        served.client.post("/predict", body)
        if number % 10 == 0:
            served.predict()
    served.flush()
    assert len(list(served.history.rows())) == before + (len(BAD_BODIES) + 9) // 10
    assert served.recorder.dropped == 0


def test_large_bodies_are_refused_by_their_length(served: Served) -> None:
    """A body above max_body_bytes is a 413, and is not read."""
    answer = served.client.post("/predict", b"x" * 65537)
    assert answer.status == 413
    assert "65537 bytes, the limit is 65536" in answer.json["detail"]
    assert HARD_BODY_LIMIT > 65536


def test_many_rows_are_refused(served: Served) -> None:
    """A batch above max_rows is a 413."""
    answer = served.client.post("/predict", {"features": [[1, 1, 1, 1]] * 1001})
    assert answer.status == 413
    assert "1001 rows, the limit is 1000" in answer.json["detail"]
    assert len(served.predict([[1, 1, 1, 1]] * 1000)["predictions"]) == 1000


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-json", "json"])
def test_other_media_types_are_refused(content_type: str | None, served: Served) -> None:
    """Anything but application/json is a 415 that names the header."""
    answer = served.client.post("/predict", {"features": ROW}, content_type=content_type)
    assert answer.status == 415
    assert "Content-Type: application/json" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/predict", "/feedback"])
def test_compressed_bodies_are_refused(path: str, served: Served) -> None:
    """A gzip body is a 415 that says so, and not a complaint about its JSON."""
    body = gzip.compress(json.dumps({"features": ROW}).encode())
    answer = served.client.post(path, body, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.json["status"]) == (415, 415)
    assert "without Content-Encoding" in answer.json["detail"]
    served.flush()
    assert not served.service.pending
    plain = served.client.post(
        "/predict", {"features": ROW}, headers={"Content-Encoding": "identity"}
    )
    assert plain.status == 200


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=1"]
)
def test_json_with_parameters_is_json(content_type: str, served: Served) -> None:
    """Parameters and case of the media type do not matter (RFC 9110, 8.3.1)."""
    answer = served.client.post("/predict", {"features": ROW}, content_type=content_type)
    assert answer.status == 200


@pytest.mark.parametrize("path", ["/", "/predict/", "/Predict", "/v1/predict", "/favicon.ico"])
def test_unknown_paths_are_404(path: str, served: Served) -> None:
    """A path that is not there says which are."""
    answer = served.client.get(path)
    assert answer.status == 404
    assert "/predict" in answer.json["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/predict", "POST"),
        ("PUT", "/predict", "POST"),
        ("HEAD", "/predict", "POST"),
        ("DELETE", "/feedback", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("PATCH", "/config", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("OPTIONS", "/report", "GET, HEAD"),
    ],
)
def test_wrong_methods_are_405(method: str, path: str, allow: str, served: Served) -> None:
    """A wrong method is a 405 whose Allow header names the right ones."""
    answer = served.client.request(method, path, b"{}")
    assert answer.status == 405
    assert answer.headers["Allow"] == allow


@pytest.mark.parametrize("path", ["/health", "/config", "/report", "/metrics", "/openapi.json"])
def test_head_has_the_headers_of_get(path: str, served: Served) -> None:
    """HEAD answers like GET, without the body."""
    get, head = served.client.get(path), served.client.request("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) > 0


def test_a_row_is_answered_as_documented(served: Served) -> None:
    """A single row gets exactly the documented keys."""
    answer = served.predict()
    assert set(answer) == {
        *("prediction", "model_version", "timestamp", "latency_ms", "class_name"),
        *("probabilities", "request_id"),
    }
    assert answer["prediction"] == 0 and answer["class_name"] == "setosa"
    assert answer["probabilities"] == [1.0, 0.0, 0.0]
    assert answer["model_version"] in ("v1", "v2")
    assert answer["timestamp"].endswith("Z") and answer["latency_ms"] > 0


def test_rows_by_name_come_in_any_order(served: Served) -> None:
    """Features by name are put in the model's order."""
    shuffled = {name: BY_NAME[name] for name in reversed(NAMES)}
    by_name, by_place = served.predict(shuffled), served.predict(ROW)
    assert by_name["probabilities"] == by_place["probabilities"]


def test_a_batch_is_answered_by_one_version(served: Served) -> None:
    """A list of rows gets lists, one entry per row, from one version."""
    answer = served.predict([ROW, [6.3, 3.3, 6.0, 2.5]])
    assert answer["predictions"] == [0, 2]
    assert answer["class_names"] == ["setosa", "virginica"]
    assert len(answer["probabilities"]) == 2 and answer["model_version"] in ("v1", "v2")
    assert "prediction" not in answer


def test_a_batch_of_one_stays_a_batch(served: Served) -> None:
    """A list with one row is answered with lists."""
    assert served.predict([ROW])["predictions"] == [0]


def test_users_stay_with_their_version(served: Served) -> None:
    """The same user_id gets the same version; different ones get both."""
    versions = {
        user: {served.predict(user_id=user)["model_version"] for _ in range(5)}
        for user in (f"user {number}" for number in range(40))
    }
    assert all(len(each) == 1 for each in versions.values())
    assert set.union(*versions.values()) == {"v1", "v2"}


def test_a_forced_version_answers_and_is_kept_out(served: Served) -> None:
    """model_version chooses, counts as a request, and stays out of the experiment."""
    served.flush()
    before = served.client.get("/report").json["versions"]["v2"]["requests"]
    counted = served.sample("model_version_requests_total", version="v2")
    answers = [served.predict(model_version="v2")["model_version"] for _ in range(10)]
    served.flush()
    assert set(answers) == {"v2"}
    assert served.sample("model_version_requests_total", version="v2") == counted + 10
    after = served.client.get("/report").json["versions"]["v2"]
    assert after["requests"] == before
    assert (after["latency_ms"]["p50"] is None) is (before == 0)


def test_health_tells_what_serves(served: Served) -> None:
    """/health is 200 with the documented keys while it serves."""
    answer = served.client.get("/health").json
    assert answer["status"] == "healthy" and answer["models_loaded"] is True
    assert answer["revision"] == served.service.snapshot.revision_id
    assert set(answer["reload"]) == {"ok", "error", "at"} and answer["reload"]["ok"] is True


def test_health_is_503_while_draining(served: Served) -> None:
    """A load balancer sees that the service is about to stop."""
    served.service.draining = True
    try:
        answer = served.client.get("/health")
    finally:
        served.service.draining = False
    assert answer.status == 503 and answer.json["status"] == "draining"


def test_config_shows_no_path(served: Served) -> None:
    """/config describes what is served, and tells nothing of the host."""
    answer = served.client.get("/config")
    assert answer.json["split"] == {"v1": 50, "v2": 50}
    assert [each["name"] for each in answer.json["features"]] == NAMES
    assert answer.json["features"][0]["unit"] == "cm"
    assert answer.json["classes"] == ["setosa", "versicolor", "virginica"]
    assert answer.json["versions"]["v2"]["n_estimators"] == 100
    assert 0.9 < answer.json["versions"]["v1"]["cv_accuracy"] < 1
    assert str(served.config.parent).encode() not in answer.body


def test_config_tells_the_top_of_a_tree(served: Served) -> None:
    """Of each forest: what it asks first, and in the end a class of the data."""
    for version in ("v1", "v2"):
        tree = served.client.get("/config").json["versions"][version]["tree"]
        assert tree["feature"] in NAMES and tree["at_most"] > 0
        while "feature" in tree:
            tree = tree["yes"]
        assert tree["class_name"] in ("setosa", "versicolor", "virginica")


def test_report_has_every_part(served: Served) -> None:
    """/report has the documented keys before there is any data."""
    answer = served.client.get("/report").json
    assert set(answer) == {
        *("command", "revision", "control", "versions", "comparisons", "sample_ratio", "drift")
    }
    assert answer["comparisons"][0]["challenger"] == "v2"
    assert answer["drift"]["window"] == 100


def test_metrics_come_in_the_format_asked_for(served: Served) -> None:
    """The Accept header chooses between Prometheus text and OpenMetrics."""
    plain = served.client.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2"
    openmetrics = served.client.get("/metrics", headers={"Accept": accept})
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.body.endswith(b"# EOF\n")


def test_queueing_time_is_observed(served: Served) -> None:
    """X-Request-Start of nginx ends in request_queue_seconds; nonsense in it does not."""
    before = served.sample("request_queue_seconds_count")
    for stamp in (f"t={time.time() - 0.2:.3f}", "t=soon", "", "t=1.5", "t=nan", "t=inf"):
        answer = served.client.post(
            "/predict", {"features": ROW}, headers={"X-Request-Start": stamp}
        )
        assert answer.status == 200
    assert served.sample("request_queue_seconds_count") == before + 1
    assert served.sample("request_queue_seconds_bucket", le="0.1") == before


def test_all_that_a_client_waits_is_observed(served: Served) -> None:
    """From nginx's stamp, else from the first byte, to the answer; whoever answers in between."""

    def waits(**options: Any) -> tuple[float, ...]:
        """Return how many more waited up to 1 and 2.5 seconds after one request."""
        before = [at_most(limit) for limit in ("1.0", "2.5")]
        assert served.client.post("/predict", {"features": ROW}, **options).status == 200
        after = [at_most(limit) for limit in ("1.0", "2.5")]
        return tuple(b - a for a, b in zip(before, after, strict=True))

    def at_most(limit: str) -> float:
        return served.sample("request_duration_seconds_bucket", le=limit)

    assert waits() == (1, 1)
    assert waits(environ={"irisab.arrived": time.time() - 1.5}) == (0, 1)
    assert waits(headers={"X-Request-Start": f"t={time.time() - 1.5:.3f}"}) == (0, 1)
    assert waits(headers={"X-Request-Start": f"t={time.time() - 3:.3f}"}) == (0, 0)


def test_openapi_is_served(served: Served) -> None:
    """/openapi.json describes every path that is routed."""
    paths = served.client.get("/openapi.json").json["paths"]
    assert set(paths) == {
        *("/predict", "/feedback", "/health", "/config", "/report", "/versions", "/metrics"),
        *("/openapi.json", "/timeline"),
    }


BAD_FEEDBACK: dict[str, tuple[Any, int]] = {
    "no id": ({"label": 0}, 400),
    "no label": ({"request_id": "0" * 32}, 400),
    "both": ({"request_id": "0" * 32, "label": 0, "labels": [0]}, 400),
    "id a number": ({"request_id": 1, "label": 0}, 400),
    "id too short": ({"request_id": "abc", "label": 0}, 400),
    "id not hexadecimal": ({"request_id": "x" * 32, "label": 0}, 400),
    "id with spaces": ({"request_id": "0 " * 16, "label": 0}, 400),
    "unknown id": ({"request_id": "0" * 32, "label": 0}, 404),
    "label null": ({"request_id": "0" * 32, "label": None}, 400),
    "label a list": ({"request_id": "0" * 32, "label": [0]}, 400),
    "labels empty": ({"request_id": "0" * 32, "labels": []}, 400),
    "labels text": ({"request_id": "0" * 32, "labels": "setosa"}, 400),
    "unknown key": ({"request_id": "0" * 32, "label": 0, "user": 1}, 400),
    "a list": ([], 400),
}


@pytest.mark.parametrize("name", BAD_FEEDBACK)
def test_bad_feedback_is_refused(name: str, served: Served) -> None:
    """Feedback that cannot be kept says so in a sentence."""
    body, status = BAD_FEEDBACK[name]
    answer = served.client.post("/feedback", body)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["detail"].endswith(".")


def test_feedback_is_matched_at_once(served: Served) -> None:
    """A label is found while its prediction is still in the queue, and is kept once."""
    request_id = served.predict()["request_id"]
    label = {"request_id": request_id, "label": "setosa"}
    assert served.client.post("/feedback", label).json == {"status": "matched"}
    assert served.client.post("/feedback", label | {"label": 0}).json == {"status": "duplicate"}
    assert served.client.post("/feedback", label | {"label": 1}).status == 409


def test_feedback_for_a_batch_needs_a_label_per_row(served: Served) -> None:
    """`labels` has an entry per row, by number or name; anything else is refused."""
    request_id = served.predict([ROW, ROW])["request_id"]
    for labels in ([0], [0, 0, 0], [0, 7], [0, "rose"]):
        body = {"request_id": request_id, "labels": labels}
        assert served.client.post("/feedback", body).status == 400
    body = {"request_id": request_id, "labels": [0, "virginica"]}
    assert served.client.post("/feedback", body).json == {"status": "matched"}


def test_a_fault_of_ours_is_a_500_without_details(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """An error nobody foresaw is in the log with its traceback, and not in the answer."""
    reload, served.service.reload = served.service.reload, None  # type: ignore[assignment]
    try:
        with caplog.at_level(logging.ERROR):
            answer = served.client.get("/health")
    finally:
        served.service.reload = reload
    assert answer.status == 500
    assert answer.json["detail"] == "Irisab failed; its log says why."
    assert "Traceback" in caplog.text
