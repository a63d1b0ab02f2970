"""Who counts once: users, and which of their requests is the one. Start at `Seen`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol, TypeVar

from irisab.store.counters import MOST_USERS, Pair, admits, pair_id

T = TypeVar("T")
# Stands beside a labelled request whether or not it is one that counts.
NOTED = "noted"


class Seen(Protocol):
    """Tells, and notes, whether somebody is counted for the first time; `user` may be None."""

    def first_label(self, revision: str, user: bytes | None) -> bool: ...

    def first_of_pair(self, pair: Pair, user: bytes | None) -> bool: ...

    def first_vote(self, pair: Pair, user: bytes | None) -> bool: ...


class Noted:
    """Who is counted already, as the history has it; a request that counts is noted."""

    def __init__(self, connection: sqlite3.Connection, request_id: bytes) -> None:
        self._connection = connection
        self._request_id = request_id
        self._note(NOTED)

    def first_label(self, revision: str, user: bytes | None) -> bool:
        if user is None or self._is_counted("label"):
            return True
        (units,) = self._connection.execute(
            "SELECT coalesce(sum(units), 0) FROM version_classes WHERE revision = ?", (revision,)
        ).fetchone()
        return units < MOST_USERS and self._first(
            "label",
            user,
            "INSERT OR IGNORE INTO labellers (revision, user) VALUES (?, ?)",
            (revision, user),
        )

    def first_of_pair(self, pair: Pair, user: bytes | None) -> bool:
        if user is None:
            return True
        return admits(self._connection, pair, user) and self._first(
            _of_pair(pair),
            user,
            "INSERT INTO pair_users (pair, user, labelled) VALUES (?, ?, 1)"
            " ON CONFLICT DO UPDATE SET labelled = 1 WHERE labelled = 0",
            (pair_id(self._connection, pair), user),
        )

    def first_vote(self, pair: Pair, user: bytes | None) -> bool:
        if user is None:
            return True
        return admits(self._connection, pair, user) and self._first(
            _vote(pair),
            user,
            "INSERT OR IGNORE INTO voters (one, two, user) VALUES (?, ?, ?)",
            (*pair, user),
        )

    def _first(
        self, what: str, user: bytes | None, statement: str, values: Sequence[object]
    ) -> bool:
        """Tell whether this request is the one that counts: it was before, or it is the first."""
        if user is None:
            return True
        if self._is_counted(what):
            return True
        if self._connection.execute(statement, values).rowcount != 1:
            return False
        self._note(what)
        return True

    def _is_counted(self, what: str) -> bool:
        key = (self._request_id, what)
        counted = "SELECT 1 FROM counted WHERE request_id = ? AND what = ?"
        return self._connection.execute(counted, key).fetchone() is not None

    def _note(self, what: str) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO counted (request_id, what) VALUES (?, ?)",
            (self._request_id, what),
        )


class Counted:
    """What the labels of a request have counted for, when they are to be taken back."""

    def __init__(
        self, connection: sqlite3.Connection, request_id: bytes, user: bytes | None
    ) -> None:
        rows = connection.execute("SELECT what FROM counted WHERE request_id = ?", (request_id,))
        self._what = {what for (what,) in rows}
        # Of labels of an older irisab it was not noted which of a user's count; most did.
        self.noted = NOTED in self._what

    def first_label(self, revision: str, user: bytes | None) -> bool:
        return self._is("label", user)

    def first_of_pair(self, pair: Pair, user: bytes | None) -> bool:
        return self._is(_of_pair(pair), user)

    def first_vote(self, pair: Pair, user: bytes | None) -> bool:
        return self._is(_vote(pair), user)

    def _is(self, what: str, user: bytes | None) -> bool:
        return user is None or not self.noted or what in self._what


def _of_pair(pair: Pair) -> str:
    return f"pair {' '.join(pair)}"


def _vote(pair: Pair) -> str:
    return f"vote {' '.join(pair)}"


class Remembered:
    """Who is counted already, while a whole history is counted again."""

    def __init__(self) -> None:
        self._labellers: set[tuple[str, bytes]] = set()
        self._users: set[tuple[Pair, bytes]] = set()
        self._voters: set[tuple[Pair, bytes]] = set()

    def first_label(self, revision: str, user: bytes | None) -> bool:
        return user is None or _added(self._labellers, (revision, user))

    def first_of_pair(self, pair: Pair, user: bytes | None) -> bool:
        return user is None or _added(self._users, (pair, user))

    def first_vote(self, pair: Pair, user: bytes | None) -> bool:
        return user is None or _added(self._voters, (pair, user))

    def write(self, connection: sqlite3.Connection) -> None:
        """Note who is counted now; the voters are in the history already."""
        connection.executemany(
            "INSERT OR IGNORE INTO labellers (revision, user) VALUES (?, ?)", self._labellers
        )
        connection.executemany(
            "INSERT OR IGNORE INTO pair_users (pair, user, labelled) VALUES (?, ?, 1)",
            [(pair_id(connection, pair), user) for pair, user in self._users],
        )


def _added(known: set[T], each: T) -> bool:
    new = each not in known
    known.add(each)
    return new
