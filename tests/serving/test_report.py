"""The report: what the history holds, in the words and figures of the contract."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import write_config
from traffic import prediction

from irisab.cli.text import drift_text, verdict_text
from irisab.cli.typed import typed
from irisab.lifecycle.dataset import load_iris
from irisab.serving import report, snapshot
from irisab.stats import drift
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.store.writer import Failure

NOW = datetime(2025, 11, 22, 10, 30, 45, 987654, tzinfo=UTC)
BAR = "=" * 50


class World:
    """A snapshot on Iris and a history that is filled by hand."""

    def __init__(self, config: Path) -> None:
        self.snapshot = snapshot.build(config)
        self.recorder = Recorder(self.snapshot.config.data.history, keep_rows=100_000)
        self.history = History(self.snapshot.config.data.history)
        self.recorder.announce(self.snapshot.describe())

    def ask(self, votes: Any = ({"v1": 0, "v2": 0},), **options: Any) -> bytes:
        rows = options.pop("rows", [[5.0, 3.0, 1.5, 0.2]] * len(votes))
        item = prediction(votes, rows=rows, revision=self.snapshot.revision_id, **options)
        self.recorder.record(item)
        self.recorder.flush()
        return item.request_id

    @property
    def report(self) -> Any:
        """The report as a client gets it: through JSON, where there is no NaN."""
        return json.loads(json.dumps(report.build(self.history, self.snapshot), allow_nan=False))

    def close(self) -> None:
        self.recorder.close()
        self.history.close()


@pytest.fixture
def start(tmp_path: Path, iris_models: Path) -> Iterator[Callable[..., World]]:
    started = []

    def begin(text: str = "") -> World:
        started.append(World(write_config(tmp_path, iris_models, text)))
        return started[-1]

    yield begin
    for each in started:
        each.close()


Start = Callable[..., World]

# -- before anything happened ---------------------------------------------------------------


def test_an_empty_history_is_a_whole_report(start: Start) -> None:
    """Every key of the contract is there, with null where nothing is known."""
    world = start()
    found = world.report
    version = {
        "requests": 0,
        "labelled": 0,
        "correct": 0,
        "accuracy": None,
        "errors": 0,
        "latency_ms": {"p50": None, "p95": None},
        "per_class": {
            name: {"labelled": 0, "correct": 0, "recall": None}
            for name in ("setosa", "versicolor", "virginica")
        },
        "mae": None,
        "rmse": None,
    }
    names = world.snapshot.reference.names
    (comparison,) = found.pop("comparisons")
    distributions = found["drift"].pop("distributions")
    assert found == {
        "revision": world.snapshot.revision_id,
        "control": "v1",
        "versions": {"v1": version, "v2": version},
        "sample_ratio": {"ok": True, "users": {"v1": 0, "v2": 0}},
        "drift": {
            "score": None,
            "limit": None,
            "threshold": 0.3,
            "status": "NOT ENOUGH DATA",
            "rows": 0,
            "window": 100,
            "features": dict.fromkeys(names),
            "limits": dict.fromkeys(names),
            "above": [],
        },
    }
    assert set(distributions) == set(names)
    assert {name for each in distributions.values() for name in each} == {
        *("edges", "training", "window")
    }
    assert set(comparison) == {
        *("challenger", "verdict", "reason", "disagreement_rate", "labelled", "challenger_right"),
        *("control_right", "e_value", "difference", "labels_needed", "reason_code", "unit"),
        *("worse_on", "next", "scored", "sampling_rate"),
    }
    assert (comparison["verdict"], comparison["reason_code"]) == ("inconclusive", "no_labels")
    assert (comparison["unit"], comparison["worse_on"]) == ("request", [])
    assert comparison["difference"] == {"estimate": None, "low": -1, "high": 1}
    assert not world.snapshot.config.data.history.exists()


# -- drift ----------------------------------------------------------------------------------


def test_there_is_no_score_before_the_window_is_full(start: Start) -> None:
    """99 rows of 100 are not enough, 100 are; a batch enters row by row."""
    world = start()
    rows = load_iris().rows[np.random.default_rng(1).integers(150, size=100)].tolist()
    world.ask([{"v1": 0, "v2": 0}] * 99, rows=rows[:99])
    found = world.report["drift"]
    assert (found["rows"], found["status"], found["score"]) == (99, "NOT ENOUGH DATA", None)
    assert set(found["features"].values()) == {None}
    world.ask(rows=rows[99:])
    found = world.report["drift"]
    expected = drift.measure(np.array(rows[::-1]), world.snapshot.reference)
    assert (found["rows"], found["status"]) == (100, "OK")
    assert (found["score"], found["features"]) == (expected.score, expected.features)
    for each in found["distributions"].values():
        assert sum(each["window"]) == pytest.approx(1)


def test_of_a_large_batch_the_last_rows_count(start: Start) -> None:
    """The window is the newest rows, whatever came before them."""
    world = start("[drift]\nwindow = 50\n")
    rows = [[90.0] * 4] * 70 + world.snapshot.reference.mean.reshape(1, 4).tolist() * 50
    world.ask([{"v1": 0, "v2": 0}] * 120, rows=rows)
    found = world.report["drift"]
    assert (found["rows"], found["window"]) == (50, 50)
    assert found["score"] == pytest.approx(0, abs=1e-12)


def test_one_feature_is_enough_for_a_warning(start: Start) -> None:
    """The mean over the features may be calm while one of them is not."""
    world = start("[drift]\nthreshold = 0.9\n")
    rows = load_iris().rows[np.random.default_rng(1).integers(150, size=100)]
    rows[:, 2] += 9
    world.ask([{"v1": 0, "v2": 0}] * 100, rows=rows.tolist())
    for threshold, status in ((0.9, "WARNING"), (1.0, "OK")):
        options = replace(world.snapshot.config.drift, threshold=threshold)
        changed = replace(world.snapshot.config, drift=options)
        world.snapshot = replace(world.snapshot, config=changed)
        found = world.report["drift"]
        assert (found["threshold"], found["status"]) == (threshold, status)
        assert found["above"] == (["petal_length"] if status == "WARNING" else [])


def test_a_small_window_must_exceed_what_chance_reaches(start: Start) -> None:
    """Ten ordinary rows often score above the threshold, and warn only above the limits."""
    world = start("[drift]\nwindow = 10\n")
    random, seen = np.random.default_rng(2), []
    for _ in range(20):
        rows = load_iris().rows[random.integers(150, size=10)]
        world.ask([{"v1": 0, "v2": 0}] * 10, rows=rows.tolist())
        seen.append(world.report["drift"])
    assert sum(max(each["features"].values()) > 0.3 for each in seen) > 5
    assert {each["status"] for each in seen} == {"OK"}
    (limit,) = {limit for each in seen for limit in each["limits"].values()}
    assert 0.5 < limit < 0.8
    rows[:, 2] += 9
    world.ask([{"v1": 0, "v2": 0}] * 10, rows=rows.tolist())
    found = world.report["drift"]
    assert (found["status"], found["above"]) == ("WARNING", ["petal_length"])


FOUND = {
    "score": 0.15,
    "limit": 0.3,
    "threshold": 0.3,
    "status": "OK",
    "rows": 100,
    "window": 100,
    "features": {"sepal_length": 0.1, "width": 0.254},
    "limits": {"sepal_length": 0.3, "width": 0.3},
}
HEAD = [BAR, "Drift Detection Report - 2025-11-22T10:30:45Z", BAR]
WARNING = [
    "⚠️  WARNING: Potential model drift detected!",
    "   Consider retraining the model with recent data.",
]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {},
            [
                "Drift Score: 0.15",
                "Threshold: 0.30",
                "Status: OK",
                "",
                "✅ No significant drift detected.",
                "sepal_length  0.10",
                "width         0.25",
            ],
        ),
        (
            {"status": "WARNING", "score": 0.8},
            [
                "Drift Score: 0.80  above 0.30",
                "Threshold: 0.30",
                "Status: WARNING",
                "",
                *WARNING,
                "sepal_length  0.10",
                "width         0.25",
            ],
        ),
        (
            {"status": "WARNING", "score": 0.26, "features": {"sepal_length": 0.1, "width": 0.45}},
            [
                "Drift Score: 0.26",
                "Threshold: 0.30",
                "Status: WARNING",
                "",
                *WARNING,
                "sepal_length  0.10",
                "width         0.45  above 0.30",
            ],
        ),
        (
            {"score": 0.4, "limit": 0.62, "limits": {"sepal_length": 0.5, "width": 0.5}},
            [
                "Drift Score: 0.40  chance alone reaches 0.62",
                "Threshold: 0.30",
                "Status: OK",
                "",
                "✅ No significant drift detected.",
                "sepal_length  0.10",
                "width         0.25",
            ],
        ),
        (
            {"status": "NOT ENOUGH DATA", "rows": 37, "score": None},
            ["Status: NOT ENOUGH DATA (37 of 100 rows)"],
        ),
    ],
)
def test_the_drift_text_is_the_documented_one(changes: dict[str, Any], lines: list[str]) -> None:
    """Line by line, as users and their scripts know it; what is above its limit is marked."""
    text = drift_text(FOUND | changes, now=NOW)
    assert text.split("\n") == [*HEAD, *lines, BAR]


def test_the_drift_text_says_in_which_zone_it_was_written() -> None:
    """A moment without a zone may be anybody's."""
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert "- 2025-11-22T16:00:45+05:30\n" in drift_text(FOUND, now=there)


