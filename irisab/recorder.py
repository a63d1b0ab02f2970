"""Writes predictions to the history in the background. Start at `Recorder.record`.

The request does no more than append to a queue. Twenty times a second the writer takes what is
there and commits it together with the counts it changes. What cannot be written waits in the
bounded queue; what does not fit is dropped and counted, and the answers go on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import threading
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from irisab.database import connect, identity, transaction
from irisab.revision import Revision

log = logging.getLogger(__name__)

# Short, so that each write is: at 0.2 s, meeting one raised the 99th percentile by a fifth.
INTERVAL_SECONDS = 0.05
# Rows: about three seconds of the fastest traffic, 10 MB at the most. It bounds what one flush
# writes and prunes as well, so that pruning keeps up and never ends inside the oldest request.
QUEUE_ROWS = 20_000
# One statement per row would give up and take the interpreter's lock for each; one statement for
# 64 rows leaves the interpreter to the requests.
ROWS_PER_STATEMENT = 64
COLUMNS = 12
# What SQLite says of a value, and not of its file.
_BAD_VALUE = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


class Prediction(NamedTuple):
    """One answered request. `votes` holds, per row, what each version said, as JSON."""

    request_id: bytes
    time: float
    revision: str
    version: str
    forced: bool
    user_id: str | None
    latency: float
    rows: Sequence[Sequence[float]]
    predictions: Sequence[int]
    votes: Sequence[str]


class Failure(NamedTuple):
    """One request that a version failed to answer."""

    revision: str
    version: str


_Item = Prediction | Failure | Revision
_Values = tuple[bytes, int, float, str, str, int, bytes | None, float, bytes, int, str, None]


class Recorder:
    """The only writer of predictions.

    `dropped` counts rows that were lost, `failing` tells that others wait for the disk.
    """

    def __init__(self, path: Path, *, keep_rows: int) -> None:
        self.keep_rows = keep_rows
        self.dropped = 0
        self.failing = False
        self._path = path
        self._queue: deque[_Item] = deque()
        self._queued_rows = 0
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._salt = b""
        self._stored_rows = 0
        self._revisions: dict[str, Revision] = {}
        self._writing = threading.Lock()
        # Held for a few additions only, never across I/O.
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def record(self, item: Prediction) -> None:
        """Queue a prediction; never blocks and never raises."""
        with self._counting:
            if self._queued_rows + len(item.rows) > QUEUE_ROWS:
                self.dropped += len(item.rows)
                return
            self._queued_rows += len(item.rows)
            self._queue.append(item)

    def fail(self, *, revision: str, version: str) -> None:
        """Queue a failed request."""
        if len(self._queue) < QUEUE_ROWS:
            self._queue.append(Failure(revision, version))

    def announce(self, revision: Revision) -> None:
        """Queue what a revision is; comes before the first prediction of it."""
        self._queue.append(revision)

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()
        if self._queued_rows:
            self.dropped += self._queued_rows
            log.error("%s history rows could not be written and are lost", self._queued_rows)
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            self.flush()

    def flush(self) -> bool:
        """Write what is queued now, in the calling thread.

        What cannot be written at the moment goes back to the queue, which is told by False. What
        never can is found by halving, so that it is lost alone.
        """
        with self._writing:
            return self._flush()

    def settle(self) -> bool:
        """Flush for somebody who waits for it; False at once while writing fails."""
        if self.failing:
            return False
        with self._writing:
            # It may have failed in the meantime.
            return not self.failing and self._flush()

    def _flush(self) -> bool:
        todo: list[Sequence[_Item]] = [[self._queue.popleft() for _ in range(len(self._queue))]]
        if not todo[0] and self._stored_rows <= self.keep_rows:
            return True
        while todo:
            items = todo.pop()
            try:
                self._write(items)
            except Exception as error:
                if _passes(error):
                    for each in [*todo, items]:
                        self._queue.extendleft(reversed(each))
                    self._report(error)
                    return False
                todo += self._halves(items, error)
            else:
                self.failing = False
                self._forget(items)
        return True

    def _halves(self, items: Sequence[_Item], error: Exception) -> list[Sequence[_Item]]:
        """Return the two halves, the first one last; of a single item nothing is left."""
        if len(items) > 1:
            middle = len(items) // 2
            return [items[middle:], items[:middle]]
        rows = self._forget(items)
        with self._counting:
            self.dropped += rows
        log.error("%s history rows cannot be written and are lost: %r", rows, error)
        return []

    def _forget(self, items: Sequence[_Item]) -> int:
        rows = sum(len(each.rows) for each in items if isinstance(each, Prediction))
        with self._counting:
            self._queued_rows -= rows
        return rows

    def _report(self, error: Exception) -> None:
        # Once, not twenty times a second.
        if not self.failing:
            log.error("%s: predictions wait to be written: %s", self._path, error)
        self.failing = True

    def _write(self, items: Sequence[_Item]) -> None:
        with transaction(self._current()):
            assert self._connection is not None
            revisions = [each for each in items if isinstance(each, Revision)]
            self._write_revisions(self._connection, revisions)
            predictions = [each for each in items if isinstance(each, Prediction)]
            stored = self._insert(predictions)
            self._count(predictions, [each for each in items if isinstance(each, Failure)])
            pruned = self._prune(self._stored_rows + stored - self.keep_rows)
        self._stored_rows += stored - pruned

    def _current(self) -> sqlite3.Connection:
        """Return the connection to the file that has the name now."""
        if self._connection is not None and identity(self._path) != self._identity:
            log.error("%s: was removed or replaced; a new history begins", self._path)
            self._connection.close()
            self._connection = None
        return self._connection or self._open()

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._path, synchronous="NORMAL")
        try:
            (self._salt,) = connection.execute("SELECT value FROM secrets").fetchone()
            (self._stored_rows,) = connection.execute("SELECT count(*) FROM predictions").fetchone()
            with transaction(connection):
                self._write_revisions(connection, list(self._revisions.values()))
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, identity(self._path)
        return connection

    def _execute(self, statement: str, values: Sequence[object]) -> sqlite3.Cursor:
        assert self._connection is not None
        return self._connection.execute(statement, values)

    def _write_revisions(
        self, connection: sqlite3.Connection, revisions: Sequence[Revision]
    ) -> None:
        for each in revisions:
            # The last one stays last: a new file gets them in this order.
            self._revisions.pop(each.revision, None)
            self._revisions[each.revision] = each
            connection.execute(
                "INSERT INTO revisions VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET seen = excluded.seen, content = excluded.content",
                (each.revision, time.time(), json.dumps(list(each.features)), each.to_json()),
            )

    def _insert(self, predictions: Sequence[Prediction]) -> int:
        rows = chain.from_iterable(map(self._values, predictions))
        stored = 0
        # Made as they are needed: all at once, they would hold the interpreter for milliseconds.
        while chunk := [*islice(rows, ROWS_PER_STATEMENT)]:
            self._execute(_insert_statement(len(chunk)), [*chain.from_iterable(chunk)])
            stored += len(chunk)
        return stored

    def _values(self, each: Prediction) -> Iterator[_Values]:
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
                array("d", row).tobytes(),
                prediction,
                votes,
                None,
            )

    def _user(self, user_id: str | None) -> bytes | None:
        if user_id is None:
            return None
        return hashlib.blake2b(user_id.encode(), key=self._salt, digest_size=16).digest()

    def _count(self, predictions: Sequence[Prediction], failures: Sequence[Failure]) -> None:
        asked = [each for each in predictions if not each.forced]
        self._count_versions("requests", Counter((p.revision, p.version) for p in asked))
        self._count_versions("errors", Counter((f.revision, f.version) for f in failures))
        self._count_pairs(
            Counter((each.revision, tuple(dict.fromkeys(each.votes))) for each in asked)
        )
        self._count_users([each for each in asked if each.user_id is not None])

    def _count_versions(self, column: str, counts: Counter[tuple[str, str]]) -> None:
        for (revision, version), count in counts.items():
            self._execute(
                f"INSERT INTO versions (revision, version, {column}) VALUES (?, ?, ?)"
                f" ON CONFLICT DO UPDATE SET {column} = {column} + excluded.{column}",
                (revision, version, count),
            )

    def _count_pairs(self, counts: Counter[tuple[str, tuple[str, ...]]]) -> None:
        for (name, texts), count in counts.items():
            revision, votes = self._revisions[name], [json.loads(text) for text in texts]
            for models, (one, two) in revision.model_pairs().items():
                if all(one in row and two in row for row in votes):
                    differ = [row[one] != row[two] for row in votes]
                    self._execute(
                        "INSERT INTO pairs VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                        " scored = scored + excluded.scored,"
                        " disagreed = disagreed + excluded.disagreed,"
                        " differed = differed + excluded.differed",
                        (*models, count, count * differ[0], count * any(differ)),
                    )

    def _count_users(self, asked: Sequence[Prediction]) -> None:
        new: Counter[tuple[str, str]] = Counter()
        for each in asked:
            key = (each.revision, self._user(each.user_id))
            added = self._execute(
                "INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?)", (*key, each.version, each.time)
            )
            if added.rowcount:
                new[each.revision, each.version] += 1
            else:
                self._execute(
                    "UPDATE users SET last_seen = max(last_seen, ?)"
                    " WHERE revision = ? AND user = ?",
                    (each.time, *key),
                )
        self._count_versions("users", new)

    def _prune(self, excess: int) -> int:
        """Delete the oldest rows beyond `keep_rows`, whole requests and not too many at a time."""
        if excess <= 0:
            return 0
        assert self._connection is not None
        deleted = self._connection.execute(
            "DELETE FROM predictions WHERE request_id < (SELECT request_id FROM predictions"
            " ORDER BY request_id, row LIMIT 1 OFFSET ?)",
            (min(excess, QUEUE_ROWS),),
        )
        return deleted.rowcount


def _passes(error: Exception) -> bool:
    """Tell whether it may work later: a locked or full disk passes, a bad value does not."""
    return isinstance(error, sqlite3.Error) and not isinstance(error, _BAD_VALUE)


def _insert_statement(rows: int) -> str:
    one = f"({', '.join('?' * COLUMNS)})"
    return f"INSERT INTO predictions VALUES {', '.join([one] * rows)}"
