"""A snapshot made ready to answer: what a reload can do, so that no request has to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client import Counter, Histogram

from irisab.model.answer import Answer, Row
from irisab.model.bundle import Bundle
from irisab.serving import payload
from irisab.serving.cost import Cost, measured
from irisab.serving.encoder import Encoder
from irisab.serving.metrics import Metrics
from irisab.serving.snapshot import Snapshot
from irisab.serving.unseen import Count, watch
from irisab.store.revision import Revision
from irisab.store.rows import Encode, encoder

# A request may keep others waiting for so long; handing it to another thread takes a tenth of it.
QUICK_SECONDS = 0.001
# What a row costs beside the models: parsing, rendering, counting.
ROW_SECONDS = 5e-6


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """One version with all that its answers need, made at load."""

    bundle: Bundle
    encoder: Encoder
    cost: Cost
    requests: Counter
    latency: Histogram
    classes: Sequence[Counter]
    shadow_latency: Histogram
    shadow_errors: Counter
    fallbacks: Counter
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
    shadow: bool
    quick_bytes: int
    count_unseen: Count
    encode: Encode
    votes: dict[tuple[int | None, ...], Vote] = field(default_factory=dict)


def prepare(snapshot: Snapshot, metrics: Metrics) -> Prepared:
    """Make a snapshot ready to answer, so that no request has to."""
    arms = {name: _arm(name, snapshot, metrics) for name in snapshot.bundles}
    revision = snapshot.describe()
    return Prepared(
        snapshot=snapshot,
        revision=revision,
        parser=payload.Parser(snapshot.features, max_rows=snapshot.config.server.max_rows),
        arms=arms,
        shadow=snapshot.config.experiment.shadow,
        quick_bytes=_quick_bytes(snapshot, arms.values()),
        count_unseen=watch(snapshot.features, metrics.unseen),
        encode=encoder(revision.feature_types),
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
        cost=measured(bundle),
        requests=metrics.version_requests.labels(version),
        latency=metrics.latency.labels(version),
        classes=[metrics.classes.labels(version, name) for name in bundle.class_names],
        shadow_latency=metrics.shadow_latency.labels(version),
        shadow_errors=metrics.shadow_errors.labels(version),
        fallbacks=metrics.fallbacks.labels(version),
        disagreements=metrics.disagreements.labels(version) if challenger else None,
    )


def _quick_bytes(snapshot: Snapshot, versions: Iterable[ServedVersion]) -> int:
    """Return how long a body may be so that all versions score it within `QUICK_SECONDS`."""
    rows = QUICK_SECONDS / (sum(each.cost.seconds for each in versions) + ROW_SECONDS)
    # A value and its comma take two bytes at least.
    return int(rows * 2 * len(snapshot.control.features))


def answers(arm: ServedVersion, rows: Sequence[Row]) -> Sequence[Answer]:
    if len(rows) == 1:
        return (arm.bundle.model.score_row(rows[0]),)
    return arm.bundle.model.score_rows(rows)
