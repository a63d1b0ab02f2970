"""What is known about one challenger: the verdict, its reason and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
# Who counts as one: the user, or the request where no user is named.
Unit = Literal["user", "request"]
ReasonCode = Literal[
    "proven",  # better or worse, more than chance explains
    "rarely_differ",  # equivalent, by how seldom they differ
    "within_margin",  # equivalent, by their accuracies (shadow = no)
    "fails_alone",
    "worse_on_class",
    "class_in_doubt",
    "no_traffic",
    "no_labels",
    "none_decided",
    "class_unlabelled",
    "labels_depend_on_answer",
    "chance",
    "rarely_shown",
    "habit_possible",
    "few_labels",
    "never_right",
    "too_wide",
]


class Reason(NamedTuple):
    """Why the verdict is what it is: for programs, and in words."""

    code: ReasonCode
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Accuracy of the challenger minus accuracy of the control, with its anytime-valid interval."""

    estimate: float | None = None
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is known about one challenger; `reason` is a sentence a person can act on.

    Without shadow (unpaired) the fields about disagreements are None. `disagreement_rate` is of
    the `scored` users (or requests), and `sampling_rate` the part of the newest requests that both
    scored. `labels_needed` are further labels, at the rates seen so far; None where nobody can
    tell. `worse_on` names the classes on which the challenger is proven to be worse.
    """

    verdict: Verdict
    reason: str
    reason_code: ReasonCode
    unit: Unit
    worse_on: Sequence[str]
    disagreement_rate: float | None
    scored: int | None
    sampling_rate: float | None
    labelled: int
    challenger_right: int | None
    control_right: int | None
    e_value: float
    difference: Difference
    labels_needed: int | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def idle(names: tuple[str, str], shares: tuple[float, float]) -> Reason | None:
    """Say that a version gets no traffic, so that labels on its answers cannot come."""
    idle_names = [name for name, share in zip(names, shares, strict=True) if share <= 0]
    if not idle_names:
        return None
    return Reason(
        "no_traffic",
        f"no traffic for {' and '.join(idle_names)}: give it a share in [split] to get a verdict",
    )


def advice(verdict: Verdict, names: tuple[str, str], shares: tuple[float, float]) -> str:
    """Say in words what follows from better or worse, where the split has these shares."""
    control, challenger = names
    winner, loser = (challenger, control) if verdict == "better" else (control, challenger)
    left = shares[0] if verdict == "better" else shares[1]
    if not left:
        return f"{loser} has no traffic any more"
    if sum(shares) == 100:
        return f"give {winner} all the traffic"
    return f"give {winner} the traffic of {loser}"
