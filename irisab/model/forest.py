"""Exact evaluation of forests without scikit-learn. Start at `Forest`.

A walk, a bitset and code written for the forest give the same answers to the last bit; the fastest
is chosen by measuring at load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from irisab.model.answer import Answer, Row
from irisab.model.bitset import Bitset, masks_fit
from irisab.model.branches import Branches
from irisab.model.fastest import Fastest, spread
from irisab.model.nodes import Nodes, forest_nodes
from irisab.model.outline import Outline, outline
from irisab.model.sums import Sums
from irisab.model.walk import Walk
from irisab.model.writing import WRITTEN_LEAVES, can_be_written


class Forest:
    """A forest of plain arrays, ready to score rows that are already validated.

    Raise BundleError if the arrays are damaged. `method` is the form that measured faster for
    single rows, unless given; `outline` the top of its first tree.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, method: str | None = None) -> None:
        nodes = forest_nodes(arrays)
        self.n_features = nodes.n_features
        self.n_trees, self.n_classes = len(nodes.roots), nodes.value.shape[1]
        self.n_leaves = nodes.n_leaves
        self.outline: Outline = outline(nodes)
        walk = Walk(nodes)
        forms: dict[str, Callable[[Row], Answer]] = {}
        if method in (None, "bitset") and masks_fit(nodes):
            forms["bitset"] = Bitset(nodes).score_row
        if method in (None, "written") and self.n_leaves <= WRITTEN_LEAVES:
            forms |= _written(arrays, self.n_features, self.n_trees)
        if method in (None, "walk") or not forms:
            forms["walk"] = walk.score_row
        fastest = Fastest(forms, walk.score_rows, _probe(nodes))
        self.method = fastest.method
        self.score_row, self.score_rows = fastest.score_row, fastest.score_rows


def _written(
    arrays: Mapping[str, np.ndarray], n_features: int, n_trees: int
) -> dict[str, Callable[[Row], Answer]]:
    """Return the form written as Python, none where the trees are too deep for its parser."""
    about = {"float32": True, "turns": False, "link": "mean", "divide": n_trees}
    # No value is missing: no branch of a gap is ever taken.
    nowhere = np.zeros(len(arrays["threshold"]), dtype=np.bool_)
    base = np.zeros(arrays["value"].shape[1])
    branches = Branches(about, {**arrays, "missing_left": nowhere, "base": base}, n_features)
    sums = Sums(about, branches)
    return {"written": sums.written(branches)} if can_be_written(branches) else {}


def _probe(nodes: Nodes) -> list[list[float]]:
    """Return rows made of the forest's own cutoffs, to measure with."""
    tested = (nodes.cut[nodes.feature == each] for each in range(nodes.n_features))
    return spread([each[np.isfinite(each)] for each in tested])
