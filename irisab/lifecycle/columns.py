"""The columns of a CSV file as features of a model. Start at `read_features()`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import DataError
from irisab.lifecycle import cells
from irisab.lifecycle.known import Known
from irisab.lifecycle.reading import Table, refuse_titles
from irisab.lifecycle.rows import is_numeric
from irisab.model.schema import Feature, Type


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A feature read. `unreadable` marks the rows whose cell says something else than its type."""

    title: str
    name: str
    unit: str | None
    type: Type
    values: NDArray[Any]
    unreadable: NDArray[np.bool_]

    @property
    def missing(self) -> NDArray[np.bool_]:
        if is_numeric([self.type]):
            gaps: NDArray[np.bool_] = np.isnan(self.values) & ~self.unreadable
            return gaps
        return np.array([value is None for value in self.values], dtype=np.bool_)


def name_and_unit(title: str) -> tuple[str, str | None]:
    """Split a column's title as in 'sepal length (cm)'; a name comes out as it went in.

    With two brackets nobody knows which is the unit, and all of it is the name.
    """
    parts = re.fullmatch(r"([^()]+?)\s*\(([^()]*)\)", title.strip())
    name, unit = (parts[1], parts[2]) if parts else (title.strip(), None)
    return re.sub(r"\s+", "_", name), unit


def read_known(
    table: Table, titles: Sequence[str], known: Known, decimal: str
) -> list[Column] | None:
    """Read columns as the features of a version; None where they are not the same features."""
    by_name = {}
    for title in titles:
        feature = known.feature(title, name_and_unit(title)[0])
        if feature is not None:
            by_name[feature.name] = title, feature
    if len(by_name) != len(titles) or len(by_name) != len(known.features):
        return None
    return [_known(table, *by_name[each.name], decimal) for each in known.features]


def _known(table: Table, title: str, feature: Feature, decimal: str) -> Column:
    column = table.columns[title]
    values: NDArray[Any]
    if feature.type == "number":
        values, bad = _numbers(column, decimal)
    elif feature.type == "boolean":
        values, bad = _booleans(column)
    else:
        values, bad = _texts(column, feature.categories or ())
    return Column(
        title=title,
        name=feature.name,
        unit=feature.unit,
        type=feature.type,
        values=values,
        unreadable=bad,
    )


def read_new(
    table: Table, titles: Sequence[str], decimal: str, *, drop: bool, notes: list[str]
) -> list[Column]:
    """Read columns as what they look like, and note which are left out, and why.

    Raises `DataError` for those that a person has to mend, all in one sentence; with `drop` they
    are left out, too.
    """
    refuse_titles(table.path, list(table.columns))
    kinds = {title: _kind(table.columns[title], decimal) for title in titles}
    problems = [
        _problem(table, title, kind, decimal)
        for title, kind in kinds.items()
        if kind in ("date", "thousands") or (kind == "mixed" and not drop)
    ]
    if problems and not drop:
        raise DataError(f"{table.path}: {'; '.join(problems)}")
    notes += [_left_out(title, table, kind) for title, kind in kinds.items() if kind in _LEFT_OUT]
    kept = [title for title, kind in kinds.items() if kind not in _LEFT_OUT]
    if not kept:
        raise DataError(
            f"{table.path}: has no column besides the target that a model can learn from"
        )
    _refuse_collisions(table, kept)
    return [_new(table, title, kinds[title], decimal) for title in kept]


# A text in nearly each row, dates and so on teach nothing; a number beside words does.
_LEFT_OUT = ("empty", "names", "date", "thousands")


def _kind(column: Sequence[str], decimal: str) -> str:
    if decimal == "." and cells.plain_numbers(column) is not None:
        return "number"
    return cells.kind_of([cell for cell in column if not cells.is_missing(cell)], decimal)


def _new(table: Table, title: str, kind: str, decimal: str) -> Column:
    column = table.columns[title]
    name, unit = name_and_unit(title)
    reading: Mapping[str, Any] = {
        "number": lambda: _numbers(column, decimal),
        "mixed": lambda: _numbers(column, decimal),
        "boolean": lambda: _booleans(column),
        "category": lambda: _texts(column, ()),
    }
    values, bad = reading[kind]()
    types: Mapping[str, Type] = {"boolean": "boolean", "category": "category"}
    return Column(
        title=title,
        name=name,
        unit=unit,
        type=types.get(kind, "number"),
        values=values,
        unreadable=bad,
    )


