"""Names, labels and first values of everything Prometheus sees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from processes import ROW, Served, write_config
from prometheus_client.parser import text_string_to_metric_families

from irisab.serving.metrics import Metrics

# name -> labels, as users know them
DOCUMENTED = {
    "prediction_requests_total": (),
    "model_version_requests_total": ("version",),
    "prediction_latency_seconds_bucket": ("version", "le"),
    "prediction_latency_seconds_count": ("version",),
    "prediction_latency_seconds_sum": ("version",),
    "prediction_errors_total": ("reason",),
    "auth_failures_total": ("reason",),
    "prediction_class_total": ("version", "class_name"),
    "feature_unseen_values_total": ("feature",),
    "prediction_feedback_total": ("version", "outcome"),
    "prediction_fallback_total": ("version",),
    "shadow_disagreements_total": ("version",),
    "shadow_errors_total": ("version",),
    "request_queue_seconds_bucket": ("le",),
    "request_queue_seconds_count": (),
    "request_queue_seconds_sum": (),
    "request_duration_seconds_bucket": ("le",),
    "request_duration_seconds_count": (),
    "request_duration_seconds_sum": (),
    "shadow_latency_seconds_bucket": ("version", "le"),
    "shadow_latency_seconds_count": ("version",),
    "shadow_latency_seconds_sum": ("version",),
    "shadow_skipped_total": (),
    "model_drift_score": (),
    "model_drift_limit": (),
    "feature_drift_score": ("feature",),
    "feature_drift_limit": ("feature",),
    "model_split_weight": ("version",),
    "config_last_reload_successful": (),
    "config_last_reload_success_timestamp_seconds": (),
    "history_rows_dropped_total": (),
    "history_last_write_successful": (),
    "prediction_active_users": (),
    "experiment_e_value": ("version",),
    "experiment_sampling_rate": ("version",),
    "experiment_verdict": ("version", "verdict"),
    "accuracy_fall_e_value": ("version",),
    "experiment_sample_ratio_ok": (),
    "rollout_state": ("state",),
    "rollout_hold": ("reason",),
    "irisab_build_info": ("version", "python"),
}


@pytest.fixture
def served(tmp_path: Path, iris_models: Path) -> Iterator[Served]:
    found = Served(write_config(tmp_path, iris_models, "[split]\nv1 = 90\nv2 = 10\n"))
    yield found
    found.close()


def samples(served: Served) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Scrape /metrics and return (labels, value) by sample name."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    text = served.client.get("/metrics").body.decode()
    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith(".") or family.name.startswith("process_")
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_names_and_labels_are_the_documented_ones(served: Served) -> None:
    """Before the first request every documented series is there, and no other."""
    found = {
        name: tuple(values[0][0])
        for name, values in samples(served).items()
        if not name.startswith("process_")
    }
    assert {name: sorted(labels) for name, labels in found.items()} == {
        name: sorted(labels) for name, labels in DOCUMENTED.items()
    }


def test_process_metrics_are_there(served: Served) -> None:
    """Memory, descriptors and CPU of the process are exported."""
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total"} <= set(samples(served))


def test_every_counter_starts_at_zero(served: Served) -> None:
    """Each version, class, reason and outcome exists at 0 from the start."""
    found = samples(served)
    for name, values in found.items():
        if name.endswith(("_total", "_count", "_bucket")) and not name.startswith("process_"):
            assert all(value == 0 for _, value in values), name
    assert len(found["prediction_class_total"]) == 6
    assert len(found["prediction_errors_total"]) == 9
    assert len(found["auth_failures_total"]) == 5
    assert [labels for labels, _ in found["shadow_disagreements_total"]] == [{"version": "v2"}]


def test_every_gauge_has_its_true_value(served: Served) -> None:
    """Weights in percent, a good reload, no users; drift is NaN before the window is full."""
    found = samples(served)
    weights = {labels["version"]: value for labels, value in found["model_split_weight"]}
    assert weights == {"v1": 90, "v2": 10}
    assert found["config_last_reload_successful"][0][1] == 1
    assert found["prediction_active_users"][0][1] == 0
    assert math.isnan(found["model_drift_score"][0][1])
    assert all(math.isnan(value) for _, value in found["feature_drift_score"])
    verdicts = {labels["verdict"]: value for labels, value in found["experiment_verdict"]}
    assert verdicts == {"better": 0, "worse": 0, "equivalent": 0, "inconclusive": 1}


def test_gauges_follow_what_happens(served: Served) -> None:
    """Users and drift are computed at the scrape, from the history."""
    for number in range(7):
        served.predict(user_id=f"u{number % 3}")
    served.predict([ROW] * 100)
    served.flush()
    found = samples(served)
    assert found["prediction_active_users"][0][1] == 3
    assert found["model_drift_score"][0][1] > 0.3
    report = served.client.get("/report").json["drift"]
    assert found["model_drift_score"][0][1] == report["score"]
    by_feature = {labels["feature"]: value for labels, value in found["feature_drift_score"]}
    assert by_feature == report["features"]


def test_labels_never_come_from_a_client(served: Served) -> None:
    """Whatever clients send, no series appears that was not there before."""
    before = {(name, len(values)) for name, values in samples(served).items()}
    for version in ("v9", "x" * 100, "../etc"):
        served.client.post("/predict", {"features": ROW, "model_version": version})
    served.predict(user_id="somebody")
    served.client.get("/nowhere")
    assert {(name, len(values)) for name, values in samples(served).items()} == before


words = st.sampled_from(
    [
        "text/plain",
        "application/openmetrics-text",
        "version=",
        "escaping=",
        "1.0.0",
        "2",
        "x",
        "q=1",
    ]
)
latin = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=4)
marks = st.sampled_from([";", ",", "=", " ", "."])


@given(st.lists(words | marks | latin, max_size=8).map("".join))
@example("application/openmetrics-text;version=abc")
@example("text/plain;version=1.0.\xb2")
def test_any_accept_header_is_answered(accept: str) -> None:
    """Content negotiation of whatever a client sends ends in a format, not in an error."""
    content_type, body = Metrics().render(accept)
    assert content_type.startswith(("text/plain;", "application/openmetrics-text;"))
    assert content_type.isprintable() and content_type.isascii()
    assert b"prediction_requests_total 0" in body
