"""A history as this irisab needs it, whichever release wrote it. See `open_history()`."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from irisab.store.database import connect, transaction
from irisab.store.evidence import recount_classes

UNITS = "units"


def open_history(path: Path, *, synchronous: str, create: bool = True) -> sqlite3.Connection:
    """Open the history, as `connect` does, with what an older irisab did not count."""
    connection = connect(path, synchronous=synchronous, create=create)
    try:
        if not _has(connection, UNITS):
            with transaction(connection):
                _count_units(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _has(connection: sqlite3.Connection, name: str) -> bool:
    row = connection.execute("SELECT 1 FROM upgrades WHERE name = ?", (name,)).fetchone()
    return row is not None


def _count_units(connection: sqlite3.Connection) -> None:
    """Work out what can still be known of users and classes."""
    if _has(connection, UNITS):  # another process was quicker
        return
    connection.execute("INSERT INTO upgrades (name) VALUES (?)", (UNITS,))
    # Who asked how often was not counted by pair. Where nobody has a name it need not be.
    connection.execute(
        "INSERT OR IGNORE INTO units (one, two, scored, disagreed, differed, known)"
        " SELECT one, two, scored, disagreed, differed, differed FROM pairs"
        " WHERE NOT EXISTS (SELECT 1 FROM users)"
    )
    recount_classes(connection)
    connection.execute(
        "INSERT INTO newest_rows (revision, request_id)"
        " SELECT revision, max(request_id) FROM predictions GROUP BY revision"
    )