# -- versions -------------------------------------------------------------------------------


def test_versions_have_their_figures(start: Start) -> None:
    """Requests, labels, accuracy, errors and latency of the revision that serves."""
    world = start()
    ids = [world.ask() for _ in range(4)]
    world.ask(version="v2")
    for each, label in zip(ids, [0, 0, 1], strict=False):
        world.history.label(each, [label])
    world.recorder.fail(Failure(world.snapshot.revision_id, "v2", NOW.timestamp()))
    world.recorder.flush()
    found = world.report["versions"]
    assert found["v1"].pop("per_class") == {
        "setosa": {"labelled": 2, "correct": 2, "recall": 1},
        "versicolor": {"labelled": 1, "correct": 0, "recall": 0},
        "virginica": {"labelled": 0, "correct": 0, "recall": None},
    }
    assert found["v1"] == {
        "requests": 4,
        "labelled": 3,
        "correct": 2,
        "accuracy": 2 / 3,
        "errors": 0,
        "latency_ms": {"p50": 0.03, "p95": 0.03},
        "mae": None,
        "rmse": None,
    }
    assert (found["v2"]["requests"], found["v2"]["errors"], found["v2"]["accuracy"]) == (1, 1, None)


def test_users_that_are_spread_wrongly_are_noticed(start: Start) -> None:
    """The sample ratio looks at distinct users, and not at how often they ask."""
    world = start()
    for number in range(60):
        world.ask(user_id=f"user {number}")
    found = world.report["sample_ratio"]
    assert found == {"ok": False, "users": {"v1": 60, "v2": 0}}
    other = start("[experiment]\nname = another\n")
    for _ in range(60):
        other.ask(user_id="the same")
    assert other.report["sample_ratio"] == {"ok": True, "users": {"v1": 1, "v2": 0}}


