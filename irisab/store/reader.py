"""A connection that reads the history, whatever becomes of its file. See `Reader.reading`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from irisab.errors import HistoryError
from irisab.store.database import LATER, SCHEMA, identity
from irisab.store.upgrade import open_history


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite or the disk says into a `HistoryError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise HistoryError(f"{path}: the history cannot be used: {error}") from error


class Reader:
    """A file that is not there reads as an empty one; one that takes its place is noticed.

    `opened` counts the connections so far. Safe to share between threads.
    """

    def __init__(self, path: Path) -> None:
        self.opened = 0
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the connection; the next reading opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to one thread at a time; raises `HistoryError`."""
        self._notice_another_file()
        with self._lock, explained(self._path):
            if self._connection is None:
                self.opened += 1  # the one that is opened now, or an empty one
            if self._connection is None and self._path.exists():
                self._connection = open_history(self._path, synchronous="NORMAL", create=False)
            if self._connection is not None:
                yield self._connection
                return
            with closing(sqlite3.connect(":memory:")) as empty:
                empty.executescript(SCHEMA + LATER)
                yield empty

    def _notice_another_file(self) -> None:
        """Begin anew where the file was removed or replaced: what is open has no name any more."""
        here = identity(self._path)
        if here != self._identity:
            self.close()
            self._identity = here
