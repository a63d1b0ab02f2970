"""What serves, for whoever asks: the body of GET /config. See `public()`."""

from __future__ import annotations

from typing import Any

from irisab.model.schema import Feature
from irisab.serving.snapshot import Snapshot


def public(snapshot: Snapshot) -> dict[str, Any]:
    """Return JSON values; nothing here is a secret, and anybody may read it."""
    options, control = snapshot.config, snapshot.control
    return {
        "revision": snapshot.revision_id,
        "split": {name: _percent(share) for name, share in options.split.items()},
        "versions": {
            name: {key: bundle.manifest.get(key) for key in _VERSION_KEYS}
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
    return int(share) if share.is_integer() else share
