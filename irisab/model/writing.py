"""Trees written as Python: nested conditional expressions. Start at `write`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from irisab.model.arrays import Floats
from irisab.model.branches import Branches, deepest
from irisab.model.written import compiled, literal

# From a row and the sums so far (or the leaves) to those with some more trees.
Part = Callable[[Any, Any], Any]
# It takes 30 us a leaf to write and compile, and 150 bytes to keep; of a category that goes left at
# a split, half of both.
WRITTEN_LEAVES = 50_000
# Python reads at most 200 parentheses inside each other.
WRITTEN_DEPTH = 90
# While Python compiles a function no other thread runs: for 20 ms with so many leaves.
PART_LEAVES = 1_500


def can_be_written(branches: Branches) -> bool:
    """Tell whether there is room for the trees in Python's memory, and in its parser."""
    return _sizes(branches).sum() <= WRITTEN_LEAVES and deepest(branches) <= WRITTEN_DEPTH


def write_sums(branches: Branches) -> list[Part]:
    """Return functions that add what the leaves say: to a float, or to a list of sums."""
    leaves, sums = map(literal, branches.nodes.value[:, 0].tolist()), len(branches.base)
    trees = _expressions(branches, iter([*leaves][::-1]))
    return [_summing(branches, trees, part, sums) for part in _parts(branches)]


def write_leaves(branches: Branches) -> list[Part]:
    """Return functions that append the leaves that a row reaches to a list."""
    trees = _expressions(branches, map(str, reversed(range(branches.nodes.n_leaves))))
    return [
        compiled("x, found", [*_columns(branches, part),
                 f"return [*found, {', '.join(trees[each] for each in part)}]"], {})
        for part in _parts(branches)
    ]  # fmt: skip


def _summing(branches: Branches, trees: list[str], part: range, sums: int) -> Part:
    if sums == 1:
        lines = [f"s += {trees[each]}" for each in part]
        return compiled("x, s", [*_columns(branches, part), *lines, "return s"], {})
    names = ", ".join(f"s{each}" for each in range(sums))
    lines = [f"s{each % sums} += {trees[each]}" for each in part]
    begin = [*_columns(branches, part), f"{names} = s"]
    return compiled("x, s", [*begin, *lines, f"return [{names}]"], {})


def _expressions(branches: Branches, leaves: Iterator[str]) -> list[str]:
    """Return an expression for each tree, given what to write at its leaves, the last one first."""
    nodes, done = branches.nodes, list[str]()
    columns = (nodes.feature, nodes.cut, branches.missing_left, branches.category)
    rows = list(zip(*(each.tolist() for each in columns), strict=True))
    for feature, cut, missing_left, category in reversed(rows):
        if feature < 0:
            done.append(next(leaves))
            continue
        left, right = done.pop(), done.pop()
        if category >= 0:
            done.append(f"({left} if {_in_set(branches, feature, category)} else {right})")
        elif missing_left:  # NaN is neither above a cut nor below
            done.append(f"({right} if x{feature} > {literal(cut)} else {left})")
        else:
            done.append(f"({left} if x{feature} <= {literal(cut)} else {right})")
    return done[::-1]


def _in_set(branches: Branches, feature: int, category: int) -> str:
    codes = np.flatnonzero(branches.left[category]) - 1.0
    return f"x{feature} in {{{', '.join(map(literal, codes.tolist()))}}}" if codes.size else "False"


def _sizes(branches: Branches) -> Floats:
    """Return how many leaves each tree is worth (trees,), its sets of categories counted in."""
    # The last one is for the splits that have none, -1.
    codes = np.append(branches.left.sum(axis=1), 0)[branches.category]
    return np.add.reduceat(~branches.split + codes / 2, branches.nodes.roots)


def _parts(branches: Branches) -> list[range]:
    """Return which trees to write together."""
    before = np.cumsum([0.0, *_sizes(branches)]).tolist()[:-1]
    parts, first = [], 0
    for tree, size in enumerate(before):
        if size - before[first] >= PART_LEAVES:
            parts.append(range(first, tree))
            first = tree
    return [*parts, range(first, len(before))]


def _columns(branches: Branches, part: range) -> list[str]:
    """Return the lines that take from a row the columns that some trees test."""
    feature = branches.nodes.feature
    begins = [*branches.nodes.roots.tolist(), len(feature)]
    tested = np.unique(feature[begins[part.start] : begins[part.stop]])
    return [f"x{each} = x[{each}]" for each in tested.tolist() if each >= 0]
