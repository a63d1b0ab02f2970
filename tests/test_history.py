"""The history: labels are evidence, counted once; what is read is the truth, or an error."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import NOW, prediction, revision

from irisab.errors import HistoryError
from irisab.history import PAGE, History, connect, transaction
from irisab.recorder import Recorder

FEATURES = ["length", "width"]
AGREE, DIFFER = {"v1": 0, "v2": 0}, {"v1": 0, "v2": 1}
NOBODY = dict.fromkeys(("both", "challenger_only", "control_only", "neither", "neither_differ"), 0)

Record = Callable[..., bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    found = History(path)
    yield found
    found.close()


@pytest.fixture
def writer(path: Path) -> Iterator[Recorder]:
    found = Recorder(path, keep_rows=1000)
    found.announce(revision())
    yield found
    found.close()


@pytest.fixture
def record(writer: Recorder) -> Record:
    """Write a prediction at once, and return its id."""

    def write(*arguments: object, **options: object) -> bytes:
        item = prediction(*arguments, **options)
        writer.record(item)
        writer.flush()
        return item.request_id

    return write


# -- labels ---------------------------------------------------------------------------------


def test_a_label_is_kept(history: History, record: Record) -> None:
    """It is in its row, and counted for the version that answered."""
    wrong, right, other = record(), record(), record([DIFFER], version="v2")
    record()
    assert history.label(wrong, [2]) is True
    assert history.label(right, [0]) is True
    assert history.label(other, [1]) is True
    assert [row["label"] for row in history.rows()] == [2, 0, 1, None]
    counts = history.version_counts("r1")
    assert {name: (each["labelled"], each["correct"]) for name, each in counts.items()} == {
        "v1": (2, 1),
        "v2": (1, 1),
    }


def test_the_same_label_again_changes_nothing(history: History, record: Record) -> None:
    """Reporting is idempotent: a client may repeat what it is not sure of."""
    each = record([DIFFER])
    assert history.label(each, [1]) is True
    before = (history.version_counts("r1"), history.tally("hash-1", "hash-2"))
    assert history.label(each, [1]) is False
    assert (history.version_counts("r1"), history.tally("hash-1", "hash-2")) == before


@pytest.mark.parametrize(("first", "second"), [([1, 1], [1, 2]), ([0, 0], [2, 2])])
def test_another_label_is_refused(
    first: list[int], second: list[int], history: History, record: Record
) -> None:
    """The first one stays, in the row and in the counts."""
    each = record([DIFFER, AGREE])
    history.label(each, first)
    before = history.tally("hash-1", "hash-2")
    with pytest.raises(ValueError, match=str(first[0])):
        history.label(each, second)
    assert [row["label"] for row in history.rows()] == first
    assert history.tally("hash-1", "hash-2") == before


@pytest.mark.parametrize("labels", [[], [0, 0]])
def test_what_is_not_known_cannot_be_labelled(
    labels: list[int], history: History, record: Record
) -> None:
    """Neither an unknown request nor another number of rows changes anything."""
    each = record()
    with pytest.raises(LookupError):
        history.label(each, labels)
    with pytest.raises(LookupError):
        history.label(bytes(16), [0])
    assert [row["label"] for row in history.rows()] == [None]


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


@pytest.mark.parametrize("shown", ["v1", "v2"])
def test_the_tally_says_who_was_right(shown: str, history: History, record: Record) -> None:
    """Five outcomes, counted under the model that was shown; seen from the other one as well."""
    for votes, label, times in (
        *((AGREE, 0, 1), (AGREE, 1, 2), (DIFFER, 0, 3)),
        *((DIFFER, 1, 4), (DIFFER, 2, 5)),
    ):
        for _ in range(times):
            history.label(record([votes], version=shown), [label])
    hashes = {"v1": "hash-1", "v2": "hash-2"}
    rest = {"both": 1, "neither": 2, "neither_differ": 5}
    assert history.tally("hash-1", "hash-2") == {
        hashes[shown]: {**rest, "control_only": 3, "challenger_only": 4}
    }
    assert history.tally("hash-2", "hash-1") == {
        hashes[shown]: {**rest, "control_only": 4, "challenger_only": 3}
    }


def test_a_user_has_one_vote(history: History, record: Record) -> None:
    """Of all labelled disagreements of a user one is evidence; agreements and requests without a
    user all count."""
    for user in ("ann", "ann", "bob", None, None):
        history.label(record([DIFFER], user_id=user), [1])
        history.label(record([AGREE], user_id=user), [0])
    assert history.tally("hash-1", "hash-2") == {
        "hash-1": NOBODY | {"both": 5, "challenger_only": 4}
    }
    assert history.version_counts("r1")["v1"]["labelled"] == 10


def test_a_vote_is_for_a_pair_of_models(history: History, record: Record, writer: Recorder) -> None:
    """Another split of the same models gives no second vote, another challenger does."""
    models = {"v1": "hash-1", "v2": "hash-2", "v3": "hash-3"}
    writer.announce(revision("r2", models=models))
    history.label(record([DIFFER], user_id="ann"), [1])
    votes = {"v1": 0, "v2": 1, "v3": 1}
    history.label(record([votes], user_id="ann", revision="r2", version="v3"), [1])
    assert history.tally("hash-1", "hash-2") == {"hash-1": NOBODY | {"challenger_only": 1}}
    assert history.tally("hash-1", "hash-3") == {"hash-3": NOBODY | {"challenger_only": 1}}


def test_versions_of_one_model_share_a_vote(
    history: History, record: Record, writer: Recorder
) -> None:
    """Two challengers with the same model do not make two labels of one."""
    models = {"v1": "hash-1", "v2": "hash-2", "v3": "hash-2"}
    writer.announce(revision("r2", models=models))
    history.label(record([{"v1": 0, "v2": 1, "v3": 1}], revision="r2"), [1])
    assert history.tally("hash-1", "hash-2") == {"hash-1": NOBODY | {"challenger_only": 1}}


def test_a_batch_has_one_vote(history: History, record: Record) -> None:
    """Rows of one request are not independent: its first labelled disagreement counts."""
    history.label(record([AGREE, DIFFER, DIFFER, AGREE, DIFFER]), [0, 1, 0, 2, 0])
    assert history.tally("hash-1", "hash-2") == {
        "hash-1": NOBODY | {"both": 1, "challenger_only": 1, "neither": 1}
    }
    assert history.version_counts("r1")["v1"]["labelled"] == 5
    assert history.version_counts("r1")["v1"]["correct"] == 3


def test_a_failed_shadow_is_no_outcome(history: History, record: Record) -> None:
    """Where a version did not score, the pair learns nothing and the answer is still judged."""
    history.label(record([{"v1": 0}]), [0])
    assert history.tally("hash-1", "hash-2") == {}
    assert history.version_counts("r1")["v1"]["correct"] == 1


def test_forced_rows_are_no_evidence(history: History, record: Record) -> None:
    """Who chose the version takes no part: the label is kept, and not counted."""
    each = record([DIFFER], forced=True)
    assert history.label(each, [1]) is True
    assert history.label(each, [1]) is False
    assert history.tally("hash-1", "hash-2") == {}
    counts = history.version_counts("r1").get("v1", {"labelled": 0})
    assert counts["labelled"] == 0


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["v1", "v2"]),
            st.sampled_from([None, "ann", "bob"]),
            st.lists(st.sampled_from([*product((0, 1, 2), repeat=3)]), min_size=1, max_size=3),
        ),
        max_size=12,
    )
)
def test_the_evidence_is_what_a_recount_gives(
    tmp_path_factory: pytest.TempPathFactory,
    requests: Sequence[tuple[str, str | None, Sequence[tuple[int, int, int]]]],
) -> None:
    """Whatever is asked and labelled, the tally is what counting by the rules gives."""
    path = tmp_path_factory.mktemp("recount") / "history.sqlite3"
    writer, history = Recorder(path, keep_rows=1000), History(path)
    writer.announce(revision())
    expected: dict[str, dict[str, int]] = {}
    voted = set()
    for shown, user, rows in requests:
        item = prediction(
            [{"v1": one, "v2": two} for one, two, _ in rows], version=shown, user_id=user
        )
        writer.record(item)
        writer.flush()
        history.label(item.request_id, [label for _, _, label in rows])
        tally = expected.setdefault({"v1": "hash-1", "v2": "hash-2"}[shown], dict(NOBODY))
        used = False
        for one, two, label in rows:
            alone = {one: "control_only", two: "challenger_only"}
            if one == two:
                tally["both" if one == label else "neither"] += 1
            elif not used:
                used = True
                if user is None or user not in voted:
                    voted.add(user)
                    tally[alone.get(label, "neither_differ")] += 1
    found = history.tally("hash-1", "hash-2")
    writer.close()
    history.close()
    assert found == {shown: each for shown, each in expected.items() if any(each.values())}


def test_evidence_survives_pruning(history: History, writer: Recorder, record: Record) -> None:
    """Rows are cut off, counts are not: a verdict is about everything that ever happened."""
    each = record([DIFFER], user_id="ann")
    history.label(each, [1])
    evidence = [
        lambda: history.tally("hash-1", "hash-2"),
        lambda: history.agreement("hash-1", "hash-2"),
        lambda: history.version_counts("r1"),
        lambda: history.user_counts("r1"),
    ]
    before = [read() for read in evidence]
    writer.keep_rows = 1
    writer.record(prediction([DIFFER], forced=True))
    writer.flush()
    assert history.find(each) is None
    assert [read() for read in evidence] == before
    with pytest.raises(LookupError):
        history.label(each, [1])
    history.label(record([DIFFER], user_id="ann"), [1])
    assert history.tally("hash-1", "hash-2") == before[0]


# -- durability -----------------------------------------------------------------------------


def test_labels_are_on_the_disk_when_acknowledged(history: History, record: Record) -> None:
    """The connection that writes labels has synchronous=FULL (2), with the write-ahead log."""
    history.label(record(), [0])
    assert history._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert history._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_locked_database_refuses_labels(history: History, path: Path, record: Record) -> None:
    """While another program holds the file there is an error, and later there is none."""
    first, second = record(), record()
    history.label(first, [0])
    history._writer.execute("PRAGMA busy_timeout = 1")
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
    (pages,) = history._writer.execute("PRAGMA page_count").fetchone()
    history._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(HistoryError, match="full"):
        history.label(large, [2**60] * 400)
    assert [row["label"] for row in history.rows()] == [0] + [None] * 400
    assert history.version_counts("r1")["v1"]["labelled"] == 1
    history._writer.execute("PRAGMA max_page_count = 1000000")
    assert history.label(large, [2**60] * 400) is True


def test_a_commit_that_fails_leaves_no_transaction(tmp_path: Path) -> None:
    """The next transaction is not refused because of the last one."""
    connection = connect(tmp_path / "x.sqlite3", synchronous="NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE b (a REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError), transaction(connection):
        connection.execute("INSERT INTO b VALUES (1)")
    with transaction(connection):
        connection.execute("INSERT INTO a VALUES (1)")
    assert connection.execute("SELECT count(*) FROM b").fetchone() == (0,)
    connection.close()


# -- reading --------------------------------------------------------------------------------


def test_the_window_is_the_newest_traffic(history: History, writer: Recorder) -> None:
    """Newest rows first, a batch row by row; forced rows and rows of models with other features
    are not looked at."""
    writer.announce(revision("r2", features=["length", "width", "height"]))
    writer.announce(revision("r3", experiment="another"))
    for options in (
        {"rows": [[1.0, 1.0]]},
        {"votes": [AGREE] * 3, "rows": [[2.0, 1.0], [2.0, 2.0], [2.0, 3.0]]},
        {"rows": [[3.0, 1.0]], "forced": True},
        {"rows": [[4.0, 1.0, 1.0]], "revision": "r2"},
        {"rows": [[5.0, 1.0]], "revision": "r3"},
    ):
        writer.record(prediction(**options))
    writer.flush()
    everything = [[5.0, 1.0], [2.0, 3.0], [2.0, 2.0], [2.0, 1.0], [1.0, 1.0]]
    for size in range(7):
        assert history.window(size, features=FEATURES).tolist() == everything[:size]
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


def test_a_revision_pairs_each_challenger_with_the_control() -> None:
    """The control is compared with everybody else, and with nobody where it is alone."""
    models = {"v1": "1", "v2": "2", "v3": "3"}
    assert [*revision(control="v2", models=models).pairs()] == [("v2", "v1"), ("v2", "v3")]
    assert [*revision(models={"v1": "1"}).pairs()] == []


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
