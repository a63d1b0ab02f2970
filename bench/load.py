"""The loads: wrk (Debian package wrk), wrk beside other requests, batches. Start at `measure()`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.process import Process

# One stretch of load: figures by the titles of their columns.
Sample = dict[str, float]
JSON = {"Content-Type": "application/json"}


def measure(
    process: Process,
    *,
    seconds: int,
    connections: int = 32,
    port: int = 0,
    bodies: Path | None = None,
) -> Sample:
    """Keep connections to `port` (its own, if none is given) busy; `process` is who pays.

    `bodies` has a request in each line, where it is not Iris that is asked about.
    """
    before = process.cpu_seconds()
    wrk = _wrk(port or process.port, connections, seconds, bodies)
    cpu = process.cpu_seconds() - before
    return {
        "requests/s": wrk["requests"] / wrk["seconds"],
        "p50, ms": wrk["p50"],
        "p99, ms": wrk["p99"],
        "CPU, µs": 1e6 * cpu / wrk["requests"],
        "memory, MB": process.memory_mb(),
        "failed": wrk["errors"],
    }


def _wrk(port: int, connections: int, seconds: int, bodies: Path | None) -> dict[str, float]:
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=20s", "-s"]
    command += [str(Path(__file__).with_name("wrk.lua")), f"http://127.0.0.1:{port}"]
    environ = os.environ | ({"BODIES": str(bodies)} if bodies else {})
    done = subprocess.run(
        command, capture_output=True, check=True, timeout=seconds + 60, env=environ
    )
    return json.loads(done.stderr.splitlines()[-1])


def beside(process: Process, paths: Sequence[str], pause: float, seconds: int) -> Sample:
    """Measure while the paths are fetched in turn, with a pause after the last one."""
    with fetched(process, paths, pause) as took:
        figures = measure(process, seconds=seconds)
    return {**figures, "one fetch, ms": 1000 * median(took or [0.0])}


@contextmanager
def fetched(process: Process, paths: Sequence[str], pause: float) -> Iterator[list[float]]:
    """Fetch the paths in turn while the block lasts; after it, the list has what each took."""
    stop, took = threading.Event(), list[float]()

    def fetch() -> None:
        while not stop.is_set():
            took.extend(exchange(process, "GET", path)[1] for path in paths)
            stop.wait(pause)

    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(fetch)
        try:
            yield took
        finally:
            stop.set()
        fetching.result()


def batch(process: Process, models: dict[str, Any], rows: list[list[float]]) -> Sample:
    """Ask for a batch, and compare with predict_proba of the models that score it, by version.

    Like for like: a request that names its version is scored by this one alone; any other is
    scored by all of them, one as the answer and the rest in its shadow.
    """
    named = {} if len(models) > 1 else {"model_version": next(iter(models))}
    body, ours = exchange(process, "POST", "/predict", json.dumps({"features": rows} | named))
    answer, array, theirs = json.loads(body), np.array(rows), 0.0
    for version, model in models.items():
        started = time.perf_counter()
        expected = model.predict_proba(array)
        theirs += time.perf_counter() - started
        if answer["model_version"] == version and answer["probabilities"] != expected.tolist():
            raise AssertionError("irisab's probabilities differ from scikit-learn's")
    return {
        "irisab, ms": 1000 * ours,
        "predict_proba, ms": 1000 * theirs,
        "ratio": ours / theirs,
        "memory, MB": process.memory_mb(),
    }


def exchange(process: Process, method: str, path: str, body: str = "") -> tuple[bytes, float]:
    """Return the answer, and the seconds from sending the first byte to having the last one."""
    connection = HTTPConnection("127.0.0.1", process.port, timeout=60)
    connection.connect()
    started = time.perf_counter()
    connection.request(method, path, body or None, JSON)
    answer = connection.getresponse()
    data = answer.read()
    seconds = time.perf_counter() - started
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{method} {path}: {answer.status} {data.decode()}")
    return data, seconds
