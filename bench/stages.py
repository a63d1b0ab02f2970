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
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import joblib
import prometheus_client
from waitress import wasyncore
from waitress.channel import HTTPChannel

from bench.compare import Row
from bench.load import measure
from bench.servers import VERSIONS, Bench
from irisab.http import dispatch
from irisab.http.app import App
from irisab.model import bundle
from irisab.model.answer import Answer
from irisab.serving import encoder, ids, payload, service, shadow, split
from irisab.store.recorder import Recorder

# The innermost of these functions in a stack names its stage. Not their names as text, which would
# count nothing once a function is called otherwise.
STAGES: dict[str, Sequence[Callable[..., Any]]] = {
    "waitress: read and parse HTTP": (HTTPChannel.handle_read,),
    "kernel: receive": (wasyncore.dispatcher.recv,),
    "waitress: task, environ, headers": (HTTPChannel.service,),
    "kernel: send": (wasyncore.dispatcher.send,),
    "waitress: which sockets are ready": (dispatch.HttpServer.turn,),
    "app: route, body, response": (App.__call__,),
    "parse": (payload.Parser.prediction,),
    "split": (split.Split.choose,),
    # Its own parts are stages, too: what is left is the scoring.
    "forest": (service.Service.answer,),
    "shadow": (shadow.score,),
    "metrics": (prometheus_client.Counter.inc, prometheus_client.Histogram.observe),
    "history: queue": (service.Service.follow, shadow.Shadow.follow, Recorder.record),
    "history: write": (Recorder.flush,),
    "encode": (encoder.Encoder.one, service.Service.timestamp),
    "request id": (ids.RequestIds.new,),
}
STAGE_OF = {each.__qualname__: stage for stage, of in STAGES.items() for each in of}
# Stacks of the main thread and of the writer, unless they wait for something to do.
WORK = re.compile(r"HttpServer\.turn(?!.*Sockets\.turn \([^;]*\)$)|Recorder\.flush")
OTHER = "the rest"


def live(bench: Bench, *, seconds: int) -> dict[str, list[Row]]:
    """Return microseconds of processor time a request, by stage, of a server under load."""
    file = bench.home() / "stacks"
    with bench.start() as process:
        process.first_answer()
        cpu = measure(process, seconds=seconds)["CPU, µs"]
        spy = [str(Path(sys.executable).with_name("py-spy")), "record", "-p", str(process.pid)]
        spy += ["-d", str(seconds), "-r", "500", "-f", "raw", "-o", str(file)]
        with subprocess.Popen(spy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as spying:
            measure(process, seconds=seconds + 2)
        if spying.returncode:
            raise RuntimeError(f"{spying.args} ended with {spying.returncode}")
    counts = count_stages(file.read_text().splitlines())
    spent = {stage: cpu * counts[stage] / counts.total() for stage in (*STAGES, OTHER)}
    spent["together"] = cpu
    return {"A request's microseconds": [{"": stage, "µs": of} for stage, of in spent.items()]}


def count_stages(stacks: Iterable[str]) -> Counter[str]:
    """Count the samples of each stage; a line is "outermost (file:line);...;innermost (...) N"."""
    counts: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        if WORK.search(frames):
            names = [frame.partition(" ")[0] for frame in reversed(frames.split(";"))]
            stages = (STAGE_OF[name] for name in names if name in STAGE_OF)
            counts[next(stages, OTHER)] += int(count)
    return counts


def alone(bench: Bench) -> dict[str, list[Row]]:
    """Return microseconds of each pure stage, run by itself."""
    rows, unseen = flowers(500), flowers(30_000, digits=9)
    bodies = [json.dumps({"features": row}).encode() for row in rows]
    versions = [bundle.load(bench.models, name) for name in VERSIONS]
    v1, v2 = (each.model for each in versions)
    about = versions[0]
    parser = payload.Parser(about.features, max_rows=1000)
    render = encoder.Encoder("v1", class_names=about.class_names, class_numbers=about.class_numbers)
    answers = v1.score_rows(rows)
    deal = split.Split({"v1": 50, "v2": 50}, salt="bench")
    pipe = joblib.load(bench.models / "v2/current/model.joblib")

    def encode(answer: Answer) -> bytes:
        return render.one(answer, timestamp="t" * 24, latency_ms=0.01, request_id="0" * 32)

    def both(row: list[float]) -> None:
        v1.score_row(row)
        v2.score_row(row)

    spent = {
        "parse": best(parser.prediction, bodies),
        "split": best(lambda _: deal.choose(), rows),
        "split, user_id": best(lambda _: deal.choose("someone@example.org"), rows),
        "forest, 50 trees": best_unseen(v1.score_row, unseen),
        "forest, 100 trees": best_unseen(v2.score_row, unseen),
        "both forests": best_unseen(both, unseen),
        "encode": best(encode, answers),
        "predict_proba, 100 trees": best(lambda row: pipe.predict_proba([row]), rows[:20], 5),
    }
    return {"Alone in a loop": [{"": stage, "µs": of} for stage, of in spent.items()]}


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
