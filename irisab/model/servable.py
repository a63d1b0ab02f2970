"""What can be served at all, said before anything is fitted. Start at `unservable`."""

from __future__ import annotations

from typing import Any

import numpy as np

from irisab.model.nested import answering

CAN_BE = "irisab serves classifiers and regressors that answer each row of a table with one value"
_OF_SEVERAL = (
    "ClassifierChain", "MultiOutputClassifier", "MultiOutputRegressor", "MultiTaskElasticNet",
    "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV", "RegressorChain",
)  # fmt: skip


def unservable(estimator: Any) -> str | None:
    """Return why an estimator, fitted or not, cannot be served: one sentence; None where it can.

    The sentence also says what can be.
    """
    name = type(estimator).__name__
    if isinstance(estimator, type):
        return f"{estimator.__name__} is a class, not an estimator: write {estimator.__name__}()"
    if not hasattr(estimator, "get_params") or not hasattr(estimator, "fit"):
        return f"{name} is no estimator of scikit-learn's kind; {CAN_BE}"
    what = _wrong_kind(estimator) or _several_outputs(estimator) or _no_table(estimator)
    return f"{name} {what}; {CAN_BE}" if what else None


def _wrong_kind(estimator: Any) -> str | None:
    from sklearn.base import ClusterMixin, OutlierMixin, is_classifier, is_regressor

    try:
        if is_classifier(estimator) or is_regressor(estimator):
            return None
    except AttributeError:  # it asks an estimator inside, and there is none
        return "has no estimator inside that could answer"
    last = _unwrapped(estimator)
    if isinstance(last, ClusterMixin):
        return "finds clusters, and there is no true answer to compare them with"
    if isinstance(last, OutlierMixin):
        return "finds outliers, and learns from no labels"
    if hasattr(last, "transform"):
        return "only transforms rows: put a classifier or a regressor behind it in a Pipeline"
    return "is neither a classifier nor a regressor"


def _several_outputs(estimator: Any) -> str | None:
    last = _unwrapped(estimator)
    several = type(last).__name__ in _OF_SEVERAL or getattr(last, "n_outputs_", 1) != 1
    # Fitted on several targets, they keep a list of classes, or a row of coefficients for each.
    lists = isinstance(getattr(last, "classes_", None), list)
    no_classes = not hasattr(last, "classes_")
    rows = no_classes and len(np.atleast_2d(getattr(last, "coef_", 0.0))) > 1
    labels = getattr(last, "multilabel_", False)
    return "answers with several values at once" if several or lists or rows or labels else None


def _no_table(estimator: Any) -> str | None:
    """Tell whether it begins with a step that takes documents or dictionaries, not rows."""
    while (inside := _beginning(estimator)) is not None:
        estimator = inside
    if type(estimator).__module__.startswith("sklearn.feature_extraction"):
        return f"begins with {type(estimator).__name__}, which takes documents instead of rows"
    return None


def _beginning(estimator: Any) -> Any:
    """Return what the rows come to first inside an estimator, None where that is itself."""
    steps = getattr(estimator, "steps", None)
    return steps[0][1] if steps else getattr(estimator, "estimator", None)


def _unwrapped(estimator: Any) -> Any:
    """Return the estimator whose answer is given; of one that is not fitted, its template's."""
    try:
        return answering(estimator)
    except AttributeError:
        return answering(estimator.estimator)
