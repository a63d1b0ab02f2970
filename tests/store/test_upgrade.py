"""A history that irisab 0.1.0 wrote: read, gone on with, and given back.

The two .sql files here are what 0.1.0 wrote, of users with names and without.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from checkout import ROOT
from traffic import AGREE, DIFFER, NOW, prediction, revision

from irisab.store.database import connect
from irisab.store.history import History
from irisab.store.recorder import Recorder

HERE = Path(__file__).parent
PAIR = ("hash-1", "hash-2")
LATER = NOW + 60
# A commit of irisab 0.1.0.
FIRST = "e7dbda72d02bfbe33180ff025cb6a964a2900597"
# What its feedback, `history` and report do, and a prediction of its own.
GO_ON = """
import json, sys
from pathlib import Path
from irisab import __version__
from irisab.history import History
from irisab.recorder import Prediction, Recorder
path, asked, now = Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), float(sys.argv[3])
history = History(path)
print(json.dumps([
    __version__, history.find(asked).version, history.label(asked, [1]), [*history.revisions()],
    len([*history.rows()]), history.window(9, features=["length", "width"]).tolist(),
    history.version_counts("r1")["v1"], history.active_users(now=now),
]))
recorder = Recorder(path, keep_rows=1000)
recorder.announce(history.revision("r1"))
recorder.record(Prediction(
    (int(now * 1000) + 1).to_bytes(6, "big") + bytes(10), now, "r1", "v2", False, "bob", 0.001,
    [[3.0, 4.0]], [1], ['{"v1": 0, "v2": 1}'],
))
recorder.close()
"""


def restore(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((HERE / name).read_text())


@pytest.fixture
def old(path: Path) -> Path:
    restore(path, "history-0.1.0.sql")
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[Recorder]:
    """A recorder that goes on where 0.1.0 ended."""
    found = Recorder(path, keep_rows=1000)
    found.announce(revision())
    yield found
    found.close()


def tables(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the columns of every table: name, type, and so on, by position."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: connection.execute(f"PRAGMA table_info({name})").fetchall()
            for (name,) in names.fetchall()
        }


def test_an_old_history_is_read_as_it_was(old: Path, history: History) -> None:
    """Figures and evidence are the same; what was not counted by class is counted from the rows."""
    assert history.version_counts("r1")["v1"] == {
        "requests": 7, "errors": 0, "labelled": 7, "correct": 2,
    }  # fmt: skip
    tally = history.tally(*PAIR)
    assert tally["hash-1"] == {
        "both": 1, "control_only": 0, "challenger_only": 2, "neither": 1, "neither_differ": 1,
    }  # fmt: skip
    by_class = history.class_tally(*PAIR)
    for shown, whole in tally.items():
        parts = [each[shown] for each in by_class.values() if shown in each]
        assert {name: sum(part[name] for part in parts) for name in whole} == whole
    counts = history.class_counts("r1")["v1"]
    assert {label: (each["labelled"], each["correct"]) for label, each in counts.items()} == {
        0: (2, 2),
        1: (3, 0),
        2: (2, 0),
    }
    assert sum(each["units"] for each in counts.values()) == 3  # ann, and two without a name


def test_users_of_an_old_history_are_counted_from_now_on(
    old: Path, history: History, record: Callable[..., bytes]
) -> None:
    """Who asked how often is not known, so that the rate begins anew; no difference is forgotten,
    and nobody votes again."""
    assert history.agreement(*PAIR) == {"scored": 0, "disagreed": 0, "differed": 7}
    asked = record([DIFFER], user_id="ann", at=LATER)
    assert history.agreement(*PAIR) == {"scored": 1, "disagreed": 1, "differed": 8}
    before = history.tally(*PAIR)
    history.label(asked, [1])
    assert history.tally(*PAIR) == before


def test_where_nobody_had_a_name_the_rate_goes_on(
    path: Path, history: History, record: Callable[..., bytes]
) -> None:
    """Then each request was a unit before, too."""
    restore(path, "history-0.1.0-nobody.sql")
    assert history.agreement(*PAIR) == {"scored": 9, "disagreed": 6, "differed": 7}
    record([AGREE], at=LATER)
    assert history.agreement(*PAIR) == {"scored": 10, "disagreed": 6, "differed": 7}


def test_it_is_worked_out_once(old: Path, history: History, record: Callable[..., bytes]) -> None:
    """Whoever opens the file next finds it done."""
    history.label(record([DIFFER], at=LATER), [1])
    before = [history.agreement(*PAIR), history.class_tally(*PAIR), history.class_counts("r1")]
    for _ in range(2):
        other = History(old)
        assert [
            other.agreement(*PAIR), other.class_tally(*PAIR), other.class_counts("r1"),
        ] == before  # fmt: skip
        other.close()


def test_an_older_irisab_finds_its_tables_as_it_left_them(
    old: Path, tmp_path: Path, history: History
) -> None:
    """After a rollback it fills their columns by position, and refuses a larger user_version."""
    before = tables(old)
    history.label(bytes.fromhex("019AAAAC260070000000000000000008"), [0])
    after = tables(old)
    assert {name: after[name] for name in before} == before
    new = tmp_path / "new.sqlite3"
    connect(new, synchronous="NORMAL").close()
    assert tables(new) == after
    for each in (old, new):
        with closing(sqlite3.connect(each)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_what_an_older_irisab_counts_meanwhile_is_not_forgotten(
    old: Path, history: History, writer: Recorder
) -> None:
    """Rolled back and forward again: its requests that differed may have no label, and count
    against a lead; its pairs, users and tallies have gone on."""
    writer.record(prediction([DIFFER], at=LATER))
    writer.flush()
    known = history.agreement(*PAIR)
    with closing(sqlite3.connect(old)) as older:
        older.execute(
            "INSERT INTO pairs VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " scored = scored + excluded.scored, disagreed = disagreed + excluded.disagreed,"
            " differed = differed + excluded.differed",
            (*PAIR, 5, 2, 3),
        )
        older.commit()
    found = history.agreement(*PAIR)
    assert found == {**known, "differed": known["differed"] + 3}


def test_the_old_tables_are_written_as_before(path: Path, writer: Recorder) -> None:
    """Whatever 0.1.0 had counted of the same traffic is what it finds."""
    history = History(path)
    for votes, label, user, version in (
        ([AGREE], [0], "ann", "v1"),
        ([DIFFER], [1], "ann", "v1"),
        ([DIFFER], [1], "ann", "v1"),
        ([DIFFER], [0], "bob", "v2"),
        ([DIFFER], None, "bob", "v1"),
        ([AGREE, DIFFER, DIFFER], [2, 1, 0], None, "v1"),
        ([DIFFER], [2], None, "v1"),
        ([AGREE], None, None, "v1"),
    ):
        item = prediction(votes, user_id=user, version=version)
        writer.record(item)
        writer.flush()
        if label:
            history.label(item.request_id, label)
    history.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM pairs").fetchall() == [(*PAIR, 8, 5, 6)]
        assert connection.execute("SELECT * FROM tally ORDER BY shown").fetchall() == [
            (*PAIR, "hash-1", 1, 0, 2, 1, 1),
            (*PAIR, "hash-2", 0, 1, 0, 0, 0),
        ]
        assert connection.execute("SELECT count(*) FROM voters").fetchone() == (2,)
        assert connection.execute("SELECT * FROM versions ORDER BY version").fetchall() == [
            ("r1", "v1", 7, 0, 7, 2, 1),
            ("r1", "v2", 1, 0, 1, 0, 1),
        ]


def first_release(folder: Path) -> Path:
    """Return where the code of 0.1.0 is now."""
    packed = subprocess.run(["git", "archive", FIRST, "irisab"], cwd=ROOT, capture_output=True)
    if packed.returncode and "CI" not in os.environ:
        pytest.skip(f"IRISAB 0.1.0 WAS NOT TRIED: {packed.stderr.decode()}")
    assert not packed.returncode, packed.stderr
    folder.mkdir()
    subprocess.run(["tar", "-xC", folder], input=packed.stdout, check=True)
    return folder


def test_an_older_irisab_goes_on_with_a_newer_history(
    writer: Recorder, history: History, path: Path, tmp_path: Path
) -> None:
    """After a rollback its own code finds predictions, takes their labels, reads all rows and adds
    some; forward again, they are there."""
    writer.announce(revision(types=("number", "number"), split={"v1": 90.0, "v2": 10.0}))
    asked = prediction([DIFFER], user_id="ann")
    for each in asked, prediction([AGREE, AGREE]):
        writer.record(each)
    writer.flush()
    started = [sys.executable, "-c", GO_ON, path, asked.request_id.hex(), str(NOW)]
    environment = {"PYTHONPATH": str(first_release(tmp_path / "first"))}
    found = subprocess.run(started, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert not found.returncode, found.stderr
    assert json.loads(found.stdout) == [
        *("0.1.0", "v1", True, ["r1"], 3, [[1.0, 2.0]] * 3),
        {"requests": 2, "errors": 0, "labelled": 1, "correct": 0},
        1,
    ]
    assert history.window(9, features=["length", "width"]).tolist()[0] == [3.0, 4.0]
    assert history.active_users(now=NOW) == 2
    assert history.version_counts("r1")["v2"]["requests"] == 1
    assert history.agreement(*PAIR)["differed"] == 2
