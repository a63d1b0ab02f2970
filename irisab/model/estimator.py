"""A fitted estimator, asked as it is: for whatever has no plain form. Start at `Estimator`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from irisab.errors import MissingPackage
from irisab.model.answer import Answer, Row
from irisab.model.known import kind_of
from irisab.model.nested import answering, missing_text, nested, run_alone
from irisab.model.seats import seats_of

# Their predict is the class of the largest probability, or of the largest of scores that rise with
# the probabilities. So one call says both, except for a tie.
_LARGEST_WINS = frozenset({
    "AdaBoostClassifier", "BaggingClassifier", "BernoulliNB", "CalibratedClassifierCV",
    "CategoricalNB", "ComplementNB", "DecisionTreeClassifier", "ExtraTreeClassifier",
    "ExtraTreesClassifier", "GaussianNB", "GradientBoostingClassifier",
    "HistGradientBoostingClassifier", "KNeighborsClassifier", "LinearDiscriminantAnalysis",
    "LogisticRegression", "LogisticRegressionCV", "MLPClassifier", "MultinomialNB",
    "QuadraticDiscriminantAnalysis", "RandomForestClassifier", "SGDClassifier", "VotingClassifier",
})  # fmt: skip
_LARGEST_WINS_ELSEWHERE = (("lightgbm", "LGBMClassifier"), ("xgboost", "XGBClassifier"))
# What is closer may be a tie of the scores behind: the probabilities are rounded, some to float32.
_LEAD = 1e-6


class Estimator:
    """Any fitted classifier or regressor, asked as it is, in one thread.

    Parameters
    ----------
    n_classes : int
        How many probabilities an answer has; 0 for a regressor. A class that the estimator has not
        seen gets 0, and an estimator without `predict_proba` answers without any.
    numeric : bool
        Whether all features are numbers or booleans.

    Raises `MissingPackage` where it takes columns by name and there is no pandas.
    """

    def __init__(self, estimator: Any, *, n_classes: int, numeric: bool = True) -> None:
        run_alone(estimator)
        self._estimator, self._n_classes = estimator, n_classes
        self._rows = _Rows(estimator, numeric=numeric)
        self._seats: list[int] | None = None
        if n_classes and hasattr(estimator, "classes_"):
            self._seats = seats_of(estimator.classes_, n_classes)
        self._once = _largest_wins(answering(estimator))

    def score_row(self, row: Row) -> Answer:
        """Score one row; raises what the estimator raises."""
        return self.score_rows([row])[0]

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]:
        """Score rows in one call (or two, where that alone is true to the estimator)."""
        given = self._rows.of(rows)
        if not self._n_classes:
            return [(_finite(each), ()) for each in _flat(self._estimator.predict(given))]
        if not hasattr(self._estimator, "predict_proba"):
            return [(each, ()) for each in self._seated(self._estimator.predict(given))]
        probabilities = self._estimator.predict_proba(given)
        if not np.isfinite(probabilities).all():
            raise ValueError("the estimator gave a probability that is not a number")
        said = self._said(given, rows, probabilities)
        return list(zip(said, map(tuple, self._widened(probabilities).tolist()), strict=True))

    def _said(self, given: Any, rows: Sequence[Row], probabilities: Any) -> list[int]:
        """Return the index of the class of each row."""
        # predict, not the largest probability: for some classifiers they differ.
        if not self._once or self._seats is None:
            return self._seated(self._estimator.predict(given))
        said = [self._seats[each] for each in probabilities.argmax(axis=1).tolist()]
        tied = np.flatnonzero(_lead(probabilities) <= _LEAD).tolist()
        if tied:
            again = self._estimator.predict(self._rows.of([rows[each] for each in tied]))
            for each, index in zip(tied, self._seated(again), strict=True):
                said[each] = index
        return said

    def _seated(self, said: Any) -> list[int]:
        if self._seats is None:
            return [int(each) for each in _flat(said)]
        position = dict(zip(self._classes(), self._seats, strict=True))
        return [position[each] for each in _flat(said)]

    def _classes(self) -> list[Any]:
        classes: list[Any] = np.asarray(self._estimator.classes_).tolist()
        return classes

    def _widened(self, probabilities: Any) -> Any:
        if probabilities.shape[1] == self._n_classes:
            return probabilities
        wide = np.zeros((len(probabilities), self._n_classes))
        wide[:, self._seats] = probabilities
        return wide


class _Rows:
    """Rows in the form in which an estimator was fitted: an array, or a frame with names."""

    def __init__(self, estimator: Any, *, numeric: bool) -> None:
        names = getattr(estimator, "feature_names_in_", None)
        by_name = any(map(_takes_names, nested(estimator)))
        self._names = None
        if names is not None and (by_name or not numeric) and _has_pandas(needed=by_name):
            self._names = list(map(str, names))
        elif names is not None:
            # The order is known to be right: a manifest has it from the estimator.
            warnings.filterwarnings("ignore", "X does not have valid feature names")
        self._numeric, self._gap = numeric, missing_text(estimator)

    def of(self, rows: Sequence[Row]) -> Any:
        if self._names is not None:
            return self._frame(rows)
        if self._numeric:
            return np.array(rows, dtype=np.float64)
        return self._objects(rows)

    def _objects(self, rows: Sequence[Row]) -> Any:
        array = np.empty((len(rows), len(rows[0]) if rows else 0), dtype=object)
        for index, row in enumerate(rows):
            array[index] = [self._gap if each is None else each for each in row]
        return array

    def _frame(self, rows: Sequence[Row]) -> Any:
        from pandas import DataFrame, Series

        columns = {}
        for name, values in zip(self._names or (), zip(*rows, strict=True), strict=True):
            numbers = all(isinstance(each, float) for each in values)
            cells = values if numbers else [self._gap if each is None else each for each in values]
            columns[name] = Series(list(cells), dtype=np.float64 if numbers else object)
        return DataFrame(columns)


def _takes_names(estimator: Any) -> bool:
    """Tell whether something inside asks for its columns by name."""
    chosen = [columns for *_, columns in getattr(estimator, "transformers_", ())]
    return any(isinstance(each, str) or _of_text(each) for each in chosen)


def _of_text(columns: Any) -> bool:
    return isinstance(columns, list | np.ndarray) and any(isinstance(each, str) for each in columns)


def _has_pandas(*, needed: bool) -> bool:
    try:
        import pandas  # noqa: F401  # large: only where a model wants it
    except ImportError:
        if needed:
            raise MissingPackage("the model takes its columns by name, and", "pandas") from None
        return False
    return True


def _largest_wins(estimator: Any) -> bool:
    kind = type(estimator)
    elsewhere = (kind.__module__.partition(".")[0], kind.__name__) in _LARGEST_WINS_ELSEWHERE
    return kind_of(estimator) in _LARGEST_WINS or elsewhere


def _lead(probabilities: Any) -> Any:
    """Return by how much the largest probability of each row is above the next."""
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities))
    top = np.sort(probabilities, axis=1)
    return top[:, -1] - top[:, -2]


def _flat(said: Any) -> list[Any]:
    """Return a list of what predict said; some give a column."""
    flat: list[Any] = np.asarray(said).ravel().tolist()
    return flat


def _finite(value: Any) -> Any:
    if not math.isfinite(value):
        raise ValueError("the estimator gave a value that is not a number")
    return value
