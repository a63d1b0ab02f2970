"""The estimators that a [model.*] section can ask for. Start at `build()`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from irisab.errors import DataError
from irisab.model.schema import Task
from irisab.versions import ModelOptions

RANDOM_STATE = 42
# Module, class for classification, class for regression.
_CLASSES: Mapping[str, tuple[str, str | None, str | None]] = {
    "random_forest": ("ensemble", "RandomForestClassifier", "RandomForestRegressor"),
    "extra_trees": ("ensemble", "ExtraTreesClassifier", "ExtraTreesRegressor"),
    "decision_tree": ("tree", "DecisionTreeClassifier", "DecisionTreeRegressor"),
    "gradient_boosting": (
        "ensemble",
        "GradientBoostingClassifier",
        "GradientBoostingRegressor",
    ),
    "hist_gradient_boosting": (
        "ensemble",
        "HistGradientBoostingClassifier",
        "HistGradientBoostingRegressor",
    ),
    "logistic_regression": ("linear_model", "LogisticRegression", None),
    "linear_regression": ("linear_model", None, "LinearRegression"),
}
# What irisab settles itself, from the data or so that answers repeat.
_OURS = ("n_jobs", "categorical_features", "warm_start", "verbose")
_PARALLEL = ("random_forest", "extra_trees")
# scikit-learn's own 100 steps end before the solver does, on many tables.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"logistic_regression": {"max_iter": 1000}}


def build(options: ModelOptions, task: Task, *, where: str = "[model.*]") -> Any:
    """Return the unfitted estimator that a section describes, judged by scikit-learn itself.

    Raises `DataError` that begins with `where` for a kind that does not do the task, an option
    that it does not have, or a value that it refuses.
    """
    cls = _class(options.kind, task, where)
    names = sorted(set(cls().get_params()) - set(_OURS))
    for option, value in options.options.items():
        if option not in names:
            raise DataError(
                f"{where} {option} = {value}: unknown option; "
                f"kind = {options.kind} has {', '.join(names)}"
            )
    parameters = {**_DEFAULTS.get(options.kind, {}), **options.options}
    if "random_state" in names:
        parameters = {"random_state": RANDOM_STATE, **parameters}
    estimator = cls(**parameters)
    _judge(estimator, where)
    if options.kind in _PARALLEL:
        estimator.set_params(n_jobs=-1)
    return estimator


def judge(options: ModelOptions, *, where: str) -> None:
    """Raise `DataError` for options that no task could use; see `build()`."""
    _, classifier, _ = _CLASSES[options.kind]
    build(options, "classification" if classifier else "regression", where=where)


def seed_of(options: ModelOptions) -> int:
    """Return the seed by which rows are dealt to folds: the section's random_state."""
    seed = options.options.get("random_state", RANDOM_STATE)
    return seed if type(seed) is int else RANDOM_STATE


def _class(kind: str, task: Task, where: str) -> Any:
    from importlib import import_module

    module, classifier, regressor = _CLASSES[kind]
    name = classifier if task == "classification" else regressor
    if name is None:
        raise DataError(
            f"{where} kind = {kind}: does no {task}; choose another, such as random_forest"
        )
    return getattr(import_module(f"sklearn.{module}"), name)


def _judge(estimator: Any, where: str) -> None:
    from sklearn.utils._param_validation import InvalidParameterError

    try:
        estimator._validate_params()
    except InvalidParameterError as error:
        said = re.fullmatch(r"The '(\w+)' parameter of \w+ (.*)\. Got (.*) instead\.", str(error))
        if said is None:
            raise DataError(f"{where}: {error}") from None
        raise DataError(f"{where} {said[1]} = {said[3].strip(chr(39))}: {said[2]}") from None


def describe(estimator: Any) -> str:
    """Return an estimator in words: "Random Forest with 50 estimators"."""
    name = re.sub(r"(Classifier|Regressor)$", "", type(estimator).__name__)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    parameters = estimator.get_params()
    if "n_estimators" in parameters:
        return f"{words} with {parameters['n_estimators']} estimators"
    if type(estimator).__name__.startswith("Hist"):
        return f"{words} with {parameters['max_iter']} iterations"
    return words
