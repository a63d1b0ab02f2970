"""Linear models: one product of a row and the coefficients. Start at `Linear`.

    coefficients  float64 (columns,) or (sums, columns), in the order in memory that they had
    intercept     float64 () or (sums,)

The product is the very call that scikit-learn makes for a single row, so it has the same bits; for
many rows scikit-learn calls another one, which may differ from it in the last place.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from irisab.errors import BundleError
from irisab.model.answer import Answer, Row
from irisab.model.arrays import Floats
from irisab.model.known import NotPlain, known_kind
from irisab.model.links import link_of
from irisab.model.nodes import sum_in_order
from irisab.model.steps import Prepared

LOGISTIC = ("LogisticRegression", "LogisticRegressionCV")
WITHOUT_PROBABILITIES = ("RidgeClassifier", "RidgeClassifierCV", "LinearSVC", "Perceptron")
REGRESSIONS = (
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV",
    "LinearSVR",
)  # fmt: skip
KINDS = (*LOGISTIC, *WITHOUT_PROBABILITIES, *REGRESSIONS)


def flattened(estimator: Any, prepared: Prepared) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the head of the plain form and its arrays; raises `NotPlain`."""
    coefficients = np.asarray(estimator.coef_).astype(np.float64, order="K")
    intercept = np.asarray(estimator.intercept_, dtype=np.float64)
    if coefficients.ndim == 2 and len(coefficients) == 1:
        coefficients = coefficients[0]
    # Without an intercept there is one 0 for all.
    sums = () if coefficients.ndim == 1 else (len(coefficients),)
    intercept = np.broadcast_to(intercept, sums) if sums else intercept.reshape(sums)
    link = _link(estimator, known_kind(estimator))
    if (coefficients.ndim == 1) == (link in ("softmax", "largest")):
        raise NotPlain("several outputs")
    about = {"link": link, "sparse": prepared.sparse}
    return about, {"coefficients": coefficients, "intercept": intercept}


def _link(estimator: Any, kind: str) -> str:
    if kind in REGRESSIONS:
        return "identity"
    two = len(estimator.classes_) == 2
    if kind in WITHOUT_PROBABILITIES:
        return "side" if two else "largest"
    # scikit-learn before 1.8 has logistic regressions of one class against the rest.
    strategy = getattr(estimator, "multi_class", "auto")
    if strategy not in ("auto", "deprecated") or (not two and estimator.solver == "liblinear"):
        raise NotPlain("one class against the rest")
    return "logistic" if two else "softmax"


class Linear:
    """A linear model, ready to score rows of the columns that it sees.

    Raise `BundleError` if the arrays are damaged, and `ValueError` for a row with a gap.
    """

    method = "product"

    def __init__(
        self, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray], n_columns: int
    ) -> None:
        coefficients, intercept = _checked(arrays, n_columns)
        several = coefficients.ndim == 2
        self._one, self._many = link_of(
            about["link"], sums=len(coefficients) if several else 1, divide=1, at_zero=0
        )
        self._by_column = coefficients.T
        self._intercept = intercept if several else intercept.item()
        self._product = _term_by_term if about["sparse"] else np.dot
        # Thrice as fast as numpy reads a list.
        self._pack = struct.Struct(f"{n_columns}d").pack
        self.score_row = self._score_several if several else self._score_one
        self._several, self._sparse = several, about["sparse"]

    def _score_one(self, row: Row) -> Answer:
        x = np.frombuffer(self._pack(*row))
        total = float(self._product(x, self._by_column)) + self._intercept
        if not math.isfinite(total):
            _refuse_gaps(x)
        return self._one(total)

    def _score_several(self, row: Row) -> Answer:
        x = np.frombuffer(self._pack(*row))
        total = self._product(x, self._by_column) + self._intercept
        if not math.isfinite(sum(total.tolist())):
            _refuse_gaps(x)
        return self._one(total)

    def score_rows(self, rows: Sequence[Row]) -> list[Answer]:
        """Score rows, each by the product that it has alone."""
        if self._sparse or not rows:
            return list(map(self.score_row, rows))
        x = np.array(rows, dtype=np.float64)
        _refuse_gaps(x)
        by_column = self._by_column if self._several else self._by_column[:, None]
        # A stack of rows: one large product could be summed in another order.
        return self._many(np.matmul(x[:, None, :], by_column)[:, 0, :] + self._intercept)


def _term_by_term(x: Floats, by_column: Floats) -> Any:
    """Return the product with a row of a sparse matrix: scipy adds one column after the other."""
    terms = x * by_column if by_column.ndim == 1 else x[:, None] * by_column
    return sum_in_order(terms)[0]


def _refuse_gaps(x: Floats) -> None:
    if not np.isfinite(x).all():
        raise ValueError("a value is missing or too large for this model")


def _checked(arrays: Mapping[str, np.ndarray], n_columns: int) -> tuple[Floats, Floats]:
    """Return coefficients and intercept; raises `BundleError`."""
    for name in ("coefficients", "intercept"):
        if name not in arrays or arrays[name].dtype != np.float64:
            raise BundleError(f"The plain form is damaged: it has no numbers {name!r}.")
    coefficients, intercept = arrays["coefficients"], arrays["intercept"]
    if (
        coefficients.ndim not in (1, 2)
        or coefficients.shape[-1] != n_columns
        or intercept.shape != coefficients.shape[:-1]
        or not coefficients.size
    ):
        raise BundleError("The plain form is damaged: its coefficients do not fit to its columns.")
    if not np.isfinite(coefficients).all() or not np.isfinite(intercept).all():
        raise BundleError("The plain form is damaged: a coefficient is no number.")
    return coefficients, intercept
