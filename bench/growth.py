"""What more work costs: trees, features, classes, rows of history. Start at `forests()`."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

from bench.servers import Bench
from bench.stages import best, best_unseen, flowers
from irisab.model.arrays import flatten
from irisab.model.forest import Forest
from irisab.serving import report, snapshot
from irisab.serving.metrics import Metrics
from irisab.serving.service import Service
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.store.writer import Record

SAMPLES = 600
# Everything else stays at these while one of them grows.
USUAL = {"trees": 100, "features": 10, "classes": 3}
GROWTH = {"trees": (10, 100, 1000), "features": (4, 10, 100), "classes": (2, 3, 20)}
DEEP_SAMPLES = 20_000


def forests(*, quick: bool) -> list[dict[str, Any]]:
    """Return, per size, microseconds a row alone and in a batch, beside predict_proba."""
    sizes = [
        {**USUAL, what: size}
        for what, steps in GROWTH.items()
        for size in steps[: 2 if quick else 3]
    ]
    different = [size for at, size in enumerate(sizes) if size not in sizes[:at]]
    found = [_forest(SAMPLES, **size) for size in different]
    return found if quick else [*found, _forest(DEEP_SAMPLES, **USUAL)]


def _forest(samples: int, *, trees: int, features: int, classes: int) -> dict[str, Any]:
    x, y = make_classification(
        samples, features, n_informative=max(4, features // 2), n_redundant=0,
        n_classes=classes, n_clusters_per_class=1, random_state=0,
    )  # fmt: skip
    estimator = RandomForestClassifier(trees, n_jobs=-1, random_state=0).fit(x, y)
    estimator.set_params(n_jobs=None)
    arrays = flatten(estimator)
    assert arrays is not None
    started = time.perf_counter()
    forest = Forest(arrays)
    loaded = time.perf_counter() - started
    draw = np.random.default_rng(0).normal
    rows = draw(scale=2, size=(500, features))
    unseen = draw(scale=2, size=(1000, features)).tolist()
    batches = [draw(scale=2, size=(500, features)) for _ in range(5)]
    lists = [each.tolist() for each in batches]
    answers = [list(p) for _, p in forest.score_rows(rows.tolist())]
    if answers != estimator.predict_proba(rows).tolist():
        raise AssertionError("the plain form differs from scikit-learn")
    return {
        "trees": trees, "features": features, "classes": classes, "samples": samples,
        "nodes": len(arrays["feature"]), "form": forest.method, "load_ms": 1000 * loaded,
        "row_us": best_unseen(forest.score_row, unseen, 100),
        "predict_proba_row_us": best(lambda row: estimator.predict_proba([row]), rows[:4], 3),
        "batch_row_us": best_unseen(forest.score_rows, lists, 1) / len(rows),
        "predict_proba_batch_row_us": best_unseen(estimator.predict_proba, batches, 1) / len(rows),
    }  # fmt: skip


def histories(bench: Bench, name: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Fill the history `name` step by step; return milliseconds of a report and a scrape."""
    ini = bench.write_ini(port=5000, history=name)
    path = bench.history_of(name)
    served = snapshot.build(ini)
    recorder = Recorder(path, keep_rows=max(sizes))
    history = History(path)
    service = Service(served, history=history, recorder=recorder, metrics=Metrics())
    found, rows = [], 0
    for size in sizes:
        _fill(recorder, history, served.revision, first=rows, end=size)
        rows = size
        _checkpoint(path)
        found.append(
            {
                "rows": size,
                "bytes_a_row": path.stat().st_size / size,
                "report_ms": _median_ms(lambda: report.build(history, served)),
                "scrape_ms": _median_ms(lambda: service.metrics.render("")),
            }
        )
    recorder.close()
    history.close()
    return found


def _median_ms(work: Callable[[], object]) -> float:
    """Return the median of some runs: what an operator waits, not what is possible."""
    times = []
    for _ in range(9):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def _fill(recorder: Recorder, history: History, revision: str, *, first: int, end: int) -> None:
    """Record predictions half a millisecond apart, half of each version, by 100,000 users who are
    all active now, and a label for one in a thousand."""
    for start in range(first, end, 10_000):
        predictions = list(_predictions(revision, start, min(start + 10_000, end)))
        for each in predictions:
            recorder.record(each)
        recorder.flush()
        for each in predictions[::1000]:
            history.label(each.request_id, each.predictions)


def _predictions(revision: str, first: int, end: int) -> Iterator[Record]:
    rows = flowers(1000)
    begin = time.time() - 600
    for number in range(first, end):
        now = begin + number / 2000
        yield Record(
            request_id=(int(now * 1000) << 80 | 7 << 76 | number).to_bytes(16, "big"),
            time=now,
            revision=revision,
            version=("v1", "v2")[number % 2],
            forced=False,
            user_id=f"user-{number % 100_000}",
            latency=3e-5,
            rows=[rows[number % 1000]],
            predictions=[number % 3],
            votes=['{"v1": 0, "v2": 0}', '{"v1": 0, "v2": 1}'][number % 100 == 0 :][:1],
        )


def _checkpoint(path: Path) -> None:
    """Move what the write-ahead log holds into the file, so that its size tells."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
