"""Every gauge, computed at the moment it is scraped. Start at `collect()`."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Protocol, TypeVar, get_args

from irisab import __version__
from irisab.errors import HistoryError
from irisab.serving import report
from irisab.serving.metrics import Gauges
from irisab.serving.snapshot import ReloadOutcome, Snapshot
from irisab.stats import comparison, fall, sequential
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.store.rollouts import HOLDS, STATES, Rollout

T = TypeVar("T")


class Source(Protocol):
    """Where the gauges look: the service."""

    history: History
    recorder: Recorder
    reload: ReloadOutcome

    @property
    def snapshot(self) -> Snapshot: ...

    def report(self) -> report.Json: ...

    def rollout(self) -> Rollout | None: ...


def collect(source: Source) -> Gauges:
    """Return the gauges as they are now; what the history cannot tell is NaN."""
    gauges, snapshot = Gauges(), source.snapshot
    known = _known(source.report)
    _add_serving(gauges, source)
    _add_drift(gauges, snapshot, known and known["drift"])
    _add_fall(gauges, source)
    _add_experiment(gauges, snapshot, known["comparisons"] if known else [])
    _add_rollout(gauges, source.rollout())
    gauges.add(
        "experiment_sample_ratio_ok",
        "1 if distinct users are spread over the versions as the split says.",
        float(known["sample_ratio"]["ok"]) if known else None,
    )
    gauges.add(
        "prediction_active_users",
        "Distinct user ids in the last 15 minutes.",
        _known(lambda: source.history.active_users(now=time.time())),
    )
    return gauges


def _known(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except HistoryError:
        return None


def _add_serving(gauges: Gauges, source: Source) -> None:
    split = source.snapshot.config.split
    gauges.add_by("version", "model_split_weight", "Share of the traffic, in percent.", split)
    gauges.add(
        "config_last_reload_successful",
        "1 if the INI file as it is now serves, 0 if an older one does.",
        float(source.reload.ok),
    )
    gauges.add(
        "config_last_reload_success_timestamp_seconds",
        "When the configuration that serves was accepted.",
        source.reload.accepted,
    )
    gauges.add_counter(
        "history_rows_dropped",
        "Predicted rows that could not be written to the history.",
        source.recorder.dropped,
    )
    gauges.add(
        "history_last_write_successful",
        "1 if the last attempt to write predictions succeeded, 0 if they wait.",
        float(not source.recorder.failing),
    )
    gauges.add_info(
        "irisab_build_info",
        "1, with what is running.",
        {"version": __version__, "python": platform.python_version()},
    )


def _add_drift(gauges: Gauges, snapshot: Snapshot, drift: report.Json | None) -> None:
    unknown = dict.fromkeys(snapshot.reference.names)
    nothing: report.Json = {"score": None, "limit": None, "features": unknown, "limits": unknown}
    drift = drift or nothing
    gauges.add("model_drift_score", "Mean shift of the features, 0 to 1.", drift["score"])
    gauges.add("model_drift_limit", "The mean shift above which the report warns.", drift["limit"])
    gauges.add_by(
        "feature",
        "feature_drift_score",
        "Kolmogorov-Smirnov distance from the training data, 0 to 1.",
        drift["features"],
    )
    gauges.add_by(
        "feature",
        "feature_drift_limit",
        "The distance above which the report warns.",
        drift["limits"],
    )


def _add_fall(gauges: Gauges, source: Source) -> None:
    bundles = source.snapshot.bundles

    def fallen(task: str, model: str) -> float | None:
        """Return nothing for a regression: its errors have no bound, and no bet is safe."""
        if task == "regression":
            return None
        return sequential.e_value(fall.log_e_fall(source.history.days(model)))

    gauges.add_by(
        "version",
        "accuracy_fall_e_value",
        "Evidence that a version is right less often than it was; above 20 it is an alarm.",
        _known(lambda: {name: fallen(each.task, each.sha256) for name, each in bundles.items()})
        or dict.fromkeys(bundles),
    )


def _add_experiment(gauges: Gauges, snapshot: Snapshot, comparisons: list[report.Json]) -> None:
    by_version = {each["challenger"]: each for each in comparisons}
    gauges.add_by(
        "version",
        "experiment_e_value",
        "Evidence that challenger and control differ; 1 is none.",
        {name: by_version.get(name, {}).get("e_value") for name in snapshot.challengers},
    )
    gauges.add_by(
        "version",
        "experiment_sampling_rate",
        "The part of the newest requests that challenger and control both scored.",
        {name: by_version.get(name, {}).get("sampling_rate") for name in snapshot.challengers},
    )
    gauges.add_states(
        ("version", "verdict"),
        "experiment_verdict",
        "1 for the verdict that holds, 0 for the others.",
        {
            (name, each): float(by_version.get(name, {}).get("verdict") == each)
            for name in snapshot.challengers
            for each in get_args(comparison.Verdict)
        },
    )


def _add_rollout(gauges: Gauges, rollout: Rollout | None) -> None:
    """Add what became of the last rollout; all are 0 where there was none."""
    gauges.add_by(
        "state",
        "rollout_state",
        "1 for the state of the last rollout, 0 for the others.",
        {each: float(rollout is not None and rollout.state == each) for each in STATES},
    )
    gauges.add_by(
        "reason",
        "rollout_hold",
        "1 for why the rollout does not go on at the moment, 0 for the others.",
        {each: float(rollout is not None and rollout.hold_code == each) for each in HOLDS},
    )
