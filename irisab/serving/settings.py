"""What serves, for whoever asks: the body of GET /config. See `public()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from irisab.config import Config
from irisab.model.schema import Feature
from irisab.rfc3339 import timestamp
from irisab.serving.effective import edited
from irisab.serving.snapshot import Snapshot
from irisab.store.rollouts import Rollout


def public(snapshot: Snapshot, rollout: Rollout | None) -> dict[str, Any]:
    """Return JSON values; nothing here is a secret, and anybody may read it.

    `split` is what the INI file says, `effective_split` what serves.
    """
    options, control = snapshot.config, snapshot.control
    return {
        "revision": snapshot.revision_id,
        "split": shares(snapshot.written.split),
        "effective_split": shares(options.split),
        "rollout": rollout and of_rollout(rollout, snapshot.written, options),
        "versions": {
            name: {**{key: bundle.manifest.get(key) for key in _VERSION_KEYS}, "tree": bundle.tree}
            for name, bundle in snapshot.bundles.items()
        },
        "features": [
            {key: getattr(feature, key) for key in Feature.__slots__}
            for feature in snapshot.features
        ],
        "task": control.task,
        "classes": list(control.class_names),
        "examples": control.manifest["examples"],
        "auth": {"require": options.auth.require},
        "drift": {"window": options.drift.window, "threshold": options.drift.threshold},
        "experiment": {
            "name": options.experiment.name,
            "control": options.control,
            "shadow": options.experiment.shadow,
            "alpha": options.experiment.alpha,
            "margin": options.experiment.margin,
        },
    }


def shares(split: Mapping[str, float]) -> dict[str, float | int]:
    """Return percentages, whole ones without a point."""
    return {name: _percent(share) for name, share in split.items()}


def of_rollout(rollout: Rollout, written: Config, serving: Config) -> dict[str, Any]:
    """Return where a rollout is; one under way whose INI file was edited is past."""
    past = not rollout.finished and edited(written, rollout)
    return {
        "version": rollout.version,
        "state": "superseded" if past else rollout.state,
        "step": rollout.step,
        "steps": [_percent(each) for each in rollout.steps],
        "percent": _percent(serving.split.get(rollout.version, 0.0)),
        "since": timestamp(rollout.since),
        "hold": rollout.hold,
        "reason": rollout.reason,
    }


def of_past(told: Sequence[Rollout]) -> list[dict[str, Any]]:
    """Return where a rollout has been."""
    return [
        {
            "at": timestamp(each.since),
            "state": each.state,
            "percent": _percent(each.percent),
            "reason": each.reason,
        }
        for each in told
    ]


_VERSION_KEYS = (
    "accuracy",
    "mae",
    "rmse",
    "exam",
    "cv_accuracy",
    "cv_standard_error",
    "estimator",
    "n_estimators",
    "sha256",
    "trained_at",
)


def _percent(share: float) -> float | int:
    return int(share) if float(share).is_integer() else share
