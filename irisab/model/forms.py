"""The form in which a fitted estimator will be served. Start at `formed`.

A forest of numbers keeps the format that every irisab reads; whatever else has a plain form that
is proven equal gets one; all are kept as a pickle too.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from irisab.model.answer import Model
from irisab.model.arrays import flatten as flatten_forest
from irisab.model.bundle import FOREST, PICKLE, PLAIN, features_of
from irisab.model.estimator import Estimator
from irisab.model.forest import Forest
from irisab.model.plain import Plain, flatten, restore
from irisab.model.proof import prove


@dataclass(frozen=True, slots=True, kw_only=True)
class Formed:
    """A fitted estimator, its files, and the model that will answer.

    `about` is for the manifest: "form" is plain or pickle, "plain" belongs to plain.npz, and
    "why_pickle" says what a plain form would have answered otherwise, where there was one.
    """

    estimator: Any
    model: Model
    files: Mapping[str, bytes]
    sha256: str
    about: Mapping[str, Any]


def formed(estimator: Any, about: Mapping[str, Any], rows: Any) -> Formed:
    """Return the form of an estimator, a plain one where it is proven equal on these rows.

    Parameters
    ----------
    about : mapping
        The manifest's "features" and "class_names".
    rows : array of shape (n_rows, n_features)
    """
    import joblib

    n_classes, features = len(about["class_names"]), features_of(about)
    numeric = all(feature.is_numeric for feature in features)
    asked = Estimator(estimator, n_classes=n_classes, numeric=numeric)
    pickled = {PICKLE: _bytes_of(lambda file: joblib.dump(estimator, file))}
    # Its arrays have no word for the branch that a missing value takes.
    if numeric and not any(feature.missing for feature in features):
        arrays = _forest(estimator, n_classes)
        if arrays is not None:
            return _of_forest(estimator, arrays, pickled)
    plain = flatten(estimator, n_classes=n_classes)
    if plain is None:
        return _of_pickle(estimator, asked, pickled, None)
    model = restore(plain.about, plain.arrays)
    difference = prove(plain, model, asked, rows.tolist())
    if difference is not None:
        return _of_pickle(estimator, asked, pickled, difference)
    return _of_plain(estimator, model, plain, pickled)


def _of_pickle(
    estimator: Any, asked: Model, pickled: Mapping[str, bytes], why: str | None
) -> Formed:
    return Formed(
        estimator=estimator,
        model=asked,
        files=pickled,
        sha256=hashlib.sha256(pickled[PICKLE]).hexdigest(),
        about={"form": "pickle", **({} if why is None else {"why_pickle": why})},
    )


def _of_forest(
    estimator: Any, arrays: dict[str, np.ndarray], pickled: Mapping[str, bytes]
) -> Formed:
    packed = _packed(arrays)
    return Formed(
        estimator=estimator,
        model=Forest(arrays),
        files={**pickled, FOREST: packed},
        sha256=hashlib.sha256(packed).hexdigest(),
        about={"form": "plain"},
    )


def _of_plain(estimator: Any, model: Model, plain: Plain, pickled: Mapping[str, bytes]) -> Formed:
    packed = _packed(plain.arrays)
    # The arrays alone are half of the model: the same trees may stand behind another encoder.
    told = json.dumps(plain.about, sort_keys=True, allow_nan=False).encode()
    return Formed(
        estimator=estimator,
        model=model,
        files={**pickled, PLAIN: packed},
        sha256=hashlib.sha256(told + packed).hexdigest(),
        about={"form": "plain", "plain": plain.about},
    )


def _forest(estimator: Any, n_classes: int) -> dict[str, np.ndarray] | None:
    """Return the arrays of a forest with a value for every class, also for those not seen."""
    arrays = flatten_forest(estimator)
    if arrays is not None and arrays["value"].shape[1] != n_classes:
        value = np.zeros((len(arrays["value"]), n_classes))
        value[:, estimator.classes_] = arrays["value"]
        arrays["value"] = value
    return arrays


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    named: dict[str, Any] = dict(arrays)
    return _bytes_of(lambda file: np.savez(file, **named))


def _bytes_of(dump: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    dump(file)
    return file.getvalue()
