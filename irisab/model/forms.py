"""The form in which a fitted estimator will be served. Start at `formed`.

A forest of numbers keeps the format that every irisab reads; whatever else has a plain form that
is proven equal gets one; all are kept as a pickle too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from irisab.model.answer import Model
from irisab.model.arrays import flatten as flatten_forest
from irisab.model.bundle import FOREST, PICKLE, PLAIN, features_of, plain_model
from irisab.model.estimator import Estimator
from irisab.model.footprint import measured
from irisab.model.plain import Plain, flatten, restore
from irisab.model.proof import prove
from irisab.model.sink import Sink


@dataclass(frozen=True, slots=True, kw_only=True)
class Formed:
    """A fitted estimator, the sha256 of its files, and the model that will answer.

    `about` is for the manifest: "form" is plain or pickle, "plain" belongs to plain.npz, and
    "why_pickle" says what a plain form would have answered otherwise, where there was one; "memory"
    is that of `footprint`.
    """

    estimator: Any
    model: Model
    files: Mapping[str, str]
    sha256: str
    about: Mapping[str, Any]


def formed(estimator: Any, about: Mapping[str, Any], rows: Any, sink: Sink) -> Formed:
    """Return the form of an estimator, a plain one where it is proven equal on these rows.

    Parameters
    ----------
    about : mapping
        The manifest's "features" and "class_names".
    rows : array of shape (n_rows, n_features)
    sink : takes its files
    """
    import joblib

    n_classes, features = len(about["class_names"]), features_of(about)
    numeric = all(feature.is_numeric for feature in features)
    asked = Estimator(estimator, n_classes=n_classes, numeric=numeric)
    pickled = {PICKLE: sink.add(PICKLE, lambda file: joblib.dump(estimator, file))}
    # Its arrays have no word for the branch that a missing value takes.
    if numeric and not any(feature.missing for feature in features):
        forest = _of_forest(estimator, n_classes, pickled, sink)
        if forest is not None:
            return forest
    plain = flatten(estimator, n_classes=n_classes)
    if plain is None:
        return _of_pickle(estimator, asked, pickled, None)
    model, memory = measured(lambda: restore(plain.about, plain.arrays), more=_size(plain.arrays))
    difference = prove(plain, model, asked, rows.tolist())
    if difference is not None:
        return _of_pickle(estimator, asked, pickled, difference)
    return _of_plain(estimator, model, plain, {**pickled, PLAIN: _add(sink, PLAIN, plain.arrays)},
                     sink, memory)  # fmt: skip


def _of_pickle(estimator: Any, asked: Model, pickled: Mapping[str, str], why: str | None) -> Formed:
    return Formed(
        estimator=estimator,
        model=asked,
        files=pickled,
        sha256=pickled[PICKLE],
        about={"form": "pickle", **({} if why is None else {"why_pickle": why})},
    )


def _of_forest(
    estimator: Any, n_classes: int, pickled: Mapping[str, str], sink: Sink
) -> Formed | None:
    arrays = _forest(estimator, n_classes)
    if arrays is None:
        return None
    sha256 = _add(sink, FOREST, arrays)
    # Estimator, arrays and model at the same time would be too much of a large forest.
    del arrays
    with sink.open(FOREST) as file:
        model, memory = measured(lambda: plain_model(file, None))
    return Formed(
        estimator=estimator,
        model=model,
        files={**pickled, FOREST: sha256},
        sha256=sha256,
        about={"form": "plain", "memory": memory},
    )


def _of_plain(
    estimator: Any, model: Model, plain: Plain, files: Mapping[str, str], sink: Sink, memory: Any
) -> Formed:
    # The arrays alone are half of the model: the same trees may stand behind another encoder.
    told = json.dumps(plain.about, sort_keys=True, allow_nan=False).encode()
    with sink.open(PLAIN) as file:
        sha256 = hashlib.file_digest(file, lambda: hashlib.sha256(told)).hexdigest()
    return Formed(
        estimator=estimator,
        model=model,
        files=files,
        sha256=sha256,
        about={"form": "plain", "plain": plain.about, "memory": memory},
    )


def _forest(estimator: Any, n_classes: int) -> dict[str, np.ndarray] | None:
    """Return the arrays of a forest with a value for every class, also for those not seen."""
    arrays = flatten_forest(estimator)
    if arrays is not None and arrays["value"].shape[1] != n_classes:
        value = np.zeros((len(arrays["value"]), n_classes))
        value[:, estimator.classes_] = arrays["value"]
        arrays["value"] = value
    return arrays


def _size(arrays: Mapping[str, np.ndarray]) -> int:
    return sum(each.nbytes for each in arrays.values())


def _add(sink: Sink, name: str, arrays: Mapping[str, np.ndarray]) -> str:
    named: dict[str, Any] = dict(arrays)
    return sink.add(name, lambda file: np.savez(file, **named))
