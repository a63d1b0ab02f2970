"""The recorder: what was answered gets to the disk, and what cannot costs nobody else."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import AGREE, NOW, prediction, revision, wait_until

from irisab.store import counts, recorder
from irisab.store.database import connect
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.store.timeline import DAY, Drift, start
from irisab.store.writer import QUEUE_ROWS, Failure, Record


def stored(path: Path, what: str = "count(*)") -> int:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"SELECT {what} FROM predictions").fetchone()[0]
    finally:
        connection.close()


# -- what is written ------------------------------------------------------------------------


def test_everything_about_a_prediction_is_kept(writer: Recorder, history: History) -> None:
    """Each row of a batch is a row of the history, with the features to the last bit."""
    rows = [[0.1, 1e-300], [3.4028234663852886e38, -0.0]]
    sent = prediction([{"v1": 0, "v2": 1}, {"v1": 2, "v2": 2}], rows=rows, version="v2")
    writer.record(sent)
    writer.flush()
    first, second = history.rows()
    assert (first["request_id"], second["request_id"]) == (sent.request_id,) * 2
    assert (first["row"], second["row"]) == (0, 1)
    assert (first["prediction"], second["prediction"]) == (1, 2)
    assert first["votes"] == '{"v1": 0, "v2": 1}'
    assert (first["time"], first["latency"]) == (sent.time, sent.latency)
    assert (first["revision"], first["version"], first["forced"]) == ("r1", "v2", 0)
    assert first["user"] is first["label"] is None
    assert history.window(20, features=["length", "width"]).tolist() == rows[::-1]


def test_a_thread_writes_without_being_told(path: Path, history: History) -> None:
    """A started recorder writes within a moment, and again."""
    writer = Recorder(path, keep_rows=1000)
    writer.start()
    writer.announce(revision())
    for count in (1, 2):
        writer.record(prediction())
        wait_until(lambda count=count: len(list(history.rows())) == count)
    writer.close()


def pauses(path: Path, came: Sequence[Sequence[Record]]) -> list[float]:
    """Return how long a recorder waits, seconds, while these come in its waits in turn."""
    waited, writer, waits = list[float](), Recorder(path, keep_rows=1000), iter(came)

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            for each in next(waits, ()):
                writer.record(each)
            return len(waited) > len(came)

    writer._stop = Stop()
    writer.announce(revision())
    writer._run()
    writer._writer.close()
    return waited


def test_at_full_traffic_it_writes_less_often(path: Path) -> None:
    """While many requests come between two writes; as soon as few do, as often as before."""
    usual, many = recorder.INTERVAL_SECONDS, recorder.BUSY_REQUESTS
    came = [[prediction() for _ in range(each)] for each in (0, many, many - 1, 0)]
    assert pauses(path, came) == [usual, usual, recorder.BUSY_SECONDS, usual, usual]
    assert stored(path) == 2 * many - 1


def test_many_rows_are_written_as_often_as_ever(path: Path) -> None:
    """Batches fill the queue, which is emptied at each write."""
    many = recorder.BUSY_REQUESTS
    batches = [prediction([AGREE] * (QUEUE_ROWS // 8 // many)) for _ in range(many)]
    assert pauses(path, [batches, []]) == [recorder.INTERVAL_SECONDS] * 3


def test_a_user_is_stored_as_a_salted_hash(writer: Recorder, history: History, path: Path) -> None:
    """The file holds no user id, and the same user has another hash in another history."""
    hashes = set()
    for each in (writer, other := Recorder(path.with_name("other.sqlite3"), keep_rows=1000)):
        each.announce(revision())
        each.record(prediction(user_id="somebody@example.org"))
        each.flush()
    other.close()
    for name in (path, path.with_name("other.sqlite3")):
        reader = History(name)
        hashes |= {row["user"] for row in reader.rows()}
        reader.close()
    assert len(hashes) == 2
    assert {len(each) for each in hashes} == {16}
    for each in path.parent.iterdir():
        assert b"somebody" not in each.read_bytes()


def test_close_writes_what_is_queued(path: Path, history: History) -> None:
    """A drained stop loses no row."""
    writer = Recorder(path, keep_rows=1000)
    writer.start()
    writer.announce(revision())
    for _ in range(300):
        writer.record(prediction())
    writer.close()
    assert len(list(history.rows())) == 300
    assert writer.dropped == 0


# -- counts ---------------------------------------------------------------------------------


def test_requests_are_counted_by_version(writer: Recorder, history: History) -> None:
    """A batch is one request; a forced one is none; failures are errors."""
    for item in (
        prediction(),
        prediction([{"v1": 0, "v2": 0}] * 5),
        prediction(version="v2"),
        prediction(version="v2", forced=True),
    ):
        writer.record(item)
    writer.fail(Failure("r1", "v2", NOW))
    writer.flush()
    counts = history.version_counts("r1")
    assert {name: each["requests"] for name, each in counts.items()} == {"v1": 2, "v2": 1}
    assert {name: each["errors"] for name, each in counts.items()} == {"v1": 0, "v2": 1}
    assert history.version_counts("r2") == {}


def test_pairs_count_requests_that_both_models_scored(writer: Recorder, history: History) -> None:
    """The disagreement rate is of requests, by their first row; `differed` is in any row. Forced
    requests, and those that one version failed on, are none of both."""
    same, other = {"v1": 0, "v2": 0}, {"v1": 0, "v2": 1}
    for votes in ([same], [other], [same, other], [other, other], [{"v1": 0}], [same, {"v1": 0}]):
        writer.record(prediction(votes))
    writer.record(prediction([other], forced=True))
    writer.flush()
    expected = {"scored": 4, "disagreed": 2, "differed": 3}
    assert history.agreement("hash-1", "hash-2") == expected


def test_each_challenger_is_paired_with_the_control(writer: Recorder, history: History) -> None:
    """Three versions make two pairs; a pair of models goes on under another split."""
    models = {"v1": "hash-1", "v2": "hash-2", "v3": "hash-3"}
    writer.announce(revision("r3", control="v2", models=models))
    writer.record(prediction([{"v1": 0, "v2": 1, "v3": 1}], revision="r3", version="v3"))
    writer.announce(revision("r4", control="v2", models={"v2": "hash-2", "v9": "hash-1"}))
    writer.record(prediction([{"v2": 1, "v9": 1}], revision="r4", version="v9"))
    writer.flush()
    expected = {"scored": 2, "disagreed": 1, "differed": 1}
    assert history.agreement("hash-2", "hash-1") == expected
    assert history.agreement("hash-2", "hash-3")["scored"] == 1
    assert history.agreement("hash-1", "hash-3")["scored"] == 0


def test_versions_of_one_model_are_one_pair(writer: Recorder, history: History) -> None:
    """Two challengers with the same model do not make two of one request; nor does a challenger
    that is the control's twin."""
    models = {"v1": "hash-1", "v2": "hash-2", "v3": "hash-2", "v4": "hash-1"}
    writer.announce(revision("r5", models=models))
    writer.record(prediction([{"v1": 0, "v2": 1, "v3": 1, "v4": 0}], revision="r5"))
    writer.flush()
    assert history.agreement("hash-1", "hash-2") == {"scored": 1, "disagreed": 1, "differed": 1}
    assert history.agreement("hash-1", "hash-1") == {"scored": 1, "disagreed": 0, "differed": 0}


