"""Labelled rows to learn from: Iris, a CSV file, or arrays. Start at `load_csv()`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from irisab.config import TrainingOptions
from irisab.errors import DataError
from irisab.lifecycle import cells
from irisab.lifecycle.columns import Column, name_and_unit, read_known, read_new
from irisab.lifecycle.known import Known
from irisab.lifecycle.reading import Table, read
from irisab.lifecycle.rows import IRIS, Dataset, checked, source_of, to_array
from irisab.lifecycle.targets import Target, fits, read_target

# So many line numbers are enough to find what is meant.
LINES_SHOWN = 5


def load_iris() -> Dataset:
    """Return Fisher's Iris data (1936) as scikit-learn ships it."""
    from sklearn.datasets import load_iris

    iris = load_iris()
    return Dataset(
        name="Iris",
        rows=iris.data,
        labels=iris.target,
        features=tuple(name_and_unit(name) for name in iris.feature_names),
        class_names=tuple(str(name) for name in iris.target_names),
        class_numbers=tuple(range(len(iris.target_names))),
        source=IRIS,
    )


def load_csv(
    path: Path,
    *,
    target: str,
    drop: bool = False,
    options: TrainingOptions | None = None,
    strict: bool = False,
    known: Known | None = None,
) -> tuple[Dataset, list[str]]:
    """Read a CSV file with a header line; every column but `target` is a feature.

    Parameters
    ----------
    drop : bool
        Leave out rows with a missing or unreadable cell, and columns that cannot be read.
    options : what [training] says of the file; its `data` and `target` are not looked at
    strict : bool
        Refuse columns to ignore, or to group by, that are not there.
    known : what a version expects
        Where the file has its features and classes, they are read in its order, as its types.

    The second value says what was left out, and how a column was taken that could be read
    otherwise. Raises `DataError` for what cannot be used, with columns, lines and counts.
    """
    options = options or TrainingOptions()
    table = read(path, target=target, separator=options.separator)
    title = table.title(target)
    assert title is not None
    if strict:
        _refuse_unknown(table, options)
    notes: list[str] = []
    table = _labelled(table, title, notes)
    titles = _feature_titles(table, title, options, notes)
    decimal = options.decimal if options.decimal != "auto" else cells.decimal_of(table)
    columns = None
    if known is not None and fits(table.columns[title], known):
        columns = read_known(table, titles, known, decimal)
    if columns is None:
        known = None
        columns = read_new(table, titles, decimal, drop=drop, notes=notes)
    usable = _usable(table, columns, notes, drop=drop)
    answers = read_target(
        _picked(table.columns[title], usable),
        where=str(path),
        task=options.task,
        decimal=decimal,
        known=known,
    )
    if answers.note:
        notes.append(answers.note)
    return _dataset(table, columns, answers, usable, target, options), notes


def _dataset(
    table: Table,
    columns: Sequence[Column],
    answers: Target,
    usable: NDArray[np.bool_],
    target: str,
    options: TrainingOptions,
) -> Dataset:
    types = [column.type for column in columns]
    group = _group(table, options)
    return checked(
        Dataset(
            name=table.path.name,
            rows=to_array([column.values[usable] for column in columns], types),
            labels=answers.labels,
            features=[(column.name, column.unit) for column in columns],
            class_names=answers.class_names,
            class_numbers=answers.class_numbers,
            types=types,
            task=answers.task,
            groups=None if group is None else _picked(table.columns[group], usable),
            source=source_of(table.path),
            target=target,
            ignore=options.ignore,
            group=options.group,
        )
    )


def _picked(column: Sequence[str], usable: NDArray[np.bool_]) -> list[str]:
    return [cell for cell, use in zip(column, usable, strict=True) if use]


def _labelled(table: Table, title: str, notes: list[str]) -> Table:
    """Leave out the rows whose label is not known yet: only an empty cell says so."""
    labelled = [bool(cell.strip()) for cell in table.columns[title]]
    without = [line for line, has in zip(table.lines, labelled, strict=True) if not has]
    if not without:
        return table
    if not any(labelled):
        raise DataError(f"{table.path}: column {title.strip()!r} is empty: no row has a label")
    notes.append(
        f"Left out: {_count(without, len(table))}, which have no label ({_where(without)})"
    )
    use = np.array(labelled)
    return Table(
        path=table.path,
        columns={name: _picked(column, use) for name, column in table.columns.items()},
        lines=[line for line, has in zip(table.lines, labelled, strict=True) if has],
    )


def _count(lines: Sequence[int], total: int) -> str:
    return f"{len(lines)} of {total} rows"


def _where(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines[:LINES_SHOWN]))
    return f"line {shown}{', ...' if len(lines) > LINES_SHOWN else ''}"


def _feature_titles(
    table: Table, target: str, options: TrainingOptions, notes: list[str]
) -> list[str]:
    others = {target, _group(table, options), *_ignored(table, options.ignore)}
    titles = [title for title in table.columns if title not in others]
    if titles and not titles[0].strip():
        if not _counts(table.columns[titles[0]]):
            raise DataError(
                f"{table.path}: column 1 has no title; each column needs a title of its own"
            )
        notes.append("Left out: column 1, which has no title and numbers the rows")
        return titles[1:]
    return titles


def _ignored(table: Table, names: Sequence[str]) -> Iterator[str]:
    """Yield the titles that are to be ignored, be they called by title or by feature."""
    for title in table.columns:
        if title.strip() in names or name_and_unit(title)[0] in names:
            yield title


def _refuse_unknown(table: Table, options: TrainingOptions) -> None:
    for option, names in (("ignore", options.ignore), ("group", (options.group,))):
        for name in names:
            if not (name is None or table.title(name) or any(_ignored(table, [name]))):
                raise DataError(
                    f"{table.path}: [training] {option} = {name}: there is no such column; there "
                    f"are {', '.join(title.strip() for title in table.columns)}"
                )


def _counts(column: Sequence[str]) -> bool:
    """Tell whether a column numbers the rows, as pandas' index does, some of them left out."""
    numbers = [cells.number(cell) for cell in column]
    return all(one < two for one, two in zip(numbers, numbers[1:], strict=False))


def _group(table: Table, options: TrainingOptions) -> str | None:
    return table.title(options.group) if options.group is not None else None


def _usable(
    table: Table, columns: Sequence[Column], notes: list[str], *, drop: bool
) -> NDArray[np.bool_]:
    """Mark the rows to learn from, and note which are left out."""
    unreadable = np.any([column.unreadable for column in columns], axis=0)
    if unreadable.any() and not drop:
        raise DataError(f"{table.path}: {'; '.join(_unreadable(table, columns))}")
    gaps = np.any([column.missing for column in columns], axis=0) if drop else unreadable
    unusable = unreadable | gaps
    if unusable.all():
        raise DataError(f"{table.path}: each row has a missing or unreadable cell: none is left")
    lines = [line for line, bad in zip(table.lines, unusable, strict=True) if bad]
    if lines:
        notes.append(
            f"Left out: {_count(lines, len(table))}, which have a missing or unreadable cell "
            f"({_where(lines)})"
        )
    usable: NDArray[np.bool_] = ~unusable
    return usable


def _unreadable(table: Table, columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        if column.unreadable.any():
            row = int(column.unreadable.argmax())
            yield (
                f"column {column.title.strip()!r} has {column.unreadable.sum()} of {len(table)} "
                f"cells that are neither missing nor a {column.type}, the first in line "
                f"{table.lines[row]}: {table.columns[column.title][row].strip()!r}. "
                "Mend the file, or add --drop to leave out such rows"
            )
