"""Values that training did not have are answered, and counted by feature."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from processes import Served, write_config

from irisab.lifecycle.dataset import load_iris
from irisab.model.schema import Feature
from irisab.serving.metrics import Metrics
from irisab.serving.unseen import watch

RANGE = {"unit": None, "min": 0.5, "max": 80.0, "mean": 30.0}
NOTHING = {"unit": None, "min": None, "max": None, "mean": None}
FEATURES = [
    Feature(name="age", missing=True, **RANGE),
    Feature(name="port", type="category", missing=True, categories=("C", "Q"), **NOTHING),
    Feature(name="alone", type="boolean", unit=None, min=0.0, max=0.0, mean=0.0),
    Feature(name="'); raise", **RANGE),
    Feature(name="never measured", **NOTHING),
]
KNOWN: list[Any] = [30.0, "C", 0.0, 30.0, 1e9]


def counted(rows: list[list[Any]]) -> dict[str, float]:
    """Return what is counted of some rows, by feature."""
    metrics = Metrics()
    watch(FEATURES, metrics.unseen)(rows)
    (family,) = metrics.unseen.collect()
    return {each.labels["feature"]: each.value for each in family.samples}


@pytest.mark.parametrize(
    ("at", "value", "new"),
    [
        (0, 80.0, 0), (0, 0.5, 0), (0, 80.00000000000001, 1), (0, 0.0, 1), (0, math.nan, 0),
        (0, 3e38, 1), (1, "Q", 0), (1, "q", 1), (1, "", 1), (1, None, 0), (2, 0.0, 0), (2, 1.0, 1),
        (3, -1.0, 1),
    ],
)  # fmt: skip
def test_a_value_is_new_or_not(at: int, value: Any, new: int) -> None:
    """Both ends of the range and every category of training are known; a gap is no value."""
    row = [*KNOWN[:at], value, *KNOWN[at + 1 :]]
    expected = dict.fromkeys(("age", "port", "alone", "'); raise"), 0.0)
    assert counted([KNOWN]) == expected
    assert counted([row]) == expected | {FEATURES[at].name: new}
    assert counted([KNOWN, row, row]) == expected | {FEATURES[at].name: 2 * new}


def test_answered_and_counted(tmp_path: Path, iris_models: Path) -> None:
    """No training row counts; a wild one does, alone, in a batch, or for a version by name."""
    served = Served(write_config(tmp_path, iris_models))
    features = served.service.snapshot.features

    def sample(name: str) -> float:
        return served.sample("feature_unseen_values_total", feature=name)

    kept = served.service.snapshot.reference
    inside = load_iris().rows.clip([each.min for each in features], [each.max for each in features])
    served.predict(inside.tolist())
    assert [sample(name) for name in kept.names] == [0, 0, 0, 0]
    wild = [99.0, 3.0, 4.0, -1.0]
    served.predict(wild)
    served.predict([wild, inside[0].tolist(), wild], model_version="v2")
    assert [sample(name) for name in kept.names] == [3, 0, 0, 3]
    served.reload()
    assert [sample(name) for name in kept.names] == [3, 0, 0, 3]
    served.close()
