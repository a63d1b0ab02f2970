"""Everybody in turn, round after round, so that a busy machine is busy for all. Start at `run()`.

A ratio is taken within each round, and each round begins with another one. Each stretch of load
has a server that was started for it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench.load import Sample, measure
from bench.servers import CONSTANT, IRISAB, NGINX, PROGRAMS, Bench

# Words, connections, whether nginx is in between, and who is asked.
WAYS = (
    ("1 connection", 1, False, PROGRAMS),
    ("32 connections", 32, False, PROGRAMS),
    ("32 through nginx", 32, True, (IRISAB, CONSTANT)),
)
Row = dict[str, Any]
Samples = dict[str, list[Sample]]


def run(bench: Bench, *, rounds: int, seconds: int) -> dict[str, list[Row]]:
    """Return the figures of everybody, and irisab's divided by each other's."""
    works = {
        f"{words}: {program}": partial(_sample, bench, program, connections, through, seconds)
        for words, connections, through, programs in WAYS
        for program in programs
        if NGINX or not through
    }
    samples = in_turn(works, rounds)
    irisab = {name: f"{name.partition(':')[0]}: {IRISAB}" for name in samples}
    pairs = {name: (ours, name) for name, ours in irisab.items() if ours != name}
    return {
        "Beside others": rows(samples, statistics.median),
        "irisab / other": ratios(samples, pairs),
    }


def _sample(bench: Bench, program: str, connections: int, through: bool, seconds: int) -> Sample:
    with ExitStack() as stack:
        front = process = stack.enter_context(bench.start(program))
        first = process.first_answer()
        if through:
            front = stack.enter_context(bench.nginx(process.port))
            front.first_answer()
        figures = measure(process, seconds=seconds, connections=connections, port=front.port)
    return {**figures, "first answer, s": first}


def in_turn(works: Mapping[str, Callable[[], Sample]], rounds: int) -> Samples:
    """Do each work once a round; each round begins with another one."""
    samples: Samples = {name: [] for name in works}
    names = list(works)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(works[name]())
    return samples


def rows(samples: Samples, of: Callable[[Sequence[float]], Any]) -> list[Row]:
    """Return, by name, the `of` of each figure; all failures, and the most memory."""
    special = {"failed": sum, "memory, MB": max}
    return [
        {"": name, **{key: special.get(key, of)([each[key] for each in taken]) for key in taken[0]}}
        for name, taken in samples.items()
    ]


def ratios(samples: Samples, pairs: Mapping[str, tuple[str, str]]) -> list[Row]:
    """Return, by name, the first of a pair divided by the second, within each round."""
    figures = {"requests/s": "requests/s", "CPU": "CPU, µs", "p99": "p99, ms"}
    return [
        {"": name}
        | {
            words: spread(a[key] / b[key] for a, b in zip(samples[one], samples[two], strict=True))
            for words, key in figures.items()
        }
        for name, (one, two) in pairs.items()
    ]


def spread(values: Iterable[float]) -> tuple[float, float, float]:
    """Return median, lowest and highest."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[0], ordered[-1]
