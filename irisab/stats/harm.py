"""Classes on which a challenger is proven to be worse, however good it is elsewhere.

A model that never finds the one fraud in a hundred may be right more often than one that does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from irisab.stats.comparison import Reason
from irisab.stats.sequential import log_e_two_rates, log_e_value
from irisab.stats.tally import Arm, Shown

# A sentence with more names is not read.
NAMED = 3


class Harm(NamedTuple):
    """A class on which the challenger is worse, and how that was seen."""

    name: str
    seen: str


def lost_votes(
    classes: Mapping[str, Shown],
    *,
    among: int,
    alpha: float,
    margin: float,
    names: tuple[str, str],
) -> list[Harm]:
    """Return the classes whose disagreements the control has won, more than chance explains.

    All classes (`among` so many) share alpha; a loss that is not above `margin` of the class is
    none.
    """
    harms = []
    for name, shown in classes.items():
        won, lost = shown.all.challenger_only, shown.all.control_only
        proven = log_e_value(won, lost) >= math.log(among / alpha)
        if proven and lost - won > margin * shown.units:
            harms.append(Harm(name, f"{names[1]} was right in {won} and {names[0]} in {lost}"))
    return harms


def never_won(classes: Mapping[str, Shown], *, among: int, names: tuple[str, str]) -> list[Harm]:
    """Return the classes in which the challenger was not once right alone, and the control was.

    That is too little to prove anything, and all there may be of a rare class when the frequent
    ones have decided. Where chance would do as much in one of so many classes it is none.
    """
    return [
        Harm(name, f"{names[1]} was right in none and {names[0]} in {shown.all.control_only}")
        for name, shown in classes.items()
        if not shown.all.challenger_only and shown.all.control_only >= math.log2(max(among, 2))
    ]


def lower_recall(
    classes: Mapping[str, tuple[Arm, Arm]],
    *,
    among: int,
    alpha: float,
    margin: float,
    names: tuple[str, str],
) -> list[Harm]:
    """Return the classes of which the challenger finds less, more than chance explains.

    `classes` has the control's and the challenger's own rows. All classes (`among` so many) share
    alpha; a loss that is not above `margin` of the class is none.
    """
    harms = []
    for name, (control, challenger) in classes.items():
        if not (control.labelled and challenger.labelled):
            continue
        log_e = log_e_two_rates(
            (control.labelled - control.correct, control.correct),
            (challenger.labelled - challenger.correct, challenger.correct),
        )
        proven = log_e >= math.log(among / alpha)
        if proven and control.accuracy - challenger.accuracy > margin:
            seen = (
                f"{names[1]} was right in {challenger.correct} of {challenger.labelled} "
                f"and {names[0]} in {control.correct} of {control.labelled}"
            )
            harms.append(Harm(name, seen))
    return harms


def never_found(
    classes: Mapping[str, tuple[Arm, Arm]], *, among: int, names: tuple[str, str]
) -> list[Harm]:
    """Return the classes of which the challenger has found none, and the control some.

    As `never_won`, for versions that are judged by their own rows.
    """
    return [
        Harm(
            name,
            f"{names[1]} was right in none of {challenger.labelled} and {names[0]} in "
            f"{control.correct} of {control.labelled}",
        )
        for name, (control, challenger) in classes.items()
        if control.correct and not challenger.correct
        if challenger.labelled >= math.log2(max(among, 2))
    ]


def but(reason: Reason, harms: Sequence[Harm], control: str) -> Reason:
    """Turn what would be a verdict into why there is none: proven harm to a class."""
    return Reason(
        "worse_on_class",
        f"{reason.text}, but {_sentence(harms)}: keep {control}, or say in [experiment] weights "
        "what a class is worth",
    )


def not_yet(reason: Reason, doubts: Sequence[Harm]) -> Reason:
    """Turn what would be a verdict into why there is none yet: a class that may be lost."""
    return Reason(
        "class_in_doubt",
        f"{reason.text}, but {_sentence(doubts)}: label more of it, or say in [experiment] weights "
        "what a class is worth",
    )


def _sentence(harms: Sequence[Harm]) -> str:
    named = "; ".join(f"where the truth is {name}, {seen}" for name, seen in harms[:NAMED])
    more = len(harms) - NAMED
    return f"{named}; and so on for {more} more classes" if more > 0 else named
