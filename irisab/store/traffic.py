"""What predictions count for: requests, users, and how often two models differ. See `count()`."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from irisab.store import counters
from irisab.store.counters import Counts, Pair, is_full, knows, pair_id
from irisab.store.revision import Revision


class Asked(NamedTuple):
    """One answered request that asked for no version. `votes` has the text of each row."""

    revision: str
    version: str
    user: bytes | None
    time: float
    votes: Sequence[str]


class Failed(Protocol):
    """One request that a version failed to score; `answered` are the versions that did not."""

    @property
    def revision(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def answered(self) -> Sequence[str]: ...
    @property
    def chosen(self) -> bool: ...


class _Differing(NamedTuple):
    """Whether two models differ on a request: in its first row, and in any."""

    first: bool
    any: bool


def count(
    connection: sqlite3.Connection,
    revisions: Mapping[str, Revision],
    asked: Sequence[Asked],
    failures: Sequence[Failed],
) -> None:
    """Count requests, and those that a version failed to score."""
    counts = Counts()
    for each in asked:
        counts["versions", (each.revision, each.version), "requests"] += 1
    for failed in failures:
        if failed.chosen:
            counts["versions", (failed.revision, failed.version), "errors"] += 1
        _count_failure(counts, revisions[failed.revision], failed)
    _count_users(connection, counts, [each for each in asked if each.user is not None])
    _count_pairs(connection, counts, revisions, asked)
    counters.add(connection, counts)


def _count_failure(counts: Counts, revision: Revision, failed: Failed) -> None:
    """Count it for each pair whose other model has scored the request."""
    for pair, names in revision.model_pairs().items():
        for column, one, other in (("one_only", *names), ("two_only", *reversed(names))):
            if one == failed.version and other in failed.answered:
                counts["failures", pair, column] += 1


def _count_users(connection: sqlite3.Connection, counts: Counts, asked: Sequence[Asked]) -> None:
    for each in asked:
        added = connection.execute(
            "INSERT OR IGNORE INTO users (revision, user, version, last_seen) VALUES (?, ?, ?, ?)",
            (each.revision, each.user, each.version, each.time),
        )
        if added.rowcount:
            counts["versions", (each.revision, each.version), "users"] += 1
        else:
            connection.execute(
                "UPDATE users SET last_seen = ? WHERE revision = ? AND user = ?",
                (each.time, each.revision, each.user),
            )


def _count_pairs(
    connection: sqlite3.Connection,
    counts: Counts,
    revisions: Mapping[str, Revision],
    asked: Sequence[Asked],
) -> None:
    """Count each request in `pairs`, and each user, else request, in `units`."""
    users: dict[tuple[Pair, bytes], _Differing] = {}
    compared: dict[tuple[str, tuple[str, ...]], list[tuple[Pair, _Differing]]] = {}
    for (name, user, votes), times in Counter(
        (each.revision, each.user, tuple(dict.fromkeys(each.votes))) for each in asked
    ).items():
        if (name, votes) not in compared:
            compared[name, votes] = [*_differing(revisions[name], votes)]
        for pair, differing in compared[name, votes]:
            _add(counts, "pairs", pair, differing, times)
            counts["units", pair, "known"] += differing.any * times
            if user is None:
                _add(counts, "units", pair, differing, times)
            else:
                known = users.get((pair, user), differing)
                users[pair, user] = _Differing(known.first, known.any or differing.any)
    for (pair, user), differing in users.items():
        _count_user(connection, counts, pair, user, differing)


def _differing(revision: Revision, votes: Sequence[str]) -> Iterator[tuple[Pair, _Differing]]:
    """Compare the models of each pair that scored every row."""
    rows = [json.loads(text) for text in votes]
    for pair, (one, two) in revision.model_pairs().items():
        if all(one in row and two in row for row in rows):
            differ = [not revision.alike(row[one], row[two]) for row in rows]
            yield pair, _Differing(differ[0], any(differ))


def _count_user(
    connection: sqlite3.Connection, counts: Counts, pair: Pair, user: bytes, differing: _Differing
) -> None:
    """Count a user's first request of a pair, and whether any of the user's requests differs."""
    number = pair_id(connection, pair)
    if _is_new(connection, number, user, differing):
        _add(counts, "units", pair, differing, 1)
        counts["units", pair, "users"] += 1
    elif differing.any:
        changed = connection.execute(
            "UPDATE pair_users SET differed = 1 WHERE pair = ? AND user = ? AND differed = 0",
            (number, user),
        )
        # A user beyond the most that are told apart counts each time, rather than never.
        new = changed.rowcount == 1 or not knows(connection, number, user)
        counts["units", pair, "differed"] += new


def _is_new(
    connection: sqlite3.Connection, number: int, user: bytes, differing: _Differing
) -> bool:
    if is_full(connection, number):
        return False
    added = connection.execute(
        "INSERT INTO pair_users (pair, user, scored, differed) VALUES (?, ?, 1, ?)"
        " ON CONFLICT DO UPDATE SET scored = 1, differed = excluded.differed WHERE scored = 0",
        (number, user, differing.any),
    )
    return added.rowcount == 1


def _add(counts: Counts, table: str, pair: Pair, differing: _Differing, times: int) -> None:
    counts[table, pair, "scored"] += times
    counts[table, pair, "disagreed"] += differing.first * times
    counts[table, pair, "differed"] += differing.any * times
