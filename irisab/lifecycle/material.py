"""What a retraining learns from: the rows of a bundle, and the labels since. Start at `of()`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from irisab.lifecycle import exam, kept, known, labelled
from irisab.lifecycle.labelled import Label
from irisab.lifecycle.rows import Dataset, checked, to_array
from irisab.model import candidate
from irisab.model.bundle import Bundle
from irisab.store.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Old and new rows as one dataset; `is_new` marks those of `labels`: shape (n_rows,).

    `ids` are those of all rows that came from a history, which are the last ones.
    """

    dataset: Dataset
    is_new: NDArray[np.bool_]
    labels: Sequence[Label]
    ids: Sequence[str]


def of(parent: Bundle, history: History) -> Material:
    """Put the rows of a bundle and the labels that it does not know together."""
    about = parent.manifest.get("training") or {}
    old = replace(
        kept.unpack(parent.folder, parent.manifest),
        ignore=tuple(about.get("ignore", ())),
        group=about.get("group_column"),
    )
    story = parent.manifest.get(candidate.KEY) or {}
    ids = labelled.unpack(parent.folder, story.get("labelled"))
    begins = len(old.rows) - len(ids)
    seat = {each: begins + number for number, each in enumerate(ids)}
    truths, fresh = old.labels.copy(), []
    for label in labelled.collect(history, known.of_manifest(parent.version, parent.manifest)):
        if label.id in seat:
            truths[seat[label.id]] = label.truth  # it may have been corrected meanwhile
        else:
            fresh.append(label)
    old = replace(old, labels=truths)
    return Material(
        dataset=_together(old, fresh),
        is_new=np.arange(len(old.rows) + len(fresh)) >= len(old.rows),
        labels=fresh,
        ids=[*ids, *(each.id for each in fresh)],
    )


def _together(old: Dataset, fresh: Sequence[Label]) -> Dataset:
    """Return all rows, each with the unit by which it is for the exam or not.

    Equal rows share the unit of the first of them, whoever sent the others: none is on both sides.
    """
    units = list(old.groups or map(exam.unit_of, old.rows.tolist()))
    texts = map(exam.unit_of, old.rows.tolist())
    first: dict[str, str] = {}
    for text, unit in zip(texts, units, strict=True):
        first.setdefault(text, unit)
    for label in fresh:
        text = exam.unit_of(label.values)
        units.append(first.setdefault(text, label.user or text))
    if not fresh:
        return replace(old, groups=units)
    columns = [
        np.concatenate([before, np.array(now, dtype=before.dtype)])
        for before, now in zip(
            old.rows.T, zip(*(each.values for each in fresh), strict=True), strict=True
        )
    ]
    truths = np.array([each.truth for each in fresh], dtype=old.labels.dtype)
    return checked(
        replace(
            old,
            rows=to_array(columns, old.types),
            labels=np.concatenate([old.labels, truths]),
            groups=units,
        )
    )
