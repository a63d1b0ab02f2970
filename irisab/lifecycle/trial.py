"""The rows on which an imported model is tried, as that model takes them. Start at `from_csv()`.

Columns and classes come in the model's own order, whatever the order of the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from irisab.config import TrainingOptions
from irisab.errors import DataError
from irisab.lifecycle import cells
from irisab.lifecycle.columns import name_and_unit, read_known
from irisab.lifecycle.dataset import load_csv
from irisab.lifecycle.fitted import Fitted
from irisab.lifecycle.known import Known
from irisab.lifecycle.naming import Naming, few, misfit, namings
from irisab.lifecycle.reading import Table, read
from irisab.lifecycle.rows import Dataset, checked, source_of, to_array
from irisab.lifecycle.targets import fits
from irisab.model.schema import Feature, Type


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Rows for a model. Without labels `labelled` is False, and those of the dataset mean nothing.

    `given` tells whether a person gave the rows for this; else they are what the other versions
    learnt from, and only the exam among them is a test.
    """

    dataset: Dataset
    labelled: bool
    given: bool
    notes: tuple[str, ...] = ()


def from_csv(
    fitted: Fitted,
    path: Path,
    *,
    target: str | None,
    options: TrainingOptions,
    named: Sequence[str] | None = None,
    known: Known | None = None,
) -> Trial:
    """Read the columns that a model asks for from a CSV file.

    Parameters
    ----------
    target : the column with the truth, None where there is none
    named : what a person calls the model's classes
    known : what the version expects that the model would share traffic with

    Raises `DataError` where a column is missing or cannot be read, or has labels that are no class
    of the model.
    """
    table = read(path, target=target, separator=options.separator)
    titles = _asked_for(fitted, table, target, options)
    decimal = options.decimal if options.decimal != "auto" else cells.decimal_of(table)
    features = [
        _feature(table, title, fitted.categories.get(position), decimal)
        for position, title in enumerate(titles)
    ]
    known = known if _alike(features, known) else None
    if known is not None:
        features = [_shared(each, known) for each in features]
    called = list(namings(fitted, named, known))
    if target is None:
        expected = _expected(fitted, features, called[0])
        dataset = _unlabelled(table, titles, expected, decimal)
        return Trial(dataset=dataset, labelled=False, given=True)
    expected = _fitting(fitted, features, called, table, target)
    others = [title for title in table.columns if title not in titles]
    group = options.group if options.group in others else None
    told = replace(options, task=fitted.task, group=group, ignore=_ignored(others, target, group))
    dataset, notes = load_csv(path, target=target, options=told, known=expected)
    if dataset.feature_names != tuple(feature.name for feature in features):
        raise DataError(f"{path}: two columns come to the same name: {', '.join(titles)}")
    # The rows are the model's own; the file's other columns are nobody's to ignore later.
    return Trial(dataset=dataset, labelled=True, given=True, notes=tuple(notes))


def _ignored(others: Sequence[str], target: str, group: str | None) -> tuple[str, ...]:
    return tuple(each for each in others if each.strip() not in (target, group))


def _asked_for(
    fitted: Fitted, table: Table, target: str | None, options: TrainingOptions
) -> list[str]:
    """Return the titles of the columns to read, in the order in which the model takes them."""
    left_out = {target, options.group, *options.ignore}
    titles = [each for each in table.columns if each.strip() and each.strip() not in left_out]
    if fitted.titles is not None:
        return [_title(table, each) for each in fitted.titles]
    if fitted.n_features not in (None, len(titles)):
        raise DataError(
            f"{table.path}: the model takes {fitted.n_features} columns, whose names it does not "
            f"know, and the file has {len(titles)}: {', '.join(map(str.strip, titles))}; leave out "
            "what it does not take by [training] ignore, or by its target"
        )
    return titles


def _title(table: Table, asked: str) -> str:
    title = table.title(asked)
    if title is None:
        title = next((each for each in table.columns if key(each) == key(asked)), None)
    if title is None:
        there = ", ".join(each.strip() for each in table.columns)
        raise DataError(
            f"{table.path}: has no column {asked!r}, which the model takes; has {there}"
        )
    return title


def key(title: str) -> str:
    """Return what a title has in common with the name of its feature, and with LightGBM's."""
    name, _ = name_and_unit(re.sub(r"[\s_]+", " ", title))
    return name


def _feature(table: Table, title: str, categories: tuple[str, ...] | None, decimal: str) -> Feature:
    """Return a column as the model takes it: texts that it has learnt make it a category."""
    name, unit = name_and_unit(title)
    kind: Type = "category" if categories else _kind(table, title, decimal)
    return Feature(
        name=name, unit=unit, type=kind, min=None, max=None, mean=None, categories=categories
    )


