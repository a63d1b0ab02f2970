"""Counts on their way into the evidence tables, one statement for each row they change."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict

# (table, key, column) -> what is to be added
Counts = Counter[tuple[str, tuple[object, ...], str]]
# Two hashes of models in sorted order, as `Revision.model_pairs` gives them.
Pair = tuple[str, str]
# The users of a pair that are told apart. More would make no bound narrower than anybody needs, and
# the table must end somewhere.
MOST_USERS = 100_000

_KEYS = {
    "versions": ("revision", "version"),
    "version_classes": ("revision", "version", "label"),
    "version_errors": ("revision", "version"),
    "pairs": ("one", "two"),
    "units": ("one", "two"),
    "failures": ("one", "two"),
    "timeline": ("seconds", "at", "version"),
    "model_days": ("model", "day"),
    "tally": ("one", "two", "shown"),
    "class_tally": ("one", "two", "shown", "label"),
}


def add(connection: sqlite3.Connection, counts: Counts) -> None:
    """Add to what the tables have; columns that are not named stay as they are."""
    rows: defaultdict[tuple[str, tuple[object, ...]], dict[str, float]] = defaultdict(dict)
    for (table, key, column), count in counts.items():
        if count:
            rows[table, key][column] = count
    for (table, key), columns in rows.items():
        names = (*_KEYS[table], *columns)
        sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in columns)
        connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            f" ON CONFLICT DO UPDATE SET {sums}",
            (*key, *columns.values()),
        )


def pair_id(connection: sqlite3.Connection, pair: Pair) -> int:
    """Return the number that stands for a pair, in a table with a row for each of its users."""
    connection.execute("INSERT OR IGNORE INTO units (one, two) VALUES (?, ?)", pair)
    (number,) = connection.execute(
        "SELECT pair FROM units WHERE one = ? AND two = ?", pair
    ).fetchone()
    return int(number)


def admits(connection: sqlite3.Connection, pair: Pair, user: bytes) -> bool:
    """Tell whether a user can be told from the others of a pair."""
    number = pair_id(connection, pair)
    return not is_full(connection, number) or knows(connection, number, user)


def is_full(connection: sqlite3.Connection, number: int) -> bool:
    """Tell whether the pair with this number takes no more users."""
    (users,) = connection.execute("SELECT users FROM units WHERE pair = ?", (number,)).fetchone()
    return bool(users >= MOST_USERS)


def knows(connection: sqlite3.Connection, number: int, user: bytes) -> bool:
    """Tell whether a user is among those of the pair with this number."""
    row = connection.execute(
        "SELECT 1 FROM pair_users WHERE pair = ? AND user = ?", (number, user)
    ).fetchone()
    return row is not None
