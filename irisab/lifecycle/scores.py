"""How good an estimator is: in five folds, and in the exam. Start at `cross_validated()`."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import DataError
from irisab.lifecycle.exam import units as units_of
from irisab.lifecycle.rows import FOLDS, Dataset
from irisab.model.schema import Task

Array = NDArray[Any]
Scores = dict[str, float]


def cross_validated(dataset: Dataset, fit: Callable[[Array], Any], *, seed: int) -> dict[str, Any]:
    """Return the scores of five folds, and the standard error of the first of them.

    `fit` takes the positions of the rows to learn from, and returns a fitted estimator. Folds keep
    the share of each class where they can, and never tear apart what the exam keeps together.
    """
    folds = []
    for learn, test in _folds(dataset, seed):
        said = fit(learn).predict(dataset.rows[test])
        folds.append(score(dataset.labels[test], said, dataset.task))
    means = {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]}
    first = [next(iter(fold.values())) for fold in folds]
    error = float(np.std(first, ddof=1) / np.sqrt(len(first)))
    return {**means, "standard_error": error, "folds": len(folds)}


def score(truth: Array, said: Array, task: Task) -> Scores:
    """Return accuracy, or MAE and RMSE, of answers of shape (n_rows,)."""
    if task == "classification":
        return {"accuracy": float(np.mean(truth == said))}
    wrong = said - truth
    return {"mae": float(np.abs(wrong).mean()), "rmse": float(np.sqrt((wrong**2).mean()))}


def exam(dataset: Dataset, members: NDArray[np.bool_], fitted: Any) -> dict[str, Any]:
    """Return what a fitted estimator makes of the exam: its rows, scores and each class apart."""
    truth = dataset.labels[members]
    said = fitted.predict(dataset.rows[members]) if truth.size else truth
    scores: dict[str, Any] = {"rows": len(truth)}
    if truth.size:
        scores |= score(truth, said, dataset.task)
    elif dataset.task == "classification":
        scores["accuracy"] = None
    else:
        scores |= {"mae": None, "rmse": None}
    if dataset.task == "classification":
        scores["per_class"] = per_class(dataset.class_names, truth, said)
    return scores


def per_class(class_names: Sequence[str], truth: Array, said: Array) -> dict[str, Any]:
    """Return rows, correct answers and recall of each class; None where it has no rows."""
    return {name: _recall(truth == index, said == index) for index, name in enumerate(class_names)}


def _recall(are: NDArray[np.bool_], said: NDArray[np.bool_]) -> Mapping[str, Any]:
    rows, correct = int(are.sum()), int((are & said).sum())
    return {"rows": rows, "correct": correct, "recall": correct / rows if rows else None}


Fold = tuple[Array, Array]


def _folds(dataset: Dataset, seed: int) -> list[Fold]:
    """Return the positions to learn from and to test on, of each fold."""
    with warnings.catch_warnings():
        # A class with fewer rows than folds is scored in the folds that have it.
        warnings.simplefilter("ignore", UserWarning)
        return [*(_by_row if dataset.groups is None else _by_group)(dataset, seed)]


def _by_group(dataset: Dataset, seed: int) -> Iterator[Fold]:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    splitter = GroupKFold if dataset.task == "regression" else StratifiedGroupKFold
    n_splits = _most_folds(dataset, dataset.labels, len({*units_of(dataset)}))
    folds = splitter(n_splits, shuffle=True, random_state=seed)
    yield from folds.split(dataset.rows, dataset.labels, dataset.groups)


def _by_row(dataset: Dataset, seed: int) -> Iterator[Fold]:
    """Deal out rows that differ; equal ones go with the first of them.

    Not as groups of one row each: `StratifiedGroupKFold` takes minutes for a hundred thousand.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    numbers: dict[str, int] = {}
    unit = np.array([numbers.setdefault(each, len(numbers)) for each in units_of(dataset)])
    _, first = np.unique(unit, return_index=True)
    splitter = KFold if dataset.task == "regression" else StratifiedKFold
    n_splits = _most_folds(dataset, dataset.labels[first], len(first))
    folds = splitter(n_splits, shuffle=True, random_state=seed)
    for learn, test in folds.split(first, dataset.labels[first]):
        yield np.flatnonzero(np.isin(unit, learn)), np.flatnonzero(np.isin(unit, test))


def _most_folds(dataset: Dataset, labels: Array, units: int) -> int:
    """Return five, or fewer where neither units nor the labels of any class reach so far."""
    if dataset.task == "classification":
        units = min(units, max(Counter(labels.tolist()).values()))
    if units < 2:
        raise DataError(
            f"{dataset.name}: has too few rows that differ, or groups, to measure a model on"
        )
    return min(FOLDS, units)
