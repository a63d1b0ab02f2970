"""The pictures of the course: what `v1` of `make run` has learned from, and what it does.

Nothing here is made up: the rows are Iris, the model is the forest that `train` makes of those
which are not for the exam, and what is drawn is what it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from svg import INK, LINE, PALE, box, line, picture, text, title

from irisab.config import RolloutOptions, TrainingOptions
from irisab.lifecycle import estimators, exam
from irisab.lifecycle.dataset import load_iris
from irisab.stats import drift
from irisab.versions import ModelOptions

IRIS = load_iris()
NAMES = [name.replace("_", " ") for name, _ in IRIS.features]
PETAL_LENGTH, PETAL_WIDTH = 2, 3
# Told apart by those who see no colours too: as shapes, and as light and dark.
COLOURS = ("#2471a3", "#1e8449", "#d68910")
SHADES = ("#d6e6f2", "#d5ecdd", "#fbe8c8")
DOUBTFUL = 127  # of the exam, and half of the trees name it wrongly
BIGGER = 1.3  # the florist's other garden


@cache
def for_exam() -> NDArray[np.bool_]:
    return exam.members(IRIS, salt=TrainingOptions().salt)


def forest(rows: NDArray[np.float64], labels: NDArray[np.int64]) -> Any:
    """Return a forest of 50 trees, as `train` fits one."""
    estimator = estimators.build(ModelOptions(n_estimators=50), "classification")
    return estimator.set_params(n_jobs=None).fit(rows, labels)


@cache
def v1() -> Any:
    return forest(IRIS.rows[~for_exam()], IRIS.labels[~for_exam()])


def mark(x: float, y: float, species: int) -> str:
    """A circle, a square or a triangle: a flower of a species."""
    attributes = f'fill="{COLOURS[species]}" stroke="#fff" stroke-width="0.7"'
    if species == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" {attributes}/>'
    if species == 1:
        return f'<rect x="{x - 3.2:.1f}" y="{y - 3.2:.1f}" width="6.4" height="6.4" {attributes}/>'
    corners = f"{x:.1f},{y - 4.2:.1f} {x - 4.2:.1f},{y + 3.4:.1f} {x + 4.2:.1f},{y + 3.4:.1f}"
    return f'<polygon points="{corners}" {attributes}/>'


def legend(x: float, y: float) -> list[str]:
    return [
        part
        for species, name in enumerate(IRIS.class_names)
        for part in (mark(x, y + 20 * species, species), text(x + 12, y + 4 + 20 * species, name))
    ]


def draw_petals() -> str:
    """Chapter 1: what v1 answers for each petal, and a rule that a person would write."""
    left, top, right, bottom = 60, 44, 600, 360
    x = lambda cm: left + cm / 7.2 * (right - left)  # noqa: E731
    y = lambda cm: bottom - cm / 2.7 * (bottom - top)  # noqa: E731
    lengths, widths = np.arange(0, 7.2, 0.1), np.arange(0, 2.7, 0.1)
    sepal = IRIS.rows[:, :PETAL_LENGTH].mean(axis=0)
    out = [title("What v1 answers for each petal, learned from examples")]
    for width in widths:
        rows = [[*sepal, length + 0.05, width + 0.05] for length in lengths]
        answers = v1().predict(np.array(rows))
        starts = [0, *(np.flatnonzero(np.diff(answers)) + 1), len(answers)]
        for a, b in zip(starts, starts[1:], strict=False):
            run = (b - a) * (x(0.1) - x(0))
            out.append(
                box(x(lengths[a]), y(width + 0.1), run, y(0) - y(0.1), fill=SHADES[answers[a]])
            )
    out += [text(x(cm), bottom + 18, f"{cm}", anchor="middle") for cm in range(8)]
    out += [text(left - 8, y(cm) + 4, f"{cm:g}", anchor="end") for cm in (0, 0.5, 1, 1.5, 2, 2.5)]
    out += [
        text((left + right) / 2, bottom + 38, "length of the petal, cm", anchor="middle"),
        f'<text x="18" y="{(top + bottom) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 18 {(top + bottom) / 2})">width of the petal, cm</text>',
        line((x(2.5), y(0)), (x(2.5), y(2.7)), dash="6 4", width=1.5),
        line((x(2.5), y(1.7)), (x(7.2), y(1.7)), dash="6 4", width=1.5),
        *(
            mark(x(row[PETAL_LENGTH]), y(row[PETAL_WIDTH]), species)
            for row, species in zip(IRIS.rows, IRIS.labels, strict=True)
        ),
        *legend(right + 24, 70),
        text(right + 16, 160, "marks: the 150 flowers"),
        text(right + 16, 180, "shades: what v1 says"),
        line((right + 16, 197), (right + 44, 197), dash="6 4", width=1.5),
        text(right + 50, 201, "a rule by hand"),
    ]
    return picture(out, height=410)


def draw_iris() -> str:
    """Chapter 2: how often each value of each measurement stands in the data, by species."""
    out = [title("The 150 flowers: each bar is a value, as high as there are flowers with it")]
    left, right, row = 150, 780, 34
    x = lambda cm: left + cm / 8 * (right - left)  # noqa: E731
    y = 44.0
    for feature, name in enumerate(NAMES):
        out.append(text(20, y + 1.5 * row + 4, name))
        for species in range(3):
            base = y + (species + 1) * row - 3
            out.append(line((left, base), (right, base), stroke=LINE))
            values = IRIS.rows[IRIS.labels == species, feature]
            for value, count in zip(*np.unique(values, return_counts=True), strict=True):
                high = min(count, 16) * 1.8
                out.append(box(x(value) - 2.5, base - high, 5, high, fill=COLOURS[species]))
        y += 3 * row + 14
    out += [text(x(cm), y + 8, f"{cm} cm", anchor="middle") for cm in range(0, 9, 2)]
    for species, name in enumerate(IRIS.class_names):
        out += [
            box(left + 160 * species, y + 24, 12, 12, fill=COLOURS[species]),
            text(left + 18 + 160 * species, y + 35, name),
        ]
    return picture(out, height=int(y) + 50)


def draw_tree() -> str:
    """Chapter 3: the first of v1's fifty trees, and the way of one flower through it."""
    tree = v1().estimators_[0].tree_
    flower = IRIS.rows[DOUBTFUL]
    way = set(v1().estimators_[0].decision_path(flower[None].astype(np.float32)).indices)
    places = _places(tree)
    wide = max(x for x, _ in places.values())
    at = {node: (70 + x / wide * 660, 66 + 62 * y) for node, (x, y) in places.items()}
    out = [title("The first of v1's 50 trees, and the way of one flower")]
    for node in places:
        for child, words in ((tree.children_left[node], "yes"), (tree.children_right[node], "no")):
            if child == -1:
                continue
            (x, y), (below_x, below_y) = at[node], at[child]
            taken = node in way and child in way
            out.append(
                line(
                    (x, y + 13), (below_x, below_y - 13),
                    stroke=INK if taken else "#bbb", width=3 if taken else 1.2,
                )
            )  # fmt: skip
            side = -6 if words == "yes" else 6
            anchor = "end" if words == "yes" else "start"
            middle = (x + below_x) / 2 + side
            out.append(text(middle, (y + below_y) / 2 + 2, words, fill=PALE, anchor=anchor))
    out += [_node(tree, node, *at[node], bold=node in way) for node in places]
    deep = max(y for _, y in at.values())
    measured = ", ".join(f"{n} {cm:.1f}" for n, cm in zip(NAMES, flower.tolist(), strict=True))
    truth = IRIS.class_names[IRIS.labels[DOUBTFUL]]
    out.append(text(40, deep + 46, f"The flower: {measured} cm. It is a {truth}."))
    return picture(out, height=int(deep) + 64)


