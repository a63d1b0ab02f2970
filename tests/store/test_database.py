"""The SQLite file: opened as it should be, changed in whole transactions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from irisab.store.database import connect, transaction


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
