"""Where a request's microseconds go. Start at `live()` and `alone()`.

`live` samples the stacks of a server under load (py-spy) and deals out the processor time that the
kernel accounted; `alone` runs the pure stages in a loop, where caches are warm and nobody waits.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import joblib

from bench import servers
from bench.load import measure
from bench.servers import VERSIONS, Bench
from irisab.model import answer, bundle
from irisab.serving import payload, split
from irisab.serving.encoder import Encoder

CONNECTIONS = 32
# The innermost frame of a stack that begins with one of these names its stage.
STAGES = {
    "HTTPChannel.handle_read": "waitress: read and parse HTTP",
    "dispatcher.recv": "kernel: receive",
    "HTTPChannel.service": "waitress: task, environ, headers",
    "dispatcher.send": "kernel: send",
    "Server.turn": "waitress: which sockets are ready",
    "App.__call__": "app: route, body, response",
    "Parser.prediction": "parse",
    "Split.choose": "split",
    "Service._score": "forest",
    "score_in_shadow": "shadow",
    "Counter.inc": "metrics",
    "Histogram.observe": "metrics",
    "Service._shadow_and_record": "history: queue",
    "Recorder.record": "history: queue",
    "Recorder.flush": "history: write",
    "Encoder.one": "encode",
    "Service.timestamp": "encode",
    "RequestIds.new": "request id",
}
# Stacks of the main thread and of the writer, unless they wait for something to do.
WORK = re.compile(r"HttpServer\.turn(?!.*poll2 \([^;]*\)$)|Recorder\.flush")
ORDER = tuple(dict.fromkeys(STAGES.values()))
OTHER = "the rest"


def live(bench: Bench, *, seconds: int) -> dict[str, Any]:
    """Return microseconds of processor time a request, by stage, of a server under load."""
    process = bench.start(servers.IRISAB)
    try:
        process.first_answer()
        sample = measure(process, connections=CONNECTIONS, seconds=seconds, port=process.port)
        load = threading.Thread(
            target=measure,
            args=(process,),
            kwargs={"connections": CONNECTIONS, "seconds": seconds + 2, "port": process.port},
        )
        load.start()
        time.sleep(1)
        counts = _count(_stacks(process.pid, bench.folder / "stacks", seconds))
        load.join()
    finally:
        process.stop()
    whole = sum(counts.values())
    return {
        "cpu": sample.cpu,
        "samples": whole,
        "stages": {stage: sample.cpu * counts[stage] / whole for stage in (*ORDER, OTHER)},
    }


def _stacks(pid: int, file: Path, seconds: int) -> list[str]:
    program = str(Path(sys.executable).with_name("py-spy"))
    command = [program, "record", "-p", str(pid), "-d", str(seconds), "-r", "500", "-f", "raw"]
    subprocess.run(
        [*command, "-o", str(file)], check=True, capture_output=True, timeout=seconds + 60
    )
    return file.read_text().splitlines()


def _count(stacks: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        if WORK.search(frames):
            counts[_stage(frames.split(";"))] += int(count)
    return counts


def _stage(frames: Sequence[str]) -> str:
    for frame in reversed(frames):
        for start, stage in STAGES.items():
            if frame.startswith(start):
                return stage
    return OTHER


def alone(bench: Bench) -> dict[str, float]:
    """Return microseconds of each pure stage, run by itself."""
    rows, unseen = flowers(500), flowers(30_000, digits=9)
    bodies = [json.dumps({"features": row}).encode() for row in rows]
    versions = [bundle.load(bench.models, name) for name in VERSIONS]
    v1, v2 = (each.model for each in versions)
    about = versions[0]
    parser = payload.Parser(about.feature_names, max_rows=1000)
    encoder = Encoder("v1", class_names=about.class_names, class_numbers=about.class_numbers)
    answers = v1.score_rows(rows)
    deal = split.Split({"v1": 50, "v2": 50}, salt="bench")
    pipe = joblib.load(bench.models / "v2/current/model.joblib")

    def encode(answer: answer.Answer) -> bytes:
        return encoder.one(answer, timestamp="t" * 24, latency_ms=0.01, request_id="0" * 32)

    def both(row: list[float]) -> None:
        v1.score_row(row)
        v2.score_row(row)

    return {
        "parse": best(parser.prediction, bodies),
        "split": best(lambda _: deal.choose(), rows),
        "split, user_id": best(lambda _: deal.choose("someone@example.org"), rows),
        "forest, 50 trees": best_unseen(v1.score_row, unseen),
        "forest, 100 trees": best_unseen(v2.score_row, unseen),
        "both forests": best_unseen(both, unseen),
        "encode": best(encode, answers),
        "predict_proba, 100 trees": best(lambda row: pipe.predict_proba([row]), rows[:20], 5),
    }


def flowers(count: int, *, digits: int = 1, seed: int = 7) -> list[list[float]]:
    """Return rows within Iris's ranges; measured to the millimetre, as the data set is."""
    draw = random.Random(seed).uniform
    limits = ((4.3, 7.9), (2.0, 4.4), (1.0, 6.9), (0.1, 2.5))
    return [[round(draw(*limit), digits) for limit in limits] for _ in range(count)]


def best(work: Callable[[Any], object], items: Sequence[Any], repeats: int = 60) -> float:
    """Return microseconds an item: of many short runs the least disturbed one."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        for item in items:
            work(item)
        times.append(time.perf_counter() - started)
    return 1e6 * min(times) / len(items)


def best_unseen(work: Callable[[Any], object], items: Sequence[Any], run: int = 500) -> float:
    """Return the same where each item comes once only: nothing can be remembered of it."""
    return min(best(work, items[at : at + run], 1) for at in range(0, len(items), run))
