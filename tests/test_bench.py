"""What docs/performance.md and RESULTS.md say of speed is what was measured."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench import document
from bench.process import Process

# The child that has ended is never waited for.
THREADS_COME_AND_GO = """
import subprocess, threading
child = subprocess.Popen("true")
while True:
    threads = [threading.Thread(target=int) for _ in range(20)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""
MEASURED = json.loads((document.RESULTS.parent / "results.json").read_text())


def test_results_are_the_measured_ones() -> None:
    """RESULTS.md is rendered from results.json, not edited."""
    assert document.RESULTS.read_text() == document.results(MEASURED)


def test_promises_are_kept() -> None:
    """No measured figure is on the wrong side of what irisab promises."""
    promises = list(document.promises(MEASURED))
    assert len(promises) >= 15
    for words, *promise in promises:
        assert document.is_kept(*promise), (words, promise)


def test_the_page_shows_the_measured_table() -> None:
    """The table of docs/performance.md is the one of RESULTS.md."""
    _, _, rest = document.PAGE.read_text().partition(document.BEGIN)
    table, _, _ = rest.partition(document.END)
    assert table.strip() == document.comparison(MEASURED)
    assert table.strip() in document.RESULTS.read_text()


def test_what_ends_while_it_is_measured(tmp_path: Path) -> None:
    """A server's time and memory can be taken while its threads and processes come and go."""
    command = [sys.executable, "-c", THREADS_COME_AND_GO]
    process = Process(command, 0, log=tmp_path / "log", environ={})
    try:
        taken, deadline = [0.0], time.monotonic() + 60
        while taken[-1] < 0.3 and time.monotonic() < deadline:
            taken.append(process.cpu_seconds())
            memory = process.memory_mb()
    finally:
        process.stop()
    assert taken == sorted(taken)
    assert taken[-1] >= 0.3
    assert 5 < memory < 100
