"""Chapters 1 to 3 of the course: what `v1` has learned from, and how it decides."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from flowers import COLOURS, IRIS, NAMES, SHADES, legend, mark, v1
from svg import INK, LINE, PALE, box, line, picture, text, title

PETAL_LENGTH, PETAL_WIDTH = 2, 3
DOUBTFUL = 127  # of the exam, and half of the trees name it wrongly


def draw_petals() -> str:
    """Chapter 1: what v1 answers for each petal, and a rule that a person would write."""
    left, top, right, bottom = 60, 44, 600, 360
    x = lambda cm: left + cm / 7.2 * (right - left)  # noqa: E731
    y = lambda cm: bottom - cm / 2.7 * (bottom - top)  # noqa: E731
    out = [title("What v1 answers for each petal, learned from examples")]
    out += [
        box(x(start), y(width + 0.1), x(end) - x(start), y(0) - y(0.1), fill=SHADES[species])
        for width in np.arange(0, 2.7, 0.1)
        for start, end, species in _runs(width)
    ]
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


def _runs(width: float) -> Iterator[tuple[float, float, int]]:
    """Yield from which length to which v1 says the same of petals that are so wide, in cm."""
    lengths = np.arange(0, 7.3, 0.1)
    sepal = IRIS.rows[:, :PETAL_LENGTH].mean(axis=0)
    answers = v1().predict([[*sepal, length + 0.05, width + 0.05] for length in lengths[:-1]])
    starts = [0, *(np.flatnonzero(np.diff(answers)) + 1), len(answers)]
    for start, end in pairwise(starts):
        yield lengths[start], lengths[end], answers[start]


def draw_iris() -> str:
    """Chapter 2: how often each value of each measurement stands in the data, by species."""
    out = [title("The 150 flowers: each bar is a value, as high as there are flowers with it")]
    left, right, row = 150, 780, 46
    x = lambda cm: left + cm / 8 * (right - left)  # noqa: E731
    y = 44.0
    for feature, name in enumerate(NAMES):
        out.append(text(20, y + 1.5 * row + 4, name))
        for species in range(3):
            base = y + (species + 1) * row - 3
            out.append(line((left, base), (right, base), stroke=LINE))
            values = IRIS.rows[IRIS.labels == species, feature]
            for value, count in zip(*np.unique(values, return_counts=True), strict=True):
                high = 1.4 * count
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
    for children, word in ((tree.children_left, "yes"), (tree.children_right, "no")):
        for node, child in enumerate(children):
            if child != -1:
                out += _branch(at[node], at[child], word, taken={node, child} <= way)
    out += [_node(tree, node, *at[node], bold=node in way) for node in places]
    deep = max(y for _, y in at.values())
    measured = ", ".join(f"{n} {cm:.1f}" for n, cm in zip(NAMES, flower.tolist(), strict=True))
    truth = IRIS.class_names[IRIS.labels[DOUBTFUL]]
    out.append(text(40, deep + 46, f"The flower: {measured} cm. It is a {truth}."))
    return picture(out, height=int(deep) + 64)


def _branch(
    above: tuple[float, float], below: tuple[float, float], word: str, *, taken: bool
) -> list[str]:
    """Draw the way from a question to what follows it, in ink where the flower takes it."""
    (x, y), (below_x, below_y) = above, below
    stroke, width = (INK, 3) if taken else ("#bbb", 1.2)
    aside, anchor = (-6, "end") if word == "yes" else (6, "start")
    return [
        line((x, y + 13), (below_x, below_y - 13), stroke=stroke, width=width),
        text((x + below_x) / 2 + aside, (y + below_y) / 2 + 2, word, fill=PALE, anchor=anchor),
    ]


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
