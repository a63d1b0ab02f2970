"""Predictions go into the history by a few prepared statements."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from traffic import AGREE, prediction, revision

from irisab.store.writer import ROWS_OF_STATEMENTS, Writer


@pytest.mark.parametrize("rows", [1, 3, 63, 257, 600])
def test_few_statements_for_any_number_of_rows(tmp_path: Path, rows: int) -> None:
    """All rows arrive in their order; SQLite has no other statement to keep for another number."""
    path, said = tmp_path / "history.sqlite3", list[str]()
    writer = Writer(path)
    writer.write([revision()], keep_rows=1000)
    writer._current().set_trace_callback(said.append)
    writer.write([prediction([AGREE] * rows)], keep_rows=1000)
    writer.close()
    inserts = [each for each in said if each.startswith("INSERT INTO predictions")]
    assert {each.count("), (") + 1 for each in inserts} <= set(ROWS_OF_STATEMENTS)
    with closing(sqlite3.connect(path)) as connection:
        stored = connection.execute("SELECT row FROM predictions ORDER BY request_id, row")
        assert [number for (number,) in stored] == list(range(rows))
