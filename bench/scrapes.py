"""What /metrics and /report cost the predictions beside them. Start at `run()`."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.compare import spread
from bench.load import Sample, measure
from bench.process import Process, free_port
from bench.servers import Bench

CONNECTIONS = 32
# What is fetched while predictions are asked for, and the seconds between. Whoever asks without a
# pause takes processor time, of server and machine, whatever the answer is: /health shows how much.
FETCHED = {
    "scraped": (("/metrics", "/report"), 1),
    "reporting": (("/report",), 0),
    "healthy": (("/health",), 0),
}


def run(bench: Bench, name: str, *, rounds: int, seconds: int) -> dict[str, Any]:
    """Predict with the history `name`, in turn: alone, and beside each of `FETCHED`."""
    process = bench.start_irisab(port=free_port(), history=name)
    try:
        process.first_answer()
        samples: dict[str, list[Sample]] = {"quiet": []} | {kind: [] for kind in FETCHED}
        took: dict[str, list[float]] = {kind: [] for kind in FETCHED}
        for _ in range(rounds):
            samples["quiet"].append(_measure(process, seconds))
            for kind, (paths, pause) in FETCHED.items():
                with _fetching(process.port, paths, took[kind], pause=pause):
                    samples[kind].append(_measure(process, seconds))
        memory = process.memory_mb()
    finally:
        process.stop()
    return {
        "memory_mb": memory,
        "errors": sum(each.errors for kind in samples.values() for each in kind),
        "quiet": {"p99": spread(each.p99 for each in samples["quiet"])},
        **{kind: _summary(samples[kind], samples["quiet"], took[kind]) for kind in FETCHED},
    }


def _measure(process: Process, seconds: int) -> Sample:
    return measure(process, connections=CONNECTIONS, seconds=seconds, port=process.port)


def _summary(
    samples: Sequence[Sample], quiet: Sequence[Sample], took: Sequence[float]
) -> dict[str, Any]:
    pairs = list(zip(samples, quiet, strict=True))
    return {
        "per_second_ratio": spread(a.per_second / b.per_second for a, b in pairs),
        "p99_ratio": spread(a.p99 / b.p99 for a, b in pairs),
        "fetch_ms": spread(1000 * each for each in took),
    }


@contextmanager
def _fetching(
    port: int, paths: Sequence[str], took: list[float], *, pause: float
) -> Iterator[None]:
    """Fetch the paths in turn, pause, and begin again, until the block ends."""
    stop = threading.Event()

    def fetch() -> None:
        while not stop.is_set():
            for path in paths:
                took.append(_seconds(lambda path=path: _get(f"http://127.0.0.1:{port}{path}")))
            stop.wait(pause)

    thread = threading.Thread(target=fetch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=60) as answer:
        answer.read()


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
