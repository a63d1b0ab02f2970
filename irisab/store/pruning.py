"""What is deleted, so that the history does not grow for ever. Start at `Pruner.prune`."""

from __future__ import annotations

import operator
import sqlite3
from typing import NamedTuple

from irisab.store.counters import Pair
from irisab.store.revision import Revision

# Users of one table at a time: a large deletion would keep labels waiting.
USERS_AT_ONCE = 20_000


class Rows(NamedTuple):
    """How many rows: all, those of a version asked for by name, those after a request's first."""

    all: int = 0
    forced: int = 0
    further: int = 0

    def plus(self, other: Rows) -> Rows:
        return Rows(*map(operator.add, self, other))

    def minus(self, other: Rows) -> Rows:
        return Rows(*map(operator.sub, self, other))


def count(connection: sqlite3.Connection, which: str = "TRUE", *values: object) -> Rows:
    """Count the rows for which a condition holds."""
    counts = connection.execute(
        f"SELECT count(*), ifnull(sum(forced), 0), ifnull(sum(row > 0), 0) FROM predictions"
        f" WHERE {which}",
        values,
    )
    return Rows._make(counts.fetchone())


class Pruner:
    """Deletes the oldest rows, and the users that only they needed.

    A user is remembered by revision and by pair, so that nobody counts twice. Once a revision
    serves no more and all its rows are gone no label can come for it, and none is needed.
    """

    def __init__(self) -> None:
        self._users_may_be_left = True
        # No request before this one has more than one row.
        self._batches_from = b""

    def prune(
        self, connection: sqlite3.Connection, rows: int, serving: Revision | None, *, batches: bool
    ) -> Rows:
        """Delete the oldest requests, or the oldest of more than one row: so many rows, or a few
        less."""
        pruned = (self._prune_batches if batches else _prune_oldest)(connection, rows)
        if serving is not None:
            self._prune_users(connection, serving)
        return pruned

    def prune_forced(self, connection: sqlite3.Connection, rows: int) -> Rows:
        """Delete the oldest forced rows, so many or a few less."""
        kept = _after(connection, rows, "forced = 1")
        pruned = count(connection, "forced = 1 AND request_id < ?", kept)
        connection.execute(
            "DELETE FROM own_ids WHERE request_id IN"
            " (SELECT request_id FROM predictions WHERE forced = 1 AND request_id < ?)",
            (kept,),
        )
        connection.execute("DELETE FROM predictions WHERE forced = 1 AND request_id < ?", (kept,))
        return pruned

    def _prune_batches(self, connection: sqlite3.Connection, rows: int) -> Rows:
        # In the order of the primary key: no more is read than is deleted, and what lies between.
        first, last, *pruned = connection.execute(
            "SELECT min(request_id), max(request_id), sum(size), sum(forced), sum(size - 1) FROM"
            " (SELECT *, sum(size) OVER (ORDER BY request_id) AS so_far FROM"
            " (SELECT request_id, count(*) AS size, sum(forced) AS forced FROM predictions"
            " WHERE request_id >= ? GROUP BY request_id HAVING count(*) > 1"
            " ORDER BY request_id LIMIT ?)) WHERE so_far <= ?",
            (self._batches_from, rows // 2, rows),
        ).fetchone()
        if last is None:
            return Rows()
        gone = "SELECT request_id FROM predictions WHERE row = 1 AND request_id BETWEEN ? AND ?"
        for table in ("counted", "own_ids", "predictions"):
            connection.execute(f"DELETE FROM {table} WHERE request_id IN ({gone})", (first, last))
        # Not the last one: the transaction may fail, and then they are all there.
        self._batches_from = first
        return Rows(*pruned)

    def _prune_users(self, connection: sqlite3.Connection, serving: Revision) -> None:
        for revision in _gone(connection, serving):
            self._users_may_be_left = True
            if not _delete_users(connection, ("users", "labellers"), {"revision": revision}):
                connection.execute("DELETE FROM newest_rows WHERE revision = ?", (revision,))
        if self._users_may_be_left:
            self._users_may_be_left = _prune_pairs(connection, serving)


def _prune_oldest(connection: sqlite3.Connection, rows: int) -> Rows:
    kept = _after(connection, rows, "TRUE")
    pruned = count(connection, "request_id < ?", kept)
    connection.execute("DELETE FROM predictions WHERE request_id < ?", (kept,))
    for table in ("counted", "own_ids"):
        connection.execute(
            f"DELETE FROM {table} WHERE request_id < (SELECT min(request_id) FROM predictions)"
        )
    return pruned


def _after(connection: sqlite3.Connection, rows: int, which: str) -> bytes | None:
    """Return the request in which the row stands that comes after the oldest `rows`."""
    row = connection.execute(
        f"SELECT request_id FROM predictions WHERE {which} ORDER BY request_id LIMIT 1 OFFSET ?",
        (rows,),
    ).fetchone()
    return None if row is None else bytes(row[0])


def note_rows(connection: sqlite3.Connection, revision: str, request_id: bytes) -> None:
    """Remember the newest row of a revision."""
    connection.execute(
        "INSERT INTO newest_rows (revision, request_id) VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET request_id = max(request_id, excluded.request_id)",
        (revision, request_id),
    )


def _gone(connection: sqlite3.Connection, serving: Revision) -> list[str]:
    """Return the revisions that serve no more, and have no rows."""
    rows = connection.execute(
        "SELECT revision FROM newest_rows WHERE revision <> ?"
        " AND request_id < (SELECT min(request_id) FROM predictions)",
        (serving.id,),
    )
    return [revision for (revision,) in rows]


def _prune_pairs(connection: sqlite3.Connection, serving: Revision) -> bool:
    """Delete the users of pairs that no revision with rows has; tells whether some are left."""
    needed = _needed_pairs(connection, serving)
    left = False
    for number, *pair in connection.execute("SELECT pair, one, two FROM units").fetchall():
        if tuple(pair) not in needed:
            one, two = pair
            left |= _delete_users(connection, ("pair_users",), {"pair": number})
            left |= _delete_users(connection, ("voters",), {"one": one, "two": two})
    return left


def _needed_pairs(connection: sqlite3.Connection, serving: Revision) -> set[Pair]:
    contents = connection.execute(
        "SELECT content FROM revisions WHERE revision IN (SELECT revision FROM newest_rows)"
    )
    revisions = [serving, *(Revision.from_json(text) for (text,) in contents)]
    return {pair for each in revisions for pair in each.model_pairs()}


def _delete_users(
    connection: sqlite3.Connection, tables: tuple[str, ...], where: dict[str, object]
) -> bool:
    """Delete users of these tables, not too many at a time; tells whether some are left."""
    condition = " AND ".join(f"{name} = ?" for name in where)
    left = False
    for table in tables:
        deleted = connection.execute(
            f"DELETE FROM {table} WHERE {condition} AND user IN"
            f" (SELECT user FROM {table} WHERE {condition} LIMIT {USERS_AT_ONCE})",
            (*where.values(), *where.values()),
        )
        left |= deleted.rowcount == USERS_AT_ONCE
    return left
