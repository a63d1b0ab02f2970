"""Figures and names into plain words. No drawing: a function returns text, or None for nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

HOW_TO_LABEL = (
    "A label tells the service what the right answer was. Give one with the buttons on the "
    "Predict page, or from your own program with `POST /feedback`."
)

TESTED = (
    "When tested: in five-fold cross-validation over all training rows, with the standard error."
)

UNEVEN = (
    "The versions do not get the users they should. Something outside the service decides who is "
    "answered by whom, so figures that compare groups of users can't be trusted."
)

# Where that needs no key: who could have done it.
INVENTED = (
    "Predictions need no key here, so whoever reaches the API can have invented users until it is "
    "so. [auth] require = all in the INI file changes that."
)

ANYBODY = (
    "Labels need no key here, so whoever reaches the API has a vote. [auth] require = feedback in "
    "the INI file changes that."
)

ALONE = "One version answers everything. Give a second one a share in [split] to compare them."

INTERVAL = "Dot: share of right answers. Line: where the true value lies, 19 times out of 20."

MOVED = " · :orange[above its alarm]"


class Message(NamedTuple):
    """A headline, what it rests on, and what to do next. `tone` is good, bad or open.

    `typed` is a command, or lines of the INI file, which `reload` puts in force.
    """

    tone: str
    headline: str
    because: str
    todo: str
    typed: str = ""
    reload: str = ""


def label(feature: Mapping[str, Any]) -> str:
    """Name a feature with its unit: sepal_length in cm is "Sepal length (cm)"."""
    name = plain(title(feature["name"]))
    return f"{name} ({plain(feature['unit'])})" if feature["unit"] else name


def title(name: str) -> str:
    """Write a name from a data file as people would: sepal_length becomes Sepal length."""
    return sentence(name.replace("_", " ").strip())


def plain(text: str) -> str:
    """Keep text that came from elsewhere from being read as Markdown."""
    return re.sub(r"([\\`*_{}\[\]#!|<>~$:])", r"\\\1", text)


def away(address: str, *, empty: bool) -> str:
    """Say that nobody answers, and on a page that has nothing to show, how to look elsewhere."""
    said = f"The service at {plain(address)} is not answering; trying again."
    return f"{said} To look elsewhere, set `IRISAB_API`." if empty else said


def share(answered: int, total: int, weight: float) -> str:
    planned = f"planned {number(weight)}%"
    return f"{percent(answered / total)} · {planned}" if total else planned


def thanks(status: str, label: str | float) -> str:
    already = "That was noted before" if status == "duplicate" else "Thank you, noted"
    said = plain(title(label)) if isinstance(label, str) else number(label)
    return f":green[{already}: {said}.]"


def what_is_answered(task: str) -> str:
    if task == "regression":
        return "How much it is, and which version answered."
    return "Which class it is, how sure the model is, and which version answered."


def answer(said: Mapping[str, Any], chances: Mapping[str, float]) -> str:
    """Say the class and how sure the model is of it, if it tells, or the value of a regression."""
    if "class_name" not in said:
        return number(said["prediction"])
    name = plain(title(said["class_name"]))
    return f"{name}, {percent(chances[said['class_name']])}" if chances else name


def titles(names: Sequence[str]) -> Callable[[str], str]:
    """Give the way to write names of which one is chosen: no two may look the same."""
    return title if len({*map(title, names)}) == len(names) else str


def percent(share: float | None, *, digits: int = 0) -> str:
    return "–" if share is None else f"{share:.{digits}%}"


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} ms"


def number(value: float) -> str:
    return f"{value:.6g}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def trained_on(feature: Mapping[str, Any]) -> str:
    low, high = number(feature["min"]), number(feature["max"])
    return f"{low} only" if low == high else f"{low} to {high}"


def outside(feature: Mapping[str, Any], value: float, *, known: tuple[float, float]) -> str | None:
    """Say that a slider's value lies outside its stops for what the model learnt from."""
    low, high = known
    if low <= value <= high:
        return None
    side = "below" if value < low else "above"
    return (
        f"{plain(title(feature['name']))}: {number(value)} is {side} all the model was trained on "
        f"({trained_on(feature)}). It will answer, but it can only guess."
    )


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