def test_users_are_counted_once(writer: Recorder, history: History) -> None:
    """Distinct users by version and revision; who is active depends on the last request."""
    writer.announce(revision("r2"))
    for user, version, at in (
        ("ann", "v1", NOW - 2000),
        ("ann", "v1", NOW),
        ("ann", "v1", NOW - 950),
        ("bob", "v2", NOW - 1000),
        ("cid", "v2", NOW - 899),
        (None, "v2", NOW),
    ):
        writer.record(prediction(user_id=user, version=version, at=at))
    writer.record(prediction(user_id="ann", version="v2", revision="r2"))
    writer.record(prediction(user_id="dot", forced=True))
    writer.flush()
    assert history.user_counts("r1") == {"v1": 1, "v2": 2}
    assert history.user_counts("r2") == {"v2": 1}
    assert history.active_users(now=NOW) == 2


@settings(max_examples=60)
@given(
    flushes=st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("rst"), st.integers(0, 400)))
    )
)
def test_an_edit_of_the_split_makes_nobody_two(
    tmp_path_factory: pytest.TempPathFactory, flushes: list[list[tuple[str, str, int]]]
) -> None:
    """Whoever asks under one revision, then under another and back, is one active user."""
    path = tmp_path_factory.mktemp("history") / "history.sqlite3"
    with closing(Recorder(path, keep_rows=1000)) as writer, closing(History(path)) as history:
        seen, now = {}, NOW
        for name in "rst":
            writer.announce(revision(name))
        for flush in flushes:
            for user, name, pause in flush:
                now += pause
                writer.record(prediction(user_id=user, revision=name, at=now))
                seen[user] = now
            writer.flush()
            assert history.active_users(now=now) == sum(at >= now - 900 for at in seen.values())


