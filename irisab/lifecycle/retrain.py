"""A new version from old rows and new labels, and the exam that it sits. Start at `retrain()`.

Nothing is written before the decision is known, and the bundle carries it: whenever this is
interrupted there is a whole candidate, or none.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.config import Config, TrainingOptions
from irisab.errors import DataError
from irisab.lifecycle import (
    estimators,
    exam,
    kept,
    known,
    labelled,
    material,
    prepare,
    sitting,
    training,
    vetoes,
)
from irisab.lifecycle.sitting import Outcome
from irisab.model import bundle, candidate
from irisab.model.bundle import Bundle
from irisab.store.history import History
from irisab.versions import ModelOptions, default_model

# From so many new rows on, drift is measured against them: old and new together would look like
# neither, and today's input would be drift for ever.
MIN_RECENT = 100
LOCK = ".retrain"

Mask = NDArray[np.bool_]


def retrain(
    settings: Config, history: History, *, origin: str, name: str | None = None, where: str
) -> Outcome:
    """Make a version of the rows of `origin` and the labels since; examine it beside the control.

    Parameters
    ----------
    name : the new version; by default v1, v2 and so on, the first that was never there
    where : begins an error about the section of `origin`, such as "irisab.ini: [model.v1]"

    Raises `DataError` where `origin` cannot be fitted again, its rows are not kept, or the name is
    taken; `BundleError` where the candidate cannot be written.
    """
    with _alone(settings.data.models):
        name = _free_name(settings, history, name)
        parent = bundle.load(settings.data.models, origin)
        control = bundle.load(settings.data.models, settings.control)
        _refuse_different(parent, control)
        options = _options(settings, parent)
        estimator = _estimator(options, parent, where)
        given = material.of(parent, history)
        said = _training(settings, parent)
        members = exam.members(given.dataset, salt=said.salt)
        if why := _veto(given, members, settings):
            return Outcome(
                version=None, decision="veto", reason_code=why.code, reason=why.reason, exam=None
            )
        recent = given.is_new if (given.is_new & ~members).sum() >= MIN_RECENT else None
        trained = training.learn(
            name,
            given.dataset,
            estimator=prepare.prepared(options.kind, estimator, given.dataset),
            seed=estimators.seed_of(options),
            options=said,
            recent=recent,
        )
        _refuse_forgetting(trained, said)
        sat = sitting.sit(trained, control, given.is_new, margin=settings.retrain.margin)
        outcome = sitting.decide(name, settings.control, sat, settings.retrain.margin)
        packed, about = labelled.pack(given.ids)
        story = {
            "from": origin,
            "control": settings.control,
            "control_sha256": control.sha256,
            "model": {"kind": options.kind, **options.options},
            "labels": len(given.labels),
            "labelled": about,
            **{key: value for key, value in outcome.as_json().items() if key != "version"},
        }
        training.write(
            settings.data.models,
            name,
            replace(
                trained,
                about={**trained.about, candidate.KEY: story},
                beside={**trained.beside, labelled.FILE: packed},
            ),
        )
        return outcome


@contextmanager
def _alone(models: Path) -> Iterator[None]:
    """Let one retraining be under way at a time: two would take the same name."""
    try:
        lock = (models / LOCK).open("a")
    except OSError as error:
        raise DataError(f"{models}: cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{models}: another retraining is under way") from None
        yield


def _free_name(settings: Config, history: History, name: str | None) -> str:
    """Return the name of the new version, one that no model has or had."""
    models = settings.data.models
    there = {each.name for each in models.iterdir() if each.is_dir()}
    served = {each for revision in history.revisions().values() for each in revision.models}
    taken = {*there, *settings.models, *served}
    if name is None:
        numbers = [int(each[1:]) for each in taken if re.fullmatch(r"v[0-9]{1,9}", each)]
        return f"v{max(numbers, default=0) + 1}"
    if name in taken:
        raise DataError(f"version {name} is there, or was: choose a new name, or leave out --as")
    training.refuse_replacing(models, name, force=False)
    return name


def _refuse_different(parent: Bundle, control: Bundle) -> None:
    why = known.of_manifest(control.version, control.manifest)
    ours = known.of_manifest(control.version, parent.manifest)
    alike = [(each.name, each.type) for each in why.features] == [
        (each.name, each.type) for each in ours.features
    ]
    if not alike or why.class_names != ours.class_names:
        raise DataError(
            f"{parent.version} has other features or classes than the control {control.version}: "
            "they could not share traffic"
        )


def _options(settings: Config, parent: Bundle) -> ModelOptions:
    """Return what the parent was built with: its section, else what its retraining took."""
    section = settings.models.get(parent.version)
    if section is not None and section != default_model(parent.version):
        return section
    story = parent.manifest.get(candidate.KEY)
    return ModelOptions(**story["model"]) if story else section or default_model(parent.version)


def _estimator(options: ModelOptions, parent: Bundle, where: str) -> Any:
    """Return the unfitted estimator; refuse what irisab has not fitted, and cannot fit again."""
    made = parent.manifest.get("estimator")
    estimator = estimators.build(options, parent.task, where=where)
    ours = type(estimator).__name__
    if "imported" in parent.manifest or made != ours:
        how = "fitted elsewhere" if "imported" in parent.manifest else f"a {made}"
        raise DataError(
            f"version {parent.version} was {how}, and {where} describes a {ours}: fit it where it "
            "was made and import it, or name another version by --from"
        )
    return estimator


def _training(settings: Config, parent: Bundle) -> TrainingOptions:
    """Return the options of the parent's training: another salt would examine by learned rows."""
    said = parent.manifest.get("training") or {}
    return replace(
        settings.training, salt=said.get("salt", "irisab"), class_weight=said.get("class_weight")
    )


def _veto(given: material.Material, members: Mask, settings: Config) -> vetoes.Veto | None:
    rows, truths = given.dataset.rows, given.dataset.labels
    old, new = (
        replace(given.dataset, rows=rows[part], labels=truths[part], groups=None)
        for part in (~given.is_new, given.is_new)
    )
    return vetoes.veto(
        given.labels,
        old,
        new,
        min_labels=settings.retrain.min_labels,
        in_exam=int((members & given.is_new).sum()),
        tie=settings.experiment.tie,
    )


def _refuse_forgetting(trained: training.Trained, options: TrainingOptions) -> None:
    if kept.FILE not in trained.beside:
        raise DataError(
            f"[training] keep_mb = {options.keep_mb} is too little for {len(trained.dataset.rows)} "
            "rows: the candidate could not keep them, and they would be lost; raise it"
        )
