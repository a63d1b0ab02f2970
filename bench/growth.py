"""What more work costs: trees, features, classes, rows, history. Start at `forests()`."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from itertools import pairwise

import joblib
import numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

from bench import load
from bench.compare import Row, in_turn, ratios, rows, spread
from bench.process import FLOWER, Process
from bench.servers import VERSIONS, Bench
from bench.stages import best, best_unseen, flowers
from irisab.model.arrays import flatten
from irisab.model.forest import Forest

# Rows that a forest is trained on, trees, features, classes: one grows, the others stay.
FORESTS = (
    *((600, trees, 10, 3) for trees in (10, 100, 1000)),
    *((600, 100, features, 3) for features in (4, 100)),
    *((600, 100, 10, classes) for classes in (2, 20)),
    (20_000, 100, 10, 3),
)
QUIET, USERS = "quiet", "Each request from another user"
EDITED = "After an edit of the split, all users asked again"
# What is fetched while predictions are asked for, and the seconds between. Whoever asks without a
# pause takes processor time, of server and machine, whatever the answer is: /health shows how much.
FETCHED: dict[str, tuple[Sequence[str], int]] = {
    QUIET: ((), 1),
    "/metrics and /report each second": (("/metrics", "/report"), 1),
    "/report without a pause": (("/report",), 0),
    "/health without a pause": (("/health",), 0),
}


def forests(*, quick: bool) -> dict[str, list[Row]]:
    """Return, per size, microseconds a row alone and in a batch, beside predict_proba."""
    return {"As forests grow": [_forest(*each) for each in (FORESTS[:2] if quick else FORESTS)]}


def _forest(samples: int, trees: int, features: int, classes: int) -> Row:
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
    draw = partial(np.random.default_rng(0).normal, scale=2)
    known, unseen = draw(size=(500, features)), draw(size=(1000, features)).tolist()
    batches = [draw(size=(500, features)) for _ in range(5)]
    lists = [each.tolist() for each in batches]
    answers = [list(p) for _, p in forest.score_rows(known.tolist())]
    if answers != estimator.predict_proba(known).tolist():
        raise AssertionError("the plain form differs from scikit-learn")
    return {
        "trees": trees, "features": features, "classes": classes, "trained on": samples,
        "nodes": len(arrays["feature"]), "form chosen": forest.method, "load, ms": 1000 * loaded,
        "a row, µs": best_unseen(forest.score_row, unseen, 100),
        "predict_proba, µs": best(lambda row: estimator.predict_proba([row]), known[:4], 3),
        "a row of 500, µs": best_unseen(forest.score_rows, lists, 1) / 500,
        "predict_proba of 500, µs": best_unseen(estimator.predict_proba, batches, 1) / 500,
    }  # fmt: skip


def batches(bench: Bench, *, rounds: int) -> dict[str, list[Row]]:
    """Return milliseconds of a thousand rows over HTTP, and of predict_proba on the same array."""
    models = {name: joblib.load(bench.models / name / "current/model.joblib") for name in VERSIONS}
    seeds = iter(range(1000))  # no rows come twice
    with bench.start() as process:
        process.first_answer()

        def ask(versions: Sequence[str]) -> load.Sample:
            chosen = {name: models[name] for name in versions}
            return load.batch(process, chosen, flowers(1000, digits=2, seed=next(seeds)))

        works = {" and ".join(each): partial(ask, each) for each in (("v1",), ("v2",), VERSIONS)}
        in_turn(works, 1)  # fills caches, on both sides
        return {"A thousand rows in one request": rows(in_turn(works, rounds), spread)}


def histories(
    bench: Bench, sizes: Sequence[int], *, rounds: int, seconds: int
) -> dict[str, list[Row]]:
    """Fill a history step by step, by ten rows a request; then predict beside what is fetched."""
    with bench.start() as process:
        process.first_answer()
        grown = []
        for first, size in pairwise((0, *sizes)):
            _fill(process, range(first, size, 10))
            took = {f"{path}, ms": _fetch_ms(process, path) for path in ("/report", "/metrics")}
            about = {"": f"{size:,} predictions", **took}
            grown.append({**about, "bytes a prediction": _file_size(process) / size})
    with bench.start(home=process.home) as again:
        again.first_answer()
        works = {name: partial(load.beside, again, *how, seconds) for name, how in FETCHED.items()}
        samples = in_turn(works, rounds)
    pairs = {name: (name, QUIET) for name in FETCHED if name != QUIET}
    return {
        "As the history grows": grown,
        "Beside scrapes and reports": rows(samples, statistics.median),
        "Scraped / quiet": ratios(samples, pairs),
    }


def users(bench: Bench, *, number: int, rounds: int, seconds: int) -> dict[str, list[Row]]:
    """Ask as fast as it goes, for users in turn: is each row of them in the history?"""
    bodies = bench.home() / "bodies"
    asked = zip(flowers(number), range(number), strict=True)
    lines = (json.dumps({"features": row, "user_id": f"user-{user}"}) for row, user in asked)
    bodies.write_text("\n".join(lines))
    with bench.start() as process:
        process.first_answer()
        ask = partial(load.measure, process, seconds=seconds, bodies=bodies)
        (row,) = rows(in_turn({f"{number:,} users": ask}, rounds), statistics.median)
        time.sleep(1)  # the shadow may be behind
        metrics, _ = load.exchange(process, "GET", "/metrics")
    dropped = re.search(rb"^history_rows_dropped_total (\S+)$", metrics, re.MULTILINE)
    assert dropped is not None
    return {USERS: [row | {"rows dropped": float(dropped[1])}]}


def edited(bench: Bench, *, number: int) -> dict[str, list[Row]]:
    """Let all users ask under one split and under the next: what a scrape takes, and a label beside
    scrapes."""
    with bench.start() as process:
        process.first_answer()
        _fill(process, range(number), rows=1)
        with (process.home / "irisab.ini").open("a") as ini:
            ini.write("[split]\nv1 = 90\nv2 = 10\n")
        os.kill(process.pid, signal.SIGHUP)
        late = time.monotonic() + 10
        while json.loads(load.exchange(process, "GET", "/config")[0])["split"]["v1"] != 90:
            if time.monotonic() > late:
                raise RuntimeError((process.home / "log").read_text())
            time.sleep(0.01)
        _fill(process, range(number), rows=1)
        scrape = _fetch_ms(process, "/metrics")
        with load.fetched(process, ["/metrics"], pause=0):
            label = 1000 * statistics.median(_label(process) for _ in range(50))
        metrics, _ = load.exchange(process, "GET", "/metrics")
    active = re.search(rb"^prediction_active_users (\S+)$", metrics, re.MULTILINE)
    assert active is not None and float(active[1]) == number
    about = {"": f"{number:,} users", "/metrics, ms": scrape, "a label beside it, ms": label}
    return {EDITED: [about]}


def _fill(process: Process, numbers: range, *, rows: int = 10) -> None:
    features = flowers(1000)
    connection = HTTPConnection("127.0.0.1", process.port, timeout=60)
    for number in numbers:
        body = {"features": features[number % 1000 :][:rows], "user_id": f"user-{number}"}
        connection.request("POST", "/predict", json.dumps(body), load.JSON)
        connection.getresponse().read()
    connection.close()


def _fetch_ms(process: Process, path: str) -> float:
    """Return the median of some fetches, each after a label: what nobody could have kept ready."""
    times = []
    for _ in range(9):
        _label(process)
        times.append(load.exchange(process, "GET", path)[1])
    return 1000 * statistics.median(times)


def _label(process: Process) -> float:
    """Return the seconds that a label takes."""
    answer, _ = load.exchange(process, "POST", "/predict", FLOWER)
    label = {"request_id": json.loads(answer)["request_id"], "label": 0}
    return load.exchange(process, "POST", "/feedback", json.dumps(label))[1]


def _file_size(process: Process) -> int:
    """Return bytes of the history with what the write-ahead log holds moved into it."""
    path = process.home / "history.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size
