"""Drift and experiment as the CLI, /report and the gauges show them. Start at `build()`.

All three read the same history through the same functions, so they cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.config import Config
from irisab.serving.comparisons import comparisons
from irisab.serving.snapshot import Snapshot
from irisab.stats import chance, drift, ratio
from irisab.store.history import History
from irisab.store.revision import Revision
from irisab.store.rollouts import Rollout

# Enough for a p95, little enough to be read at each look.
LATENCY_ROWS = 2000
NOT_ENOUGH, OK, WARNING = "NOT ENOUGH DATA", "OK", "WARNING"
Json = dict[str, Any]


def build(history: History, snapshot: Snapshot) -> Json:
    """Return the whole report as JSON values; raises `HistoryError`."""
    return {
        **experiment(history, snapshot.describe(), snapshot.config, snapshot.under_way),
        "drift": drift_report(history, snapshot),
    }


def drift_report(history: History, snapshot: Snapshot) -> Json:
    """Return scores, what they must exceed, and histograms; no score before the window is full."""
    options, reference = snapshot.config.drift, snapshot.reference
    types = [feature.type for feature in snapshot.control.features]
    window = history.window(options.window, features=reference.names, types=types)
    full = len(window) >= options.window
    return {
        "threshold": options.threshold,
        "rows": len(window),
        "window": options.window,
        **(_judged(window, reference, options.threshold) if full else _unjudged(reference)),
        "distributions": drift.distributions(window if full else None, reference),
    }


def _unjudged(reference: drift.Reference) -> Json:
    unknown = dict.fromkeys(reference.names)
    nothing: Json = {"score": None, "limit": None, "features": unknown, "limits": unknown}
    return {"status": NOT_ENOUGH, **nothing, "above": []}


def _judged(window: NDArray[Any], reference: drift.Reference, threshold: float) -> Json:
    scores = drift.measure(window, reference)
    limits = chance.limits(window, reference, threshold=threshold)
    above = [name for name, limit in limits.features.items() if scores.features[name] > limit]
    return {
        "status": WARNING if above or scores.score > limits.score else OK,
        "score": scores.score,
        "limit": limits.score,
        "features": scores.features,
        "limits": limits.features,
        "above": above,
    }


def experiment(
    history: History, revision: Revision, served: Config, rollout: Rollout | None = None
) -> Json:
    """Return versions, comparisons and the sample ratio of one revision.

    It is judged as the [experiment] of `served` asks; what is next for a version that is rolled
    out the rollout knows.
    """
    compared = comparisons(history, revision, served)
    for each in compared if rollout else []:
        if rollout and rollout.version in (each["challenger"], revision.control):
            each["next"] = "irisab rollout status"
    return {
        "revision": revision.id,
        "control": revision.control,
        "versions": _versions(history, revision),
        "comparisons": compared,
        "sample_ratio": sample_ratio(history, revision),
    }


def sample_ratio(history: History, revision: Revision) -> Json:
    """Tell whether distinct users are spread over the versions as the split says."""
    users = dict.fromkeys(revision.models, 0) | history.user_counts(revision.id)
    return {"ok": ratio.sample_ratio(users, revision.split), "users": users}


def _versions(history: History, revision: Revision) -> Json:
    counts = history.version_counts(revision.id)
    classes = history.class_counts(revision.id)
    latencies = history.latencies(revision.id, limit=LATENCY_ROWS)
    if revision.task == "regression":
        sums = history.error_sums(revision.id)
        scores = {version: _errors(sums.get(version, {})) for version in revision.models}
    else:
        scores = {
            version: _classes(classes.get(version, {}), revision.class_names)
            for version in revision.models
        }
    return {
        version: {
            **_version(counts.get(version, {}), latencies.get(version, [])),
            **scores[version],
        }
        for version in revision.models
    }


def _errors(sums: Mapping[str, float]) -> Json:
    """Return the errors of a regression, which has neither accuracy nor classes."""
    labelled = sums.get("labelled", 0)
    mae = sums["absolute"] / labelled if labelled else None
    rmse = math.sqrt(max(sums["squared"], 0.0) / labelled) if labelled else None
    return {"accuracy": None, "per_class": None, "mae": mae, "rmse": rmse}


def _classes(counts: Mapping[int, Mapping[str, int]], names: Sequence[str]) -> Json:
    return {"per_class": _per_class(counts, names), "mae": None, "rmse": None}


def _version(counts: Mapping[str, int], latencies: list[float]) -> Json:
    labelled, correct = counts.get("labelled", 0), counts.get("correct", 0)
    p50, p95 = np.quantile(latencies, (0.5, 0.95)) if latencies else (None, None)
    return {
        "requests": counts.get("requests", 0),
        "labelled": labelled,
        "correct": correct,
        "accuracy": correct / labelled if labelled else None,
        "errors": counts.get("errors", 0),
        "latency_ms": {"p50": _milliseconds(p50), "p95": _milliseconds(p95)},
    }


def _per_class(counts: Mapping[int, Mapping[str, int]], names: Sequence[str]) -> Json:
    """Return how many rows of each true class a version has found."""
    recalls = {}
    for index, name in enumerate(names):
        labelled, correct = (counts.get(index, {}).get(key, 0) for key in ("labelled", "correct"))
        recall = correct / labelled if labelled else None
        recalls[name] = {"labelled": labelled, "correct": correct, "recall": recall}
    return recalls


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * float(seconds), 4)
