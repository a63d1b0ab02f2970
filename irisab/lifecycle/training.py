"""Fit versions, measure them, write bundles. Start at `fit()`.

Imports scikit-learn only when it is called.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab import config
from irisab.lifecycle.dataset import FOLDS, Dataset
from irisab.model import publish
from irisab.stats import drift

HELD_OUT = 0.2
GOLDEN_ROWS = 20
# Fewer look like drift to a model with dozens of features.
EXAMPLES = 20
EXAMPLE_DRAWS = 50


def fit(models: Path, version: str, dataset: Dataset, *, estimator: Any, seed: int = 42) -> float:
    """Fit a clone of `estimator`, write its bundle and return the held-out accuracy.

    The model is fitted on four stratified fifths; the accuracy is of the last one. Thirty rows say
    little, so the five-fold accuracy over all rows and its standard error are kept beside it.
    """
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

    rows, held_out, labels, truth = train_test_split(
        dataset.rows,
        dataset.labels,
        test_size=HELD_OUT,
        stratify=dataset.labels,
        random_state=seed,
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    with _progress(f"fitting {version}"):
        fitted = clone(estimator).fit(rows, labels)
        scores = cross_val_score(clone(estimator), dataset.rows, dataset.labels, cv=folds)
    # Trees summed by several threads come in any order; an answer must not depend on it.
    if "n_jobs" in fitted.get_params():
        fitted.set_params(n_jobs=None)
    accuracy = float(fitted.score(held_out, truth))
    about = {
        **_describe(dataset, rows, labels, seed),
        "accuracy": accuracy,
        "cv_accuracy": float(scores.mean()),
        "cv_standard_error": float(scores.std(ddof=1) / np.sqrt(len(scores))),
        "estimator": type(fitted).__name__,
        "n_estimators": fitted.get_params().get("n_estimators"),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seed": seed,
    }
    golden = rows[np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(int)]
    publish.write(models, version, estimator=fitted, golden_rows=golden, about=about)
    return accuracy


def forest(parameters: config.ModelOptions) -> Any:
    """Return the unfitted random forest that a [model.*] section describes."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(**asdict(parameters), n_jobs=-1)


def _describe(
    dataset: Dataset, rows: drift.Array, labels: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    reference = drift.summarise(rows, names=[name for name, _ in dataset.features])
    return {
        "dataset": dataset.name,
        "rows": len(rows),
        "features": [
            {
                "name": name,
                "unit": unit,
                "min": float(column.min()),
                "max": float(column.max()),
                "mean": float(column.mean()),
            }
            for (name, unit), column in zip(dataset.features, rows.T, strict=True)
        ],
        "class_names": list(dataset.class_names),
        "class_numbers": list(dataset.class_numbers),
        "reference": {
            "mean": reference.mean.tolist(),
            "std": reference.std.tolist(),
            "columns": [column.tolist() for column in reference.columns],
        },
        "examples": _examples(dataset, rows, labels, reference, seed),
    }


def _examples(
    dataset: Dataset,
    rows: drift.Array,
    labels: NDArray[np.int64],
    reference: drift.Reference,
    seed: int,
) -> list[dict[str, Any]]:
    """Pick rows that together look like the training data: sent in turn they are no drift."""
    random = np.random.default_rng(seed)
    size = min(len(rows), max(EXAMPLES, len(dataset.class_names)))
    draws = [random.choice(len(rows), size, replace=False) for _ in range(EXAMPLE_DRAWS)]

    def distance(draw: NDArray[np.int64]) -> tuple[int, float]:
        features = drift.measure(rows[draw], reference).features
        return -len(set(labels[draw].tolist())), max(features.values())

    best = sorted(min(draws, key=distance).tolist(), key=lambda each: int(labels[each]))
    return [
        {"features": rows[each].tolist(), "class_name": dataset.class_names[labels[each]]}
        for each in best
    ]


@contextmanager
def _progress(what: str) -> Iterator[None]:
    """Say on stderr, once a second from the first on, that work goes on."""
    done = threading.Event()

    def tell() -> None:
        seconds = 0
        while not done.wait(1):
            seconds += 1
            print(f"\r{what}: {seconds} s ", end="", file=sys.stderr, flush=True)
        if seconds:
            print(file=sys.stderr)

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