# -- comparisons ----------------------------------------------------------------------------


def test_overwhelming_evidence_is_still_json(start: Start) -> None:
    """No amount of labels makes a number that JSON does not have."""
    world = start()
    for version in ("v1", "v2"):
        for _ in range(600):
            world.history.label(world.ask([{"v1": 0, "v2": 1}], version=version), [1])
    (found,) = world.report["comparisons"]
    assert found["verdict"] == "better"
    assert (found["labelled"], found["challenger_right"], found["control_right"]) == (1200, 1200, 0)
    assert found["e_value"] > 1e299


def test_versions_of_one_model_are_equivalent(start: Start) -> None:
    """The control's twin never differs; what is labelled counts once, not for each of the two."""
    world = start("[experiment]\nmargin = 0.5\n")
    twins = dict.fromkeys(["v1", "v2"], world.snapshot.bundles["v1"])
    world.snapshot = replace(world.snapshot, revision_id="twins", bundles=twins)
    world.recorder.announce(world.snapshot.describe())
    for _ in range(50):
        world.history.label(world.ask(), [0])
    (found,) = world.report["comparisons"]
    assert (found["labelled"], found["disagreement_rate"]) == (50, 0)
    assert found["verdict"] == "equivalent"


def test_without_shadow_versions_are_compared_by_their_own_labels(start: Start) -> None:
    """Nothing is known about disagreements then, and the report says so with null."""
    world = start("[experiment]\nshadow = no\n")
    for version, label in (("v1", 0), ("v2", 1), ("v2", 0)):
        world.history.label(world.ask([{version: 0}], version=version), [label])
    (found,) = world.report["comparisons"]
    assert (found["labelled"], found["disagreement_rate"]) == (3, None)
    assert found["verdict"] == "inconclusive"


