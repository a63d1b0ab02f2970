"""The whole server with one kind of model beside another, on the thirty numbers of breast cancer.

Start at `run()`. Each kind is served as two versions, with shadow and history, as the forests of
the other tables are.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from bench.compare import Row, in_turn, ratios, rows
from bench.load import Sample, measure
from bench.servers import VERSIONS, Bench
from irisab.lifecycle import training
from irisab.lifecycle.dataset import Dataset

FOREST, BOOSTING = "random forest, 100 trees", "histogram boosting, 100 iterations"
KINDS = {FOREST: RandomForestClassifier, BOOSTING: HistGradientBoostingClassifier}


def run(bench: Bench, *, rounds: int, seconds: int) -> dict[str, list[Row]]:
    """Return the figures of each kind, and those of boosting divided by the forest's."""
    table = load_breast_cancer()
    bodies = _bodies(bench.home() / "bodies", table)
    works = {
        name: partial(_sample, bench, _trained(bench, kind, table), bodies, seconds)
        for name, kind in KINDS.items()
    }
    samples = in_turn(works, rounds)
    return {
        "Kinds of models": rows(samples, median),
        "Boosting / forest": ratios(samples, {"32 connections": (BOOSTING, FOREST)}),
    }


def _bodies(path: Path, table: Any) -> Path:
    """Write a thousand different requests, one a line, the numbers of the data moved a little."""
    random = np.random.default_rng(7)
    x = table.data[random.integers(len(table.data), size=1000)]
    moved = (x * random.normal(1, 0.01, x.shape)).round(4).tolist()
    path.write_text("".join(json.dumps({"features": row}) + "\n" for row in moved))
    return path


def _trained(bench: Bench, kind: Any, table: Any) -> Path:
    dataset = Dataset(
        name="cancer", rows=table.data, labels=table.target,
        features=tuple((name.replace(" ", "_"), None) for name in table.feature_names),
        class_names=("malignant", "benign"), class_numbers=(0, 1),
    )  # fmt: skip
    models = bench.home() / "models"
    for seed, version in enumerate(VERSIONS):
        training.fit(models, version, dataset, estimator=kind(random_state=seed))
    return models


def _sample(bench: Bench, models: Path, bodies: Path, seconds: int) -> Sample:
    with bench.start(models=models) as process:
        with bodies.open() as lines:
            process.first_answer(next(lines))
        return measure(process, seconds=seconds, bodies=bodies)
