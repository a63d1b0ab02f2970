"""Why nothing should be learned from some labels. Start at `veto()`.

A model that learned from them would make a mistake for good: a broken sensor, complaints taken for
the truth, a class that nobody labels any more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irisab.lifecycle.labelled import Label
from irisab.lifecycle.rows import Dataset
from irisab.stats.votes import FISHER_LEVEL, fisher_exact

Code = Literal[
    "too_few_labels",
    "labels_depend_on_answer",
    "only_complaints",
    "class_vanished",
    "feature_stuck",
    "feature_missing",
    "feature_implausible",
]
# Fewer examine nothing.
MIN_EXAM = 10
# Whoever labels at random confirms an answer now and then, whatever has drifted.
CONFIRMED = 0.02
MIN_CONFIRMABLE = 20
# A class that is missing by chance no more often than this has vanished.
BY_CHANCE = 0.01
# A sensor hangs where one value takes so much of the new rows that took so little of the old.
STUCK, USUAL = 0.5, 0.1
# An input may move as far as this many times its old range beyond it; few rows may go further.
RANGES, OUTSIDE = 2.0, 0.01


class Veto(NamedTuple):
    """Why not: for programs, and in words that say what to do."""

    code: Code
    reason: str


def veto(
    labels: Sequence[Label],
    old: Dataset,
    new: Dataset,
    *,
    min_labels: int,
    in_exam: int,
    tie: float,
) -> Veto | None:
    """Return the first thing that is wrong with labels; None where they can be learned from.

    Parameters
    ----------
    labels : those that have come since the old rows
    new : the same, as a table
    in_exam : how many of them are for the exam
    tie : answers of a regression that are closer than this are equally right
    """
    checks: Sequence[Callable[[], Veto | None]] = (
        lambda: _too_few(len(labels), min_labels, in_exam),
        lambda: _follow_the_answer(labels, old, tie),
        lambda: _only_complaints(labels, old),
        lambda: _vanished(old, new),
        lambda: next(_sensors(old, new), None),
    )
    return next((why for check in checks if (why := check())), None)


def _too_few(labels: int, min_labels: int, in_exam: int) -> Veto | None:
    if labels < min_labels:
        return Veto(
            "too_few_labels",
            f"{labels} labels have come since the model was made, and [retrain] min_labels = "
            f"{min_labels} asks for more: send them to POST /feedback",
        )
    if in_exam < MIN_EXAM:
        return Veto(
            "too_few_labels",
            f"of {labels} labels {in_exam} are for the exam, which needs {MIN_EXAM}: label rows of "
            "more users",
        )
    return None


def _follow_the_answer(labels: Sequence[Label], old: Dataset, tie: float) -> Veto | None:
    """Test, for each pair of models, whether who was right depends on whose answer was shown."""
    for table in _tables(labels, old, tie).values():
        (a, b), (c, d) = table
        if fisher_exact(a, b, c, d) < FISHER_LEVEL:
            return Veto(
                "labels_depend_on_answer",
                "who was right depends on which version was shown, as when users report mistakes "
                "and not right answers: label a random sample of requests, right answers too",
            )
    return None


def _tables(
    labels: Sequence[Label], old: Dataset, tie: float
) -> dict[tuple[str, str], list[list[int]]]:
    """Count by pair, the model that was shown, and the one that was right; one vote a unit."""
    tables: dict[tuple[str, str], list[list[int]]] = defaultdict(lambda: [[0, 0], [0, 0]])
    voted = set()
    for label in labels:
        wrong = {model: abs(said - label.truth) for model, said in label.said.items()}
        if old.task == "classification":
            wrong = {model: float(each > 0) for model, each in wrong.items()}
        for pair in combinations(sorted(wrong), 2):
            lead = wrong[pair[1]] - wrong[pair[0]]
            decided = abs(lead) > (tie if old.task == "regression" else 0)
            if decided and label.shown in pair and (pair, label.unit) not in voted:
                voted.add((pair, label.unit))
                tables[pair][pair.index(label.shown)][int(lead < 0)] += 1
    return tables


def _only_complaints(labels: Sequence[Label], old: Dataset) -> Veto | None:
    confirmed = sum(each.said[each.shown] == each.truth for each in labels)
    if (
        old.task == "regression"
        or len(labels) < MIN_CONFIRMABLE
        or confirmed > CONFIRMED * len(labels)
    ):
        return None
    return Veto(
        "only_complaints",
        f"of {len(labels)} labels {confirmed} confirm the answer that was shown, as when only "
        "mistakes are reported: label a random sample of requests, right answers too",
    )


def _vanished(old: Dataset, new: Dataset) -> Veto | None:
    before, now = Counter(old.labels.tolist()), set(new.labels.tolist())
    for position, name in enumerate(old.class_names):
        share = before[position] / len(old.labels)
        if position not in now and (1 - share) ** len(new.labels) < BY_CHANCE:
            return Veto(
                "class_vanished",
                f"class {name} is {share:.0%} of the old rows, and none of {len(new.labels)} new "
                "labels names it: label rows of that class, or find out why they come no more",
            )
    return None


def _sensors(old: Dataset, new: Dataset) -> Iterator[Veto]:
    for position, (name, _) in enumerate(old.features):
        if old.types[position] == "number":
            before, now = (each.rows[:, position].astype(np.float64) for each in (old, new))
            if why := _sensor(name, before, now):
                yield why


def _sensor(name: str, before: NDArray[np.float64], now: NDArray[np.float64]) -> Veto | None:
    """Judge a feature by its old and its new values: shape (n_rows,), NaN where one is missing."""
    gone, used_to = np.isnan(now).mean(), np.isnan(before).mean()
    if gone >= STUCK and used_to < USUAL:
        return Veto(
            "feature_missing",
            f"feature {name} is missing in {gone:.0%} of the new rows, and was in {used_to:.0%} of "
            "the old: mend what measures it",
        )
    before, now = before[~np.isnan(before)], now[~np.isnan(now)]
    if not (before.size and now.size) or before.min() == before.max():
        return None
    return _stuck(name, before, now) or _implausible(name, before, now)


def _stuck(name: str, before: NDArray[np.float64], now: NDArray[np.float64]) -> Veto | None:
    newest = now[-max(len(now) // 4, min(len(now), MIN_CONFIRMABLE)) :]
    return _hangs(name, before, now) or _hangs(name, before, newest)


def _hangs(name: str, before: NDArray[np.float64], now: NDArray[np.float64]) -> Veto | None:
    values, counts = np.unique(now, return_counts=True)
    most = values[counts.argmax()]
    share, used_to = float(counts.max()) / len(now), float((before == most).mean())
    if share < STUCK or used_to >= USUAL:
        return None
    return Veto(
        "feature_stuck",
        f"feature {name} is {most:g} in {share:.0%} of {len(now)} new rows, and was in "
        f"{used_to:.0%} of the old, as when a sensor hangs: mend what measures it",
    )


def _implausible(name: str, before: NDArray[np.float64], now: NDArray[np.float64]) -> Veto | None:
    low, high = float(before.min()), float(before.max())
    most = RANGES * (high - low)
    outside = (now < low - most) | (now > high + most)
    if outside.mean() <= OUTSIDE:
        return None
    return Veto(
        "feature_implausible",
        f"feature {name} has values such as {now[outside][-1]:g} in {outside.mean():.0%} of the "
        f"new rows, and was from {low:g} to {high:g}: mend what measures it",
    )
