"""How much each class counts in training. Start at `of_rows()`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import DataError
from irisab.lifecycle.rows import Dataset

BALANCED = "balanced"


def of_rows(dataset: Dataset, class_weight: str | None) -> NDArray[np.float64] | None:
    """Return the weight of each row, shape (n_rows,); None where all count alike.

    "balanced" gives each class the same weight together, as scikit-learn does; "fraud: 20" lets a
    row of that class count as twenty. Raises `DataError` for anything else.
    """
    if class_weight is None:
        return None
    if dataset.task == "regression":
        raise DataError(f"{_where(class_weight)}: a regression has no classes")
    if class_weight == BALANCED:
        counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
        # A class without rows has no weight that anything could show.
        by_class = len(dataset.labels) / np.count_nonzero(counts) / np.maximum(counts, 1)
    else:
        given = _parsed(class_weight, dataset)
        by_class = np.array([given.get(name, 1.0) for name in dataset.class_names])
    weights: NDArray[np.float64] = by_class[dataset.labels]
    return weights


def _where(class_weight: str) -> str:
    return f"[training] class_weight = {class_weight}"


def _parsed(class_weight: str, dataset: Dataset) -> Mapping[str, float]:
    weights = {}
    for part in class_weight.split(","):
        name, _, text = (each.strip() for each in part.rpartition(":"))
        try:
            weight = float(text)
        except ValueError:
            weight = -1
        if not (name and 0 < weight < float("inf")):
            raise DataError(
                f"{_where(class_weight)}: must be {BALANCED}, or weights such as fraud: 20, ok: 1"
            )
        if name not in dataset.class_names:
            raise DataError(
                f"{_where(class_weight)}: there is no class {name!r}; "
                f"there are {', '.join(dataset.class_names)}"
            )
        weights[name] = weight
    return weights


def for_fit(estimator: Any, weights: NDArray[np.float64]) -> dict[str, Any]:
    """Return the argument by which `estimator.fit` takes weights; raises `DataError` if by none."""
    from sklearn.utils.validation import has_fit_parameter

    steps = getattr(estimator, "steps", None)
    last = steps[-1][1] if steps else estimator
    if not has_fit_parameter(last, "sample_weight"):
        raise DataError(f"[training] class_weight: {type(last).__name__} takes no weights")
    return {f"{steps[-1][0]}__sample_weight" if steps else "sample_weight": weights}
