"""Exact evaluation of forests without scikit-learn. Start at `Forest`.

A walk and a bitset give the same answers to the last bit; the faster one is chosen by measuring
at load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from irisab.model.answer import Answer, Row
from irisab.model.bitset import Bitset, masks_fit
from irisab.model.fastest import Fastest, spread
from irisab.model.nodes import Nodes, forest_nodes
from irisab.model.walk import Walk


class Forest:
    """A forest of plain arrays, ready to score rows that are already validated.

    Raise BundleError if the arrays are damaged. `method` is the form that measured faster for
    single rows, unless given.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, method: str | None = None) -> None:
        nodes = forest_nodes(arrays)
        self.n_features = nodes.n_features
        self.n_trees, self.n_classes = len(nodes.roots), nodes.value.shape[1]
        walk = Walk(nodes)
        forms: dict[str, Callable[[Row], Answer]] = {}
        if method != "walk" and masks_fit(nodes):
            forms["bitset"] = Bitset(nodes).score_row
        if method != "bitset" or not forms:
            forms["walk"] = walk.score_row
        fastest = Fastest(forms, walk.score_rows, _probe(nodes))
        self.method = fastest.method
        self.score_row, self.score_rows = fastest.score_row, fastest.score_rows


def _probe(nodes: Nodes) -> list[list[float]]:
    """Return rows made of the forest's own cutoffs, to measure with."""
    tested = (nodes.cut[nodes.feature == each] for each in range(nodes.n_features))
    return spread([each[np.isfinite(each)] for each in tested])
