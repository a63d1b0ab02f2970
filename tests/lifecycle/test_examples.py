"""Examples: like the data, and no row of it."""

from __future__ import annotations

import json
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest
from processes import Served, write_config

from irisab.lifecycle import examples
from irisab.lifecycle.dataset import load_iris
from irisab.lifecycle.rows import Dataset, checked
from irisab.model import bundle
from irisab.stats import drift

IRIS = checked(load_iris())
SEEDS = range(5)


def drawn(dataset: Dataset, seed: int = 0) -> list[dict[str, Any]]:
    return examples.draw(dataset, dataset.rows, dataset.labels, seed)


def people(task: str = "classification", count: int = 200) -> Dataset:
    """A table in which every row is one person: age, weight with gaps, town, smoker."""
    random = np.random.default_rng(1)
    rows = np.empty((count, 4), dtype=object)
    rows[:, 0] = random.integers(18, 90, count).astype(float)
    rows[:, 1] = np.where(random.random(count) < 0.2, np.nan, random.normal(75, 12, count))
    rows[:, 2] = random.choice(["Ulm", "Rom", None], count)
    rows[:, 3] = random.integers(0, 2, count).astype(float)
    labels = random.integers(0, 2, count) if task == "classification" else rows[:, 0] * 3.5
    return checked(
        Dataset(
            name="people",
            rows=rows,
            labels=labels.astype(np.int64 if task == "classification" else np.float64),
            features=[("age", None), ("weight", "kg"), ("town", None), ("smoker", None)],
            types=("number", "number", "category", "boolean"),
            task=task,  # type: ignore[arg-type]
            class_names=("ill", "well") if task == "classification" else (),
            class_numbers=(0, 1) if task == "classification" else (),
        )
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_no_example_of_iris_is_a_flower(seed: int) -> None:
    """None of the 20 is a row of the data, and they are there for each class."""
    found = drawn(IRIS, seed)
    assert len(found) >= examples.EXAMPLES
    flowers = IRIS.rows.tolist()
    assert not [each for each in found if each["features"] in flowers]
    assert {each["class_name"] for each in found} == set(IRIS.class_names)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("seed", SEEDS)
def test_no_example_is_a_person(task: str, seed: int) -> None:
    """Nor with text, gaps and booleans; a weight with all its digits is nobody's weight."""
    dataset = people(task)
    found = drawn(dataset, seed)
    rows = [json.dumps(each) for each in examples_of(dataset)]
    assert not [each for each in found if json.dumps(each["features"]) in rows]
    weights = {row[1] for row in dataset.rows.tolist()}
    assert not [each for each in found if each["features"][1] in weights]
    assert all(each["features"][0] == int(each["features"][0]) for each in found)
    assert {each["features"][3] for each in found} <= {0.0, 1.0}
    assert {each["features"][2] for each in found} <= {"Ulm", "Rom", None}


def examples_of(dataset: Dataset) -> list[list[Any]]:
    from irisab.model.schema import row_to_json

    return [row_to_json(row) for row in dataset.rows.tolist()]


@pytest.mark.parametrize("seed", SEEDS)
def test_examples_sent_in_turn_are_no_drift(seed: int) -> None:
    """Who clicks through them for 100 rows raises no alarm."""
    rows = np.array([each["features"] for each in islice(cycle(drawn(IRIS, seed)), 100)])
    reference = drift.summarise(IRIS.rows, names=IRIS.feature_names)
    assert max(drift.measure(rows, reference).features.values()) <= 0.3


def test_an_example_is_what_a_model_takes_it_for(iris_models: Any) -> None:
    """Both versions answer nearly all of them with the class that they were drawn for."""
    for version in ("v1", "v2"):
        loaded = bundle.load(iris_models, version)
        found = loaded.manifest["examples"]
        answers = [loaded.model.score_row(each["features"])[0] for each in found]
        right = [
            loaded.class_names[answer] == each["class_name"]
            for answer, each in zip(answers, found, strict=True)
        ]
        assert sum(right) >= 0.9 * len(found)


def test_a_quantity_has_examples_over_its_range() -> None:
    """Each stands for a tenth of the data, and carries its mean."""
    found = [each["value"] for each in drawn(people("regression"))]
    assert found == sorted(found) and len(set(found)) == examples.TENTHS


def test_what_is_alone_in_the_data_is_left_out() -> None:
    """Where every draw gives a row away, it is dropped: no example at all, rather than a person."""
    one = Dataset(
        name="few",
        rows=np.array([[1.0], [2.0]]),
        labels=np.array([0, 1]),
        features=[("age", None)],
        class_names=("ill", "well"),
        class_numbers=(0, 1),
    )
    assert drawn(checked(one)) == []


def test_config_shows_the_examples_and_no_row(tmp_path: Any, iris_models: Any) -> None:
    """What /config publishes is not in the table that the model was fitted on."""
    served = Served(write_config(tmp_path, iris_models))
    shown = served.client.get("/config").json["examples"]
    served.close()
    assert len(shown) >= examples.EXAMPLES
    flowers = IRIS.rows.tolist()
    assert not [each for each in shown if each["features"] in flowers]
