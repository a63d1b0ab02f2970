"""What Prometheus sees. Start at `Metrics`.

Counters and histograms are kept from load time on and outlive every reload, until their version has
left the configuration. Gauges are not kept at
all: one collector asks for the truth when it is scraped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

# 10 us to 1 s: a forest answers at the one end, a large pipeline at the other.
LATENCY_BUCKETS = (
    *(1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
# A queue is worth a look from a millisecond on.
QUEUE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ERROR_REASONS = (
    "bad_request",
    "unauthorized",
    "forbidden",
    "method_not_allowed",
    "too_large",
    "unsupported_media_type",
    "model",
    "internal",
    "unavailable",
)
AUTH_FAILURES = ("missing", "unknown", "expired", "scope", "unreadable")
FEEDBACK_OUTCOMES = ("correct", "wrong", "duplicate", "corrected")


class Metrics:
    """The registry and every metric that is counted as it happens."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._versions: set[str] = set()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "prediction_requests", "Answered /predict requests.", registry=self.registry
        )
        self.version_requests = Counter(
            "model_version_requests",
            "Answered /predict requests by the version that answered.",
            ["version"],
            registry=self.registry,
        )
        self.latency = Histogram(
            "prediction_latency_seconds",
            "Time from parsing to encoding, with the version that answered.",
            ["version"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.errors = Counter(
            "prediction_errors",
            "/predict requests that were not answered, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.classes = Counter(
            "prediction_class",
            "Predicted rows by class.",
            ["version", "class_name"],
            registry=self.registry,
        )
        self.unseen = Counter(
            "feature_unseen_values",
            "Answered values beyond the training data: out of its range, or a new category.",
            ["feature"],
            registry=self.registry,
        )
        self.feedback = Counter(
            "prediction_feedback",
            "Labels by the version whose answer they judge.",
            ["version", "outcome"],
            registry=self.registry,
        )
        self.disagreements = Counter(
            "shadow_disagreements",
            "Rows for which a challenger said another class than the control.",
            ["version"],
            registry=self.registry,
        )
        self.shadow_latency = Histogram(
            "shadow_latency_seconds",
            "Time a version took to score a request that another one answered.",
            ["version"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.shadow_skipped = Counter(
            "shadow_skipped",
            "Requests that the other versions did not score, as that would take too long.",
            registry=self.registry,
        )
        self.shadow_errors = Counter(
            "shadow_errors",
            "Rows that a version failed to score beside the answer.",
            ["version"],
            registry=self.registry,
        )
        self.fallbacks = Counter(
            "prediction_fallback",
            "Requests that the control answered, as the version that was chosen failed.",
            ["version"],
            registry=self.registry,
        )
        self.queue = Histogram(
            "request_queue_seconds",
            "Time from nginx's X-Request-Start to the thread that took the request.",
            buckets=QUEUE_BUCKETS,
            registry=self.registry,
        )
        self.duration = Histogram(
            "request_duration_seconds",
            "Time from nginx's X-Request-Start, else from the first byte, to the answer sent.",
            buckets=QUEUE_BUCKETS,
            registry=self.registry,
        )
        self.auth_failures = Counter(
            "auth_failures",
            "Requests that a key was needed for and that were not let in, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.key_requests = Counter(
            "key_requests",
            "Requests that were let in, by the name of their key.",
            ["key"],
            registry=self.registry,
        )
        for reason in ERROR_REASONS:
            self.errors.labels(reason)
        for reason in AUTH_FAILURES:
            self.auth_failures.labels(reason)

    def prepare(self, version: str, *, class_names: Iterable[str], challenger: bool) -> None:
        """Make every series of a version exist, at 0 where it is new."""
        self._versions.add(version)
        self.version_requests.labels(version)
        self.latency.labels(version)
        self.shadow_errors.labels(version)
        self.fallbacks.labels(version)
        self.shadow_latency.labels(version)
        for name in class_names:
            self.classes.labels(version, name)
        for outcome in FEEDBACK_OUTCOMES:
            self.feedback.labels(version, outcome)
        if challenger:
            self.disagreements.labels(version)

    def retire(self, version: str) -> None:
        """Forget every series of a version that is served no more."""
        for each in (
            *(self.version_requests, self.latency, self.classes, self.feedback, self.fallbacks),
            *(self.disagreements, self.shadow_latency, self.shadow_errors),
        ):
            each.remove_by_labels({"version": version})
        self._versions.discard(version)

    @property
    def versions(self) -> Sequence[str]:
        """Those that have series."""
        return sorted(self._versions)

    def watch(self, read: Callable[[], Gauges]) -> None:
        """Register the collector of all gauges; `read` is called at each scrape."""
        self.registry.register(_GaugeCollector(read))

    def render(self, accept: str) -> tuple[str, bytes]:
        """Return content type and body in the format that the Accept header asks for."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # raised for a version that is no number
            encode, content_type = choose_encoder("")
        return content_type, encode(self.registry)


class Gauges:
    """The gauges of one scrape, in order."""

    def __init__(self) -> None:
        self.families: list[Metric] = []

    def add(self, name: str, documentation: str, value: float | None) -> None:
        """Add one number; None (not known now) is NaN, for which no comparison holds."""
        gauge = GaugeMetricFamily(name, documentation)
        gauge.add_metric([], math.nan if value is None else value)
        self.families.append(gauge)

    def add_by(
        self, label: str, name: str, documentation: str, values: Mapping[str, float | None]
    ) -> None:
        """Add a number for each value of `label`."""
        self.add_states((label,), name, documentation, {(k,): v for k, v in values.items()})

    def add_states(
        self,
        labels: Sequence[str],
        name: str,
        documentation: str,
        values: Mapping[tuple[str, ...], float | None],
    ) -> None:
        """Add a number for each combination of `labels`."""
        gauge = GaugeMetricFamily(name, documentation, labels=labels)
        for key, value in values.items():
            gauge.add_metric(key, math.nan if value is None else value)
        self.families.append(gauge)

    def add_info(self, name: str, documentation: str, labels: Mapping[str, str]) -> None:
        """Add a constant 1 that carries labels."""
        gauge = GaugeMetricFamily(name, documentation, labels=list(labels))
        gauge.add_metric(list(labels.values()), 1)
        self.families.append(gauge)

    def add_counter(self, name: str, documentation: str, value: float) -> None:
        """Add a counter that is kept elsewhere."""
        self.families.append(CounterMetricFamily(name, documentation, value=value))


class _GaugeCollector(Collector):
    def __init__(self, read: Callable[[], Gauges]) -> None:
        self._read = read

    def describe(self) -> list[Any]:
        return []  # registering must not scrape

    def collect(self) -> Iterator[Metric]:
        yield from self._read().families
