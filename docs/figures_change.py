"""Chapters 5 to 7 of the course: traffic, the world and the versions, as time goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from flowers import COLOURS, IRIS, for_exam, forest, v1
from numpy.typing import NDArray
from svg import LINE, line, picture, text, title

from irisab.config import RolloutOptions
from irisab.stats import drift

BIGGER = 1.3  # the florist's other garden
BLUE, RED = COLOURS[0], "#c0392b"
DASHES = {BLUE: "", RED: "7 4"}
LEFT, TOP, RIGHT = 70, 50, 620


def draw_rollout() -> str:
    """The share of a new version, in one small step and in several, as time goes on.

    Both take as long; what differs is how many have met the version if it has to go back.
    """
    bottom = 250
    y = lambda share: bottom - share * (bottom - TOP)  # noqa: E731
    out = [title("How much of the traffic a new version has"), *_percents(range(0, 101, 25), y)]
    for colour, steps in ((RED, (5.0,)), (BLUE, RolloutOptions().steps)):
        shares = [0.0, *steps]
        edges = [*np.linspace(LEFT, RIGHT - 60, len(shares) + 1), RIGHT]
        stairs = [
            (x, y(share / 100))
            for share, *ends in zip([*shares, 100], edges, edges[1:], strict=False)
            for x in ends
        ]
        out.append(_curve(stairs, colour))
    out += [
        *_key(66, RED, "canary"),
        *_key(90, BLUE, "gradual"),
        text(LEFT, bottom + 20, "shadow: answers nobody"),
        text(RIGHT, bottom + 20, "the verdict: all of it", anchor="end"),
    ]
    return picture(out, height=285)


def draw_drift() -> str:
    """The lengths that v1 has learned from, those of the other garden, and how far apart."""
    bottom = 290
    x = lambda cm: LEFT + cm / 10.5 * (RIGHT - LEFT)  # noqa: E731
    y = lambda share: bottom - share * (bottom - TOP)  # noqa: E731
    learned = np.sort(IRIS.rows[~for_exam(), 0])
    asked = np.sort((IRIS.rows[:, 0] * BIGGER).round(2))
    at, *ends = _largest_gap(learned, asked)
    out = [
        title("Length of the sepal: how many flowers have at most so much"),
        *_percents(range(0, 101, 25), y),
        *(text(x(cm), bottom + 18, f"{cm}", anchor="middle") for cm in range(11)),
        text((LEFT + RIGHT) / 2, bottom + 36, "cm", anchor="middle"),
    ]
    for values, colour in ((learned, BLUE), (asked, RED)):
        stairs = [
            (x(value), y((number + step) / len(values)))
            for number, value in enumerate(values)
            for step in (0, 1)
        ]
        out.append(_curve([(x(0), y(0)), *stairs, (x(10.5), y(1))], colour))
    out += [
        *_key(70, BLUE, "learned from"),
        *_key(92, RED, "a third bigger"),
        line(*((x(at), y(end)) for end in ends), width=3),
        text(RIGHT + 14, 140, "the thick line is the"),
        text(RIGHT + 14, 158, f"largest gap: {drift.ks_distance(learned, asked):.2f}"),
    ]
    return picture(out, height=340)


def _largest_gap(*columns: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return where two distributions are furthest apart, and what each of them is there."""
    every = np.union1d(*columns)
    one, other = (np.searchsorted(s, every, side="right") / len(s) for s in columns)
    widest = np.abs(one - other).argmax()
    return float(every[widest]), float(one[widest]), float(other[widest])


def draw_loop() -> str:
    """How often v1 is right, and a candidate that has learned from the other garden too."""
    bottom = 290
    factors = np.arange(0.9, 1.61, 0.05)
    x = lambda factor: LEFT + (factor - 0.9) / 0.7 * (RIGHT - LEFT)  # noqa: E731
    y = lambda share: bottom - (share - 0.3) / 0.7 * (bottom - TOP)  # noqa: E731
    members = for_exam()
    rows, labels = IRIS.rows[~members], IRIS.labels[~members]
    both = np.vstack([rows, (rows * BIGGER).round(2)])
    candidate = forest(both, np.concatenate([labels, labels]))
    out = [
        title("Flowers of the exam, grown bigger: how many each version names rightly"),
        *_percents(range(40, 101, 20), y),
        *(text(x(n / 10), bottom + 18, f"{n / 10}", anchor="middle") for n in range(10, 17)),
        text((LEFT + RIGHT) / 2, bottom + 36, "times as big as those of the data", anchor="middle"),
    ]
    for model, colour, words in ((v1(), RED, "v1"), (candidate, BLUE, "the candidate")):
        rights = [model.predict(IRIS.rows[members] * f) == IRIS.labels[members] for f in factors]
        curve = [(x(f), y(right.mean())) for f, right in zip(factors, rights, strict=True)]
        out += [_curve(curve, colour), text(RIGHT + 10, curve[-1][1] + 4, words, fill=colour)]
    return picture(out, height=340)


def _percents(percents: range, y: Callable[[float], float]) -> list[str]:
    """Lines across a chart, each with its percentage."""
    return [
        part
        for percent in percents
        for part in (
            line((LEFT, y(percent / 100)), (RIGHT, y(percent / 100)), stroke=LINE),
            text(LEFT - 8, y(percent / 100) + 4, f"{percent} %", anchor="end"),
        )
    ]


def _curve(points: Iterable[tuple[float, float]], colour: str) -> str:
    return line(*points, stroke=colour, width=2.5, dash=DASHES[colour])


def _key(y: float, colour: str, words: str) -> list[str]:
    curve = _curve([(RIGHT + 14, y), (RIGHT + 40, y)], colour)
    return [curve, text(RIGHT + 46, y + 4, words)]
