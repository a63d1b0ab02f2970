"""A classifier that takes its time, for the tests of what must not wait for it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier


class Slow(DummyClassifier):
    """Says the most frequent class after `seconds`; while it sleeps, other threads run."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(strategy="most_frequent")
        self.seconds = seconds

    def predict_proba(self, X: Any) -> Any:
        time.sleep(self.seconds)
        return super().predict_proba(X)

    def predict(self, X: Any) -> Any:
        return np.asarray(super().predict(X))
