"""Drift and experiment as the CLI, /report and the gauges show them. Start at `build()`.

All three read the same history through the same functions, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from irisab import config
from irisab.serving.snapshot import Snapshot
from irisab.stats import comparison, drift, paired, ratio, unpaired
from irisab.store.history import History
from irisab.store.revision import Revision

# Enough for a p95, little enough to be read at each look.
LATENCY_ROWS = 2000
NOT_ENOUGH, OK, WARNING = "NOT ENOUGH DATA", "OK", "WARNING"
Json = dict[str, Any]


def build(history: History, snapshot: Snapshot) -> Json:
    """Return the whole report as JSON values; raises `HistoryError`."""
    revision = snapshot.describe()
    return {
        **experiment(history, revision, snapshot.config.experiment),
        "drift": drift_report(history, snapshot),
    }


def drift_report(history: History, snapshot: Snapshot) -> Json:
    """Return score, status and histograms; no score before the window is full."""
    options, reference = snapshot.config.drift, snapshot.reference
    window = history.window(options.window, features=reference.names)
    full = len(window) >= options.window
    scores = drift.measure(window, reference) if full else None
    return {
        "score": scores.score if scores else None,
        "threshold": options.threshold,
        "status": _status(scores, options.threshold),
        "rows": len(window),
        "window": options.window,
        "features": scores.features if scores else dict.fromkeys(reference.names),
        "distributions": drift.distributions(window if full else None, reference),
    }


def _status(scores: drift.DriftScores | None, threshold: float) -> str:
    if scores is None:
        return NOT_ENOUGH
    return WARNING if scores.exceeds(threshold) else OK


def experiment(history: History, revision: Revision, options: config.ExperimentOptions) -> Json:
    """Return versions, comparisons and the sample ratio of one revision."""
    return {
        "revision": revision.id,
        "control": revision.control,
        "versions": _versions(history, revision),
        "comparisons": comparisons(history, revision, options),
        "sample_ratio": sample_ratio(history, revision),
    }


def sample_ratio(history: History, revision: Revision) -> Json:
    """Tell whether distinct users are spread over the versions as the split says."""
    users = dict.fromkeys(revision.models, 0) | history.user_counts(revision.id)
    return {"ok": ratio.sample_ratio(users, revision.split), "users": users}


def _versions(history: History, revision: Revision) -> Json:
    counts = history.version_counts(revision.id)
    latencies = history.latencies(revision.id, limit=LATENCY_ROWS)
    return {
        version: _version(counts.get(version, {}), latencies.get(version, []))
        for version in revision.models
    }


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


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * float(seconds), 4)


def comparisons(
    history: History, revision: Revision, options: config.ExperimentOptions
) -> list[Json]:
    """Compare each challenger with the control; they share alpha."""
    pairs = list(revision.pairs())
    # Bonferroni: all of them together may be wrong with probability alpha.
    alpha = options.alpha / max(len(pairs), 1)
    compare = _paired if options.shadow else _unpaired
    return [
        {
            "challenger": challenger,
            **compare(history, revision, challenger, alpha, options.margin).as_dict(),
        }
        for _, challenger in pairs
    ]


def _paired(
    history: History, revision: Revision, challenger: str, alpha: float, margin: float
) -> comparison.Comparison:
    models = (revision.models[revision.control], revision.models[challenger])
    tally = history.tally(*models)
    # pop: two versions of one model share a tally, which must not count twice.
    shown_control, shown_challenger = (paired.Tally(**tally.pop(each, {})) for each in models)
    return paired.compare_paired(
        shown_control=shown_control,
        shown_challenger=shown_challenger,
        **history.agreement(*models),
        alpha=alpha,
        margin=margin,
        names=(revision.control, challenger),
        weights=(revision.split[revision.control], revision.split[challenger]),
    )


def _unpaired(
    history: History, revision: Revision, challenger: str, alpha: float, margin: float
) -> comparison.Comparison:
    counts = history.version_counts(revision.id)
    control_arm, challenger_arm = (
        unpaired.Arm(
            labelled=counts.get(version, {}).get("labelled", 0),
            correct=counts.get(version, {}).get("correct", 0),
        )
        for version in (revision.control, challenger)
    )
    return unpaired.compare_unpaired(
        control=control_arm,
        challenger=challenger_arm,
        alpha=alpha,
        margin=margin,
        names=(revision.control, challenger),
        weights=(revision.split[revision.control], revision.split[challenger]),
    )
