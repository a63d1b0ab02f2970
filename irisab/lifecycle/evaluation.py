"""Versions on the same exam: who is right where, and whether chance explains it.

Start at `evaluate()`. A version sits the exam in the form in which it is served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import DataError
from irisab.lifecycle import exam, kept, scores
from irisab.lifecycle.rows import Dataset
from irisab.model.bundle import Bundle
from irisab.stats import exact

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """Labelled rows that none of the versions has learned from; `left_out` are the others."""

    dataset: Dataset
    positions: NDArray[np.intp]
    left_out: int


def of_bundle(bundle: Bundle) -> Paper:
    """Return the exam of the rows that a bundle was made from; raises `DataError`."""
    return of_dataset(kept.unpack(bundle.folder, bundle.manifest), salt=salt_of(bundle.manifest))


def of_dataset(dataset: Dataset, *, salt: str) -> Paper:
    """Return the exam of a dataset: no version is ever fitted on a row of it."""
    members = exam.members(dataset, salt=salt)
    if not members.any():
        raise DataError(f"{dataset.name}: has no row for the exam; of more rows, a fifth will be")
    return Paper(dataset=dataset, positions=np.flatnonzero(members), left_out=int((~members).sum()))


def salt_of(manifest: Mapping[str, Any]) -> str:
    """Return what the membership in the exam was worked out with."""
    return str((manifest.get("training") or {}).get("salt", "irisab"))


def evaluate(
    bundles: Mapping[str, Bundle],
    paper: Paper,
    *,
    control: str,
    alpha: float,
    margin: float,
    tie: float = 0.0,
) -> Json:
    """Let versions answer the same rows, and compare each with the control.

    Parameters
    ----------
    alpha : how often a verdict may be wrong; the challengers share it
    margin : versions that differ on fewer rows are equivalent
    tie : answers of a regression that are closer than this are equally right
    """
    rows = paper.dataset.rows[paper.positions].tolist()
    truth = paper.dataset.labels[paper.positions]
    said = {name: _said(bundle, rows) for name, bundle in bundles.items()}
    challengers = [name for name in bundles if name != control]
    return {
        "rows": len(rows),
        "versions": {name: _scores(paper.dataset, truth, each) for name, each in said.items()},
        "pairs": [
            {
                "control": control,
                "challenger": name,
                **_pair(
                    _losses(paper.dataset, truth, said[control]),
                    _losses(paper.dataset, truth, said[name]),
                    alpha=alpha / len(challengers),
                    margin=margin,
                    tie=tie if paper.dataset.task == "regression" else 0.0,
                ),
            }
            for name in challengers
        ],
    }


def _said(bundle: Bundle, rows: Sequence[Any]) -> NDArray[Any]:
    return np.array([answer for answer, _ in bundle.model.score_rows(rows)])


def _scores(dataset: Dataset, truth: NDArray[Any], said: NDArray[Any]) -> Json:
    overall = scores.score(truth, said, dataset.task)
    if dataset.task == "regression":
        return overall
    return {**overall, "per_class": scores.per_class(dataset.class_names, truth, said)}


def _losses(dataset: Dataset, truth: NDArray[Any], said: NDArray[Any]) -> NDArray[np.float64]:
    """Return how wrong each answer is: 0 or 1 for a class, the distance for a number."""
    if dataset.task == "regression":
        return np.asarray(np.abs(said - truth), dtype=np.float64)
    return np.asarray(said != truth, dtype=np.float64)


def _pair(
    control: NDArray[np.float64],
    challenger: NDArray[np.float64],
    *,
    alpha: float,
    margin: float,
    tie: float,
) -> Json:
    lead = control - challenger
    ahead, behind = int((lead > tie).sum()), int((lead < -tie).sum())
    p_value = exact.sign_test(ahead, behind)
    if p_value < alpha:
        verdict = "better" if ahead > behind else "worse"
    elif exact.upper_bound(ahead + behind, len(lead), alpha) < margin:
        verdict = "equivalent"
    else:
        verdict = "inconclusive"
    return {
        "control_only": behind,
        "challenger_only": ahead,
        "p_value": p_value,
        "verdict": verdict,
    }
