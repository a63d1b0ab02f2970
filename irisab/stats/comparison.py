"""What is known about one challenger: the verdict, its reason and its figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Accuracy of the challenger minus accuracy of the control, with its anytime-valid interval."""

    estimate: float | None = None
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is known about one challenger; `reason` is a sentence a person can act on.

    Without shadow (unpaired) the fields about disagreements are None. `labels_needed` are further
    labels, at the rates seen so far; None where nobody can tell.
    """

    verdict: Verdict
    reason: str
    disagreement_rate: float | None
    labelled: int
    challenger_right: int | None
    control_right: int | None
    e_value: float
    difference: Difference
    labels_needed: int | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def idle(names: tuple[str, str], weights: tuple[float, float]) -> str | None:
    idle_names = [name for name, weight in zip(names, weights, strict=True) if weight <= 0]
    if not idle_names:
        return None
    return f"no traffic for {' and '.join(idle_names)}: give it traffic in [split] to get a verdict"


def next_step(verdict: Verdict, names: tuple[str, str]) -> str:
    return f"give {names[1] if verdict == 'better' else names[0]} all the traffic"
