"""What a manifest says of the rows that a model was fitted on. Start at `describe()`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.lifecycle import examples, prepare
from irisab.lifecycle.rows import Dataset, is_numeric
from irisab.stats import drift


def describe(
    dataset: Dataset,
    learning: NDArray[np.int64],
    seed: int,
    *,
    recent: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Return dataset, features, classes, drift reference and examples.

    Parameters
    ----------
    learning : array of shape (n_learning_rows,)
        Positions of the rows fitted on; whether a value may be missing is judged by all rows.
    recent : array of shape (n_recent_rows,)
        Positions of the rows that today's input looks like, where these are only a part.
    """
    rows = dataset.rows[learning]
    looked_like = learning if recent is None else recent
    gaps = prepare.missing(dataset) > 0
    return {
        "task": dataset.task,
        "dataset": dataset.name,
        "rows": len(rows),
        "features": [
            _feature(dataset, number, rows[:, number], gaps=bool(gap))
            for number, gap in enumerate(gaps)
        ],
        "class_names": list(dataset.class_names),
        "class_numbers": list(dataset.class_numbers),
        "reference": _reference(dataset, dataset.rows[looked_like]),
        "examples": examples.draw(
            dataset, dataset.rows[looked_like], dataset.labels[looked_like], seed
        ),
        **({} if recent is None else {"reference_rows": len(recent)}),
    }


def _feature(dataset: Dataset, number: int, column: NDArray[Any], *, gaps: bool) -> dict[str, Any]:
    """Describe a feature; an older irisab knows no other key than those of a plain number."""
    name, unit = dataset.features[number]
    kind = dataset.types[number]
    more: dict[str, Any] = {} if kind == "number" else {"type": kind}
    more |= {"missing": True} if gaps else {}
    figures: dict[str, Any] = {"min": None, "max": None, "mean": None}
    if not is_numeric([kind]):
        more["categories"] = list(prepare.categories(column))
    elif (values := _there(column)).size:
        figures = {"min": values.min(), "max": values.max(), "mean": values.mean()}
        figures = {key: float(value) for key, value in figures.items()}
    return {"name": name, "unit": unit, **figures, **more}


def _there(column: NDArray[Any]) -> NDArray[np.float64]:
    """Return the values of a numeric column that are not missing."""
    values = column.astype(np.float64)
    return values[~np.isnan(values)]


def _reference(dataset: Dataset, rows: NDArray[Any]) -> dict[str, Any]:
    """Return what drift is measured against.

    A column of text has no mean, std and values, and shares by category instead; `missing` is the
    share of gaps. Both are there only where a column needs them.
    """
    columns = [
        _numbers(column) if is_numeric([kind]) else _shares(column)
        for column, kind in zip(rows.T, dataset.types, strict=True)
    ]
    reference = {key: [each[key] for each in columns] for key in ("mean", "std", "columns")}
    if not is_numeric(dataset.types):
        reference["shares"] = [each.get("shares") for each in columns]
    if any(each["missing"] for each in columns):
        reference["missing"] = [each["missing"] for each in columns]
    return reference


def _numbers(column: NDArray[Any]) -> dict[str, Any]:
    values = _there(column)
    gaps = 1 - len(values) / len(column)
    if not values.size:
        return {"mean": None, "std": None, "columns": [], "missing": gaps}
    reference = drift.summarise(values[:, None], names=["column"])
    return {
        "mean": float(reference.mean[0]),
        "std": float(reference.std[0]),
        "columns": reference.columns[0].tolist(),
        "missing": gaps,
    }


def _shares(column: NDArray[Any]) -> dict[str, Any]:
    counts = Counter(value for value in column if value is not None)
    total = sum(counts.values())
    return {
        "mean": None,
        "std": None,
        "columns": [],
        "shares": {name: counts[name] / total for name in sorted(counts)},
        "missing": 1 - total / len(column),
    }
