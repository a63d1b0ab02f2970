"""The history: what is acknowledged is on the disk; what is read is the truth, or an error."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from traffic import AGREE, DIFFER, NOW, prediction, revision

from irisab.errors import HistoryError
from irisab.store.database import connect
from irisab.store.history import PAGE, History
from irisab.store.recorder import Recorder

FEATURES = ["length", "width"]

Record = Callable[..., bytes]


# -- durability -----------------------------------------------------------------------------


def test_labels_are_on_the_disk_when_acknowledged(history: History, record: Record) -> None:
    """The connection that writes labels has synchronous=FULL (2), with the write-ahead log."""
    history.label(record(), [0])
    assert history._labels._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert history._labels._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_locked_database_refuses_labels(history: History, path: Path, record: Record) -> None:
    """While another program holds the file there is an error, and later there is none."""
    first, second = record(), record()
    history.label(first, [0])
    history._labels._connection.execute("PRAGMA busy_timeout = 1")
    other = connect(path, synchronous="NORMAL")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(HistoryError, match="locked"):
        history.label(second, [0])
    other.execute("ROLLBACK")
    other.close()
    assert history.label(second, [0]) is True


def test_a_full_disk_refuses_labels(history: History, record: Record) -> None:
    """A label that cannot be written is refused whole: row and counts agree."""
    small, large = record(), record([AGREE] * 400)
    history.label(small, [0])
    (pages,) = history._labels._connection.execute("PRAGMA page_count").fetchone()
    history._labels._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(HistoryError, match="full"):
        history.label(large, [2**60] * 400)
    assert [row["label"] for row in history.rows()] == [0] + [None] * 400
    assert history.version_counts("r1")["v1"]["labelled"] == 1
    history._labels._connection.execute("PRAGMA max_page_count = 1000000")
    assert history.label(large, [2**60] * 400) is True


# -- reading --------------------------------------------------------------------------------


def test_a_request_is_found_with_what_its_label_means(
    history: History, record: Record, writer: Recorder
) -> None:
    """A label is read by the classes of the revision that answered, whatever serves now."""
    each = record([AGREE, DIFFER], version="v2")
    writer.announce(revision("r2", class_names=["x", "y"]))
    writer.flush()
    found = history.find(each)
    assert found is not None
    assert (found.version, found.predictions) == ("v2", [0, 1])
    assert found.revision == revision()
    assert history.find(bytes(16)) is None


def test_the_window_is_the_newest_traffic(history: History, writer: Recorder) -> None:
    """Newest rows first; forced rows and rows of models with other features are not looked at, and
    of a batch no more rows than a tenth of the window."""
    writer.announce(revision("r2", features=["length", "width", "height"]))
    writer.announce(revision("r3", experiment="another"))
    for options in (
        {"rows": [[1.0, 1.0]]},
        {"votes": [AGREE] * 3, "rows": [[2.0, 3.0], [2.0, 2.0], [2.0, 1.0]]},
        {"rows": [[3.0, 1.0]], "forced": True},
        {"rows": [[4.0, 1.0, 1.0]], "revision": "r2"},
        {"rows": [[5.0, 1.0]], "revision": "r3"},
    ):
        writer.record(prediction(**options))
    writer.flush()
    newest = [[5.0, 1.0], [2.0, 3.0], [1.0, 1.0]]
    for size in range(7):
        assert history.window(size, features=FEATURES).tolist() == newest[:size]
    batch = [[2.0, 1.0], [2.0, 2.0], [2.0, 3.0]]
    for size, rows in ((20, batch[1:]), (30, batch)):
        found = history.window(size, features=FEATURES).tolist()
        assert found == [newest[0], *rows, newest[2]]
    assert history.window(9, features=["length", "width", "height"]).tolist() == [[4.0, 1.0, 1.0]]
    assert history.window(9, features=["width", "length"]).shape == (0, 2)


def test_rows_come_oldest_first_in_pages(history: History, writer: Recorder) -> None:
    """All rows come once, also where a page ends inside a request, and from a moment on."""
    expected = []
    writer.keep_rows = 5000
    for second in range(PAGE * 2 // 3):
        item = prediction([AGREE] * 3, at=NOW + second)
        writer.record(item)
        expected += [(item.request_id, row) for row in range(3)]
    writer.flush()
    assert PAGE % 3
    assert [(row["request_id"], row["row"]) for row in history.rows()] == expected
    since = [(row["request_id"], row["row"]) for row in history.rows(since=NOW + 100)]
    assert since == expected[300:]
    assert [*history.rows(since=NOW + PAGE)] == []
    assert len([*history.rows(since=-1e9)]) == len(expected)


def test_the_stamp_tells_whether_anything_was_written(
    history: History, path: Path, record: Record
) -> None:
    """It changes with a prediction, a label and another file, and with nothing else."""
    seen = [history.stamp()]
    each = record()
    seen.append(history.stamp())
    path.rename(path.with_suffix(".old"))
    seen.append(history.stamp())
    path.with_suffix(".old").rename(path)
    seen.append(history.stamp())
    history.label(each, [0])
    seen.append(history.stamp())
    assert len({*seen}) == len(seen)
    history.version_counts("r1")
    assert history.label(record([AGREE]), [0]) is True
    still = history.stamp()
    assert [history.stamp() for _ in range(3)] == [still] * 3


def test_rows_can_be_read_while_others_are_written(history: History, record: Record) -> None:
    """A reader that takes its time neither blocks the writer nor breaks."""
    record()
    rows = history.rows()
    next(rows)
    record()
    assert len([*rows]) <= 1


def test_latencies_are_of_requests_of_one_revision(history: History, writer: Recorder) -> None:
    """One figure per request, of the newest rows."""
    writer.announce(revision("r2"))
    for number, name in enumerate(["r1", "r1", "r2", "r1"]):
        writer.record(prediction([AGREE] * 2, revision=name)._replace(latency=number / 8))
    writer.flush()
    (seconds,) = history.latencies("r1", limit=100).values()
    assert sorted(seconds) == [0, 1 / 8, 3 / 8]
    assert history.latencies("r1", limit=2) == {"v1": [3 / 8]}


def test_revisions_are_remembered(history: History, writer: Recorder) -> None:
    """Old rows can be read after everything has changed; a revision that comes back is newest."""
    assert history.revision() is None
    other = revision("r2", split={"v1": 100.0}, class_numbers=[5, 7, 9])
    for each in (revision(), other, revision()):
        writer.announce(each)
        writer.flush()
    assert history.revision() == revision()
    assert history.revision("r2") == other
    assert history.revision("r9") is None
    assert list(history.revisions().values()) == [other, revision()]


READS: Mapping[str, Callable[[History], object]] = {
    "window": lambda h: h.window(5, features=FEATURES).tolist(),
    "latencies": lambda h: h.latencies("r1", limit=5),
    "version_counts": lambda h: h.version_counts("r1"),
    "user_counts": lambda h: h.user_counts("r1"),
    "active_users": lambda h: h.active_users(now=NOW),
    "tally": lambda h: h.tally("hash-1", "hash-2"),
    "agreement": lambda h: sum(h.agreement("hash-1", "hash-2").values()),
    "revision": lambda h: h.revision(),
    "revisions": lambda h: h.revisions(),
    "rows": lambda h: [*h.rows()],
    "find": lambda h: h.find(bytes(16)),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_missing_file_reads_as_empty_and_is_not_made(
    read: Callable[[History], object], history: History, path: Path
) -> None:
    """Looking changes nothing."""
    assert not read(history)
    assert not path.exists()


def test_a_file_that_appears_is_read(history: History, record: Record) -> None:
    """Who looked before the first prediction sees the ones that come."""
    assert history.version_counts("r1") == {}
    record()
    assert history.version_counts("r1")["v1"]["requests"] == 1


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("content", ["text", "newer"])
def test_a_file_that_cannot_be_used_is_an_error(
    content: str, read: Callable[[History], object], history: History, path: Path
) -> None:
    """Something else in its place, or the file of a newer irisab, is refused and left alone."""
    if content == "text":
        path.write_bytes(b"this is not a database, and it is long enough to be sure of it" * 20)
    else:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 2")
        connection.close()
    before = path.read_bytes()
    with pytest.raises(HistoryError, match="not a database" if content == "text" else "newer"):
        read(history)
    with pytest.raises(HistoryError):
        history.label(bytes(16), [0])
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_history(history: History, path: Path, record: Record) -> None:
    """As SQLite itself would make it."""
    path.touch()
    assert history.revision() is None
    record()
    assert len([*history.rows()]) == 1


def test_a_name_with_odd_characters_is_a_name(tmp_path: Path) -> None:
    """The path is quoted where SQLite wants a URI."""
    path = tmp_path / "50% of #1? & ü.sqlite3"
    writer, history = Recorder(path, keep_rows=100), History(path)
    writer.announce(revision())
    writer.flush()
    assert history.revision() == revision()
    assert path.exists()
    writer.close()
    history.close()


def test_a_history_can_be_closed_and_used_again(history: History, record: Record) -> None:
    """Connections are opened when they are needed."""
    each = record()
    history.close()
    assert history.label(each, [0]) is True
    assert np.isfinite(history.window(1, features=FEATURES)).all()
