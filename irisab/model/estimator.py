"""A fitted scikit-learn estimator, asked as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from irisab.model.answer import Answer


class Estimator:
    """Any fitted scikit-learn classifier with `predict_proba`, asked as it is."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def score_row(self, row: Sequence[float]) -> Answer:
        return self.score_rows([row])[0]

    def score_rows(self, rows: Sequence[Sequence[float]]) -> list[Answer]:
        array = np.array(rows, dtype=np.float64)
        # predict, not the largest probability: for some classifiers they differ.
        classes = self._estimator.predict(array).tolist()
        probabilities = self._estimator.predict_proba(array)
        if not np.isfinite(probabilities).all():
            raise ValueError("the estimator gave a probability that is not a number")
        pairs = zip(classes, probabilities.tolist(), strict=True)
        return [(int(index), tuple(each)) for index, each in pairs]
