"""Labelled rows to learn from: Iris, or a CSV file. Start at `load_csv()`."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import DataError
from irisab.model.schema import FLOAT32_MAX
from irisab.stats import drift

FOLDS = 5
MISSING = ("", "na", "nan", "n/a", "null", "none", "?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A numeric classification table.

    `rows` has shape (n_rows, n_features); `labels` (n_rows,) holds indices into `class_names`.
    `class_numbers` is what an answer calls a class: the target itself where it was whole numbers.
    """

    name: str
    rows: drift.Array
    labels: NDArray[np.int64]
    features: tuple[tuple[str, str | None], ...]
    class_names: tuple[str, ...]
    class_numbers: tuple[int, ...]


def load_iris() -> Dataset:
    """Return Fisher's Iris data (1936) as scikit-learn ships it."""
    from sklearn.datasets import load_iris

    iris = load_iris()
    return Dataset(
        name="Iris",
        rows=iris.data,
        labels=iris.target,
        features=tuple(_name_and_unit(name) for name in iris.feature_names),
        class_names=tuple(str(name) for name in iris.target_names),
        class_numbers=tuple(range(len(iris.target_names))),
    )


def _name_and_unit(title: str) -> tuple[str, str | None]:
    """Split a column's title as in 'sepal length (cm)'."""
    parts = re.fullmatch(r"(.+?)\s*\(([^()]*)\)", title.strip())
    name, unit = (parts[1], parts[2]) if parts else (title.strip(), None)
    return re.sub(r"\s+", "_", name), unit


def load_csv(path: Path, *, target: str, drop: bool = False) -> tuple[Dataset, list[str]]:
    """Read a CSV file with a header line; every column but `target` is a feature.

    With `drop`, columns without any number and rows with a missing or non-numeric cell are left
    out, and the second value says which. Raises `DataError` otherwise, with columns and counts.
    """
    titles, table = _read_csv(path)
    if target not in titles:
        raise DataError(f"{path}: has no column {target!r}; there are {', '.join(titles)}")
    columns = dict(zip(titles, zip(*table, strict=True), strict=True))
    targets = np.array([cell.strip() for cell in columns.pop(target)])
    cells = np.array([[_number(cell) for cell in column] for column in columns.values()])
    rows = cells.reshape(len(columns), len(table)).T
    bad, unlabelled = np.isnan(rows), np.isin(np.char.lower(targets), MISSING)
    numeric = ~bad.all(axis=0)
    if not numeric.any():
        raise DataError(f"{path}: has no column with numbers besides the target")
    if not drop:
        _refuse_gaps(path, {**dict(zip(columns, bad.T, strict=True)), target: unlabelled})
    usable = ~(bad[:, numeric].any(axis=1) | unlabelled)
    names = np.array(list(columns))
    notes = _notes(names[~numeric].tolist(), rows=int((~usable).sum()), total=len(table))
    kept = rows[usable][:, numeric]
    return _dataset(path, kept, targets[usable].tolist(), names[numeric].tolist()), notes


def _refuse_gaps(path: Path, gaps: Mapping[str, NDArray[np.bool_]]) -> None:
    problems = [
        f"column {title!r} has {gap.sum()} of {len(gap)} cells that are missing or not a number"
        for title, gap in gaps.items()
        if gap.any()
    ]
    if problems:
        raise DataError(
            f"{path}: {'; '.join(problems)}. Mend the file, or add --drop to leave out the columns "
            "without any number and the rows with such a cell."
        )


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = [row for row in csv.reader(file, strict=True) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error
    if len(table) < 2:
        raise DataError(f"{path}: needs a header line and rows below it")
    titles = [title.strip() for title in table[0]]
    for number, row in enumerate(table[1:], start=2):
        if len(row) != len(titles):
            raise DataError(f"{path}: row {number} has {len(row)} cells, the header {len(titles)}")
    if len(set(titles)) < len(titles) or "" in titles:
        raise DataError(f"{path}: each column needs a title of its own: {', '.join(titles)}")
    return titles, table[1:]


def _number(cell: str) -> float:
    """Return the number in a cell, NaN where there is none that a model can take."""
    try:
        # Python takes 1_0 and digits of other scripts for numbers; whoever wrote them may not.
        value = float(cell) if cell.isascii() and "_" not in cell else math.nan
    except ValueError:
        return math.nan
    return value if abs(value) <= FLOAT32_MAX else math.nan


def _notes(columns: Sequence[str], *, rows: int, total: int) -> list[str]:
    notes = [f"column {title!r}" for title in columns]
    return notes + ([f"{rows} of {total} rows"] if rows else [])


def _dataset(
    path: Path, rows: drift.Array, targets: Sequence[str], titles: Sequence[str]
) -> Dataset:
    # A column of whole numbers that once had a gap is often written as 1.0, 2.0.
    whole = all(re.fullmatch(r"[+-]?[0-9]{1,15}(\.0*)?", text) for text in targets)
    keys: list[Any] = [int(text.partition(".")[0]) if whole else text for text in targets]
    _check_classes(path, keys)
    features = tuple(_name_and_unit(title) for title in titles)
    if len(dict(features)) < len(features):
        raise DataError(f"{path}: two columns have the same name once their units are taken off")
    classes = sorted(set(keys))
    position = {key: index for index, key in enumerate(classes)}
    return Dataset(
        name=path.name,
        rows=rows,
        labels=np.array([position[key] for key in keys]),
        features=features,
        class_names=tuple(map(str, classes)),
        class_numbers=tuple(classes) if whole else tuple(range(len(classes))),
    )


def _check_classes(path: Path, targets: Sequence[int | str]) -> None:
    counts = Counter(targets)
    if len(counts) < 2:
        raise DataError(f"{path}: the target has {len(counts)} class(es), it needs at least two")
    rarest, count = min(counts.items(), key=lambda each: each[1])
    if count < FOLDS:
        raise DataError(
            f"{path}: class {rarest!r} has {count} row(s), each needs at least {FOLDS}; "
            "is the target a class at all, and not a measurement?"
        )