def _places(tree: Any) -> dict[int, tuple[float, int]]:
    """Return column and depth of each node: leaves side by side, a question above its answers."""
    places: dict[int, tuple[float, int]] = {}
    leaves = 0

    def place(node: int, depth: int) -> float:
        nonlocal leaves
        if tree.children_left[node] == -1:
            x = float(leaves)
            leaves += 1
        else:
            ends = (
                place(tree.children_left[node], depth + 1),
                place(tree.children_right[node], depth + 1),
            )
            x = sum(ends) / 2
        places[node] = x, depth
        return x

    place(0, 0)
    return places


def _node(tree: Any, node: int, x: float, y: float, *, bold: bool) -> str:
    if tree.children_left[node] == -1:
        shares = tree.value[node][0]
        species = int(shares.argmax())
        words, fill, edge = IRIS.class_names[species], SHADES[species], COLOURS[species]
    else:
        words = f"{NAMES[tree.feature[node]]} ≤ {tree.threshold[node]:.2f}?"
        fill, edge = "#fff", "#999"
    half = 4 + 3.4 * len(words)
    edge = INK if bold else edge
    return box(x - half, y - 13, 2 * half, 26, fill=fill, stroke=edge) + text(
        x, y + 4.5, words, anchor="middle"
    )


def draw_votes() -> str:
    """Chapter 3: what each of the fifty trees says of a sure flower and of a doubtful one."""
    out = [title("Fifty trees, one vote each")]
    for place, number in enumerate((0, DOUBTFUL)):
        top = 50 + 92 * place
        row = IRIS.rows[number]
        votes = [int(tree.predict(row[None])[0]) for tree in v1().estimators_]
        out.append(text(40, top + 10, f"{' '.join(f'{cm:.1f}' for cm in row.tolist())}"))
        out.append(text(40, top + 30, f"a {IRIS.class_names[IRIS.labels[number]]}", fill=PALE))
        for place_of_vote, vote in enumerate(votes):
            x, y = 170 + 17 * (place_of_vote % 25), top + 19 * (place_of_vote // 25)
            out.append(box(x, y, 14, 16, fill=COLOURS[vote]))
        shares = v1().predict_proba(row[None])[0]
        for species in np.flatnonzero(np.bincount(votes, minlength=3)):
            words = f"{IRIS.class_names[species]} {shares[species]:.0%}"
            out.append(text(612, top + 12 + 20 * (species == 2), words))
    for species, name in enumerate(IRIS.class_names):
        out += [
            box(170 + 120 * species, 222, 12, 12, fill=COLOURS[species]),
            text(188 + 120 * species, 233, name),
        ]
    return picture(out, height=250)


def draw_rollout() -> str:
    """Chapter 5: the share of a new version, in big steps and in small ones, as time goes on."""
    left, top, right, bottom = 70, 50, 620, 250
    plans = {"canary: steps = 5": (5.0,), "gradual: the default": RolloutOptions().steps}
    out = [title("How much of the traffic a new version has")]
    for percent in (0, 25, 50, 75, 100):
        y = bottom - percent / 100 * (bottom - top)
        out += [
            line((left, y), (right, y), stroke=LINE),
            text(left - 8, y + 4, f"{percent} %", anchor="end"),
        ]
    for (name, steps), colour in zip(plans.items(), ("#c0392b", COLOURS[0]), strict=True):
        shares = [0.0, *steps, 100.0, 100.0]
        # The same time until all: what differs is how many were harmed if it had to end before.
        edges = np.linspace(left, right - 60, len(shares) - 1)
        points = []
        for share, start, end in zip(shares, edges, [*edges[1:], right], strict=False):
            y = bottom - share / 100 * (bottom - top)
            points += [(start, y), (end, y)]
        y = bottom - (bottom - top)
        points += [(right - 60, y), (right, y)]
        dash = "7 4" if name.startswith("canary") else ""
        out.append(line(*points, stroke=colour, width=2.5, dash=dash))
        row = list(plans).index(name)
        out += [
            line((right + 14, 66 + 24 * row), (right + 40, 66 + 24 * row), stroke=colour,
                 width=2.5, dash=dash),
            text(right + 46, 70 + 24 * row, name.partition(":")[0]),
        ]  # fmt: skip
    out += [
        text(left, bottom + 20, "shadow: answers nobody"),
        text(right, bottom + 20, "the verdict: all of it", anchor="end"),
    ]
    return picture(out, height=285)


def draw_drift() -> str:
    """Chapter 6: the lengths that v1 learned from, those of the other garden, and how far apart."""
    left, top, right, bottom = 70, 50, 620, 290
    x = lambda cm: left + cm / 10.5 * (right - left)  # noqa: E731
    y = lambda share: bottom - share * (bottom - top)  # noqa: E731
    learned = np.sort(IRIS.rows[~for_exam(), 0])
    asked = np.sort((IRIS.rows[:, 0] * BIGGER).round(2))
    out = [title("Length of the sepal: how many flowers have at most so much")]
    for percent in (0, 25, 50, 75, 100):
        out += [
            line((left, y(percent / 100)), (right, y(percent / 100)), stroke=LINE),
            text(left - 8, y(percent / 100) + 4, f"{percent} %", anchor="end"),
        ]
    out += [text(x(cm), bottom + 18, f"{cm}", anchor="middle") for cm in range(11)]
    out.append(text((left + right) / 2, bottom + 36, "cm", anchor="middle"))
    for values, colour, words, dash, place in (
        (learned, COLOURS[0], "learned from", "", 70),
        (asked, "#c0392b", "a third bigger", "7 4", 92),
    ):
        points = [(x(0), y(0))]
        for number, value in enumerate(values):
            points += [
                (x(value), y(number / len(values))),
                (x(value), y((number + 1) / len(values))),
            ]
        points.append((x(10.5), y(1)))
        out += [
            line(*points, stroke=colour, width=2.5, dash=dash),
            line((right + 14, place), (right + 40, place), stroke=colour, width=2.5, dash=dash),
            text(right + 46, place + 4, words),
        ]
    at, gap = _largest_gap(learned, asked)
    shares = [
        np.searchsorted(values, at, side="right") / len(values) for values in (learned, asked)
    ]
    out += [
        line((x(at), y(shares[0])), (x(at), y(shares[1])), width=3),
        text(right + 14, 140, "the thick line is the"),
        text(right + 14, 158, f"largest gap: {gap:.2f}"),
    ]
    return picture(out, height=340)


def _largest_gap(learned: NDArray[np.float64], asked: NDArray[np.float64]) -> tuple[float, float]:
    """Return where two distributions are furthest apart, and the score that irisab gives it."""
    every = np.union1d(learned, asked)
    shares = [np.searchsorted(s, every, side="right") / len(s) for s in (learned, asked)]
    at = every[np.abs(shares[0] - shares[1]).argmax()]
    return float(at), drift.ks_distance(learned, asked)


def draw_loop() -> str:
    """Chapter 7: how often v1 is right, and a candidate that has seen the other garden too."""
    left, top, right, bottom = 70, 50, 600, 290
    factors = np.arange(0.9, 1.61, 0.05)
    x = lambda factor: left + (factor - 0.9) / 0.7 * (right - left)  # noqa: E731
    y = lambda share: bottom - (share - 0.3) / 0.7 * (bottom - top)  # noqa: E731
    members = for_exam()
    rows, labels = IRIS.rows[~members], IRIS.labels[~members]
    both = np.vstack([rows, (rows * BIGGER).round(2)])
    candidate = forest(both, np.concatenate([labels, labels]))
    out = [title("Flowers of the exam, grown bigger: how many each version names rightly")]
    for percent in (40, 60, 80, 100):
        out += [
            line((left, y(percent / 100)), (right, y(percent / 100)), stroke=LINE),
            text(left - 8, y(percent / 100) + 4, f"{percent} %", anchor="end"),
        ]
    for factor in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6):
        out.append(text(x(factor), bottom + 18, f"{factor:g}", anchor="middle"))
    for model, colour, words, dash in (
        (v1(), "#c0392b", "v1", "7 4"),
        (candidate, COLOURS[0], "the candidate", ""),
    ):
        shares = [
            float((model.predict(IRIS.rows[members] * f) == IRIS.labels[members]).mean())
            for f in factors
        ]
        points = [(x(f), y(s)) for f, s in zip(factors.tolist(), shares, strict=True)]
        out += [
            line(*points, stroke=colour, width=2.5, dash=dash),
            text(right + 10, points[-1][1] + 4, words, fill=colour),
        ]
    out.append(
        text(
            (left + right) / 2,
            bottom + 36,
            "times as big as the flowers of the data",
            anchor="middle",
        )
    )
    return picture(out, height=340)


PICTURES: Mapping[str, Callable[[], str]] = {
    "petals.svg": draw_petals,
    "iris.svg": draw_iris,
    "tree.svg": draw_tree,
    "votes.svg": draw_votes,
    "rollout.svg": draw_rollout,
    "drift.svg": draw_drift,
    "loop.svg": draw_loop,
}
