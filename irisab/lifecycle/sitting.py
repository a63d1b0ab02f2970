"""A candidate and the control on the same exam, and what follows. Start at `sit()`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from irisab.lifecycle.scores import score
from irisab.lifecycle.training import Trained
from irisab.model.bundle import Bundle

# A normal variable exceeds it with probability 0.05.
ONE_SIDED = 1.645

Json = dict[str, Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a retraining; a veto has neither version nor exam."""

    version: str | None
    decision: Literal["propose", "reject", "veto"]
    reason_code: str
    reason: str
    exam: Json | None

    def as_json(self) -> Json:
        return asdict(self)


def sit(trained: Trained, control: Bundle, is_new: Mask, *, margin: float) -> Json:
    """Let candidate and control sit the same exam, old and new part apart."""
    return {
        part: _part(trained, control, trained.members & mask, margin)
        for part, mask in (("old", ~is_new), ("new", is_new))
    }


def _part(trained: Trained, control: Bundle, part: Mask, margin: float) -> Json:
    if not part.any():
        return {"rows": 0, "candidate": None, "control": None, "worse": False}
    rows, truth = trained.dataset.rows[part], trained.dataset.labels[part]
    task = trained.dataset.task
    ours = trained.estimator.predict(rows)
    theirs = np.array([answer for answer, _ in control.model.score_rows(rows.tolist())])
    one, two = (_losses(truth, said, task) for said in (ours, theirs))
    return {
        "rows": len(truth),
        "candidate": score(truth, ours, task),
        "control": score(truth, theirs, task),
        "worse": _is_worse(one - two, margin * (1.0 if task == "classification" else two.mean())),
    }


def _losses(truth: NDArray[Any], said: NDArray[Any], task: str) -> NDArray[np.float64]:
    losses = np.abs(said - truth) if task == "regression" else said != truth
    return np.asarray(losses, dtype=np.float64)


def _is_worse(lost: NDArray[np.float64], margin: float) -> bool:
    """Tell whether more than the margin is lost, and more than chance explains once in twenty.

    One row of forty would else be worse by more than two percent.
    """
    error = float(lost.std(ddof=1)) / np.sqrt(len(lost)) if len(lost) > 1 else 0.0
    return bool(lost.mean() - ONE_SIDED * error > margin)


def decide(name: str, control: str, sat: Mapping[str, Json], margin: float) -> Outcome:
    worse = [part for part, each in sat.items() if each["worse"]]
    decision: Literal["propose", "reject"] = "reject" if worse else "propose"
    if worse:
        code = f"worse_on_{worse[0]}"
        reason = (
            f"{name} is worse than {control} on the {' and the '.join(worse)} rows of the exam, by "
            f"more than the margin of {margin:g}"
        )
    else:
        code = "not_worse"
        reason = f"{name} is not worse than {control} on old rows nor on new"
    return Outcome(version=name, decision=decision, reason_code=code, reason=reason, exam=dict(sat))