def test_the_verdict_text_says_what_the_report_says(start: Start) -> None:
    """One challenger: what is known of the pair in any split, of both versions in this one, and a
    warning where users are spread wrongly."""
    world = start()
    for number in range(60):
        asked = world.ask([{"v1": 0, "v2": number % 2}], user_id=f"user {number}")
        if number < 10:
            world.history.label(asked, [0])
    found = world.report
    (comparison,) = found["comparisons"]
    low, high = (comparison["difference"][end] for end in ("low", "high"))
    lines = verdict_text(found, comparison, config=Path("x.ini")).split("\n")
    assert lines == [
        f"v2 against v1 (revision {world.snapshot.revision_id})",
        "Verdict: inconclusive",
        f"  {comparison['reason']}",
        f"Next: {comparison['next']}",
        "In every split so far:",
        "  10 labels",
        f"  Accuracy of v2 minus v1: {low:+.2%} to {high:+.2%}",
        f"  Evidence (e-value): {comparison['e_value']:.3g}",
        "  They disagree for 50.00% of users",
        "In this split alone:",
        "  v1: 60 requests, 0 errors, p95 0.03 ms, 10 labels, 100.00% right",
        "  v2: 0 requests, 0 errors, 0 labels",
        "  where the truth is setosa: v1 right in 10 of 10",
        "Users are not spread as the split says: find out why before you decide",
    ]


@pytest.mark.parametrize(
    ("step", "lines"),
    [
        (
            "[split]\nv1 = 0\nv2 = 100\n\n[experiment]\ncontrol = v2",
            [
                "Next, in my.ini:",
                *("  [split]", "  v1 = 0", "  v2 = 100", "", "  [experiment]", "  control = v2"),
                f"then: {typed(Path('my.ini'), 'reload')}",
            ],
        ),
        ("irisab verdict v3", [f"Next: {typed(Path('my.ini'), 'verdict v3')}"]),
        ("curl -sS ...", ["Next: curl -sS ..."]),
    ],
)
def test_the_verdict_text_has_the_next_step_as_it_is_typed_here(
    step: str, lines: list[str], start: Start
) -> None:
    """INI lines with the file and the command that puts them in force, commands with this INI."""
    found = start().report
    comparison = found["comparisons"][0] | {"next": step}
    text = verdict_text(found, comparison, config=Path("my.ini"))
    assert "\n".join(lines) + "\nIn every split" in text


def test_many_classes_do_not_fill_the_terminal(start: Start) -> None:
    """The first twenty are shown, and where the others are."""
    found = start().report
    counts = {"labelled": 3, "correct": 1, "recall": 1 / 3}
    for version in found["versions"].values():
        version["per_class"] = {f"c{n}": counts for n in range(25)}
    text = verdict_text(found, found["comparisons"][0], config=Path("x.ini"))
    assert "where the truth is c19: v1 right in 1 of 3, v2 right in 1 of 3" in text
    assert "c20" not in text and text.endswith("... and 5 more classes: see --json")
