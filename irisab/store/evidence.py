"""A label, and what it says for and against each version. Start at `add()`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, Protocol, TypeVar

from irisab.store import counters
from irisab.store.counters import MOST_USERS, Counts, Pair, admits, pair_id
from irisab.store.revision import Revision

T = TypeVar("T")


class _Row(NamedTuple):
    request_id: bytes
    row: int
    label: int | None
    version: str
    prediction: int
    votes: str
    user: bytes | None
    forced: int
    revision: str


class Answer(NamedTuple):
    """A labelled row: what was shown, what each version said, and the truth."""

    said: int
    votes: Mapping[str, int]
    label: int


class Seen(Protocol):
    """Tells, and notes, whether somebody is counted for the first time; `user` may be None."""

    def first_label(self, revision: str, user: bytes | None) -> bool: ...

    def first_of_pair(self, pair: Pair, user: bytes | None) -> bool: ...

    def first_vote(self, pair: Pair, user: bytes | None) -> bool: ...


def add(connection: sqlite3.Connection, request_id: bytes, labels: Sequence[int]) -> bool:
    """Write a label per row and count what it means; False where it was there already.

    To be called within a transaction. Raises what `History.label` says.
    """
    rows = _select(connection, "request_id = ?", (request_id,))
    if len(rows) != len(labels):
        raise LookupError(request_id)
    known = [row.label for row in rows]
    if known == list(labels):
        return False
    if any(each is not None for each in known):
        raise ValueError(known)
    connection.executemany(
        "UPDATE predictions SET label = ? WHERE request_id = ? AND row = ?",
        [(label, request_id, row.row) for label, row in zip(labels, rows, strict=True)],
    )
    if not rows[0].forced:
        counts = Counts()
        rows = [row._replace(label=label) for label, row in zip(labels, rows, strict=True)]
        _count(counts, _Noted(connection), _revision(connection, rows[0].revision), rows)
        counters.add(connection, counts)
    return True


def recount_classes(connection: sqlite3.Connection) -> None:
    """Count by class the labels whose rows are still there, for a history that did not."""
    counts, seen = Counts(), _Remembered()
    revisions: dict[str, Revision] = {}
    rows = _select(connection, "label IS NOT NULL AND forced = 0", ())
    for _, request in groupby(rows, key=attrgetter("request_id")):
        labelled = [*request]
        name = labelled[0].revision
        if name not in revisions:
            revisions[name] = _revision(connection, name)
        _count(counts, seen, revisions[name], labelled)
    by_class = {key: n for key, n in counts.items() if key[0] in ("version_classes", "class_tally")}
    counters.add(connection, Counts(by_class))
    seen.write(connection)


def _select(connection: sqlite3.Connection, where: str, values: Sequence[object]) -> list[_Row]:
    rows = connection.execute(
        f"SELECT {', '.join(_Row._fields)} FROM predictions WHERE {where} ORDER BY request_id, row",
        values,
    )
    return [*map(_Row._make, rows)]


def _revision(connection: sqlite3.Connection, name: str) -> Revision:
    (content,) = connection.execute(
        "SELECT content FROM revisions WHERE revision = ?", (name,)
    ).fetchone()
    return Revision.from_json(content)


def _count(counts: Counts, seen: Seen, revision: Revision, rows: Sequence[_Row]) -> None:
    """Count the labelled rows of one request for its version, and for each pair that scored it."""
    first = rows[0]
    answers = [
        Answer(row.prediction, json.loads(row.votes), row.label)
        for row in rows
        if row.label is not None
    ]
    _count_version(counts, seen, first, answers)
    for pair, names in revision.model_pairs().items():
        scored = [each for each in answers if names[0] in each.votes and names[1] in each.votes]
        if scored:
            shown = revision.models[first.version]
            _count_pair(counts, seen, _PairOf(pair, names, shown, first.user), scored)


def _count_version(counts: Counts, seen: Seen, first: _Row, answers: Sequence[Answer]) -> None:
    version = first.revision, first.version
    for each in answers:
        right = each.said == each.label
        counts["versions", version, "labelled"] += 1
        counts["versions", version, "correct"] += right
        counts["version_classes", (*version, each.label), "labelled"] += 1
        counts["version_classes", (*version, each.label), "correct"] += right
    if seen.first_label(first.revision, first.user):
        said, _, label = answers[0]
        counts["version_classes", (*version, label), "units"] += 1
        counts["version_classes", (*version, label), "units_correct"] += said == label


class _PairOf(NamedTuple):
    pair: Pair
    names: tuple[str, str]
    shown: str
    user: bytes | None


# (one right, two right, they differ) -> column of the tally
_OUTCOMES: Mapping[tuple[bool, bool, bool], str] = {
    (True, True, False): "both",
    (False, True, True): "two_only",
    (True, False, True): "one_only",
    (False, False, False): "neither",
    (False, False, True): "neither_differ",
}


def _count_pair(counts: Counts, seen: Seen, of: _PairOf, scored: Sequence[Answer]) -> None:
    """Count the agreements and the first disagreement: rows of one user are not independent."""
    voted = False
    for _, votes, label in scored:
        one, two = (votes[name] for name in of.names)
        if one != two:
            ignored, voted = voted or not seen.first_vote(of.pair, of.user), True
            if ignored:
                continue
        column = _OUTCOMES[one == label, two == label, one != two]
        counts["tally", (*of.pair, of.shown), column] += 1
        counts["class_tally", (*of.pair, of.shown, label), column] += 1
    if seen.first_of_pair(of.pair, of.user):
        counts["class_tally", (*of.pair, of.shown, scored[0].label), "units"] += 1


class _Noted:
    """Who is counted already, as the history has it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def first_label(self, revision: str, user: bytes | None) -> bool:
        if user is None:
            return True
        (units,) = self._connection.execute(
            "SELECT coalesce(sum(units), 0) FROM version_classes WHERE revision = ?", (revision,)
        ).fetchone()
        return units < MOST_USERS and self._added(
            "INSERT OR IGNORE INTO labellers (revision, user) VALUES (?, ?)", (revision, user)
        )

    def first_of_pair(self, pair: Pair, user: bytes | None) -> bool:
        if user is None:
            return True
        return admits(self._connection, pair, user) and self._added(
            "INSERT INTO pair_users (pair, user, labelled) VALUES (?, ?, 1)"
            " ON CONFLICT DO UPDATE SET labelled = 1 WHERE labelled = 0",
            (pair_id(self._connection, pair), user),
        )

    def first_vote(self, pair: Pair, user: bytes | None) -> bool:
        if user is None:
            return True
        return admits(self._connection, pair, user) and self._added(
            "INSERT OR IGNORE INTO voters (one, two, user) VALUES (?, ?, ?)", (*pair, user)
        )

    def _added(self, statement: str, values: Sequence[object]) -> bool:
        return self._connection.execute(statement, values).rowcount == 1


class _Remembered:
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
