"""Everybody in turn, round after round, so that a busy machine is busy for all. Start at `run()`.

A ratio is taken within each round, and each round begins with another one; what is reported is the
median of the rounds with the lowest and the highest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from bench import servers
from bench.load import Sample, measure
from bench.process import Process
from bench.servers import Bench

CONNECTIONS = (1, 32)
CONTESTANTS = (
    servers.IRISAB,
    servers.CONSTANT,
    servers.CONSTANT_1,
    servers.FLASK,
    servers.FLASK_WAITRESS,
    servers.FASTAPI,
)
THROUGH_NGINX = (servers.IRISAB, servers.CONSTANT)


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return median, lowest and highest."""
    found = sorted(values)
    return {"median": statistics.median(found), "low": found[0], "high": found[-1]}


def starts(bench: Bench, *, rounds: int) -> dict[str, Any]:
    """Return the seconds from start to first answer of each contestant."""
    found: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name in CONTESTANTS:
            process = bench.start(name)
            try:
                found[name].append(process.first_answer())
            finally:
                process.stop()
    return {name: spread(seconds) for name, seconds in found.items()}


def run(bench: Bench, *, rounds: int, seconds: int) -> dict[str, Any]:
    """Return the figures of each contestant, direct and through nginx."""
    with ExitStack() as stack:
        processes = {name: bench.start(name) for name in CONTESTANTS}
        for process in processes.values():
            stack.callback(process.stop)
        for process in processes.values():
            process.first_answer()
        direct = {name: process.port for name, process in processes.items()}
        behind = {name: direct[name] for name in THROUGH_NGINX}
        proxied = stack.enter_context(bench.nginx(behind))
        time.sleep(1)
        samples = rounds_of(processes, direct, CONNECTIONS, rounds, seconds)
        through = rounds_of(processes, proxied, CONNECTIONS[-1:], rounds, seconds)
        memory = {name: process.memory_mb() for name, process in processes.items()}
    return {
        "direct": _summaries(samples),
        "nginx": _summaries(through),
        "ratios": _ratios(samples, CONTESTANTS[1:]),
        "nginx_ratios": _ratios(through, THROUGH_NGINX[1:]) if through else {},
        "memory_mb": memory,
    }


_Samples = dict[str, dict[int, list[Sample]]]


def rounds_of(
    processes: Mapping[str, Process],
    ports: Mapping[str, int],
    connections: Sequence[int],
    rounds: int,
    seconds: int,
) -> _Samples:
    """Measure each on its port, in turn; each round begins with another one."""
    found: _Samples = {name: {each: [] for each in connections} for name in ports}
    for number in range(rounds):
        for each in connections:
            first = number % max(len(ports), 1)
            for name in [*ports, *ports][first : first + len(ports)]:
                sample = measure(
                    processes[name], connections=each, seconds=seconds, port=ports[name]
                )
                found[name][each].append(sample)
    return found


def _summaries(samples: _Samples) -> dict[str, Any]:
    return {
        name: {str(each): _summary(of) for each, of in by_connections.items()}
        for name, by_connections in samples.items()
    }


def _summary(samples: Sequence[Sample]) -> dict[str, Any]:
    rows = [asdict(sample) for sample in samples]
    errors = sum(row.pop("errors") for row in rows)
    return {"errors": errors, **{key: spread(row[key] for row in rows) for key in rows[0]}}


def _ratios(samples: _Samples, others: Iterable[str]) -> dict[str, Any]:
    """Return irisab's figure divided by the other's, for each figure."""
    return {
        other: {
            str(each): {
                figure: spread(
                    getattr(a, figure) / getattr(b, figure)
                    for a, b in zip(ours, samples[other][each], strict=True)
                )
                for figure in ("per_second", "cpu", "p50", "p99")
            }
            for each, ours in samples[servers.IRISAB].items()
        }
        for other in others
    }
