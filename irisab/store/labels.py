"""Labels on their way to the disk, one after the other. Start at `LabelWriter.add`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from irisab.errors import HistoryError
from irisab.store import evidence
from irisab.store.database import BUSY_SECONDS, Identity, identity, transaction
from irisab.store.reader import explained
from irisab.store.upgrade import open_history

# How long a label waits for a locked file when the label before it has already waited the whole
# BUSY_SECONDS in vain: a lock that stays would otherwise hold every thread for seconds each.
RETRY_SECONDS = 0.1

_NOT_NOW = "the history could not be used a moment ago"
_NO_LOG = "its -wal or -shm file was deleted or replaced, and is not there anew yet"


class LabelWriter:
    """One connection that writes labels; a file that takes the place of another is noticed.

    `is_kept` tells whether what is written now is on the disk for good: see `Writer.is_kept`.
    """

    def __init__(self, path: Path) -> None:
        self.is_kept: Callable[[], bool] = lambda: True
        self._path = path
        self._identity: Identity = None
        self._lock = threading.Lock()
        self._failing = False
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the connection; the next label opens another."""
        with self.apart():
            pass

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Let labels wait until the block has ended, and close the connection then."""
        with self._lock:
            yield
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def add(
        self, request_id: bytes, labels: Sequence[float | None], *, correct: bool = False
    ) -> bool:
        """Write what `evidence.add` says, and return when it is on the disk.

        Raises also `HistoryError` where the file cannot be used at the moment.
        """
        self._notice_another_file()
        with self._in_turn(), explained(self._path):
            if self._connection is None:
                self._connection = open_history(self._path, synchronous="FULL")
            self._refuse_lost_log()
            patience = RETRY_SECONDS if self._failing else BUSY_SECONDS
            self._connection.execute(f"PRAGMA busy_timeout = {1000 * patience:.0f}")
            with transaction(self._connection):
                new = evidence.add(self._connection, request_id, labels, correct=correct)
            self._refuse_lost_log()  # or it may be written where a crash leaves nothing of it
            return new

    def _refuse_lost_log(self) -> None:
        """Raise `HistoryError` until the writer has opened the history anew; labels come again."""
        if not self.is_kept():
            raise HistoryError(f"{self._path}: {_NO_LOG}")

    def _notice_another_file(self) -> None:
        """Begin anew where the file was removed or replaced: what is open has no name any more."""
        here = identity(self._path)
        if here != self._identity:
            self.close()
            self._identity = here

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Wait for the labels before this one; once one has failed, one at a time may try.

        Each waits for a lock for `BUSY_SECONDS`: in a queue, they would keep every thread waiting.
        """
        waited = not self._failing
        if not self._lock.acquire(blocking=waited):
            raise HistoryError(f"{self._path}: {_NOT_NOW}")
        try:
            if waited and self._failing:
                raise HistoryError(f"{self._path}: {_NOT_NOW}")
            yield
        except BaseException as error:
            self._failing = isinstance(error, HistoryError)
            raise
        else:
            self._failing = False
        finally:
            self._lock.release()