def _numbers(column: Sequence[str], decimal: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    plain = cells.plain_numbers(column) if decimal == "." else None
    if plain is not None:
        return plain, np.zeros(len(plain), dtype=bool)
    values = np.array([cells.number(cell, decimal) for cell in column], dtype=np.float64)
    missing = np.array([cells.is_missing(cell) for cell in column], dtype=bool)
    return values, np.isnan(values) & ~missing


def _booleans(column: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read truth values by whichever words a file has; 1 and 0 are such words, too."""
    words = {word: float(position) for pair in cells.BOOLEANS for position, word in enumerate(pair)}
    words |= {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
    values = np.array([words.get(cell.strip().lower(), np.nan) for cell in column])
    missing = np.array([cells.is_missing(cell) for cell in column], dtype=bool)
    return values, np.isnan(values) & ~missing


def _texts(
    column: Sequence[str], categories: Sequence[str]
) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Read texts; one that a version knows is taken as it stands, be it 'NA' or ' a'."""
    known = set(categories)
    values = np.empty(len(column), dtype=object)
    for row, cell in enumerate(column):
        missing = cells.is_missing(cell) and cell.strip() not in known
        values[row] = cell if cell in known else None if missing else cell.strip()
    return values, np.zeros(len(column), dtype=bool)


def _problem(table: Table, title: str, kind: str, decimal: str) -> str:
    ignore = f"[training] ignore = {title.strip()}"
    if kind == "mixed":
        line, cell, count = _first(table, title, lambda cell: np.isnan(cells.number(cell, decimal)))
        return (
            f"column {title.strip()!r} has {count} of {len(table)} cells that are neither a number "
            f"nor missing, the first in line {line}: {cell!r}. Mend the file, add --drop to leave "
            f"out such rows, or leave out the column: {ignore}"
        )
    if kind == "date":
        line, cell, _ = _first(table, title, cells.is_date)
        return (
            f"column {title.strip()!r} has dates, such as {cell!r} in line {line}: make numbers of "
            f"what matters in them, such as month or days since, or leave it out: {ignore}"
        )
    line, cell, _ = _first(table, title, lambda cell: np.isnan(cells.number(cell, decimal)))
    return (
        f"column {title.strip()!r} has thousands separators, such as {cell!r} in line {line}: "
        f"write such a number as {re.sub(r'[^0-9+-]', '', cell)}; if the sign stands before "
        f"decimals, say so: [training] decimal = {'.' if decimal == ',' else ','}"
    )


def _first(table: Table, title: str, says: Any) -> tuple[int, str, int]:
    faults = [
        (line, cell.strip())
        for line, cell in zip(table.lines, table.columns[title], strict=True)
        if not cells.is_missing(cell) and says(cell)
    ]
    return *faults[0], len(faults)


def _left_out(title: str, table: Table, kind: str) -> str:
    different = len({cell.strip() for cell in table.columns[title] if not cells.is_missing(cell)})
    reasons = {
        "empty": "which is empty",
        "names": f"which has {different} different texts in {len(table)} rows",
        "date": "which has dates",
        "thousands": "which has thousands separators",
    }
    return f"Left out: column {title.strip()!r}, {reasons[kind]}"


def _refuse_collisions(table: Table, titles: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for title in titles:
        name, _ = name_and_unit(title)
        if name in seen:
            raise DataError(
                f"{table.path}: columns {seen[name].strip()!r} and {title.strip()!r} would both be "
                f"the feature {name!r}{''.join(_why(seen[name], title))}: give one another title"
            )
        seen[name] = title


def _why(*titles: str) -> Iterator[str]:
    """Say what a name loses, as far as these titles have it."""
    if any(name_and_unit(title)[1] is not None for title in titles):
        yield ", once their units are taken off"
    elif any(re.search(r"\s", title.strip()) for title in titles):
        yield ", once blanks are underscores"
