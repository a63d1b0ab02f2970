"""The steps of time: what a version did in each of them, however long ago."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from traffic import AGREE, DIFFER, NOW, prediction, revision

from irisab.stats import sketch
from irisab.store import timeline
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.store.timeline import DAY, HOUR, STEPS, Drift, Figures, Timeline
from irisab.store.writer import Failure

Record = Callable[..., bytes]


def figures(history: History, version: str = "v1", *, seconds: int = DAY) -> Figures:
    """Return all that a version did, added up over steps of a length."""
    steps = [each[version] for each in history.timeline(seconds, since=0).figures.values()]
    total = {name: sum(getattr(each, name) for each in steps) for name in timeline.COLUMNS}
    return Figures(**total)


@pytest.mark.parametrize("seconds", STEPS)
def test_requests_count_in_steps_of_every_length(
    seconds: int, writer: Recorder, history: History
) -> None:
    """A batch is one request of several rows; a failure is an error of the one that was chosen."""
    begun = timeline.start(NOW, DAY)
    for item in (
        prediction(at=begun + 1),
        prediction([AGREE] * 5, at=begun + 30),
        prediction(version="v2", at=begun + 59),
        prediction(at=begun - 1),
    ):
        writer.record(item)
    writer.fail(Failure("r1", "v2", begun + 2, ["v1"]))
    writer.fail(Failure("r1", "v2", begun + 2, ["v1"], chosen=False))
    writer.flush()
    read = history.timeline(seconds, since=0).figures
    assert {at: list(each) for at, each in read.items()} == {
        begun - seconds: ["v1"],
        begun: ["v1", "v2"],
    }
    now = read[begun]
    assert (now["v1"].requests, now["v1"].rows, now["v1"].errors) == (2, 6, 0)
    assert (now["v2"].requests, now["v2"].rows, now["v2"].errors) == (1, 1, 1)


def test_a_version_asked_for_by_name_is_no_traffic(writer: Recorder, history: History) -> None:
    """As everywhere else."""
    writer.record(prediction(forced=True))
    writer.flush()
    assert history.timeline(DAY, since=0) == Timeline({}, {})


def test_latencies_of_many_flushes_add_up(writer: Recorder, history: History) -> None:
    """Quantiles of a day are those of its requests, however many transactions counted them."""
    draw = random.Random(1)
    latencies = [draw.lognormvariate(-7, 1) for _ in range(600)]
    for number, each in enumerate(latencies):
        writer.record(prediction(at=NOW + number / 10)._replace(latency=each))
        if number % 50 == 0:
            writer.flush()
    writer.flush()
    (step,) = history.timeline(DAY, since=0).figures.values()
    assert sum(step["v1"].latencies.values()) == step["v1"].requests == 600
    for share in (0.5, 0.95):
        found = sketch.quantile(step["v1"].latencies, share)
        assert found == pytest.approx(np.quantile(latencies, share, method="lower"), rel=0.05)


def test_a_label_counts_where_its_prediction_was_made(record: Record, history: History) -> None:
    """Whenever it comes: a step tells how good the answers of that time were."""
    early, late = record([DIFFER], at=NOW - DAY), record([AGREE, DIFFER], at=NOW)
    history.label(late, [0, None])
    history.label(early, [1])
    history.label(late, [0, 2])
    days = history.timeline(DAY, since=0).figures
    counted = {at: (each["v1"].labelled, each["v1"].correct) for at, each in days.items()}
    today = timeline.start(NOW, DAY)
    assert counted == {today - DAY: (1, 0), today: (2, 1)}


@pytest.mark.parametrize("seconds", STEPS)
def test_a_corrected_label_moves_its_counts(seconds: int, record: Record, history: History) -> None:
    """What it said before counts no more, and no label counts twice."""
    asked = record([AGREE, AGREE])
    history.label(asked, [1, 0])
    assert (figures(history, seconds=seconds).labelled, figures(history).correct) == (2, 1)
    history.label(asked, [0, 0], correct=True)
    assert (figures(history, seconds=seconds).labelled, figures(history).correct) == (2, 2)
    history.label(asked, [0, 0])
    assert (figures(history, seconds=seconds).labelled, figures(history).correct) == (2, 2)


def test_a_regression_has_sums_of_errors(writer: Recorder, history: History) -> None:
    """They move with a correction, too."""
    writer.announce(revision(task="regression", class_names=[], class_numbers=[], tie=0.5))
    item = prediction([{"v1": 10, "v2": 12}])
    writer.record(item)
    writer.flush()
    history.label(item.request_id, [13.0])
    assert (figures(history).absolute, figures(history).squared) == (3, 9)
    history.label(item.request_id, [8.0], correct=True)
    assert (figures(history).absolute, figures(history).squared) == (2, 4)
    assert (figures(history).labelled, figures(history).correct) == (1, 0)


def test_a_correction_of_what_an_older_irisab_counted(
    path: Path, record: Record, history: History
) -> None:
    """It counted no steps, so there is nothing to take back: no figure falls below 0."""
    asked = record([AGREE])
    history.label(asked, [0])
    with closing(sqlite3.connect(path)) as older:
        for table in ("timeline", "counted"):
            older.execute(f"DELETE FROM {table}")
        older.commit()
    history.label(asked, [1], correct=True)
    assert (figures(history).labelled, figures(history).correct) == (1, 0)
    history.label(asked, [0], correct=True)
    assert (figures(history).labelled, figures(history).correct) == (1, 1)


def test_the_drift_of_a_step_is_the_most_that_was_seen(writer: Recorder, history: History) -> None:
    """An hour of drift shows in its day; a step in which nobody looked has none."""
    begun = timeline.start(NOW, DAY)
    for at, petal, sepal in ((begun, 0.1, 0.2), (begun + 70, 0.5, 0.1), (begun + HOUR, 0.2, 0.1)):
        writer.drift(Drift(at, petal / 2, {"petal": petal, "sepal": sepal}))
    writer.flush()
    day = history.timeline(DAY, since=0).drift
    assert day == {begun: Drift(begun, 0.25, {"petal": 0.5, "sepal": 0.2})}
    hours = history.timeline(HOUR, since=0).drift
    assert [each.features["petal"] for each in hours.values()] == [0.5, 0.2]
    assert [*history.timeline(60, since=begun + 60).drift] == [begun + 60, begun + HOUR]


def test_short_steps_are_forgotten_and_days_are_not(writer: Recorder, history: History) -> None:
    """Of forty days with a request an hour each length has as many steps as it may keep."""
    for number in range(40 * 24):
        writer.record(prediction(at=NOW + number * HOUR))
        writer.drift(Drift(NOW + number * HOUR, 0.1, {"petal": 0.1}))
    writer.keep_rows = 10
    writer.flush()
    writer.record(prediction(at=NOW + 40 * DAY))
    writer.flush()
    kept = {seconds: len(history.timeline(seconds, since=0).figures) for seconds in STEPS}
    assert kept == {60: 3, 900: 72, HOUR: 216, DAY: 41}
    drifts = {seconds: len(history.timeline(seconds, since=0).drift) for seconds in STEPS}
    assert drifts == {60: 2, 900: 71, HOUR: 215, DAY: 41}


def test_a_year_takes_kilobytes(writer: Recorder, history: History, path: Path) -> None:
    """Of a version that answers busily: days with a full histogram, and drift of ten features."""
    draw = random.Random(2)
    features = {f"feature_{number}": 0.12345 for number in range(10)}
    days = 100
    for day in range(days):
        for _ in range(20):
            latency = draw.lognormvariate(-7, 1)
            writer.record(prediction(at=NOW + day * DAY)._replace(latency=latency))
        writer.drift(Drift(NOW + day * DAY, 0.1, features))
    writer.keep_rows = 1
    writer.flush()
    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT * FROM timeline WHERE seconds = ?", (DAY,)).fetchall()
        kept += connection.execute(
            "SELECT * FROM drift_timeline WHERE seconds = ?", (DAY,)
        ).fetchall()
    assert len(kept) == 2 * days
    assert 365 / days * sum(len(str(each)) for each in kept) < 250_000


def test_days_of_a_model_count_each_user_once(record: Record, history: History) -> None:
    """By the first label of each, on the day of its prediction; a correction moves it."""
    first = record([DIFFER, AGREE], user_id="ann", at=NOW)
    history.label(first, [0, 1])
    history.label(record([DIFFER], user_id="ann", at=NOW + DAY), [1])
    history.label(record([DIFFER], version="v2", at=NOW + DAY), [1])
    history.label(record([DIFFER], at=NOW + DAY), [1])
    day = int(NOW // DAY)
    assert history.days("hash-1") == [(day, 1, 1), (day + 1, 1, 0)]
    assert history.days("hash-2") == [(day + 1, 1, 1)]
    history.label(first, [2, 1], correct=True)
    assert history.days("hash-1") == [(day, 1, 0), (day + 1, 1, 0)]
    assert history.days("another") == []


def test_any_number_of_versions_is_counted(writer: Recorder, history: History) -> None:
    """In one write: SQLite has a limit to what one condition may say."""
    names = [f"v{number}" for number in range(300)]
    for name in names:
        writer.record(prediction([{name: 0}], version=name))
    assert writer.flush()
    (figures,) = history.timeline(DAY, since=0).figures.values()
    assert {name: each.requests for name, each in figures.items()} == dict.fromkeys(names, 1)
