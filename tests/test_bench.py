"""What is said of speed is what was measured, and measured as it is said."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from bench import compare, document, matrix, stages
from bench.process import Process
from irisab.lifecycle import estimators
from irisab.versions import KINDS, ModelOptions

# The child that has ended is never waited for.
THREADS_COME_AND_GO = """
import subprocess, threading
child = subprocess.Popen("true")
while True:
    threads = [threading.Thread(target=int) for _ in range(20)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def shown(title: str) -> str:
    """Return the table below a heading of RESULTS.md."""
    _, _, rest = document.RESULTS.read_text().partition(f"\n## {title}\n\n")
    return rest.partition("\n\n")[0].strip()


def kept_and_missed() -> tuple[document.Tables, document.Tables]:
    """Return tables with each promised figure at its bound, and a little beyond it."""
    kept: dict[str, list[document.Row]] = {}
    missed: dict[str, list[document.Row]] = {}
    for table, row, figure, kind, bound in document.PROMISES:
        beyond = bound - 0.01 if kind == document.LEAST else bound + 0.01
        for tables, value in ((kept, bound), (missed, beyond)):
            rows = tables.setdefault(table, [])
            if not any(each[""] == row for each in rows):
                rows.append({"": row})
            next(each for each in rows if each[""] == row)[figure] = (value, -1e9, 1e9)
    return kept, missed


def test_promises_are_kept() -> None:
    """RESULTS.md holds today's promises to what was measured, and each of them is kept."""
    lines = [line.strip("| ").split(" | ") for line in shown("Promises").splitlines()[2:]]
    for line, (table, row, figure, kind, bound) in zip(lines, document.PROMISES, strict=True):
        assert line[:3] == [f"{table}, {row}", figure, f"{kind} {bound:g}"]
        measured = float(line[3].replace(",", ""))
        assert measured >= bound if kind == document.LEAST else measured <= bound, line
        assert line[4] == "yes"


def test_a_promise_that_is_missed_is_told() -> None:
    """A median at its bound is kept, a little beyond it is not, whatever the other rounds say."""
    kept, missed = kept_and_missed()
    assert {each["kept"] for each in document.promises(kept)} == {"yes"}
    assert {each["kept"] for each in document.promises(missed)} == {document.MISSED}


def test_the_page_shows_the_measured_table() -> None:
    """The page for people has the first table of RESULTS.md."""
    _, _, rest = document.PAGE.read_text().partition(document.BEGIN)
    table, _, _ = rest.partition(document.END)
    assert table.strip() == shown(document.FIRST)


def test_every_kind_of_model_is_exact_and_fast() -> None:
    """MATRIX.md has each of them on each kind of data: plain, without a difference, 20 times."""
    page = matrix.PAGE.read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    found = {(name, data): rest for name, data, *rest in rows[2:]}
    for data in matrix.tables():
        for estimator in matrix.PLAIN[data.task]:
            form, difference, _, _, times = found[matrix.name_of(estimator), data.name]
            assert form.startswith("plain") and difference == "0", (estimator, data.name)
            assert int(times.replace(",", "")) >= matrix.LEAST_TIMES, (estimator, data.name)
    assert "(missed)" not in page
    for kind in set(KINDS) - {"linear_regression"}:
        classifier = estimators.build(ModelOptions(kind=kind), "classification")
        assert (type(classifier).__name__, "cancer") in found
    for kind in set(KINDS) - {"logistic_regression"}:
        regressor = estimators.build(ModelOptions(kind=kind), "regression")
        assert (type(regressor).__name__, "diabetes") in found


def test_a_table_has_each_figure_that_a_row_has() -> None:
    """Figures are shown with three digits that count, a spread as its three, nothing as blank."""
    rows = [{"": "a", "n": 12345, "x": 0.012345}, {"": "b", "x": (8748.1, 3.0, 118.3)}]
    assert document.markdown(rows).splitlines() == [
        "|  | n | x |",
        "| --- | ---: | ---: |",
        "| a | 12,345 | 0.0123 |",
        "| b |  | 8,748 (3.00 to 118) |",
    ]


def test_everybody_begins_once() -> None:
    """Each round asks everybody once and begins with another one; ratios are within a round."""
    asked: list[str] = []

    def work(name: str) -> dict[str, float]:
        asked.append(name)
        factor = {"a": 3, "b": 1}[name]
        return dict.fromkeys(("requests/s", "CPU, µs", "p99, ms"), factor * len(asked))

    samples = compare.in_turn({name: lambda name=name: work(name) for name in "ab"}, 3)
    assert asked == ["a", "b", "b", "a", "a", "b"]
    (row,) = compare.ratios(samples, {"a / b": ("a", "b")})
    assert row["CPU"] == pytest.approx((5 * 3 / 6, 1 * 3 / 2, 4 * 3 / 3))


def test_a_stack_counts_for_its_innermost_stage() -> None:
    """Who waits for sockets does no work; a frame that is no stage counts for the one around it."""
    main = "main (irisab:8);HttpServer.turn (dispatch.py:140);"
    stacks = [
        f"{main}Sockets.turn (sockets.py:70) 500",
        f"{main}App.__call__ (app.py:70);Parser.prediction (payload.py:92);_row (payload.py:127) 3",
        f"{main}App.__call__ (app.py:71) 2",
        "run (threading.py:982);Recorder._run (recorder.py:131) 90",
        "run (threading.py:982);Recorder.flush (recorder.py:141);execute (recorder.py:228) 5",
    ]
    found = stages.count_stages(stacks)
    assert found == {"parse": 3, "app: route, body, response": 2, "history: write": 5}


def test_what_ends_while_it_is_measured(tmp_path: Path) -> None:
    """A server's time and memory can be taken while its threads and processes come and go."""
    command = [sys.executable, "-c", THREADS_COME_AND_GO]
    with Process(command, 0, home=tmp_path, environ={}) as process:
        taken, deadline = [0.0], time.monotonic() + 60
        while taken[-1] < 0.3 and time.monotonic() < deadline:
            taken.append(process.cpu_seconds())
            memory = process.memory_mb()
    assert taken == sorted(taken)
    assert taken[-1] >= 0.3
    assert 5 < memory < 100
