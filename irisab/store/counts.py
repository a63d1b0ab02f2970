"""The counts in the evidence tables, read back. Used by `History`."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

Counts = dict[str, int]
# Who asked so lately is an active user.
ACTIVE_SECONDS = 15 * 60
# The users that a revision knows, 80 MB of them: more would tell nobody more about the split, and
# invented ones would fill the disk.
MOST_OF_A_REVISION = 1_000_000


def of_versions(connection: sqlite3.Connection, revision: str) -> dict[str, Counts]:
    names = ("requests", "errors", "labelled", "correct")
    rows = connection.execute(
        f"SELECT version, {', '.join(names)} FROM versions WHERE revision = ?", (revision,)
    )
    return {version: dict(zip(names, counts, strict=True)) for version, *counts in rows}


def of_users(connection: sqlite3.Connection, since: float, until: float) -> int | None:
    """Return how many distinct users were last seen between two moments.

    `since` and `until` are seconds since 1970. None where a revision that served then knows no
    further users. Each user has the time in one revision of those that served lately, and 0 in the
    others.
    """
    served = connection.execute(
        "SELECT revision FROM newest_rows WHERE request_id >= ?", (oldest_id(since),)
    ).fetchall()
    if any(knows_no_more(connection, revision) for (revision,) in served):
        return None
    # SQLite counts what an index ends with ten times as fast as what stands between.
    seen, future = (
        connection.execute(f"SELECT count(*) FROM users WHERE last_seen {later} ?", (moment,))
        for later, moment in ((">=", since), (">", until))
    )
    return int(seen.fetchone()[0] - future.fetchone()[0])


def knows_no_more(connection: sqlite3.Connection, revision: str) -> bool:
    """Tell whether a revision counts no further users, nor remembers when they were here."""
    users = connection.execute("SELECT sum(users) FROM versions WHERE revision = ?", (revision,))
    return (users.fetchone()[0] or 0) >= MOST_OF_A_REVISION


def oldest_id(moment: float) -> bytes:
    """Return what no id of a request is below that came at a moment, or later."""
    return int(max(moment, 0) * 1000).to_bytes(6, "big") + bytes(10)


def of_classes(connection: sqlite3.Connection, revision: str) -> dict[str, dict[int, Counts]]:
    names = ("labelled", "correct", "units", "units_correct")
    rows = connection.execute(
        f"SELECT version, label, {', '.join(names)} FROM version_classes WHERE revision = ?",
        (revision,),
    )
    by_version: defaultdict[str, dict[int, Counts]] = defaultdict(dict)
    for version, label, *counts in rows:
        by_version[version][label] = dict(zip(names, counts, strict=True))
    return dict(by_version)


def of_agreement(connection: sqlite3.Connection, control: str, challenger: str) -> Counts:
    names = ("scored", "disagreed", "differed")
    # What an older irisab has counted since is not known by user: each request that differed is
    # taken for a user of its own, so that no disagreement without a label is forgotten.
    row = connection.execute(
        "SELECT u.scored, u.disagreed,"
        " coalesce(u.differed, 0) + max(coalesce(p.differed, 0) - coalesce(u.known, 0), 0)"
        " FROM (SELECT ? AS one, ? AS two) LEFT JOIN pairs AS p USING (one, two)"
        " LEFT JOIN units AS u USING (one, two)",
        sorted((control, challenger)),
    ).fetchone()
    return {name: count or 0 for name, count in zip(names, row, strict=True)}


def of_scored(
    connection: sqlite3.Connection, revision: str, versions: Sequence[str], limit: int
) -> tuple[int, int]:
    """Return requests of `revision` among the newest `limit` rows, and those all versions scored.

    A request whose version was asked for by name is none.
    """
    scored = " AND ".join("json_type(votes, ?) IS NOT NULL" for _ in versions)
    requests, by_all = connection.execute(
        f"SELECT count(*), coalesce(sum({scored}), 0) FROM"
        " (SELECT votes, row, revision FROM predictions"
        " WHERE forced = 0 ORDER BY request_id DESC, row DESC LIMIT ?)"
        " WHERE row = 0 AND revision = ?",
        (*(f'$."{name}"' for name in versions), limit, revision),
    ).fetchone()
    return requests, by_all


def of_tally(connection: sqlite3.Connection, control: str, challenger: str) -> dict[str, Counts]:
    names, columns = _sides(control, challenger)
    rows = connection.execute(
        f"SELECT shown, {columns} FROM tally WHERE one = ? AND two = ?",
        sorted((control, challenger)),
    )
    return {shown: dict(zip(names, counts, strict=True)) for shown, *counts in rows}


def of_class_tally(
    connection: sqlite3.Connection, control: str, challenger: str
) -> dict[int, dict[str, Counts]]:
    names, columns = _sides(control, challenger)
    rows = connection.execute(
        f"SELECT label, shown, {columns}, units FROM class_tally WHERE one = ? AND two = ?",
        sorted((control, challenger)),
    )
    by_label: defaultdict[int, dict[str, Counts]] = defaultdict(dict)
    for label, shown, *counts in rows:
        by_label[label][shown] = dict(zip((*names, "units"), counts, strict=True))
    return dict(by_label)


def _sides(control: str, challenger: str) -> tuple[Sequence[str], str]:
    """Return the fields of a tally and its columns: models are in the order of their hashes."""
    alone = ("control_only", "challenger_only")
    return (
        (
            "both",
            *(alone if control <= challenger else reversed(alone)),
            "neither",
            "neither_differ",
        ),
        "both, one_only, two_only, neither, neither_differ",
    )


def of_requests(
    connection: sqlite3.Connection, control: str, challenger: str
) -> tuple[int, int, int]:
    pair = sorted((control, challenger))
    scored, one, two = connection.execute(
        "SELECT (SELECT scored FROM pairs WHERE one = ?1 AND two = ?2), f.one_only, f.two_only"
        " FROM (SELECT 1) LEFT JOIN failures AS f ON f.one = ?1 AND f.two = ?2",
        pair,
    ).fetchone()
    alone = (one or 0, two or 0) if pair[0] == control else (two or 0, one or 0)
    return scored or 0, *alone


def of_errors(connection: sqlite3.Connection, revision: str) -> dict[str, dict[str, float]]:
    names = ("labelled", "absolute", "squared")
    rows = connection.execute(
        f"SELECT version, {', '.join(names)} FROM version_errors WHERE revision = ?", (revision,)
    )
    return {version: dict(zip(names, sums, strict=True)) for version, *sums in rows}