def _kind(table: Table, title: str, decimal: str) -> Type:
    there = [cell for cell in table.columns[title] if not cells.is_missing(cell)]
    # Also what looks like a code: an encoder would have learnt its texts.
    if all(not math.isnan(cells.number(cell, decimal)) for cell in there):
        return "number"
    kind = cells.kind_of(there, decimal)
    if kind == "boolean":
        return "boolean"
    if kind == "category":
        return "category"
    wrong = next(cell for cell in there if math.isnan(cells.number(cell, decimal)))
    raise DataError(
        f"{table.path}: column {title.strip()!r}, which the model takes, has {wrong.strip()!r}: "
        "irisab serves numbers, booleans, and texts of at most "
        f"{cells.MOST_CATEGORIES} categories"
    )


def _alike(features: Sequence[Feature], known: Known | None) -> bool:
    names = {feature.name for feature in features}
    return known is not None and names == {feature.name for feature in known.features}


def _shared(feature: Feature, known: Known) -> Feature:
    """Return a feature of numbers as the other version takes it: 0 and 1 may be a boolean."""
    other = known.feature(feature.name, feature.name)
    if other is None or not (feature.is_numeric and other.is_numeric):
        return feature
    return replace(feature, type=other.type, unit=other.unit)


def _expected(fitted: Fitted, features: Sequence[Feature], naming: Naming) -> Known:
    return Known(
        version="",
        features=tuple(features),
        task=fitted.task,
        class_names=naming.names,
        class_numbers=naming.numbers,
    )


def _fitting(
    fitted: Fitted,
    features: Sequence[Feature],
    called: Sequence[Naming],
    table: Table,
    target: str,
) -> Known:
    """Return what the model expects, with names for its classes that the target has, too."""
    title = table.title(target)
    assert title is not None
    labels = [cell for cell in table.columns[title] if cell.strip()]
    for naming in called:
        expected = _expected(fitted, features, naming)
        if fits(labels, expected):
            return expected
    different = sorted({cell.strip() for cell in labels})
    raise DataError(f"{table.path}: column {target!r} {misfit(different, called[-1])}")


def _unlabelled(table: Table, titles: Sequence[str], expected: Known, decimal: str) -> Dataset:
    columns = read_known(table, titles, expected, decimal) or []
    for column in columns:
        if column.unreadable.any():
            line = table.lines[int(column.unreadable.argmax())]
            raise DataError(
                f"{table.path}: line {line}: column {column.title.strip()!r} has a cell that is no "
                f"{column.type}"
            )
    return checked(
        Dataset(
            name=table.path.name,
            rows=to_array([column.values for column in columns], expected.types),
            labels=np.zeros(len(table), dtype=np.int64),
            features=[(each.name, each.unit) for each in expected.features],
            class_names=expected.class_names,
            class_numbers=expected.class_numbers,
            types=expected.types,
            task=expected.task,
            source=source_of(table.path),
        )
    )


def from_kept(
    fitted: Fitted,
    kept: Dataset,
    *,
    named: Sequence[str] | None = None,
    known: Known,
) -> Trial:
    """Return the rows of another version, as a model takes them.

    Raises `DataError` where it has other columns or classes than that version.
    """
    where = f"version {known.version}"
    if kept.task != fitted.task:
        raise DataError(f"{where} is a {kept.task}, the model a {fitted.task}")
    order = _order(fitted, kept, where)
    rows = kept.rows[:, order]
    naming, labels = _relabelled(fitted, kept, named, known, where)
    dataset = replace(
        kept,
        rows=rows,
        types=[kept.types[each] for each in order],
        features=[kept.features[each] for each in order],
        labels=labels,
        class_names=naming.names,
        class_numbers=naming.numbers,
    )
    return Trial(dataset=checked(dataset), labelled=True, given=False)


def _order(fitted: Fitted, kept: Dataset, where: str) -> list[int]:
    """Return the positions of the model's columns among those of the rows."""
    names = list(kept.feature_names)
    if fitted.titles is None:
        if fitted.n_features not in (None, len(names)):
            raise DataError(
                f"{where} takes {len(names)} columns, {', '.join(names)}, and the model "
                f"{fitted.n_features}"
            )
        return list(range(len(names)))
    keys = [key(name) for name in names]
    asked = [key(title) for title in fitted.titles]
    if sorted(keys) != sorted(asked):
        raise DataError(
            f"{where} takes {', '.join(names)}, and the model {', '.join(fitted.titles)}"
        )
    return [keys.index(each) for each in asked]


def _relabelled(
    fitted: Fitted, kept: Dataset, named: Sequence[str] | None, known: Known, where: str
) -> tuple[Naming, Any]:
    called = list(namings(fitted, named, known))
    if fitted.task == "regression":
        return called[0], kept.labels
    for naming in called:
        position: Mapping[str, int] = {name: index for index, name in enumerate(naming.names)}
        if set(kept.class_names) <= set(position):
            seats = np.array([position[name] for name in kept.class_names])
            return naming, seats[kept.labels]
    raise DataError(
        f"{where} has the classes {few(kept.class_names)}, and the model {few(called[-1].names)}"
    )
