"""Predictions go into the history by a few statements, each of them for many."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from traffic import AGREE, prediction, revision

from irisab.store import writer
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
    writing = Writer(path)
    writing.write([revision()], keep_rows=1000)
    writing._current().set_trace_callback(said.append)
    writing.write([prediction([AGREE] * rows)], keep_rows=1000)
    writing.close()
    inserts = [each for each in said if each.startswith("INSERT INTO predictions")]
    assert {each.count("), (") + 1 for each in inserts} <= set(ROWS_OF_STATEMENTS)
    with closing(sqlite3.connect(path)) as connection:
        stored = connection.execute("SELECT row FROM predictions ORDER BY request_id, row")
        assert [number for (number,) in stored] == list(range(rows))


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("user_id", [None, "user"])
def test_a_large_request_is_kept_like_a_small_one(
    tmp_path: Path, user_id: str | None, forced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row by row, in all columns, whichever way it takes to SQLite; of text as well."""
    rows = [[number / 3, "a" * (number % 7)] for number in range(writer.LARGE_ROWS)]
    votes = [{"v1": number % 3, "v2": 0} for number in range(writer.LARGE_ROWS)]
    asked = prediction(votes, rows=rows, user_id=user_id, forced=forced)
    kept = []
    for large in (writer.LARGE_ROWS, writer.LARGE_ROWS + 1):
        monkeypatch.setattr(writer, "LARGE_ROWS", large)
        path = tmp_path / f"{large}.sqlite3"
        writing = Writer(path)
        writing._current()
        writing._salt = bytes(1)  # of the users' hashes
        writing.write([revision(), asked], keep_rows=1000)
        writing.close()
        with closing(sqlite3.connect(path)) as connection:
            kept.append(connection.execute("SELECT * FROM predictions ORDER BY row").fetchall())
    assert kept[0] == kept[1]
    assert [bytes(row[8]) for row in kept[0]] == asked.rows
    assert [row[1] for row in kept[0]] == [*range(len(rows))]


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_few_statements_for_any_number_of_requests(
    tmp_path: Path, asked: Callable[[int], Record]
) -> None:
    """Also where as many are pushed out: each waits for the interpreter, beside full traffic longer
    than a request takes. One for each request, and the queue would run over."""
    said = list[str]()
    writing = Writer(tmp_path / "history.sqlite3")
    writing.write([revision()], keep_rows=1000)
    for _ in range(3):
        said.clear()
        writing._current().set_trace_callback(said.append)
        writing.write([asked(number) for number in range(600)], keep_rows=1000)
    writing.close()
    assert len(said) < 64
