"""A fitted model of somebody else's becomes the files of a bundle. Start at `files()`.

It is never fitted again: what it scores is measured on rows that were given, or on the exam of the
other versions, and is unknown where the rows have no labels.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import DataError, MissingPackage
from irisab.lifecycle import exam, fitted, formats, kept, known, scores, summary, trial
from irisab.lifecycle.fitted import Fitted
from irisab.lifecycle.job import Job
from irisab.lifecycle.known import Known
from irisab.lifecycle.rows import Dataset, is_numeric
from irisab.lifecycle.trial import Trial
from irisab.model import bundle, publish
from irisab.model.estimator import Estimator
from irisab.model.nested import answering

GOLDEN_ROWS = 20
# So many at once keep the memory small.
BATCH = 4096
# Which rows become examples.
SEED = 42


def files(job: Job, notes: list[str]) -> dict[str, bytes]:
    """Return the files of the bundle; what a person should know is added to `notes`.

    Raises `DataError` for what cannot be opened, served, or tried on these rows.
    """
    opened = formats.opened(job.file, trust=job.trust)
    notes += opened.notes
    model = fitted.of(opened.estimator)
    other = known.find(job.models, first=job.split, without=[job.version])
    tried = _trial(job, model, other)
    if model.unused:
        notes.append(f"Not asked for, because the model drops them: {', '.join(model.unused)}")
    notes += tried.notes
    said = _said(job, model, tried.dataset)
    if not tried.labelled:
        tried = replace(tried, dataset=replace(tried.dataset, labels=said))
    if other is not None and (why := other.why_not(tried.dataset)):
        notes.append(f"WARNING: {why}; they could not share traffic")
    packed, rows = _kept(job, tried)
    about = {
        **_described(model, tried),
        **_measured(tried, said, salt=job.options.salt),
        "training": rows,
        "estimator": model.kind,
        "n_estimators": _n_estimators(model),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seed": None,
        "imported": {"file": job.file.name, "format": opened.format, "sha256": opened.sha256},
    }
    golden, proof = _golden(tried.dataset.rows), tried.dataset.rows
    made = _packed(job, model, golden_rows=golden, about=about, proof_rows=proof)
    return {**made, **({} if packed is None else {kept.FILE: packed})}


def _trial(job: Job, model: Fitted, other: Known | None) -> Trial:
    if job.data is not None:
        return trial.from_csv(
            model,
            job.data,
            target=job.target,
            options=job.options,
            named=job.classes,
            known=other,
        )
    why = "there is no other version"
    if other is not None:
        try:
            return _of_other(job, model, other)
        except DataError as error:
            why = str(error)
    raise DataError(
        f"{job.file}: there are no rows to try the model on ({why}), and live input could not be "
        "compared with anything, nor its answers be checked at each start: give it some, with "
        "--data CSV --target COLUMN"
    )


def _of_other(job: Job, model: Fitted, other: Known) -> Trial:
    manifest = bundle.read_manifest(job.models, other.version)
    if manifest is None:
        raise DataError(f"version {other.version} cannot be read")
    folder = job.models / other.version / bundle.CURRENT
    return trial.from_kept(model, kept.unpack(folder, manifest), named=job.classes, known=other)


def _said(job: Job, model: Fitted, dataset: Dataset) -> NDArray[Any]:
    """Return what the model says of every row: positions of classes, or values."""
    rows = dataset.rows.tolist()
    n_classes, numeric = len(dataset.class_names), is_numeric(dataset.types)
    try:
        asked = Estimator(model.estimator, n_classes=n_classes, numeric=numeric)
        said = [
            answer
            for begin in range(0, len(rows), BATCH)
            for answer, _ in asked.score_rows(rows[begin : begin + BATCH])
        ]
    except MissingPackage:
        raise
    except Exception as error:  # somebody else's code may raise anything
        raise DataError(
            f"{job.file}: the {model.kind} cannot answer the rows of {dataset.name}: "
            f"{formats.reason_of(error)}"
        ) from error
    return np.array(said, dtype=np.int64 if n_classes else np.float64)


def _described(model: Fitted, tried: Trial) -> dict[str, Any]:
    """Return what `summary` says of the rows; texts that the model has learnt are categories."""
    described = summary.describe(tried.dataset, np.arange(len(tried.dataset.rows)), SEED)
    for position, texts in model.categories.items():
        described["features"][position]["categories"] = sorted(texts)
    return described


def _measured(tried: Trial, said: NDArray[Any], *, salt: str) -> dict[str, Any]:
    """Return the scores as training keeps them, and what they are of."""
    dataset = tried.dataset
    members = exam.members(dataset, salt=salt) & tried.labelled
    counted = np.full(len(members), tried.labelled) if tried.given else members
    scored = (
        scores.score(dataset.labels[counted], said[counted], dataset.task) if counted.any() else {}
    )
    error = {} if dataset.task == "classification" else {"mae": None, "rmse": None}
    return {
        "accuracy": None,
        "cv_accuracy": None,
        "cv_standard_error": None,
        **error,
        **scored,
        "exam": scores.exam(dataset, members, _Known(said[members])),
        "measured": {
            "rows": int(counted.sum()),
            "on": dataset.name if tried.given else "exam",
            "standard_error": _standard_error(dataset, said, counted),
        },
    }


class _Known:
    """An estimator whose answers are there already."""

    def __init__(self, said: NDArray[Any]) -> None:
        self._said = said

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        return self._said


def _standard_error(
    dataset: Dataset, said: NDArray[Any], counted: NDArray[np.bool_]
) -> float | None:
    """Return that of the accuracy, or of the mean absolute error."""
    truth, said = dataset.labels[counted], said[counted]
    if len(truth) < 2:
        return None
    each = truth == said if dataset.task == "classification" else np.abs(truth - said)
    return float(np.std(each, ddof=1) / math.sqrt(len(each)))


def _kept(job: Job, tried: Trial) -> tuple[bytes | None, dict[str, Any]]:
    """Return the rows as a file, and what the manifest says of them; labels are never invented."""
    dataset = tried.dataset
    packed, rows = None, {"file": None, "rows": len(dataset.rows)}
    if tried.labelled:
        packed, rows = kept.pack(dataset, keep_mb=job.options.keep_mb)
    origin = {
        "source": dataset.source or None,
        "target": dataset.target,
        "ignore": list(dataset.ignore),
        "group_column": dataset.group,
        "salt": job.options.salt,
        "class_weight": None,
    }
    return packed, {**rows, **origin}


def _n_estimators(model: Fitted) -> int | None:
    number = answering(model.estimator).get_params().get("n_estimators")
    return number if isinstance(number, int) else None


def _golden(rows: NDArray[Any]) -> NDArray[Any]:
    picked: NDArray[Any] = rows[np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(int)]
    return picked


def _packed(job: Job, model: Fitted, **more: Any) -> dict[str, bytes]:
    try:
        return publish.pack(model.estimator, **more)
    except MissingPackage:
        raise
    except Exception as error:  # somebody else's code may raise anything
        raise DataError(
            f"{job.file}: the model cannot be kept: {formats.reason_of(error)}; a function or "
            "class of its own belongs into a module that is installed with pip"
        ) from error
