"""What stands before an estimator, so that it can take the data. Start at `prepared()`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.lifecycle.rows import Dataset, is_numeric
from irisab.model.schema import Type

# They send a missing value down the branch that suits it; the others need a number in its place.
TAKE_MISSING = ("random_forest", "extra_trees", "decision_tree", "hist_gradient_boosting")
ORDINAL = "hist_gradient_boosting"
SCALED = "logistic_regression"


def prepared(kind: str, estimator: Any, dataset: Dataset) -> Any:
    """Return the estimator, or a pipeline of scikit-learn's own that prepares its columns.

    Complete numbers need nothing but a scale for a logistic regression; no pandas is needed.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    texts, numbers = _positions(dataset)
    gaps = bool(missing(dataset)[numbers].any())
    steps = []
    if gaps and kind not in TAKE_MISSING:
        steps.append(("impute", _imputer()))
    if kind == SCALED and numbers:
        from sklearn.preprocessing import StandardScaler

        steps.append(("scale", StandardScaler()))
    if not texts and not steps:
        return estimator
    before: Any = Pipeline(steps) if len(steps) > 1 else steps[0][1] if steps else "passthrough"
    transformers = [("categories", _encoder(kind), texts)] if texts else []
    transformers += [("numbers", before, numbers)] if numbers else []
    if kind == ORDINAL:
        estimator = estimator.set_params(categorical_features=list(range(len(texts))))
    return Pipeline([("prepare", ColumnTransformer(transformers)), ("model", estimator)])


def _positions(dataset: Dataset) -> tuple[list[int], list[int]]:
    """Return the positions of the columns of text, and of numbers."""
    texts = [n for n, kind in enumerate(dataset.types) if not is_numeric([kind])]
    return texts, [n for n in range(len(dataset.types)) if n not in texts]


def missing(dataset: Dataset) -> NDArray[np.float64]:
    """Return the share of missing values of each feature: shape (n_features,)."""
    columns = zip(dataset.rows.T, dataset.types, strict=True)
    return np.array([_gaps(column, kind).mean() for column, kind in columns], dtype=np.float64)


def _gaps(column: NDArray[Any], kind: Type) -> NDArray[np.bool_]:
    if is_numeric([kind]):
        return np.isnan(column.astype(np.float64))
    return np.array([value is None for value in column], dtype=np.bool_)


def categories(column: NDArray[Any]) -> tuple[str, ...]:
    """Return the texts of a column, sorted, as the encoders number them."""
    return tuple(sorted({value for value in column if value is not None}))


def _imputer() -> Any:
    from sklearn.impute import SimpleImputer

    # A column may be empty in a fold.
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _encoder(kind: str) -> Any:
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if kind != ORDINAL:
        return OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    # A category that was never seen is answered as if it were missing.
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )


def explain(kind: str, dataset: Dataset) -> str | None:
    """Say what is done to the columns that an estimator cannot take as they are, or None."""
    alike: dict[str, list[str]] = {}
    for name, said in _explained(kind, dataset):
        alike.setdefault(said, []).append(name)
    sentences = [f"{', '.join(names)}: {said}" for said, names in alike.items()]
    if kind == SCALED and _positions(dataset)[1]:
        sentences.append("numbers: scaled")
    return "; ".join(sentences) or None


def _explained(kind: str, dataset: Dataset) -> Iterator[tuple[str, str]]:
    columns = zip(
        dataset.feature_names, dataset.types, dataset.rows.T, missing(dataset), strict=True
    )
    for name, type_, column, share in columns:
        parts, text = [], not is_numeric([type_])
        if text:
            form = "by their numbers" if kind == ORDINAL else "one-hot"
            count = len(categories(column))
            parts.append(f"{form}, {count} {'category' if count == 1 else 'categories'}")
        if share:
            how = "taken as missing" if text or kind in TAKE_MISSING else "the median instead"
            parts.append(f"{_percent(share)} missing, {how}")
        if parts:
            yield name, ", ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"