def test_a_revision_knows_only_so_many_users(
    path: Path, writer: Recorder, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first. Who is active is not known then, and not told, until another revision serves."""
    monkeypatch.setattr(counts, "MOST_OF_A_REVISION", 10)
    for number in range(40):
        for user in f"user {number}", "user 0":
            writer.record(prediction(user_id=user, at=NOW + 100 * number))
        writer.flush()
    assert history.user_counts("r1") == {"v1": 10}
    assert stored_users(path) == 10
    assert history.active_users(now=NOW + 4000) is None
    writer.announce(revision("r2"))
    for user in "user 0", "user 39":
        writer.record(prediction(user_id=user, revision="r2", at=NOW + 5000))
    writer.flush()
    assert history.active_users(now=NOW + 5000) == 2
    assert history.user_counts("r2") == {"v1": 2}


def stored_users(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM users").fetchone()[0]


# -- bad rows -------------------------------------------------------------------------------

BAD = {
    "a row that is none": {"rows": [None]},
    "a row that is a list": {"rows": [[1.0, 2.0]]},
    "no prediction": {"predictions": [None]},
    "a huge prediction": {"predictions": [2**70]},
    "another number of votes": {"votes": []},
    "votes that are not JSON": {"votes": ["{"]},
    "half a character": {"user_id": "\ud800"},
    "a revision nobody announced": {"revision": "r9"},
    "an object for a version": {"version": object()},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_a_bad_row_never_fails_its_batch(
    change: dict[str, object],
    writer: Recorder,
    history: History,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It alone is lost, counted and logged; the others are there, and counted once."""
    for number in range(200):
        bad = number in (0, 77, 78)
        writer.record(prediction()._replace(**change if bad else {}))
    with caplog.at_level(logging.ERROR):
        writer.flush()
    assert len(list(history.rows())) == 197
    assert history.version_counts("r1")["v1"]["requests"] == 197
    assert history.agreement("hash-1", "hash-2")["scored"] == 197
    assert writer.dropped == 3
    assert len(caplog.records) == 3
    writer.record(prediction())
    writer.flush()
    assert len(list(history.rows())) == 198


def test_a_request_id_that_is_there_already_is_lost(writer: Recorder, history: History) -> None:
    """The first prediction with an id stays, whether the second comes with it or later."""
    first = prediction(version="v1")
    for item in (first, first._replace(version="v2")):
        writer.record(item)
    writer.flush()
    writer.record(first._replace(version="v2"))
    writer.flush()
    (row,) = history.rows()
    assert row["version"] == "v1"
    assert history.version_counts("r1")["v1"]["requests"] == 1
    assert writer.dropped == 2


# -- a bounded queue ------------------------------------------------------------------------


def test_the_queue_is_bounded_in_rows(writer: Recorder, history: History) -> None:
    """What does not fit is dropped and counted; once written there is room again."""
    batch = prediction([{"v1": 0, "v2": 0}] * 10_000)
    for number in range(3):
        writer.record(batch._replace(request_id=number.to_bytes(16, "big")))
    assert writer.dropped == 10_000
    for _ in range(QUEUE_ROWS + 5):
        writer.fail(Failure("r1", "v1", NOW))
    writer.flush()
    assert stored(writer._path) <= QUEUE_ROWS
    assert history.version_counts("r1")["v1"]["requests"] == 2
    assert history.version_counts("r1")["v1"]["errors"] <= QUEUE_ROWS
    writer.record(prediction())
    assert writer.dropped == 10_000


@pytest.mark.parametrize("forced", [False, True])
def test_many_rows_leave_room_for_one(forced: bool, writer: Recorder, history: History) -> None:
    """Whoever fills the queue with batches, or with rows of a version that was asked for by name,
    drops their own: the label of an honest request finds its prediction."""
    for _ in range(60):
        writer.record(prediction([{"v1": 0, "v2": 0}] * 1000, forced=forced))
    honest = prediction()
    dropped = writer.dropped
    writer.record(honest)
    writer.flush()
    assert writer.dropped == dropped == 49_000
    assert history.label(honest.request_id, [0])


def test_forced_rows_evict_no_others(path: Path, history: History) -> None:
    """They have a tenth of `keep_rows`, the newest of them; honest rows stay, and get labels."""
    writer = Recorder(path, keep_rows=1000)
    writer.announce(revision())
    honest = [prediction() for _ in range(500)]
    for each in honest:
        writer.record(each)
    writer.flush()
    for _ in range(4):
        for _ in range(50):
            writer.record(prediction([{"v1": 0, "v2": 0}] * 20, forced=True))
        writer.flush()
    assert stored(path, "sum(forced = 0)") == 500
    assert stored(path, "sum(forced = 1)") == 100
    assert history.label(honest[0].request_id, [0])
    writer.close()
    again = Recorder(path, keep_rows=500)  # which counts what the file has
    again.announce(revision())
    again.record(prediction(forced=True))
    again.flush()
    again.flush()
    assert (stored(path), stored(path, "sum(forced = 1)")) == (500, 61)  # whole requests
    again.close()


def test_batches_evict_no_single_rows(path: Path, history: History) -> None:
    """Once the history is full, rows after a request's first that take more than half of it make
    room for all others: the label of an honest request finds its prediction, however many are
    asked for in one go. The newest batches stay, whole, and single rows may take all that is
    left."""
    writer = Recorder(path, keep_rows=1000)
    writer.announce(revision())
    honest = [prediction() for _ in range(300)]
    for each in honest:
        writer.record(each)
    for _ in range(8):
        batches = [prediction([AGREE] * 100) for _ in range(9)]
        for each in batches:
            writer.record(each._replace(own_id=f"batch {each.request_id.hex()}"))
        writer.record(prediction())
        writer.flush()
        assert 1000 <= stored(path) < 1100  # whole requests
    assert stored(path, "sum(row > 0) / 99") == 7
    assert stored(path) == 300 + 8 + 700
    assert history.label(honest[0].request_id, [0])
    assert history.label(batches[-1].request_id, [0] * 100)
    with pytest.raises(LookupError):
        history.label(batches[0].request_id, [0] * 100)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM own_ids").fetchone() == (7,)
    writer.close()
    again = Recorder(path, keep_rows=1000)  # which counts what the file has
    again.announce(revision())
    for _ in range(2):
        for _ in range(200):
            again.record(prediction())
        again.flush()
        assert 1000 <= stored(path) < 1100
        assert stored(path, "sum(row > 0) / 99") == 5
    with pytest.raises(LookupError):
        history.label(honest[1].request_id, [0])  # the oldest of all, once batches have their half
    again.close()


def test_a_locked_database_costs_nothing_but_time(
    writer: Recorder, path: Path, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows wait in the queue while another program holds the file, in order, and are complained
    of once."""
    writer.record(prediction([{"v1": 0, "v2": 0}], rows=[[1.0, 1.0]]))
    writer.flush()
    writer._writer._connection.execute("PRAGMA busy_timeout = 1")
    other = connect(path, synchronous="NORMAL")
    other.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.ERROR):
        for value in (2.0, 3.0):
            writer.announce(revision(f"r{value}"))
            writer.record(prediction(rows=[[value, value]], revision=f"r{value}"))
            writer.flush()
    assert len(caplog.records) == 1
    other.execute("ROLLBACK")
    other.close()
    writer.flush()
    assert history.window(9, features=["length", "width"])[:, 0].tolist() == [3.0, 2.0, 1.0]
    assert writer.dropped == 0


def test_a_locked_database_at_the_end_is_counted(path: Path) -> None:
    """What could not be written until the stop is lost, and is in the count."""
    writer = Recorder(path, keep_rows=1000)
    writer.announce(revision())
    writer.flush()
    writer._writer._connection.execute("PRAGMA busy_timeout = 1")
    other = connect(path, synchronous="NORMAL")
    other.execute("BEGIN EXCLUSIVE")
    for _ in range(7):
        writer.record(prediction())
    writer.close()
    other.close()
    assert writer.dropped == 7


def test_a_full_disk_costs_no_row_that_fits_later(writer: Recorder, history: History) -> None:
    """Rows wait while the file cannot grow; what was counted is counted once."""
    writer.record(prediction())
    writer.flush()
    connection = writer._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(500):
        writer.record(prediction())
    writer.flush()
    assert len(list(history.rows())) == 1
    connection.execute("PRAGMA max_page_count = 1000000")
    writer.flush()
    assert len(list(history.rows())) == 501
    assert history.version_counts("r1")["v1"]["requests"] == 501
    assert writer.dropped == 0


def test_a_folder_that_is_missing_costs_rows_not_answers(tmp_path: Path) -> None:
    """Recording never raises, whatever is wrong with the file."""
    writer = Recorder(tmp_path / "missing" / "history.sqlite3", keep_rows=1000)
    writer.announce(revision())
    writer.record(prediction())
    writer.flush()
    writer.close()
    assert writer.dropped == 1


def test_a_thread_that_hangs_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It turns from its start on to the end; not while something holds it up for too long."""
    writer = Recorder(path, keep_rows=1000)
    assert not writer.is_turning()
    writer.start()
    wait_until(writer.is_turning)
    monkeypatch.setattr(recorder, "HANGING_SECONDS", 0.5)
    with writer._writing:
        wait_until(lambda: not writer.is_turning())
    wait_until(writer.is_turning)
    writer.close()
    assert not writer.is_turning()


def test_the_thread_outlives_errors(tmp_path: Path) -> None:
    """A file that cannot be opened at the start is tried again."""
    path = tmp_path / "later" / "history.sqlite3"
    writer = Recorder(path, keep_rows=1000)
    writer.start()
    writer.announce(revision())
    writer.record(prediction())
    wait_until(lambda: writer.failing)
    path.parent.mkdir()
    wait_until(path.exists)
    writer.close()
    assert stored(path) == 1
    assert writer.dropped == 0


# -- pruning --------------------------------------------------------------------------------


def test_the_oldest_requests_are_pruned(path: Path) -> None:
    """The history keeps the newest rows, whole requests only, and starts as it was left."""
    for _ in range(2):
        writer = Recorder(path, keep_rows=100)
        writer.announce(revision())
        for _ in range(50):
            writer.record(prediction([{"v1": 0, "v2": 0}] * 7))
            writer.flush()
            assert stored(path) % 7 == 0
            assert stored(path) <= 105
        writer.close()
    assert stored(path) == 105
    connection = sqlite3.connect(path)
    ids = connection.execute("SELECT DISTINCT request_id FROM predictions").fetchall()
    connection.close()
    newest = prediction().request_id
    assert all(int.from_bytes(newest, "big") - int.from_bytes(each, "big") <= 15 for (each,) in ids)


def test_pruning_goes_on_when_nothing_is_asked(path: Path) -> None:
    """Where keep_rows was lowered by a reload, the rest goes away by itself."""
    writer = Recorder(path, keep_rows=100_000)
    writer.announce(revision())
    for _ in range(3):
        for _ in range(10):
            writer.record(prediction([{"v1": 0, "v2": 0}] * 1000))
        writer.flush()
    writer.keep_rows = 1000
    for _ in range(3):
        writer.flush()
    assert stored(path) == 1000
    writer.close()


def test_pruning_gets_past_the_largest_request(path: Path) -> None:
    """A batch as large as the queue takes is pruned like any other."""
    writer = Recorder(path, keep_rows=100)
    writer.announce(revision())
    for _ in range(3):
        writer.record(prediction([{"v1": 0, "v2": 0}] * QUEUE_ROWS))
        writer.flush()
    writer.flush()
    assert stored(path) == QUEUE_ROWS
    for _ in range(100):
        writer.record(prediction())
    writer.flush()
    writer.flush()
    assert stored(path) == 100
    writer.close()


def test_what_cannot_be_pruned_is_not_tried_again_and_again(path: Path) -> None:
    """A request goes whole: where the oldest is more than what is too much, an idle recorder rests.

    Fewer rows to keep, from the next reload on, are a reason to look once more.
    """
    writer = Recorder(path, keep_rows=300)
    writer.announce(revision())
    for rows in 100, 100, 105:
        writer.record(prediction([AGREE] * rows))
    writer.flush()
    statements: list[str] = []
    writer._writer._connection.set_trace_callback(statements.append)
    for _ in range(3):
        writer.flush()
    assert stored(path) == 305 and not statements
    writer.keep_rows = 200
    for _ in range(3):
        writer.flush()
    writer._writer._connection.set_trace_callback(None)
    assert stored(path) == 205 and statements.count("COMMIT") == 2
    writer.close()


def test_what_is_to_be_looked_at_is_looked_at_between_two_writes(
    path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the thread that writes, and what it queues is written as soon as all else."""
    monkeypatch.setattr(recorder, "LOOK_SECONDS", 0.0)
    found = Recorder(path, keep_rows=1000)
    found.watch(lambda: found.drift(Drift(NOW, 0.25, {"length": 0.5})))
    found.start()
    wait_until(lambda: history.timeline(DAY, since=0).drift, seconds=60)
    found.close()
    assert history.timeline(DAY, since=0).drift == {
        start(NOW, DAY): Drift(start(NOW, DAY), 0.25, {"length": 0.5})
    }
