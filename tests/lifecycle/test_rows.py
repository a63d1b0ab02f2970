"""A dataset is checked as a whole, before anything is fitted on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas
import pytest

from irisab.errors import DataError
from irisab.lifecycle.dataset import load_iris
from irisab.lifecycle.rows import Dataset, checked

IRIS = load_iris()
MIXED = Dataset(
    name="mixed",
    rows=np.array([[1, "red", True], [None, None, None], [3, "blue", 0]] * 5, dtype=object),
    labels=np.array([0, 1, 1] * 5),
    features=[("size", "cm"), ("colour", None), ("new", None)],
    class_names=["no", "yes"],
    types=["number", "category", "boolean"],
)


def test_a_good_dataset_is_what_it_was() -> None:
    """Nothing is changed but what may be left unsaid."""
    found = checked(IRIS)
    assert np.array_equal(found.rows, IRIS.rows) and np.array_equal(found.labels, IRIS.labels)
    assert (found.class_names, found.class_numbers) == (IRIS.class_names, (0, 1, 2))
    assert found.types == ("number",) * 4
    assert checked(replace(IRIS, class_numbers=())).class_numbers == (0, 1, 2)


@pytest.mark.parametrize(
    "rows", [IRIS.rows.tolist(), pandas.DataFrame(IRIS.rows), IRIS.rows.astype(object)]
)
def test_rows_may_be_lists_and_frames(rows: Any) -> None:
    """What scikit-learn takes for X is taken here, too."""
    found = checked(replace(IRIS, rows=rows, labels=list(IRIS.labels)))
    assert found.rows.dtype == np.float64 and np.array_equal(found.rows, IRIS.rows)


def test_types_give_each_column_its_form() -> None:
    """Numbers and booleans become floats, a gap in them NaN; texts stay, a gap in them is None."""
    found = checked(MIXED)
    assert found.rows[0].tolist() == [1.0, "red", 1.0]
    size, colour, new = found.rows[1]
    assert np.isnan(size) and colour is None and np.isnan(new)


def test_gaps_of_pandas_are_gaps() -> None:
    """Whatever stands for nothing: NA, NaT, NaN, None, an empty text."""
    rows = MIXED.rows.copy()
    rows[0], rows[2] = [pandas.NA, pandas.NaT, np.nan], [float("nan"), "", pandas.NA]
    found = checked(replace(MIXED, rows=rows)).rows
    assert found[0, 1] is None and found[2, 1] is None
    assert np.isnan(found[[0, 2]][:, [0, 2]].astype(float)).all()


def changed(value: Any, row: int = 0, column: int = 0) -> Any:
    rows = IRIS.rows.copy()
    rows[row, column] = value
    return rows


def mixed(value: Any, column: int) -> Any:
    rows = MIXED.rows.copy()
    rows[0, column] = value
    return rows


BAD: dict[str, tuple[Dataset, str]] = {
    "labels -1 and 1": (
        replace(IRIS, labels=np.where(IRIS.labels > 0, 1, -1)),
        "Iris: label -1 is not among the classes 0 (setosa) to 2 (virginica): labels are positions "
        "in class_names",
    ),
    "labels beyond": (replace(IRIS, labels=IRIS.labels + 1), "label 3 is not among the classes"),
    "labels of float": (
        replace(IRIS, labels=IRIS.labels / 2),
        "labels are positions in class_names, not float64",
    ),
    "names as labels": (replace(IRIS, labels=np.array(["a"] * 150)), "labels are positions in cl"),
    "fewer labels": (
        replace(IRIS, labels=IRIS.labels[:149]),
        "has 150 rows and labels of shape (149,): each row needs one label",
    ),
    "columns of labels": (replace(IRIS, labels=IRIS.labels[:, None]), "labels of shape (150, 1)"),
    "one class": (replace(IRIS, class_names=["a"]), "has 1 class(es), it needs at least two"),
    "a class twice": (replace(IRIS, class_names=["a", "b", "a"]), "class 'a' is there twice"),
    "a class of two lines": (
        replace(IRIS, class_names=["a", "b", "c\n"]),
        "class 'c\\n': a name is",
    ),
    "a class without a name": (
        replace(IRIS, class_names=["", "b", "c"]),
        "class '': a name is one",
    ),
    "numbers twice": (
        replace(IRIS, class_numbers=[1, 2, 1]),
        "each of 3 classes needs a whole number of its own, class_numbers has 1, 2, 1",
    ),
    "fewer numbers": (replace(IRIS, class_numbers=[1, 2]), "class_numbers has 1, 2"),
    "numbers that are none": (replace(IRIS, class_numbers=["1", "2", "3"]), "class_numbers has"),
    "a feature twice": (replace(IRIS, features=[("a", None)] * 4), "feature 'a' is there twice"),
    "no features": (replace(IRIS, features=[]), "there is no feature"),
    "other features": (
        replace(IRIS, features=[("a", None)]),
        "the rows have shape (150, 4); for 1 features it must be (n_rows, 1)",
    ),
    "a vector": (replace(IRIS, rows=IRIS.rows[:, 0]), "the rows have shape (150,)"),
    "ragged rows": (replace(IRIS, rows=[[1, 2], [3]]), "the rows are not all of one length"),
    "no rows": (replace(IRIS, rows=IRIS.rows[:0], labels=[]), "the rows have shape (0, 4)"),
    "infinite": (
        replace(IRIS, rows=changed(np.inf)),
        "feature 'sepal_length': has a number that i",
    ),
    "huge": (replace(IRIS, rows=changed(-1e39)), "infinite or beyond float32"),
    "types": (replace(IRIS, types=["number"]), "has 4 features and 1 types"),
    "groups": (replace(IRIS, groups=["a"]), "has 150 rows and 1 groups"),
    "text as number": (replace(MIXED, rows=mixed("x", 0)), "feature 'size': is not all numbers"),
    "number as text": (
        replace(MIXED, rows=mixed(5, 1)),
        "feature 'colour': is a category, and has 5, which is no text",
    ),
    "number as boolean": (
        replace(MIXED, rows=mixed(2, 2)),
        "feature 'new': is a boolean, and has other values than 0 and 1",
    ),
    "a value missing": (
        replace(IRIS, task="regression", labels=[np.nan] * 150),
        "a label is missing or infinite",
    ),
    "words for values": (
        replace(IRIS, task="regression", labels=["x"] * 150),
        "the labels of a regression are numbers",
    ),
}


@pytest.mark.parametrize(("dataset", "reason"), BAD.values(), ids=BAD)
def test_a_dataset_that_cannot_be_served_is_refused(dataset: Dataset, reason: str) -> None:
    """In one sentence that says what is wrong: nothing of it would be found out later."""
    with pytest.raises(DataError) as caught:
        checked(dataset)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_regression_has_no_classes() -> None:
    """Its labels are values."""
    found = checked(replace(IRIS, task="regression"))
    assert found.class_names == found.class_numbers == ()
    assert found.labels.dtype == np.float64
