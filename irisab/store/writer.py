"""Predictions into the history's tables, with all that they change. Start at `Writer.write`."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from irisab.store import bulk, timeline, traffic
from irisab.store.database import Identity, beside, identity, transaction, write_back
from irisab.store.pruning import Pruner, Rows, count, note_rows
from irisab.store.revision import Revision
from irisab.store.timeline import Drift
from irisab.store.upgrade import open_history
from irisab.turns import step_aside

log = logging.getLogger(__name__)

# Rows: about three seconds of the fastest traffic, 10 MB at the most. It bounds what one flush
# writes and prunes as well, so that pruning keeps up and never ends inside the oldest request.
QUEUE_ROWS = 20_000
# A request with so many rows gives SQLite once what they share: to hand over twelve values of each
# row holds the interpreter for milliseconds, and others wait for their answers.
LARGE_ROWS = 256
# Of `keep_rows`: what rows of versions that were asked for by name may take of it. They count for
# nothing, and must not push out what somebody will label.
FORCED_SHARE = 0.1
# Of `keep_rows`: where the rows after the first of a request take more, batches are pruned before
# all others. A thousand rows are asked for as easily as one, and would push out a thousand.
BATCH_SHARE = 0.5


class Record(NamedTuple):
    """One answered request: per row what `rows.encoder` made of it, the answer, and in `votes` what
    each version said, as JSON."""

    request_id: bytes
    time: float
    revision: str
    version: str
    forced: bool
    user_id: str | None
    latency: float
    rows: Sequence[bytes]
    predictions: Sequence[float]
    votes: Sequence[str]
    own_id: str | None = None


class Failure(NamedTuple):
    """One request that a version failed to score; `answered` are the versions that did not.

    `chosen` tells whether it was the one to answer.
    """

    revision: str
    version: str
    time: float
    answered: Sequence[str] = ()
    chosen: bool = True


Item = Record | Failure | Drift | Revision
_Values = tuple[bytes, int, float, str, str, int, bytes | None, float, bytes, float, str, None]


class Writer:
    """One connection that writes predictions.

    `stored` counts the rows that the file holds. `apart` keeps labels waiting while a history is
    left whose files were deleted or replaced, and closes what other connections the process has.
    """

    def __init__(self, path: Path) -> None:
        self.stored = Rows()
        self.apart: Callable[[], AbstractContextManager[None]] = nullcontext
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity = None
        self._beside: tuple[Identity, Identity] = (None, None)
        self._salt = b""
        self._revisions: dict[str, Revision] = {}
        self._pruner = Pruner()
        # The `keep_rows` to which nothing more can be pruned: a request goes whole or not at all.
        # What else goes with rows, such as users, waits for the next write.
        self._done_for: int | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def write(self, items: Sequence[Item], *, keep_rows: int) -> None:
        """Write all items with the counts they change, or none; raises `sqlite3.Error`."""
        with transaction(self._current()):
            assert self._connection is not None
            revisions = [each for each in items if isinstance(each, Revision)]
            self._write_revisions(self._connection, revisions)
            predictions = [each for each in items if isinstance(each, Record)]
            self._insert(predictions)
            self._count(predictions, [each for each in items if isinstance(each, Failure)])
            timeline.note(self._connection, [each for each in items if isinstance(each, Drift)])
            stored = self.stored.plus(_rows(predictions))
            pruned = self._prune(stored, keep_rows)
        self.stored = stored.minus(pruned)
        self._done_for = None if pruned.all else keep_rows

    def has_work(self, keep_rows: int) -> bool:
        """Tell whether there is something to do even where nothing is to be written."""
        too_many = self.stored.all > keep_rows and self._done_for != keep_rows
        return too_many or not self.is_kept()

    def is_kept(self) -> bool:
        """Tell whether the files that are open still have their names on the disk."""
        if self._connection is None:
            return True
        return identity(self._path) == self._identity and beside(self._path) == self._beside

    def _current(self) -> sqlite3.Connection:
        """Return the connection to the files that have the names now."""
        if not self.is_kept():
            # All connections together: a new one that meets an old one would share its index of
            # the log, but not the log.
            with self.apart():
                self._leave()
        return self._connection or self._open()

    def _leave(self) -> None:
        """Close files that were deleted or replaced, with what is in them if it has a place."""
        assert self._connection is not None
        if identity(self._path) == self._identity:
            write_back(self._connection)
            said = "its -wal or -shm file was deleted or replaced; it has a new one, and all rows"
        else:
            said = "was removed or replaced; a new history begins"
        log.error("%s: %s", self._path, said)
        self._connection.close()
        self._connection = None

    def _open(self) -> sqlite3.Connection:
        connection = open_history(self._path, synchronous="NORMAL")
        try:
            (self._salt,) = connection.execute("SELECT value FROM secrets").fetchone()
            self.stored, self._pruner, self._done_for = count(connection), Pruner(), None
            with transaction(connection):
                self._write_revisions(connection, list(self._revisions.values()))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._identity, self._beside = identity(self._path), beside(self._path)
        return connection

    def _write_revisions(
        self, connection: sqlite3.Connection, revisions: Sequence[Revision]
    ) -> None:
        for each in revisions:
            # The last one stays last: a new file gets them in this order.
            self._revisions.pop(each.id, None)
            self._revisions[each.id] = each
            connection.execute(
                # `seen` is an order first: the newest stays the newest where the clock goes back.
                "INSERT INTO revisions (revision, seen, features, content) VALUES"
                " (?, (SELECT max(?, ifnull(max(seen), 0) + 0.001) FROM revisions), ?, ?)"
                " ON CONFLICT DO UPDATE SET seen = excluded.seen, content = excluded.content",
                (each.id, time.time(), each.columns, each.to_json()),
            )

    def _insert(self, predictions: Sequence[Record]) -> None:
        assert self._connection is not None
        small = (each for each in predictions if len(each.rows) < LARGE_ROWS)
        rows = chain.from_iterable(map(self._values, small))
        bulk.execute(self._connection, "INSERT INTO predictions VALUES {}", rows)
        for each in predictions:
            if len(each.rows) >= LARGE_ROWS:
                self._insert_large(self._connection, each)
        own = [(each.own_id, each.request_id) for each in predictions if each.own_id is not None]
        bulk.execute(self._connection, "INSERT INTO own_ids (id, request_id) VALUES {}", own)

    def _values(self, each: Record) -> Iterator[_Values]:
        user = self._user(each.user_id)
        for number, (row, prediction, votes) in enumerate(
            zip(each.rows, each.predictions, each.votes, strict=True)
        ):
            yield (
                each.request_id,
                number,
                each.time,
                each.revision,
                each.version,
                each.forced,
                user,
                each.latency,
                row,
                prediction,
                votes,
                None,
            )

    def _insert_large(self, connection: sqlite3.Connection, each: Record) -> None:
        user = self._user(each.user_id)
        bulk.execute(
            connection,
            "INSERT INTO predictions SELECT ?, column1, ?, ?, ?, ?, ?, ?,"
            " column2, column3, column4, NULL FROM (VALUES {})",
            _unhurried(
                zip(range(len(each.rows)), each.rows, each.predictions, each.votes, strict=True)
            ),
            shared=(
                *(each.request_id, each.time, each.revision, each.version, each.forced),
                *(user, each.latency),
            ),
        )

    def _user(self, user_id: str | None) -> bytes | None:
        if user_id is None:
            return None
        return hashlib.blake2b(user_id.encode(), key=self._salt, digest_size=16).digest()

    def _count(self, predictions: Sequence[Record], failures: Sequence[Failure]) -> None:
        assert self._connection is not None
        unforced = [each for each in predictions if not each.forced]
        asked = [
            traffic.Asked(
                each.revision, each.version, self._user(each.user_id), each.time, each.votes
            )
            for each in unforced
        ]
        traffic.count(self._connection, self._revisions, asked, failures)
        timeline.count(self._connection, unforced, failures)
        for each in {each.revision: each for each in predictions}.values():
            note_rows(self._connection, each.revision, each.request_id)

    def _prune(self, stored: Rows, keep_rows: int) -> Rows:
        """Delete what is beyond `keep_rows`, and forced rows beyond their share of it; not too many
        at a time."""
        assert self._connection is not None
        pruned = Rows()
        too_many = min(stored.forced - int(FORCED_SHARE * keep_rows), QUEUE_ROWS)
        if too_many > 0:
            pruned = self._pruner.prune_forced(self._connection, too_many)
        left = stored.minus(pruned)
        excess = min(left.all - keep_rows, QUEUE_ROWS)
        if excess <= 0:
            return pruned
        serving = next(reversed(self._revisions.values()), None)
        batches = left.further > BATCH_SHARE * keep_rows
        return pruned.plus(self._pruner.prune(self._connection, excess, serving, batches=batches))


def _unhurried(rows: Iterable[bulk.Row]) -> Iterator[bulk.Row]:
    """Yield all rows; before each statement's the main thread goes first, for as long as before a
    step of a thousand rows: the whole write takes longer than one."""
    for number, row in enumerate(rows):
        if number % LARGE_ROWS == 0:
            step_aside(1000)
        yield row


def _rows(predictions: Sequence[Record]) -> Rows:
    rows = sum(len(each.rows) for each in predictions)
    forced = sum(len(each.rows) for each in predictions if each.forced)
    return Rows(rows, forced, rows - len(predictions))
