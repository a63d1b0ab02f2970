"""One statement for many rows: all arrive, and what has changed is counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisab.store import bulk

NUMBERS = st.lists(st.integers(0, 2000), max_size=700)


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE log (number, double)")
        connection.execute("CREATE TABLE known (number PRIMARY KEY)")
        yield connection


@given(numbers=NUMBERS)
def test_all_rows_arrive_in_their_order(connection: sqlite3.Connection, numbers: list[int]) -> None:
    """With all their values; as many are counted, and there are few statements to keep."""
    said = list[str]()
    connection.execute("DELETE FROM log")
    connection.set_trace_callback(said.append)
    rows = ((number, 2 * number) for number in numbers)
    assert bulk.execute(connection, "INSERT INTO log VALUES {}", rows) == len(numbers)
    connection.set_trace_callback(None)
    stored = connection.execute("SELECT number, double FROM log ORDER BY rowid").fetchall()
    assert stored == [(number, 2 * number) for number in numbers]
    assert {each.count("), (") + 1 for each in said} <= set(bulk.ROWS_OF_STATEMENTS)


@given(numbers=NUMBERS)
def test_what_rows_share_is_given_once(connection: sqlite3.Connection, numbers: list[int]) -> None:
    """In each statement, before the rows."""
    connection.execute("DELETE FROM log")
    insert = "INSERT INTO log SELECT column1, ? FROM (VALUES {})"
    bulk.execute(connection, insert, ((number,) for number in numbers), shared=("shared",))
    stored = connection.execute("SELECT number, double FROM log ORDER BY rowid").fetchall()
    assert stored == [(number, "shared") for number in numbers]


@given(before=NUMBERS, numbers=NUMBERS)
def test_a_row_that_may_come_twice_counts_once(
    connection: sqlite3.Connection, before: list[int], numbers: list[int]
) -> None:
    """Where it fills a statement it changes nothing, and there is a statement for 256 of them."""
    connection.execute("DELETE FROM known")
    insert = "INSERT OR IGNORE INTO known VALUES {}"
    assert bulk.execute(connection, insert, ((n,) for n in before), idempotent=True) == len(
        set(before)
    )
    said = list[str]()
    connection.set_trace_callback(said.append)
    new = bulk.execute(connection, insert, ((n,) for n in numbers), idempotent=True)
    connection.set_trace_callback(None)
    assert new == len(set(numbers) - set(before))
    assert len(said) == -(-len(numbers) // 256)
    assert {number for (number,) in connection.execute("SELECT number FROM known")} == {
        *before, *numbers,
    }  # fmt: skip
