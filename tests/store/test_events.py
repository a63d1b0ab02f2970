"""Events: written for good, read back in order, and never too many."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from irisab.errors import HistoryError
from irisab.store import events
from irisab.store.events import EventLog
from irisab.store.history import History


def test_what_is_added_is_listed(path: Path) -> None:
    """In the order in which it happened, with who did it."""
    log = EventLog(path)
    log.add("start", "serving v1 100 %", by="irisab")
    log.add("train", "from Iris", version="v2", by="operator")
    one, two = log.list()
    assert (one.kind, one.version, one.text, one.by) == (
        "start",
        None,
        "serving v1 100 %",
        "irisab",
    )
    assert (two.kind, two.version, two.by) == ("train", "v2", "operator")
    assert [each.kind for each in log.list(since=two.at)][-1] == "train"
    assert log.list(since=two.at + 1) == []


def test_they_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go, so that the file does not grow for ever; nor does a text."""
    monkeypatch.setattr(events, "KEEP", 3)
    for number in range(5):
        EventLog(path).add("reload", f"{number}" * 1000, by="irisab")
    found = EventLog(path).list()
    assert [each.text[0] for each in found] == ["2", "3", "4"]
    assert {len(each.text) for each in found} == {events.MOST_CHARACTERS}


def test_where_there_is_no_history_nothing_has_happened(path: Path) -> None:
    """Looking makes no file."""
    assert EventLog(path).list() == []
    assert not path.exists()


def test_a_history_without_the_table_gets_it(
    path: Path, history: History, record: Callable[..., bytes]
) -> None:
    """That of an irisab that knew no events is gone on with."""
    asked = record()
    with closing(sqlite3.connect(path)) as older:
        older.execute("DROP TABLE events")
        older.commit()
    EventLog(path).add("start", "again", by="irisab")
    assert [each.text for each in EventLog(path).list()] == ["again"]
    assert history.find(asked) is not None


def test_what_cannot_be_written_is_told(path: Path) -> None:
    """A file that is no history is named."""
    path.write_text("not a database, but long enough to be looked at as one" * 9)
    with pytest.raises(HistoryError, match="history.sqlite3: the history cannot be used"):
        EventLog(path).add("start", "x", by="irisab")
