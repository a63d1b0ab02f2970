"""Fit versions, measure them, write bundles. Start at `fit()`.

Imports scikit-learn only when it is called.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.config import TrainingOptions
from irisab.errors import DataError
from irisab.lifecycle import estimators, exam, kept, scores, summary, weights
from irisab.lifecycle.rows import Dataset, checked
from irisab.model import bundle, publish
from irisab.model.servable import unservable
from irisab.versions import VERSION_NAME, VERSION_NAME_RULE, ModelOptions

GOLDEN_ROWS = 20


def fit(
    models: Path,
    version: str,
    dataset: Dataset,
    *,
    estimator: Any,
    seed: int = 42,
    force: bool = False,
    options: TrainingOptions | None = None,
) -> float:
    """Fit a clone of `estimator`, write its bundle and return its accuracy (or mean error).

    The model is fitted on the rows that are not for the exam. Thirty rows of an exam say little, so
    *the* accuracy is that of five folds over all rows; the exam's is kept beside it.

    Parameters
    ----------
    force : bool
        Replace a bundle that the version has already.
    options : what [training] says of salt, class_weight and keep_mb

    Raises `DataError`, before anything is fitted, for a name that no INI file could have, a version
    that exists, and rows or an estimator that could not be served.
    """
    refuse_replacing(models, version, force=force)
    trained = learn(version, dataset, estimator=estimator, seed=seed, options=options)
    write(models, version, trained)
    return trained.score


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A fitted version before it is on the disk; `score` is its accuracy, or mean error.

    `members` marks the rows of the exam, which it has not seen: shape (n_rows,).
    """

    estimator: Any
    dataset: Dataset
    members: NDArray[np.bool_]
    about: Mapping[str, Any]
    beside: Mapping[str, bytes]
    score: float


def learn(
    version: str,
    dataset: Dataset,
    *,
    estimator: Any,
    seed: int = 42,
    options: TrainingOptions | None = None,
    recent: NDArray[np.bool_] | None = None,
) -> Trained:
    """Fit a clone of `estimator` and measure it, as `fit` says; nothing is written.

    Parameters
    ----------
    recent : array of shape (n_rows,)
        Marks the rows that drift is measured against; by default all that are learned from.
    """
    options = options or TrainingOptions()
    dataset = checked(dataset)
    _refuse_unservable(estimator, dataset)
    every_weight = weights.of_rows(dataset, options.class_weight)
    members = exam.members(dataset, salt=options.salt)
    learning = np.flatnonzero(~members)
    if not learning.size:
        raise DataError(f"{dataset.name}: has no row to learn from, all are for the exam")
    learner = _learner(estimator, dataset, every_weight)
    with _progress(f"fitting {version}"):
        # The folds first: each is about as large as the model, and gone before it is there.
        folds = scores.cross_validated(dataset, learner, seed=seed)
        fitted = learner(learning)
    _one_thread(fitted)
    packed, training = kept.pack(dataset, keep_mb=options.keep_mb)
    about = {
        **summary.describe(
            dataset, learning, seed, recent=None if recent is None else learning[recent[learning]]
        ),
        **_measured(folds, scores.exam(dataset, members, fitted)),
        "training": {**training, **_origin(dataset, options)},
        "estimator": type(_last(fitted)).__name__,
        "n_estimators": _last(fitted).get_params().get("n_estimators"),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seed": seed,
    }
    return Trained(
        estimator=fitted,
        dataset=dataset,
        members=members,
        about=about,
        beside={} if packed is None else {kept.FILE: packed},
        score=float(folds["accuracy" if dataset.task == "classification" else "mae"]),
    )


def write(models: Path, version: str, trained: Trained) -> Path:
    """Write the bundle of a fitted version, make it current and return its folder."""
    rows, members = trained.dataset.rows, trained.members
    return publish.write(
        models,
        version,
        estimator=trained.estimator,
        golden_rows=_golden(rows[~members]),
        about=trained.about,
        beside=trained.beside,
        proof_rows=rows[members] if members.any() else None,
    )


def forest(options: ModelOptions) -> Any:
    """Return the unfitted classifier that a [model.*] section describes."""
    return estimators.build(options, "classification")


def refuse_replacing(models: Path, version: str, *, force: bool) -> None:
    """Raise `DataError` for a name that no INI file could have, and a version that exists."""
    if not VERSION_NAME.fullmatch(version):
        raise DataError(f"{version!r}: {VERSION_NAME_RULE}")
    if bundle.exists(models, version) and not force:
        raise DataError(f"version {version} has a model already; force=True replaces it")


def _refuse_unservable(estimator: Any, dataset: Dataset) -> None:
    from sklearn.base import is_classifier

    if reason := unservable(estimator):
        raise DataError(reason)
    name = type(estimator).__name__
    if is_classifier(estimator) != (dataset.task == "classification"):
        kind = "classifier" if is_classifier(estimator) else "regressor"
        raise DataError(f"{name}: is a {kind}, and {dataset.name} is data for a {dataset.task}")


def _learner(
    estimator: Any, dataset: Dataset, every_weight: NDArray[np.float64] | None
) -> Callable[[NDArray[Any]], Any]:
    """Return a function that fits a clone on the rows at some positions."""
    from sklearn.base import clone

    def learn(positions: NDArray[Any]) -> Any:
        rows, labels = dataset.rows[positions], dataset.labels[positions]
        more = {}
        if every_weight is not None:
            more = weights.for_fit(estimator, every_weight[positions])
        try:
            return clone(estimator).fit(rows, labels, **more)
        except (TypeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise DataError(
                f"{type(_last(estimator)).__name__} cannot learn from {dataset.name}: {reason}"
            ) from error

    return learn


def _one_thread(fitted: Any) -> None:
    """Trees summed by several threads come in any order; an answer must not depend on it."""
    parameters = fitted.get_params()
    threads = {name: None for name in parameters if name.rpartition("__")[2] == "n_jobs"}
    if threads:
        fitted.set_params(**threads)


def _last(estimator: Any) -> Any:
    """Return the estimator that answers: the last step of a pipeline that irisab built."""
    steps = getattr(estimator, "named_steps", {})
    return steps["model"] if "prepare" in steps else estimator


def _measured(folds: dict[str, Any], exam: dict[str, Any]) -> dict[str, Any]:
    """Return the scores as the manifest keeps them; `cv_accuracy` is what it was called before."""
    accuracy = folds.get("accuracy")
    error = {"mae": folds["mae"], "rmse": folds["rmse"]} if accuracy is None else {}
    return {
        "accuracy": accuracy,
        "cv_accuracy": accuracy,
        "cv_standard_error": folds["standard_error"],
        **error,
        "exam": exam,
    }


def _origin(dataset: Dataset, options: TrainingOptions) -> dict[str, Any]:
    return {
        "source": dataset.source or None,
        "target": dataset.target,
        "ignore": list(dataset.ignore),
        "group_column": dataset.group,
        "salt": options.salt,
        "class_weight": options.class_weight,
    }


def _golden(rows: NDArray[Any]) -> NDArray[Any]:
    picked: NDArray[Any] = rows[np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(int)]
    return picked


@contextmanager
def _progress(what: str) -> Iterator[None]:
    """Say on stderr, once a second from the first on, that work goes on."""
    done = threading.Event()

    def tell() -> None:
        seconds = 0
        while not done.wait(1):
            seconds += 1
            print(f"\r{what}: {seconds} s ", end="", file=sys.stderr, flush=True)
        if seconds:
            print(file=sys.stderr)

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
