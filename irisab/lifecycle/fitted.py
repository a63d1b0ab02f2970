"""What a fitted estimator says of itself: its columns, classes and categories. See `of()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from irisab.errors import DataError
from irisab.lifecycle.unused import without_unused
from irisab.model.known import kind_of
from irisab.model.nested import answering, nested
from irisab.model.schema import Task
from irisab.model.servable import unservable

# They hold the estimator that was found best, or that is to stay as it is, and answer as it does.
_WRAPPERS = {
    "FrozenEstimator": "estimator",
    **dict.fromkeys(
        ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"),
        "best_estimator_",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fitted estimator that can be served.

    `titles` are the columns that it asks for, in its order, None where it has learnt no names;
    `categories` are the texts that it knows of a column, by its position; `classes` are in the
    order of its probabilities, and empty for a regression; `unused` are columns that it was fitted
    with and does not look at.
    """

    estimator: Any
    task: Task
    titles: tuple[str, ...] | None
    n_features: int | None
    classes: tuple[Any, ...]
    categories: Mapping[int, tuple[str, ...]]
    unused: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The class of the estimator that answers, out of all that is around it."""
        return type(answering(self.estimator)).__name__


def of(estimator: Any) -> Fitted:
    """Describe an estimator, unwrapped; raises `DataError` for one that cannot be served."""
    estimator = unwrapped(estimator)
    if reason := unservable(estimator) or _reads_documents(estimator):
        raise DataError(reason)
    from sklearn.base import is_classifier

    _refuse_unfitted(estimator)
    unused = without_unused(estimator)
    titles = _titles(estimator)
    n_features = _n_features(estimator) if titles is None else len(titles)
    classifies = is_classifier(estimator)
    return Fitted(
        estimator=estimator,
        task="classification" if classifies else "regression",
        titles=titles,
        n_features=n_features,
        classes=_classes(estimator) if classifies else (),
        categories=dict(_categories(estimator, titles)),
        unused=tuple(unused),
    )


def unwrapped(estimator: Any) -> Any:
    """Return the estimator inside searches and frozen ones, a pipeline as it is.

    Raises `DataError` where a search has kept none.
    """
    while (kind := kind_of(estimator)) in _WRAPPERS:
        if not hasattr(estimator, _WRAPPERS[kind]):
            raise DataError(
                f"the {kind} has no estimator that was fitted: fit it, with refit=True, or save "
                "the one that is to be served"
            )
        estimator = getattr(estimator, _WRAPPERS[kind])
    return estimator


def _refuse_unfitted(estimator: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise DataError(
            f"the {type(estimator).__name__} is not fitted: fit it before it is saved; irisab "
            "import never fits"
        ) from None


def _reads_documents(estimator: Any) -> str | None:
    for each in nested(estimator):
        if type(each).__module__.startswith("sklearn.feature_extraction"):
            return (
                f"the model reads documents with {type(each).__name__}; irisab serves tables whose "
                "columns are numbers, booleans or categories"
            )
    return None


def _titles(estimator: Any) -> tuple[str, ...] | None:
    for name in ("feature_names_in_", "titles", "feature_names_"):
        titles = _or_none(estimator, name)
        # Made up by LightGBM and CatBoost for an array without names.
        if titles is not None and not _are_numbered(titles):
            return tuple(map(str, titles))
    return None


def _are_numbered(titles: Sequence[Any]) -> bool:
    return all(
        str(title) in (str(number), f"Column_{number}", f"f{number}")
        for number, title in enumerate(titles)
    )


def _or_none(estimator: Any, name: str) -> Any:
    try:
        return getattr(estimator, name)
    except Exception:  # a property that asks its first step, or a booster without names
        return None


def _n_features(estimator: Any) -> int | None:
    number = _or_none(estimator, "n_features_in_")
    return None if number is None else int(number)


def _classes(estimator: Any) -> tuple[Any, ...]:
    classes = _or_none(estimator, "classes_")
    if classes is None:
        raise DataError(
            f"the {type(estimator).__name__} does not say which classes it knows: it has no "
            "classes_"
        )
    values: list[Any] = np.asarray(classes).tolist()
    if len(values) < 2:
        raise DataError(f"the model knows one class only, {values}: there is nothing to predict")
    # Numbers that once had a gap beside them are often 1.0 and 2.0.
    if all(isinstance(each, float) and each.is_integer() for each in values):
        return tuple(map(int, values))
    return tuple(values)


def _categories(
    estimator: Any, titles: Sequence[str] | None
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the position of each column of which an encoder has learnt texts, and these."""
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    if kind_of(steps[0]) != "ColumnTransformer":
        yield from _learnt(steps, range(len(_encoded(steps) or ())))
        return
    for _, step, columns in steps[0].transformers_:
        positions = _positions(columns, titles)
        if positions is not None and not isinstance(step, str):
            inner = [each for _, each in getattr(step, "steps", [("", step)])]
            yield from _learnt(inner, positions)


def _encoded(steps: Sequence[Any]) -> Any:
    return next((vars(each)["categories_"] for each in steps if _has_categories(each)), None)


def _has_categories(each: Any) -> bool:
    return isinstance(getattr(each, "__dict__", {}).get("categories_"), list)


def _learnt(
    steps: Sequence[Any], positions: Sequence[int]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    encoded = _encoded(steps)
    if encoded is None or len(encoded) != len(positions):
        return
    for position, values in zip(positions, encoded, strict=True):
        texts = tuple(each for each in values.tolist() if isinstance(each, str))
        if texts:
            yield position, texts


def _positions(columns: Any, titles: Sequence[str] | None) -> list[int] | None:
    """Return the positions of a ColumnTransformer's columns; None where they cannot be told."""
    given = [columns] if isinstance(columns, str | int) else columns
    if not isinstance(given, list | tuple | np.ndarray):
        return None
    positions = [_position(each, titles) for each in given]
    return None if None in positions else [each for each in positions if each is not None]


def _position(column: Any, titles: Sequence[str] | None) -> int | None:
    if isinstance(column, str):
        return list(titles).index(column) if titles and column in titles else None
    return int(column) if isinstance(column, int | np.integer) else None
