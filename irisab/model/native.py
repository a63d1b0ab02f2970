"""A LightGBM model from LightGBM's own text, as an estimator. Start at `wrapped()`.

LightGBM has no way back from that text to its own `LGBMClassifier`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from irisab.errors import DataError

_CLASSES = ("binary", "multiclass", "multiclassova")
_VALUES = (
    "regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma",
    "tweedie",
)  # fmt: skip


def wrapped(booster: Any) -> Any:
    """Return an estimator that answers as a `lightgbm.Booster` does.

    Raises `DataError` for an objective that is neither classification nor regression.
    """
    objective = str(booster.dump_model(num_iteration=1)["objective"]).partition(" ")[0]
    if objective in _CLASSES:
        return BoosterClassifier(booster)
    if objective in _VALUES:
        return BoosterRegressor(booster)
    raise DataError(
        f"a LightGBM model for {objective} cannot be served; "
        f"irisab serves {', '.join((*_CLASSES, *_VALUES))}"
    )


class _Wrapper(BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    def __init__(self, booster: Any) -> None:
        self.booster = booster

    @property
    def n_features_in_(self) -> int:
        return int(self.booster.num_feature())

    @property
    def titles(self) -> list[str]:
        """What LightGBM calls the columns: the titles, with blanks as underscores."""
        return list(self.booster.feature_name())

    def fit(self, rows: Any, labels: Any) -> Any:
        raise TypeError("a LightGBM model that was read from its text cannot learn")

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _asked(self, rows: Any) -> Any:
        return self.booster.predict(np.asarray(rows, dtype=np.float64), num_threads=1)


class BoosterClassifier(ClassifierMixin, _Wrapper):  # type: ignore[misc]
    """Its classes are 0 to n - 1, as LightGBM numbers them."""

    @property
    def classes_(self) -> Any:
        return np.arange(max(2, self.booster.num_model_per_iteration()))

    def predict_proba(self, rows: Any) -> Any:
        """Return probabilities of shape (n_rows, n_classes)."""
        said = self._asked(rows)
        return said if said.ndim == 2 else np.column_stack([1 - said, said])

    def predict(self, rows: Any) -> Any:
        """Return classes of shape (n_rows,)."""
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


class BoosterRegressor(RegressorMixin, _Wrapper):  # type: ignore[misc]
    """Its answers are LightGBM's."""

    def predict(self, rows: Any) -> Any:
        """Return values of shape (n_rows,)."""
        return self._asked(rows)
