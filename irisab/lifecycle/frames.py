"""Labelled rows from Python: arrays, lists, and frames of pandas. See `from_arrays()`."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import DataError
from irisab.lifecycle.cells import MOST_CATEGORIES
from irisab.lifecycle.columns import name_and_unit
from irisab.lifecycle.rows import Dataset, checked, is_gap
from irisab.lifecycle.targets import read_target
from irisab.model.schema import Type


def from_arrays(
    rows: Any,
    target: Any,
    *,
    feature_names: Sequence[str] | None = None,
    name: str = "data",
    task: str = "auto",
    groups: Sequence[Any] | None = None,
) -> Dataset:
    """Return a dataset of what scikit-learn calls X and y.

    Parameters
    ----------
    rows : array, list of lists or pandas DataFrame of shape (n_rows, n_features)
        Numbers, booleans and texts; None, NaN and pandas' NA are missing values.
    target : array, list or Series of shape (n_rows,)
        Classes by name or number, or values.
    feature_names : titles as in "sepal length (cm)"; a DataFrame has its own
    task : "classification", "regression", or "auto" for what the target looks like

    Raises `DataError` for what no model could learn from.
    """
    columns = _columns(rows, name)
    if feature_names is None:
        feature_names = [str(title) for title in getattr(rows, "columns", range(len(columns)))]
    if len(feature_names) != len(columns):
        raise DataError(f"{name}: has {len(columns)} columns and {len(feature_names)} names")
    types = [_type(column, title) for column, title in zip(columns, feature_names, strict=True)]
    answers = read_target(_cells(target, name), where=name, task=task, decimal=".", known=None)
    return checked(
        Dataset(
            name=name,
            rows=np.column_stack(columns),
            labels=answers.labels,
            features=[name_and_unit(title) for title in feature_names],
            class_names=answers.class_names,
            class_numbers=answers.class_numbers,
            types=types,
            task=answers.task,
            groups=None if groups is None else [str(each) for each in groups],
        )
    )


def _columns(rows: Any, name: str) -> list[NDArray[Any]]:
    """Return each column as objects, as a frame keeps them: booleans are not yet numbers."""
    try:
        if hasattr(rows, "columns"):
            return [np.array(list(rows[title]), dtype=object) for title in rows.columns]
        if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "fiu":
            return list(rows.T)
        table = list(map(list, rows))
        return [np.array(column, dtype=object) for column in zip(*table, strict=True)]
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: the rows are no table of one width: {error}") from error


def _type(column: NDArray[Any], title: str) -> Type:
    if column.dtype != object:
        return "number"
    values = [value for value in column if not is_gap(value)]
    if values and all(isinstance(value, bool | np.bool_) for value in values):
        return "boolean"
    if all(isinstance(value, Real) for value in values):
        return "number"
    if not all(isinstance(value, str) for value in values):
        wrong = next(value for value in values if not isinstance(value, Real | str))
        raise DataError(f"feature {title!r}: has {wrong!r}, which is neither a number nor a text")
    if (different := len(set(values))) > MOST_CATEGORIES:
        raise DataError(
            f"feature {title!r}: has {different} different texts, at most {MOST_CATEGORIES} can be "
            "categories: leave it out"
        )
    return "category"


def _cells(target: Any, name: str) -> list[str]:
    values = np.array(list(target), dtype=object)
    if any(is_gap(value) or value == "" for value in values):
        raise DataError(f"{name}: a label is missing: leave out the rows without one")
    return [str(value) for value in values]
