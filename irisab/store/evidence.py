"""A label, and what it says for and against each version. Start at `add()`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from irisab.store import counters, timeline
from irisab.store.counters import Counts, Pair
from irisab.store.revision import Revision
from irisab.store.seen import Counted, Noted, Remembered, Seen


class _Row(NamedTuple):
    request_id: bytes
    row: int
    time: float
    label: float | None
    version: str
    prediction: float
    votes: str
    user: bytes | None
    forced: int
    revision: str


class Answer(NamedTuple):
    """A labelled row: what was shown, what each version said, and the truth."""

    said: float
    votes: Mapping[str, float]
    label: float


def add(
    connection: sqlite3.Connection,
    request_id: bytes,
    labels: Sequence[float | None],
    *,
    correct: bool = False,
) -> bool:
    """Write a label per row and count what it means; False where it was there already.

    None leaves a row as it is. With `correct`, labels replace others, and what those have counted
    for is taken back. To be called within a transaction. Raises what `History.label` says.
    """
    rows = _select(connection, "request_id = ?", (request_id,))
    if len(rows) != len(labels):
        raise LookupError(request_id)
    now = [
        row if label is None else row._replace(label=label)
        for label, row in zip(labels, rows, strict=True)
    ]
    if now == rows:
        return False
    changed = [row for row, old in zip(now, rows, strict=True) if row.label != old.label]
    both = zip(rows, now, strict=True)
    if not correct and any(old.label not in (None, new.label) for old, new in both):
        raise ValueError([row.label for row in rows])
    connection.executemany(
        "UPDATE predictions SET label = ? WHERE request_id = ? AND row = ?",
        [(row.label, request_id, row.row) for row in changed],
    )
    if not rows[0].forced:
        _move(connection, rows, now)
    return True


def _move(connection: sqlite3.Connection, old: Sequence[_Row], new: Sequence[_Row]) -> None:
    """Count what the labels of a request mean now, less what they have meant before."""
    revision = _revision(connection, old[0].revision)
    before, after = Counts(), Counts()
    if any(row.label is not None for row in old):
        counted = Counted(connection, old[0].request_id, old[0].user)
        _count(before, counted, revision, old)
        if not counted.noted:
            timeline.leave_out(before)
    _count(after, Noted(connection, old[0].request_id), revision, new)
    after.subtract(before)
    counters.add(connection, after)


def recount_classes(connection: sqlite3.Connection) -> None:
    """Count by class the labels whose rows are still there, for a history that did not."""
    counts, seen = Counts(), Remembered()
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
    _count_version(counts, seen, revision, first, answers)
    for pair, names in revision.model_pairs().items():
        scored = [each for each in answers if names[0] in each.votes and names[1] in each.votes]
        if scored:
            shown = revision.models[first.version]
            of = _PairOf(pair, names, shown, first.user)
            _count_pair(counts, seen, revision, of, scored)


def _count_version(
    counts: Counts, seen: Seen, revision: Revision, first: _Row, answers: Sequence[Answer]
) -> None:
    version = first.revision, first.version
    for each in answers:
        right = revision.alike(each.said, each.label)
        counts["versions", version, "labelled"] += 1
        counts["versions", version, "correct"] += right
        timeline.label(counts, first.version, first.time, "labelled")
        timeline.label(counts, first.version, first.time, "correct", right)
        if revision.task == "regression":
            wrong: Any = each.said - each.label
            counts["version_errors", version, "labelled"] += 1
            counts["version_errors", version, "absolute"] += abs(wrong)
            counts["version_errors", version, "squared"] += wrong**2
            timeline.label(counts, first.version, first.time, "absolute", abs(wrong))
            timeline.label(counts, first.version, first.time, "squared", wrong**2)
        key = (*version, _class_of(each, revision))
        counts["version_classes", key, "labelled"] += 1
        counts["version_classes", key, "correct"] += right
    if seen.first_label(first.revision, first.user):
        key = (*version, _class_of(answers[0], revision))
        right = revision.alike(answers[0].said, answers[0].label)
        counts["version_classes", key, "units"] += 1
        counts["version_classes", key, "units_correct"] += right
        if revision.task == "classification":
            timeline.first_label(counts, revision.models[first.version], first.time, right)


def _class_of(answer: Answer, revision: Revision) -> float:
    """Return the true class; the values of a regression are all of one."""
    return answer.label if revision.task == "classification" else 0


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


def _outcome(revision: Revision, one: float, two: float, label: float) -> str:
    """Return who was right; of numbers, who was closer by more than `tie`."""
    differ = not revision.alike(one, two)
    if revision.task == "classification":
        return _OUTCOMES[one == label, two == label, differ]
    if not differ:
        return "both" if revision.alike(one, label) else "neither"
    lead = abs(one - label) - abs(two - label)
    if abs(lead) <= revision.tie:
        return "neither_differ"
    return "two_only" if lead > 0 else "one_only"


def _count_pair(
    counts: Counts, seen: Seen, revision: Revision, of: _PairOf, scored: Sequence[Answer]
) -> None:
    """Count the agreements and the first disagreement: rows of one user are not independent."""
    voted = False
    for each in scored:
        one, two = (each.votes[name] for name in of.names)
        if not revision.alike(one, two):
            ignored, voted = voted or not seen.first_vote(of.pair, of.user), True
            if ignored:
                continue
        column = _outcome(revision, one, two, each.label)
        counts["tally", (*of.pair, of.shown), column] += 1
        counts["class_tally", (*of.pair, of.shown, _class_of(each, revision)), column] += 1
    if seen.first_of_pair(of.pair, of.user):
        key = (*of.pair, of.shown, _class_of(scored[0], revision))
        counts["class_tally", key, "units"] += 1
