"""A snapshot made ready to answer: what a reload can do, so that no request has to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

from prometheus_client import Counter, Histogram

from irisab.model.answer import Answer, Row
from irisab.model.bundle import Bundle
from irisab.serving import payload
from irisab.serving.encoder import Encoder
from irisab.serving.metrics import Metrics
from irisab.serving.snapshot import Snapshot
from irisab.store.revision import Revision

# A request may keep others waiting for so long; handing it to another thread takes a tenth of it.
QUICK_SECONDS = 0.001
# What a row costs beside the models: parsing, rendering, counting.
ROW_SECONDS = 5e-6


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """One version with all that its answers need, made at load."""

    bundle: Bundle
    encoder: Encoder
    requests: Counter
    latency: Histogram
    classes: Sequence[Counter]
    shadow_errors: Counter
    disagreements: Counter | None


class Vote(NamedTuple):
    """What the versions said of a row, as JSON, and the counters of those who disagree."""

    text: str
    disagreements: tuple[Counter, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A snapshot, made ready to answer."""

    snapshot: Snapshot
    revision: Revision
    parser: payload.Parser
    arms: Mapping[str, ServedVersion]
    quick_bytes: int
    votes: dict[tuple[int | None, ...], Vote] = field(default_factory=dict)


def prepare(snapshot: Snapshot, metrics: Metrics) -> Prepared:
    """Make a snapshot ready to answer, so that no request has to."""
    return Prepared(
        snapshot=snapshot,
        revision=snapshot.describe(),
        parser=payload.Parser(
            snapshot.control.feature_names, max_rows=snapshot.config.server.max_rows
        ),
        arms={name: _arm(name, snapshot, metrics) for name in snapshot.bundles},
        quick_bytes=_quick_bytes(snapshot),
    )


def _arm(version: str, snapshot: Snapshot, metrics: Metrics) -> ServedVersion:
    bundle = snapshot.bundles[version]
    challenger = version != snapshot.config.control
    metrics.prepare(version, class_names=bundle.class_names, challenger=challenger)
    return ServedVersion(
        bundle=bundle,
        encoder=Encoder(
            version, class_names=bundle.class_names, class_numbers=bundle.class_numbers
        ),
        requests=metrics.version_requests.labels(version),
        latency=metrics.latency.labels(version),
        classes=[metrics.classes.labels(version, name) for name in bundle.class_names],
        shadow_errors=metrics.shadow_errors.labels(version),
        disagreements=metrics.disagreements.labels(version) if challenger else None,
    )


def _quick_bytes(snapshot: Snapshot) -> int:
    rows = QUICK_SECONDS / (_seconds_a_row(snapshot) + ROW_SECONDS)
    # A value and its comma take two bytes at least.
    return int(rows * 2 * len(snapshot.control.features))


def _seconds_a_row(snapshot: Snapshot) -> float:
    """Return how long all versions together take: the least disturbed of three tries."""
    row = snapshot.control.manifest["golden"]["rows"][0]
    times = []
    for _ in range(3):
        started = perf_counter()
        try:
            for bundle in snapshot.bundles.values():
                bundle.model.score_row(row)
        except Exception:
            return math.inf  # it is not quick; whoever asks it will be told what it is
        times.append(perf_counter() - started)
    return min(times)


def answers(arm: ServedVersion, rows: Sequence[Row]) -> Sequence[Answer]:
    if len(rows) == 1:
        return (arm.bundle.model.score_row(rows[0]),)
    return arm.bundle.model.score_rows(rows)
