"""X and y, as people have them in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from irisab.errors import DataError
from irisab.lifecycle.frames import from_arrays

FRAME = pandas.DataFrame(
    {
        "sepal length (cm)": [1, 2, None, 4] * 5,
        "flag": pandas.array([True, False, None, True] * 5, dtype="boolean"),
        "colour": pandas.Categorical(["red", "blue", None, "red"] * 5),
        "count": pandas.array([1, 2, 3, None] * 5, dtype="Int64"),
    }
)


def test_a_frame_keeps_its_titles_and_types() -> None:
    """Units, booleans, categories and gaps come out as they would from a CSV file."""
    found = from_arrays(FRAME, pandas.Series(["x", "y"] * 10))
    assert found.features == (
        ("sepal_length", "cm"),
        ("flag", None),
        ("colour", None),
        ("count", None),
    )
    assert found.types == ("number", "boolean", "category", "number")
    assert found.rows[1].tolist() == [2.0, 0.0, "blue", 2.0]
    assert found.rows[2, 2] is None and np.isnan([found.rows[2, 0], found.rows[2, 1]]).all()


@pytest.mark.parametrize(
    ("target", "names", "numbers", "labels"),
    [
        (["no", "yes"] * 5, ("no", "yes"), (0, 1), [0, 1] * 5),
        (np.array([1, -1] * 5), ("-1", "1"), (-1, 1), [1, 0] * 5),
        ([True, False] * 5, ("False", "True"), (0, 1), [1, 0] * 5),
        (pandas.Series([1.0, 2.0] * 5), ("1", "2"), (1, 2), [0, 1] * 5),
    ],
)
def test_labels_are_what_they_say(
    target: Any, names: tuple[str, ...], numbers: tuple[int, ...], labels: list[int]
) -> None:
    """-1 and 1 are two classes of these numbers, and no positions."""
    found = from_arrays([[n, n % 3] for n in range(10)], target)
    assert (found.class_names, found.class_numbers) == (names, numbers)
    assert found.labels.tolist() == labels
    assert found.features == (("0", None), ("1", None))


def test_values_make_a_regression() -> None:
    """As in a CSV file, or as it is told."""
    values = np.arange(30) / 7
    found = from_arrays(np.eye(30), values, feature_names=[f"x{n}" for n in range(30)])
    assert found.task == "regression" and np.array_equal(found.labels, values)
    assert from_arrays(np.eye(30), [1, 2, 3] * 10, task="regression").task == "regression"


BAD = {
    "ragged": ([[1, 2], [3]], [0, 1], "the rows are no table of one width"),
    "no table": (5, [0, 1], "the rows are no table of one width"),
    "dates": (
        FRAME.assign(when=pandas.Timestamp("2026-01-01")),
        ["x", "y"] * 10,
        "feature 'when': has Timestamp('2026-01-01 00:00:00'), which is neither a number nor a tex",
    ),
    "names": (
        [[f"person {n}"] for n in range(200)],
        ["x", "y"] * 100,
        "feature '0': has 200 different texts",
    ),
    "gap in the target": (np.eye(20), [*["x", "y"] * 9, "x", None], "data: a label is missing"),
    "rare": (np.eye(9), ["x"] * 5 + ["y"] * 4, "class 'y' has 4 row(s)"),
}


@pytest.mark.parametrize(("rows", "target", "reason"), BAD.values(), ids=BAD)
def test_what_cannot_be_learned_from_is_refused(rows: Any, target: Any, reason: str) -> None:
    """With a sentence."""
    with pytest.raises(DataError) as caught:
        from_arrays(rows, target)
    assert reason in str(caught.value)
