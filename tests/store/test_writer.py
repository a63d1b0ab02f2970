"""Predictions go into the history by a few statements, each of them for many."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from traffic import AGREE, prediction, revision

from irisab.store.bulk import ROWS_OF_STATEMENTS
from irisab.store.writer import Record, Writer

ASKED: dict[str, Callable[[int], Record]] = {
    "nobody by name": lambda number: prediction(),
    "each by another": lambda number: prediction(user_id=f"{number}"),
    "many by a few, who meet models that differ": lambda number: prediction(
        [{"v1": 0, "v2": number % 2}], user_id=f"{number % 40}"
    ),
    "with ids of the callers'": lambda number: prediction()._replace(own_id=f"{number}"),
    "batches": lambda number: prediction([AGREE] * 5),
    "a version by name": lambda number: prediction(forced=True),
}


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


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_few_statements_for_any_number_of_requests(
    tmp_path: Path, asked: Callable[[int], Record]
) -> None:
    """Also where as many are pushed out: each waits for the interpreter, beside full traffic longer
    than a request takes. One for each request, and the queue would run over."""
    said = list[str]()
    writer = Writer(tmp_path / "history.sqlite3")
    writer.write([revision()], keep_rows=1000)
    for _ in range(3):
        said.clear()
        writer._current().set_trace_callback(said.append)
        writer.write([asked(number) for number in range(600)], keep_rows=1000)
    writer.close()
    assert len(said) < 64
