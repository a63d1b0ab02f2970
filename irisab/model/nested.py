"""What hides inside a fitted estimator. Start at `nested`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from irisab.model.known import kind_of


def nested(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and all that it holds, at any depth: templates and fitted ones."""
    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if _is_estimator(each):
            yield each
        waiting += _held_by(each)


def _is_estimator(each: Any) -> bool:
    return hasattr(each, "get_params") and not isinstance(each, type)


def _held_by(each: Any) -> list[Any]:
    if isinstance(each, list | tuple | set):
        return list(each)
    if isinstance(each, dict):
        return list(each.values())
    if isinstance(each, np.ndarray):
        return each.ravel().tolist() if each.dtype == object else []
    # scikit-learn wraps estimators in classes that are none, as CalibratedClassifierCV does.
    inside = _is_estimator(each) or type(each).__module__.startswith("sklearn.")
    return list(vars(each).values()) if inside and hasattr(each, "__dict__") else []


def answering(estimator: Any) -> Any:
    """Return the estimator inside pipelines, searches and frozen ones whose answer is given."""
    inside = {
        "Pipeline": lambda each: each.steps[-1][1],
        "GridSearchCV": lambda each: each.best_estimator_,
        "RandomizedSearchCV": lambda each: each.best_estimator_,
        "FrozenEstimator": lambda each: each.estimator,
    }
    while (kind := kind_of(estimator)) in inside:
        estimator = inside[kind](estimator)
    return estimator


def run_alone(estimator: Any) -> None:
    """Let nothing inside start threads: sums that come in any order give other last bits."""
    for each in nested(estimator):
        n_jobs = getattr(each, "__dict__", {}).get("n_jobs", 1)
        # To scikit-learn None is 1, to LightGBM all processors.
        if n_jobs != 1 and not (n_jobs is None and kind_of(each)):
            each.set_params(n_jobs=1)


def missing_text(estimator: Any) -> float | None:
    """Return what stands for a text that is missing, NaN or None: what the estimator has learnt.

    Arrays of objects usually have None, columns of a DataFrame NaN.
    """
    for each in nested(estimator):
        for learnt in (*_values(each, "categories_"), *_values(each, "statistics_")):
            if learnt is None or learnt != learnt:
                return None if learnt is None else math.nan
            if isinstance(learnt, str) and hasattr(each, "missing_values"):
                return None if each.missing_values is None else math.nan
    return math.nan if hasattr(estimator, "feature_names_in_") else None


def _values(each: Any, name: str) -> Iterator[Any]:
    """Yield what is learnt of columns that are not of numbers."""
    learnt = getattr(each, "__dict__", {}).get(name)
    for column in learnt if isinstance(learnt, list) else [learnt]:
        if isinstance(column, np.ndarray) and column.dtype == object:
            yield from column.ravel().tolist()
