"""Statements for many rows at once. Start at `execute()`.

Each statement gives up the interpreter's lock and takes it again, and beside full traffic that
takes as long as a request: one for each row, and the recorder falls behind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

Row = Sequence[object]
# Of few sizes, because the connection keeps the statements that it has seen: one for each number of
# rows up to 256 took 10 MB.
ROWS_OF_STATEMENTS = 256, 64, 16, 4, 1


def execute(
    connection: sqlite3.Connection,
    statement: str,
    rows: Iterable[Row],
    *,
    shared: Row = (),
    idempotent: bool = False,
) -> int:
    """Execute a statement for all rows, whose values go where it has {}; return the rows changed.

    `rows` is read as it is needed: all at once, making them would hold the interpreter for
    milliseconds. `shared` has the values of the question marks before {}. `idempotent` says that a
    row which comes twice changes nothing; there are fewer statements, as one fills them. Raises
    `sqlite3.Error`.
    """
    changed = 0
    for part in _parts(iter(rows), idempotent):
        one = f"({', '.join('?' * len(part[0]))})"
        text = statement.format(", ".join([one] * len(part)))
        changed += connection.execute(text, [*shared, *chain.from_iterable(part)]).rowcount
    return changed


def _parts(rows: Iterator[Row], idempotent: bool) -> Iterator[Sequence[Row]]:
    """Yield the rows in as few parts as there are statements for."""
    sizes = ROWS_OF_STATEMENTS
    while left := [*islice(rows, sizes[0])]:
        if idempotent:
            filled = min(size for size in sizes if size >= len(left))
            left += left[-1:] * (filled - len(left))
        while left:
            size = max(size for size in sizes if size <= len(left))
            yield left[:size]
            left = left[size:]
