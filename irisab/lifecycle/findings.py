"""What a person should know of the data before a model learns from it. Start at `report()`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.lifecycle import cells, prepare
from irisab.lifecycle.rows import Dataset, is_numeric

# Fewer rows than this may well have ten different whole numbers in order.
FEWEST_TO_COUNT = 10
RARE = 0.05


def report(dataset: Dataset) -> list[str]:
    """Return what was found, a sentence each: the table first, then what is suspicious."""
    return [_table(dataset), _target(dataset), *_suspicious(dataset)]


def _table(dataset: Dataset) -> str:
    kinds = Counter(dataset.types)
    parts = ", ".join(_counted(count, kind) for kind, count in kinds.items())
    groups = f" in {len(set(dataset.groups))} groups" if dataset.groups is not None else ""
    return f"{len(dataset.rows)} rows{groups}, {_counted(len(dataset.types), 'feature')}: {parts}"


def _counted(count: int, noun: str) -> str:
    plural = {"category": "categories"}.get(noun, f"{noun}s")
    return f"{count} {noun if count == 1 else plural}"


def _target(dataset: Dataset) -> str:
    title = dataset.target or "target"
    if dataset.task == "regression":
        low, middle, high = np.quantile(dataset.labels, (0, 0.5, 1)).tolist()
        return f"{title}: from {low:g} to {high:g}, half of it below {middle:g}"
    counts = Counter(dataset.labels.tolist())
    shown = [f"{name} {counts[index]}" for index, name in enumerate(dataset.class_names)][:10]
    more = f" and {len(dataset.class_names) - 10} more" if len(dataset.class_names) > 10 else ""
    return f"{title}: {', '.join(shown)}{more}"


def _suspicious(dataset: Dataset) -> Iterator[str]:
    columns = dict(zip(dataset.feature_names, dataset.rows.T, strict=True))
    kinds = dict(zip(dataset.feature_names, dataset.types, strict=True))
    for name, column in columns.items():
        if is_numeric([kinds[name]]) and numbers_the_rows(column):
            yield (
                f"WARNING: column {name!r} has another number in each row, in order, as an id has: "
                "a model learns from it what new rows never repeat, and looks better than it is. "
                f"{_leave_out(name)}"
            )
        elif len({str(value) for value in column.tolist()}) == 1:
            yield f"Column {name!r} is the same in each row. {_leave_out(name)}"
        if not is_numeric([kinds[name]]):
            yield from _codes(name, column)
    yield from _twins(columns)
    yield from _classes(dataset)


def _leave_out(name: str) -> str:
    return f"To leave it out: [training] ignore = {name}"


def numbers_the_rows(column: NDArray[Any]) -> bool:
    """Tell whether whole numbers are all different, and in order or without a gap."""
    values = column.astype(np.float64)
    if len(values) < FEWEST_TO_COUNT or np.isnan(values).any() or (values % 1).any():
        return False
    steps = np.diff(values)
    ordered = np.sort(values)
    return bool((steps > 0).all() or (steps < 0).all() or (np.diff(ordered) == 1).all())


def _codes(name: str, column: NDArray[Any]) -> Iterator[str]:
    codes = [value for value in column if value is not None and cells.is_code(value)]
    if codes:
        yield f"Column {name!r} has codes, such as {codes[0]}: it is taken as text, not as numbers"


def _twins(columns: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    first: dict[tuple[Any, ...], str] = {}
    for name, column in columns.items():
        # A gap is no value that another could be equal to, so it is compared as text.
        same = first.setdefault(tuple(map(str, column.tolist())), name)
        if same != name:
            yield f"Columns {same!r} and {name!r} are the same. {_leave_out(name)}"


def _classes(dataset: Dataset) -> Iterator[str]:
    counts = Counter(dataset.labels.tolist()) if dataset.task == "classification" else Counter()
    total = len(dataset.labels)
    for index, name in enumerate(dataset.class_names):
        if counts[index] == 0:
            yield f"WARNING: class {name!r} has no row: the model will never answer it"
        elif counts[index] < RARE * total:
            yield f"Class {name!r} is rare: {counts[index]} of {total} rows"
    alike: dict[str, str] = {}
    for name in dataset.class_names:
        other = alike.setdefault("".join(name.casefold().split()), name)
        if other != name:
            yield (
                f"WARNING: classes {other!r} and {name!r} differ by case or blanks only: "
                "are they one?"
            )


def of_exam(exam: Mapping[str, Any]) -> list[str]:
    """Name the classes that the exam says nothing of."""
    per_class = exam.get("per_class") or {}
    without = [name for name, each in per_class.items() if not each["rows"]]
    return [f"No row of the exam is {', '.join(map(repr, without))}"] if without else []


def of_preparation(kind: str, dataset: Dataset) -> list[str]:
    """Say what is done to the columns, in a line."""
    said = prepare.explain(kind, dataset)
    return [said] if said else []
