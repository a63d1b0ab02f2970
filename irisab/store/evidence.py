"""A label, and what it says for and against each version. Start at `add()`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from irisab.store.revision import Revision


class _Row(NamedTuple):
    row: int
    label: int | None
    version: str
    prediction: int
    votes: str
    user: bytes | None
    forced: int
    revision: str


def add(connection: sqlite3.Connection, request_id: bytes, labels: Sequence[int]) -> bool:
    """Write a label per row and count what it means; False where it was there already.

    To be called within a transaction. Raises what `History.label` says.
    """
    rows = _rows(connection, request_id)
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
        _count(connection, rows, labels)
    return True


def _rows(connection: sqlite3.Connection, request_id: bytes) -> list[_Row]:
    rows = connection.execute(
        f"SELECT {', '.join(_Row._fields)} FROM predictions WHERE request_id = ? ORDER BY row",
        (request_id,),
    )
    return [*map(_Row._make, rows)]


def _count(connection: sqlite3.Connection, rows: Sequence[_Row], labels: Sequence[int]) -> None:
    first = rows[0]
    (content,) = connection.execute(
        "SELECT content FROM revisions WHERE revision = ?", (first.revision,)
    ).fetchone()
    revision = Revision.from_json(content)
    answers = [(row.prediction, json.loads(row.votes)) for row in rows]
    _count_versions(connection, first.revision, first.version, answers, labels)
    _count_pairs(connection, revision, first.version, first.user, answers, labels)


_Answers = Sequence[tuple[int, Mapping[str, int]]]


def _count_versions(
    connection: sqlite3.Connection,
    revision: str,
    version: str,
    answers: _Answers,
    labels: Sequence[int],
) -> None:
    correct = sum(said == label for (said, _), label in zip(answers, labels, strict=True))
    connection.execute(
        "INSERT INTO versions (revision, version, labelled, correct) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET"
        " labelled = labelled + excluded.labelled, correct = correct + excluded.correct",
        (revision, version, len(labels), correct),
    )


def _count_pairs(
    connection: sqlite3.Connection,
    revision: Revision,
    version: str,
    user: bytes | None,
    answers: _Answers,
    labels: Sequence[int],
) -> None:
    for pair, (one, two) in revision.model_pairs().items():
        outcomes = [
            (votes[one] == label, votes[two] == label, votes[one] != votes[two])
            for (_, votes), label in zip(answers, labels, strict=True)
            if one in votes and two in votes
        ]
        counted = _at_most_one(outcomes, partial(_first_vote, connection, pair, user))
        for outcome in counted:
            _add_to_tally(connection, pair, revision.models[version], _OUTCOMES[outcome])


# (one right, two right, they differ) -> column of the tally
_Outcome = tuple[bool, bool, bool]
_OUTCOMES: Mapping[_Outcome, str] = {
    (True, True, False): "both",
    (False, True, True): "two_only",
    (True, False, True): "one_only",
    (False, False, False): "neither",
    (False, False, True): "neither_differ",
}


def _at_most_one(outcomes: Sequence[_Outcome], allowed: Callable[[], bool]) -> Iterator[_Outcome]:
    """Pass on the first disagreement only: rows of one user are not independent."""
    used = False
    for outcome in outcomes:
        *_, differ = outcome
        if not differ:
            yield outcome
        elif not used:
            used = True
            if allowed():
                yield outcome


def _first_vote(connection: sqlite3.Connection, pair: tuple[str, str], user: bytes | None) -> bool:
    """Tell whether this user's vote on the pair is still to be counted, and note that it is."""
    if user is None:
        return True
    added = connection.execute("INSERT OR IGNORE INTO voters VALUES (?, ?, ?)", (*pair, user))
    return added.rowcount == 1


def _add_to_tally(
    connection: sqlite3.Connection, pair: tuple[str, str], shown: str, column: str
) -> None:
    connection.execute(
        f"INSERT INTO tally (one, two, shown, {column}) VALUES (?, ?, ?, 1)"
        f" ON CONFLICT DO UPDATE SET {column} = {column} + 1",
        (*pair, shown),
    )
