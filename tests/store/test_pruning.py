"""What is deleted: old rows, and users that nobody needs any more. Never the evidence."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from traffic import AGREE, DIFFER, NOW, prediction, revision

from irisab.store import pruning
from irisab.store.history import History
from irisab.store.recorder import Recorder

Record = Callable[..., bytes]
PEOPLE = ("users", "labellers", "pair_users", "voters")


@pytest.fixture
def count(path: Path) -> Iterator[Callable[[], dict[str, int]]]:
    """Count the rows of every table that has a row per user."""

    def read() -> dict[str, int]:
        with closing(sqlite3.connect(path)) as connection:
            return {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in PEOPLE
            }

    yield read


def fill(writer: Recorder, history: History, name: str, *, users: int, at: float) -> None:
    """Let users ask and label under a revision."""
    asked = [
        prediction([DIFFER], revision=name, user_id=f"{name} user {number}", at=at)
        for number in range(users)
    ]
    for each in asked:
        writer.record(each)
    writer.flush()
    for each in asked:
        history.label(each.request_id, [1])


def test_users_go_with_the_last_row_that_needs_them(
    writer: Recorder, history: History, count: Callable[[], dict[str, int]]
) -> None:
    """Once a pair of models serves no more and its rows are gone, so are those who voted on it;
    what they said stays."""
    fill(writer, history, "r1", users=30, at=NOW)
    assert count() == dict.fromkeys(PEOPLE, 30)
    writer.announce(revision("r2", models={"v1": "hash-1", "v2": "hash-3"}))
    writer.keep_rows = 20
    fill(writer, history, "r2", users=5, at=NOW + 1)
    assert count() == dict.fromkeys(PEOPLE, 35)  # rows of r1 are left
    before = [history.tally("hash-1", "hash-2"), history.agreement("hash-1", "hash-2")]
    writer.keep_rows = 5
    fill(writer, history, "r2", users=5, at=NOW + 2)
    assert count() == dict.fromkeys(PEOPLE, 5)
    assert [history.tally("hash-1", "hash-2"), history.agreement("hash-1", "hash-2")] == before
    assert history.user_counts("r1") == {"v1": 30}


def test_another_split_needs_the_users_of_the_same_pair(
    writer: Recorder, history: History, count: Callable[[], dict[str, int]]
) -> None:
    """A user who voted under one split has no second vote under the next."""
    fill(writer, history, "r1", users=10, at=NOW)
    writer.announce(revision("r2", split={"v1": 90.0, "v2": 10.0}))
    writer.keep_rows = 3
    for number in range(10):
        writer.record(prediction([AGREE], revision="r2", at=NOW + 1 + number))
        writer.flush()
    found = count()
    assert (found["users"], found["labellers"]) == (0, 0)
    assert (found["pair_users"], found["voters"]) == (10, 10)


def test_who_serves_keeps_its_users_without_rows(
    writer: Recorder, history: History, count: Callable[[], dict[str, int]]
) -> None:
    """However few rows are kept, whoever comes back is known."""
    fill(writer, history, "r1", users=10, at=NOW)
    writer.keep_rows = 1
    for number in range(3):
        writer.record(prediction([AGREE], forced=True, at=NOW + 1 + number))
        writer.flush()
    assert count() == dict.fromkeys(PEOPLE, 10)


def test_many_users_are_deleted_in_several_turns(
    writer: Recorder,
    history: History,
    count: Callable[[], dict[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No deletion keeps a label waiting, and in the end all are gone, also after a restart."""
    monkeypatch.setattr(pruning, "USERS_AT_ONCE", 4)
    fill(writer, history, "r1", users=10, at=NOW)
    writer.announce(revision("r2", models={"v1": "hash-1", "v2": "hash-3"}))
    writer.keep_rows = 1
    seen = []
    for turn in range(12):
        writer.record(prediction([AGREE], revision="r2", at=NOW + 1 + turn))
        writer.flush()
        seen.append(count()["users"])
        if turn == 4:
            writer.close()
            writer = Recorder(writer._path, keep_rows=1)
            writer.announce(revision("r2", models={"v1": "hash-1", "v2": "hash-3"}))
    writer.close()
    assert 6 in seen and seen[-1] == 0
    assert count() == dict.fromkeys(PEOPLE, 0)


def test_what_a_failed_write_has_pruned_is_pruned_again(path: Path) -> None:
    """Batches are looked for from where the last ones were found: also where they came back."""
    writer = Recorder(path, keep_rows=1000)
    writer.announce(revision())
    for _ in range(10):
        writer.record(prediction([AGREE] * 10))
        writer.record(prediction())
    writer.flush()
    writer.close()
    pruner = pruning.Pruner()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for end in "ROLLBACK", "COMMIT":
            connection.execute("BEGIN")
            pruned = pruner.prune(connection, 35, None, batches=True)
            assert pruned == pruning.Rows(30, 0, 27)
            connection.execute(end)
        assert pruner.prune(connection, 1000, None, batches=True) == pruning.Rows(70, 0, 63)
        assert pruning.count(connection) == pruning.Rows(10, 0, 0)
