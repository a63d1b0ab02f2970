"""The column to predict: classes, or values. Start at `read_target()`."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import DataError
from irisab.lifecycle import cells
from irisab.lifecycle.known import Known
from irisab.lifecycle.rows import FOLDS
from irisab.model.schema import Task

# So many different whole numbers are classes, more are a quantity.
MOST_NUMBERED_CLASSES = 20
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}(\.0*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be predicted; `note` says how a column was taken that could be read otherwise."""

    task: Task
    labels: NDArray[Any]
    class_names: tuple[str, ...] = ()
    class_numbers: tuple[int, ...] = ()
    note: str | None = None


def read_target(
    column: Sequence[str], *, where: str, task: str, decimal: str, known: Known | None
) -> Target:
    """Read labels, none of which is empty; `where` begins an error.

    With `known`, its classes keep their order, and one of them may have no label. Raises
    `DataError` where it is no target.
    """
    note = None
    if task == "auto":
        task, note = (known.task, None) if known else task_of(column, decimal)
    if task == "regression":
        return Target(
            task="regression", labels=_values(column, where=where, decimal=decimal), note=note
        )
    if known is not None:
        return _known_classes(column, known)
    return _classes(column, where=where, note=note)


def task_of(column: Sequence[str], decimal: str) -> tuple[Task, str | None]:
    """Return the task that a column looks like, and a sentence where it could be the other."""
    different = {cell.strip() for cell in column}
    values = [cells.number(cell, decimal) for cell in different]
    if any(map(cells.is_code, different)) or any(map(math.isnan, values)):
        return "classification", None
    count = len(set(values))
    if count <= 2:
        return "classification", None
    whole = all(map(float.is_integer, values))
    if whole and count <= MOST_NUMBERED_CLASSES:
        return "classification", (
            f"The target has {count} different whole numbers: they are taken as classes. "
            "If they are a quantity: [training] task = regression"
        )
    return "regression", (
        f"The target has {count} different numbers: they are taken as a quantity. "
        "If they are classes: [training] task = classification"
    )


def fits(column: Sequence[str], known: Known) -> bool:
    """Tell whether each label is a class of the version, or a number for a regression."""
    if known.task == "regression":
        return True
    position = _positions(known)
    return all(position(cell) is not None for cell in set(column))


def _positions(known: Known) -> Callable[[str], int | None]:
    """Return a function from a cell to the class it names: as it stands, or as a number."""
    names = {name: position for position, name in enumerate(known.class_names)}
    numbered = known.class_names == tuple(map(str, known.class_numbers))

    def position(cell: str) -> int | None:
        text = cell if cell in names else cell.strip()
        if text not in names and numbered and _WHOLE.fullmatch(text):
            text = str(int(text.partition(".")[0]))
        return names.get(text)

    return position


def _known_classes(column: Sequence[str], known: Known) -> Target:
    position = _positions(known)
    return Target(
        task="classification",
        labels=np.array([position(cell) for cell in column], dtype=np.int64),
        class_names=known.class_names,
        class_numbers=known.class_numbers,
    )


def _values(column: Sequence[str], *, where: str, decimal: str) -> NDArray[np.float64]:
    values = np.array([cells.number(cell, decimal) for cell in column], dtype=np.float64)
    if np.isnan(values).any():
        wrong = column[int(np.isnan(values).argmax())].strip()
        raise DataError(f"{where}: the target has {wrong!r}, which is no number")
    return values


def _classes(column: Sequence[str], *, where: str, note: str | None) -> Target:
    texts = [cell.strip() for cell in column]
    # A column of whole numbers that once had a gap is often written as 1.0, 2.0. A code such as
    # 007 is no number: it would become the class of 7.
    whole = all(map(_WHOLE.fullmatch, texts)) and not any(map(cells.is_code, texts))
    keys: list[Any] = [int(text.partition(".")[0]) if whole else text for text in texts]
    counts = Counter(keys)
    if len(counts) < 2:
        raise DataError(f"{where}: the target has {len(counts)} class(es), it needs at least two")
    rarest, count = min(counts.items(), key=lambda each: each[1])
    if count < FOLDS:
        raise DataError(
            f"{where}: class {rarest!r} has {count} row(s), each needs at least {FOLDS}; is the "
            "target a class at all, and not a measurement? Then say: [training] task = regression"
        )
    classes = sorted(counts)
    position: Mapping[Any, int] = {key: index for index, key in enumerate(classes)}
    return Target(
        task="classification",
        labels=np.array([position[key] for key in keys], dtype=np.int64),
        class_names=tuple(map(str, classes)),
        class_numbers=tuple(classes) if whole else tuple(range(len(classes))),
        note=note,
    )
