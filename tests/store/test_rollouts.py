"""Where a rollout is survives everything that may happen to the file around it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from irisab.errors import HistoryError
from irisab.store import rollouts
from irisab.store.database import connect
from irisab.store.rollouts import Rollout

BEGUN = Rollout(
    version="v2",
    control="v1",
    models={"v1": "hash-1", "v2": "hash-2"},
    settings="{}",
    steps=(1.0, 5.0),
    since=1.0,
    clock=1.0,
    reason="started",
)


def step(number: int) -> Rollout:
    return replace(BEGUN, state="step", step=number, percent=5.0, since=1.0 + number)


def test_what_was_written_last_holds(path: Path) -> None:
    """As it was written, to whoever asks; before there was one there is none, and no file."""
    assert rollouts.newest(path) is None and not path.exists()
    rollouts.write(path, None, BEGUN)
    assert rollouts.newest(path) == replace(BEGUN, steps=[1.0, 5.0], failures=[0, 0])
    found = rollouts.newest(path)
    rollouts.write(path, found, step(1))
    assert rollouts.newest(path) == replace(step(1), steps=[1.0, 5.0], failures=[0, 0])


def test_it_is_told_how_it_came_to_that(path: Path) -> None:
    """Each state of the last rollout in its order; a hold changes one, and adds none."""
    rollouts.write(path, None, BEGUN)
    rollouts.write(path, BEGUN, step(1))
    held = replace(step(1), hold="1 of 200 requests", hold_code="few_requests")
    rollouts.write(path, step(1), held)
    paused = replace(BEGUN, state="paused", paused_in="shadow", since=5.0)
    rollouts.write(path, held, paused)
    rollouts.write(path, paused, replace(BEGUN, since=6.0))  # resumed in its shadow
    states = [(each.state, each.hold) for each in rollouts.told(path)]
    assert states == [
        ("shadow", None),
        ("step", "1 of 200 requests"),
        ("paused", None),
        ("shadow", None),
    ]
    aborted = replace(BEGUN, state="aborted", since=7.0)
    rollouts.write(path, replace(BEGUN, since=6.0), aborted)
    again = replace(BEGUN, since=8.0)
    rollouts.write(path, aborted, again)
    assert [each.since for each in rollouts.told(path)] == [8.0]


def test_two_who_write_at_once_do_not_undo_each_other(path: Path) -> None:
    """A look that began before a person has aborted cannot go on with it."""
    rollouts.write(path, None, BEGUN)
    rollouts.write(path, BEGUN, replace(BEGUN, state="aborted", since=2.0))
    with pytest.raises(HistoryError, match="changed meanwhile"):
        rollouts.write(path, BEGUN, step(1))
    with pytest.raises(HistoryError, match="changed meanwhile"):
        rollouts.write(path, None, BEGUN)
    found = rollouts.newest(path)
    assert found is not None and found.state == "aborted"


def test_a_newer_irisab_may_say_more(path: Path) -> None:
    """What this one does not know it passes over; what an older one did not say has a default."""
    rollouts.write(path, None, BEGUN)
    content = json.loads(BEGUN.to_json())
    del content["slow_looks"]
    with closing(connect(path, synchronous="FULL")) as connection:
        connection.execute(
            "UPDATE rollouts SET content = ?", (json.dumps({**content, "mood": "good"}),)
        )
    assert rollouts.newest(path) == replace(BEGUN, steps=[1.0, 5.0], failures=[0, 0])


def test_an_older_history_has_none(path: Path) -> None:
    """It is read as it is, without being written to."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(Path(__file__).with_name("history-0.1.0.sql").read_text())
    before = path.read_bytes()
    assert rollouts.newest(path) is None and path.read_bytes() == before


def test_an_older_irisab_goes_on_with_the_history(path: Path) -> None:
    """The format and the tables are those it knows, and it passes ours over."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(Path(__file__).with_name("history-0.1.0.sql").read_text())
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        columns = connection.execute("SELECT * FROM pragma_table_info('versions')").fetchall()
    rollouts.write(path, None, BEGUN)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)
        found = connection.execute("SELECT * FROM pragma_table_info('versions')").fetchall()
    assert found == columns


def test_a_file_that_is_no_history_is_told(path: Path) -> None:
    """Not taken for one without a rollout."""
    path.write_bytes(b"this is no database, and has been here before\n" * 50)
    with pytest.raises(HistoryError, match="cannot be used"):
        rollouts.newest(path)


def test_the_table_ends_somewhere(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pauses and resumes for ever fills no disk."""
    monkeypatch.setattr(rollouts, "KEEP", 5)
    last: Rollout | None = None
    for second in range(20):
        now = replace(BEGUN, state="paused" if second % 2 else "step", since=float(second))
        rollouts.write(path, last, now)
        last = now
    assert len(rollouts.told(path)) == 5
