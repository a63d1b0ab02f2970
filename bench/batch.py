"""A thousand rows in one request, against predict_proba on the same array. Start at `run()`.

Like for like: a request that names its version is scored by this one alone; any other is scored by
all of them, one as the answer and the rest in its shadow, so each one's predict_proba counts.
"""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection
from typing import Any

import joblib
import numpy as np

from bench import servers
from bench.compare import spread
from bench.servers import VERSIONS, Bench
from bench.stages import flowers

ROWS = 1000


def run(bench: Bench, *, rounds: int) -> dict[str, Any]:
    """Return milliseconds of an answer over HTTP, and of predict_proba, for the same work."""
    models = {name: joblib.load(bench.models / name / "current/model.joblib") for name in VERSIONS}
    found: dict[str, list[tuple[float, float]]] = {}
    process = bench.start(servers.IRISAB)
    try:
        process.first_answer()
        connection = HTTPConnection("127.0.0.1", process.port, timeout=60)
        # The first round fills caches, on both sides.
        for number in range(rounds + 1):
            for turn, version in enumerate((*VERSIONS, None)):
                rows = flowers(ROWS, digits=2, seed=3 * number + turn)  # never the same again
                answer, ours = _ask(connection, rows, version)
                scored = [version] if version else VERSIONS
                theirs = sum(_compare(answer, name, models[name], rows) for name in scored)
                if number:
                    found.setdefault(" and ".join(scored), []).append((1000 * ours, 1000 * theirs))
        connection.close()
        memory = process.memory_mb()
    finally:
        process.stop()
    return {"memory_mb": memory, "cases": {case: _summary(pairs) for case, pairs in found.items()}}


def _ask(
    connection: HTTPConnection, rows: list[list[float]], version: str | None
) -> tuple[dict[str, Any], float]:
    """Return the answer, and the seconds from sending the bytes to having all of its bytes."""
    body = json.dumps({"features": rows} | ({"model_version": version} if version else {}))
    started = time.perf_counter()
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    data = connection.getresponse().read()
    seconds = time.perf_counter() - started
    return json.loads(data), seconds


def _compare(answer: dict[str, Any], version: str, model: Any, rows: list[list[float]]) -> float:
    """Return the seconds of predict_proba; raise AssertionError if a bit of the answer differs."""
    array = np.array(rows)
    started = time.perf_counter()
    expected = model.predict_proba(array)
    seconds = time.perf_counter() - started
    if answer["model_version"] == version and answer["probabilities"] != expected.tolist():
        raise AssertionError("irisab's probabilities differ from scikit-learn's")
    return seconds


def _summary(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "irisab_ms": spread(ours for ours, _ in pairs),
        "predict_proba_ms": spread(theirs for _, theirs in pairs),
        "ratio": spread(ours / theirs for ours, theirs in pairs),
    }
