"""The plain arrays of any ensemble of trees, checked. Start at `Branches`.

Nodes in preorder, tree after tree, as in `arrays`; the rest has one entry for each split or each
leaf, in the same order:

    feature       int32 (nodes,)          column tested by the node, -1 at a leaf
    threshold     float64 (splits,)       left if x <= threshold; float32(x), where told so
    missing_left  bool (splits,)          where NaN goes
    value         float64 (leaves, 1)     what a leaf adds to the sum whose turn it is,
                          (leaves, sums)  or to all of them
    base          float64 (sums,)         what the sums begin with
    category      int32 (splits,)         only with categories: -1, or the row of `left` to look at
    left          uint8 (sets, 32)        one bit for each code from -1 on, lowest first: goes left
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import BundleError
from irisab.model.arrays import Floats
from irisab.model.fastest import spread
from irisab.model.nodes import Nodes

_SHAPES = {"feature": ("i", 1), "threshold": ("f", 1), "missing_left": ("b", 1),
           "value": ("f", 2), "base": ("f", 1)}  # fmt: skip
_SET_SHAPES = {"category": ("i", 1), "left": ("u", 2)}
SET_BYTES = 32


class Branches:
    """Checked arrays; raise `BundleError` if they do not fit together.

    What belongs to a split is kept for all nodes, at leaves without a meaning: `cut` (with which
    no value needs to be rounded), `missing_left`, `category`. `left` has a flag for each code.
    `turns` says that trees add to one sum after the other.
    """

    def __init__(
        self, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray], n_columns: int
    ) -> None:
        with_sets = {**_SHAPES, **_SET_SHAPES} if "left" in arrays else _SHAPES
        a = {name: _shaped(arrays, name, *shape) for name, shape in with_sets.items()}
        self.turns, self.base = bool(about["turns"]), a["base"].astype(np.float64)
        feature = a["feature"]
        split = feature >= 0
        _refuse_misfits(a, split, n_columns)
        threshold, value = (np.asarray(a[name], np.float64) for name in ("threshold", "value"))
        self.n_columns, self.split = n_columns, split
        self.nodes = Nodes(n_columns, feature, value)
        self.nodes.set_cuts(threshold, float32=about["float32"])
        self.missing_left = _spread(split, a["missing_left"], False)
        self.category = _spread(split, a.get("category", np.full(len(threshold), -1)), -1)
        left = a.get("left", np.empty((0, SET_BYTES), np.uint8))
        self.left = np.unpackbits(left, axis=1, bitorder="little").astype(np.bool_)
        self._refuse_other_sums(value)

    def _refuse_other_sums(self, value: Floats) -> None:
        sums, columns, trees = len(self.base), value.shape[1], len(self.nodes.roots)
        if not sums or columns != (1 if self.turns else sums) or (self.turns and trees % sums):
            raise _damaged("its leaves do not fit to what they add up to")

    def probe(self) -> list[list[float]]:
        """Return rows made of the cutoffs and codes that are tested, to measure with."""
        choices = []
        for column in range(self.n_columns):
            at = self.split & (self.nodes.feature == column)
            cuts = self.nodes.cut[at & (self.category < 0)]
            sets = self.left[self.category[at & (self.category >= 0)]]
            codes = np.flatnonzero(sets.any(axis=0)) - 1.0 if len(sets) else np.empty(0)
            choices.append(np.concatenate([cuts[np.isfinite(cuts)], codes]))
        return spread(choices)


def _shaped(arrays: Mapping[str, np.ndarray], name: str, kind: str, ndim: int) -> np.ndarray:
    if name not in arrays:
        raise _damaged(f"it has no array {name!r}")
    if arrays[name].dtype.kind != kind or arrays[name].ndim != ndim:
        raise _damaged(f"{name!r} has a wrong type or shape")
    return arrays[name]


def _refuse_misfits(a: Mapping[str, np.ndarray], split: NDArray[np.bool_], columns: int) -> None:
    n_splits = int(np.count_nonzero(split))
    fits = len(a["threshold"]) == len(a["missing_left"]) == n_splits
    if not fits or len(a["value"]) != len(split) - n_splits or not a["value"].size:
        raise _damaged("its arrays do not fit together")
    if not -1 <= a["feature"].min() <= a["feature"].max() < columns:
        raise _damaged(f"a node tests none of {columns} columns")
    if np.isnan(a["threshold"]).any() or not all(
        np.isfinite(a[name]).all() for name in ("value", "base")
    ):
        raise _damaged("a number in it is none")
    if "left" in a and (
        len(a["category"]) != n_splits
        or a["left"].shape[1] != SET_BYTES
        or not (a["category"] >= -1).all()
        or not (a["category"] < len(a["left"])).all()
    ):
        raise _damaged("its categories do not fit to its splits")


def _spread(split: NDArray[np.bool_], values: np.ndarray, rest: Any) -> Any:
    """Return what belongs to splits, for all nodes."""
    filled = np.full(len(split), rest, dtype=values.dtype)
    filled[split] = values
    return filled


def _damaged(why: str) -> BundleError:
    return BundleError(f"The plain form is damaged: {why}.")


def deepest(branches: Branches) -> int:
    """Return the number of tests on the longest way to a leaf."""
    right, depth = branches.nodes.right.tolist(), np.zeros(len(branches.split), int).tolist()
    for node in np.flatnonzero(branches.split).tolist():
        depth[node + 1] = depth[right[node]] = depth[node] + 1
    return int(max(depth))
