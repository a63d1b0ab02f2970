"""What predictions count for: requests, users, and how often two models differ. See `count()`."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from irisab.store import bulk, counters
from irisab.store.counters import Counts, Pair, is_full, pair_id
from irisab.store.counts import ACTIVE_SECONDS, knows_no_more, oldest_id
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
    for key, times in Counter((each.revision, each.version) for each in asked).items():
        counts["versions", key, "requests"] += times
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
    met = {(each.revision, each.user): each.version for each in reversed(asked)}
    seen = {(each.revision, each.user): each.time for each in asked}
    rows = [(*user, version, seen[user]) for user, version in met.items()]
    insert = "INTO users (revision, user, version, last_seen) VALUES {}"
    again = "ON CONFLICT DO UPDATE SET last_seen = excluded.last_seen"
    for key in {(revision, version) for revision, _, version, _ in rows}:
        of = [row for row in rows if (row[0], row[2]) == key]
        if knows_no_more(connection, key[0]):
            _update_last_seen(connection, key[0], of)
            continue
        new = bulk.execute(connection, f"INSERT OR IGNORE {insert}", of, idempotent=True)
        bulk.execute(connection, f"INSERT {insert} {again}", of, idempotent=True)
        counts["versions", key, "users"] += new
    _keep_newest_last_seen(connection, asked)


def _update_last_seen(
    connection: sqlite3.Connection, revision: str, rows: Sequence[bulk.Row]
) -> None:
    """Move on the time of those users who are in the table; raises `sqlite3.Error`.

    Each row is (revision, user, version, seconds since 1970).
    """
    update = "UPDATE users SET last_seen = ? WHERE revision = ? AND user IN ({})"
    latest, users = max(row[3] for row in rows), [(row[1],) for row in rows]  # type: ignore[type-var]
    bulk.execute(connection, update, users, shared=(latest, revision), idempotent=True)


def _keep_newest_last_seen(connection: sqlite3.Connection, asked: Sequence[Asked]) -> None:
    """Leave `last_seen` to the newest revision of a user, and 0 to those before it.

    Raises `sqlite3.Error`.

    To find out whether users of two revisions are the same when they are counted, at each scrape,
    takes 0.6 seconds for 400,000.
    """
    newest = {each.user: each.revision for each in asked}
    for revision in _active(connection, asked):
        left = [(user,) for user, serving in newest.items() if serving != revision]
        bulk.execute(
            connection,
            "UPDATE users SET last_seen = 0 WHERE revision = ? AND last_seen > 0 AND user IN ({})",
            left,
            shared=(revision,),
            idempotent=True,
        )


def _active(connection: sqlite3.Connection, asked: Sequence[Asked]) -> set[str]:
    """Return the revisions whose users may have been here lately."""
    if not asked:
        return set()
    since = oldest_id(max(each.time for each in asked) - ACTIVE_SECONDS)
    served = connection.execute("SELECT revision FROM newest_rows WHERE request_id >= ?", (since,))
    return {each.revision for each in asked}.union(revision for (revision,) in served)


def _count_pairs(
    connection: sqlite3.Connection,
    counts: Counts,
    revisions: Mapping[str, Revision],
    asked: Sequence[Asked],
) -> None:
    """Count each request in `pairs`, and each user, else request, in `units`."""
    users: defaultdict[Pair, dict[bytes, _Differing]] = defaultdict(dict)
    compared: dict[tuple[str, tuple[str, ...]], list[tuple[Pair, _Differing]]] = {}
    for (name, user, votes), times in Counter(
        (each.revision, each.user, _distinct(each.votes)) for each in asked
    ).items():
        if (name, votes) not in compared:
            compared[name, votes] = [*_differing(revisions[name], votes)]
        for pair, differing in compared[name, votes]:
            _add(counts, "pairs", pair, differing, times)
            counts["units", pair, "known"] += differing.any * times
            if user is None:
                _add(counts, "units", pair, differing, times)
            else:
                known = users[pair].get(user, differing)
                users[pair][user] = _Differing(known.first, known.any or differing.any)
    for pair, of in users.items():
        _count_pair_users(connection, counts, pair, of)


def _distinct(votes: Sequence[str]) -> tuple[str, ...]:
    """Return each text once; most requests have one row."""
    return tuple(votes if len(votes) == 1 else dict.fromkeys(votes))


def _differing(revision: Revision, votes: Sequence[str]) -> Iterator[tuple[Pair, _Differing]]:
    """Compare the models of each pair that scored every row."""
    rows = [json.loads(text) for text in votes]
    for pair, (one, two) in revision.model_pairs().items():
        if all(one in row and two in row for row in rows):
            differ = [not revision.alike(row[one], row[two]) for row in rows]
            yield pair, _Differing(differ[0], any(differ))


def _count_pair_users(
    connection: sqlite3.Connection, counts: Counts, pair: Pair, users: Mapping[bytes, _Differing]
) -> None:
    """Count users' first requests of a pair, and whether any of a user's requests differs."""
    number = pair_id(connection, pair)
    full = is_full(connection, number)
    if not full:
        for differing in set(users.values()):
            new = _insert_new(connection, number, users, differing)
            _add(counts, "units", pair, differing, new)
            counts["units", pair, "users"] += new
    differed = [(user,) for user, differing in users.items() if differing.any]
    update = f"UPDATE pair_users SET differed = 1 WHERE pair = {number} AND user IN ({{}})"
    changed = bulk.execute(connection, f"{update} AND differed = 0", differed, idempotent=True)
    if full:  # users beyond the most that are told apart count each time, rather than never
        changed += len(differed) - bulk.execute(connection, update, differed, idempotent=True)
    counts["units", pair, "differed"] += changed


def _insert_new(
    connection: sqlite3.Connection,
    number: int,
    users: Mapping[bytes, _Differing],
    differing: _Differing,
) -> int:
    """Return how many of those who differ like this are counted for the first time."""
    return bulk.execute(
        connection,
        "INSERT INTO pair_users (pair, user, scored, differed) VALUES {} ON CONFLICT"
        " DO UPDATE SET scored = 1, differed = excluded.differed WHERE scored = 0",
        [(number, user, 1, each.any) for user, each in users.items() if each == differing],
        idempotent=True,
    )


def _add(counts: Counts, table: str, pair: Pair, differing: _Differing, times: int) -> None:
    counts[table, pair, "scored"] += times
    counts[table, pair, "disagreed"] += differing.first * times
    counts[table, pair, "differed"] += differing.any * times
