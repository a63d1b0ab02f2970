"""Labelled rows to learn from, whatever they come from. Start at `Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import DataError
from irisab.model.schema import FLOAT32_MAX, Task, Type

FOLDS = 5
IRIS = "iris"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A table of features with what is to be predicted from them.

    `rows` has shape (n_rows, n_features): floats, NaN where one is missing, or objects where a
    feature of `types` is text (a `str`, None where it is missing). No `types` means numbers only.
    `labels` (n_rows,) holds positions in `class_names`, or in a regression the values themselves;
    `class_numbers` is what an answer calls a class: the target itself where it was whole numbers.
    `groups` (n_rows,) names what must not be torn apart, such as a patient.
    `source` is "iris", a file, or empty for rows that Python made; `target` is its column.
    """

    name: str
    rows: NDArray[Any]
    labels: NDArray[Any]
    features: Sequence[tuple[str, str | None]]
    class_names: Sequence[str] = ()
    class_numbers: Sequence[int] = ()
    types: Sequence[Type] = ()
    task: Task = "classification"
    groups: Sequence[str] | None = None
    source: str = ""
    target: str | None = None
    ignore: Sequence[str] = ()
    group: str | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.features)


def is_numeric(types: Sequence[Type]) -> bool:
    """Tell whether rows of these types are plain floats."""
    return all(each in ("number", "boolean") for each in types)


def to_array(columns: Sequence[NDArray[Any]], types: Sequence[Type]) -> NDArray[Any]:
    """Return columns as rows: floats where all are numeric, else objects."""
    rows = np.empty(
        (len(columns[0]), len(columns)), dtype=np.float64 if is_numeric(types) else object
    )
    for number, column in enumerate(columns):
        rows[:, number] = column
    return rows


def checked(dataset: Dataset) -> Dataset:
    """Return the dataset in its one form, or raise `DataError` for the first thing wrong in it.

    Lists and pandas' frames and columns become arrays.
    """
    names = _checked_names("feature", dataset.feature_names)
    number: Type = "number"
    types = tuple(dataset.types) or (number,) * len(names)
    if len(types) != len(names):
        raise DataError(f"{dataset.name}: has {len(names)} features and {len(types)} types")
    table = _table(dataset, types)
    columns = [_column(table[:, n], name, types[n]) for n, name in enumerate(names)]
    rows = to_array(columns, types)
    labels = np.asarray(dataset.labels)
    if labels.shape != (len(rows),):
        raise DataError(
            f"{dataset.name}: has {len(rows)} rows and labels of shape {labels.shape}: "
            "each row needs one label"
        )
    groups = dataset.groups
    if groups is not None and len(groups) != len(rows):
        raise DataError(f"{dataset.name}: has {len(rows)} rows and {len(groups)} groups")
    dataset = replace(
        dataset,
        rows=rows,
        types=types,
        features=tuple((name, unit) for name, unit in dataset.features),
        groups=None if groups is None else tuple(map(str, groups)),
    )
    if dataset.task == "regression":
        return replace(dataset, labels=_values(dataset, labels), class_names=(), class_numbers=())
    return _classified(dataset, labels)


def _checked_names(what: str, names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if not (isinstance(name, str) and name.strip() and name.isprintable()):
            raise DataError(f"{what} {name!r}: a name is one line of printable text")
        if list(names).count(name) > 1:
            raise DataError(f"{what} {name!r} is there twice: each needs a name of its own")
    if not names:
        raise DataError(f"there is no {what}")
    return names


def _table(dataset: Dataset, types: Sequence[Type]) -> NDArray[Any]:
    rows: Any = dataset.rows
    if hasattr(rows, "to_numpy"):  # a frame of pandas or polars, which need not be installed
        rows = rows.to_numpy()
    is_array = isinstance(rows, np.ndarray)
    table: NDArray[Any] = rows if is_array else np.asarray(rows, dtype=object)
    if table.ndim == 1 and not is_array:
        raise DataError(f"{dataset.name}: the rows are not all of one length")
    if table.ndim != 2 or table.shape[1] != len(types) or not len(table):
        raise DataError(
            f"{dataset.name}: the rows have shape {table.shape}; "
            f"for {len(types)} features it must be (n_rows, {len(types)})"
        )
    return table


def _column(values: NDArray[Any], name: str, kind: Type) -> NDArray[Any]:
    return _numbers(values, name, kind) if is_numeric([kind]) else _texts(values, name, kind)


def _numbers(values: NDArray[Any], name: str, kind: Type) -> NDArray[np.float64]:
    try:
        if values.dtype.kind not in "fiub":
            values = np.array([np.nan if is_gap(each) else each for each in values])
        column = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"feature {name!r}: is not all numbers: {error}") from error
    there = column[~np.isnan(column)]
    if (np.abs(there) > FLOAT32_MAX).any():
        raise DataError(f"feature {name!r}: has a number that is infinite or beyond float32")
    if kind == "boolean" and not np.isin(there, (0, 1)).all():
        raise DataError(f"feature {name!r}: is a boolean, and has other values than 0 and 1")
    return column


def is_gap(value: Any) -> bool:
    """Tell whether a value of Python's stands for none."""
    # pandas' NA is no float, and refuses to be compared.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _texts(values: NDArray[Any], name: str, kind: Type) -> NDArray[np.object_]:
    column = np.array([None if is_gap(each) or each == "" else each for each in values], object)
    for value in column:
        if not isinstance(value, str | None):
            raise DataError(f"feature {name!r}: is a {kind}, and has {value!r}, which is no text")
    return column


def _values(dataset: Dataset, labels: NDArray[Any]) -> NDArray[np.float64]:
    try:
        values = labels.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{dataset.name}: the labels of a regression are numbers: {error}"
        ) from None
    if not np.isfinite(values).all():
        raise DataError(f"{dataset.name}: a label is missing or infinite")
    return values


def _classified(dataset: Dataset, labels: NDArray[Any]) -> Dataset:
    names, numbers = _checked_names("class", dataset.class_names), tuple(dataset.class_numbers)
    numbers = numbers or tuple(range(len(names)))
    if len(names) < 2:
        raise DataError(f"{dataset.name}: has {len(names)} class(es), it needs at least two")
    if len(set(numbers)) != len(names) or not all(isinstance(each, Integral) for each in numbers):
        raise DataError(
            f"{dataset.name}: each of {len(names)} classes needs a whole number of its own, "
            f"class_numbers has {', '.join(map(str, numbers))}"
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"{dataset.name}: labels are positions in class_names, not {labels.dtype}")
    outside = labels[(labels < 0) | (labels >= len(names))]
    if outside.size:
        raise DataError(
            f"{dataset.name}: label {outside[0]} is not among the classes 0 ({names[0]}) to "
            f"{len(names) - 1} ({names[-1]}): labels are positions in class_names"
        )
    return replace(
        dataset, labels=labels.astype(np.int64), class_names=tuple(names),
        class_numbers=tuple(map(int, numbers)),
    )  # fmt: skip


def source_of(path: Path) -> str:
    """Return what a dataset made of this file has as its `source`."""
    return str(path.absolute())
