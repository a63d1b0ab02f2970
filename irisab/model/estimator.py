"""A fitted scikit-learn estimator, asked as it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from irisab.model.answer import Answer, Row


class Estimator:
    """Any fitted scikit-learn classifier or regressor, asked as it is.

    Parameters
    ----------
    n_classes : int
        How many probabilities an answer has; 0 for a regressor. A class that the estimator has not
        seen gets 0, and an estimator without `predict_proba` answers without any.
    numeric : bool
        Whether all features are numbers or booleans.
    """

    def __init__(self, estimator: Any, *, n_classes: int, numeric: bool = True) -> None:
        self._estimator = estimator
        self._n_classes = n_classes
        self._dtype: Any = np.float64 if numeric else object

    def score_row(self, row: Row) -> Answer:
        return self.score_rows([row])[0]

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]:
        array = np.array(rows, dtype=self._dtype)
        # predict, not the largest probability: for some classifiers they differ.
        said = self._estimator.predict(array)
        if not self._n_classes:
            return [(_finite(value), ()) for value in said.tolist()]
        if not hasattr(self._estimator, "predict_proba"):
            return [(int(index), ()) for index in said.tolist()]
        probabilities = self._estimator.predict_proba(array)
        if not np.isfinite(probabilities).all():
            raise ValueError("the estimator gave a probability that is not a number")
        pairs = zip(said.tolist(), self._widened(probabilities).tolist(), strict=True)
        return [(int(index), tuple(each)) for index, each in pairs]

    def _widened(self, probabilities: Any) -> Any:
        if probabilities.shape[1] == self._n_classes:
            return probabilities
        wide = np.zeros((len(probabilities), self._n_classes))
        wide[:, self._estimator.classes_] = probabilities
        return wide


def _finite(value: Any) -> Any:
    if not math.isfinite(value):
        raise ValueError("the estimator gave a value that is not a number")
    return value
