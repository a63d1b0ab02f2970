"""The plain arrays of a forest: made from a fitted estimator, checked when they are read.

Nodes in preorder (a node, its left subtree, its right subtree), tree after tree:

    feature     int32 (nodes,)             feature tested by the node, -1 at a leaf
    threshold   float64 (splits,)          left if float32(x) <= threshold; same order
    value       float64 (leaves, classes)  class probabilities of each leaf; same order
    n_features  int64 ()

Preorder makes the structure implicit, so there are no child indices that could be wrong.
Start at `flatten`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.errors import BundleError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_FORESTS = {"RandomForestClassifier", "ExtraTreesClassifier"}
_TREES = {"DecisionTreeClassifier", "ExtraTreeClassifier"}
_SHAPES = {"n_features": ("i", 0), "feature": ("i", 1), "threshold": ("f", 1), "value": ("f", 2)}
# What is worked out for all nodes of a large forest at once would be as large as the forest.
ROWS = 1 << 16


def flatten(estimator: Any) -> dict[str, np.ndarray] | None:
    """Return the plain arrays of a fitted forest or tree classifier, else None.

    None stands for everything whose `predict_proba` the plain form might not reproduce:
    subclasses, several outputs, leaves that hold counts (scikit-learn before 1.3).
    """
    trees = _trees(estimator)
    if not trees or estimator.n_outputs_ != 1:
        return None
    arrays = joined(_preorder(tree.tree_) for tree in trees)
    if not are_probabilities(arrays["value"]):
        return None
    return {**arrays, "n_features": np.array(estimator.n_features_in_, dtype=np.int64)}


def joined(parts: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return arrays end to end, given tree by tree; at least one.

    Only one tree is there twice: parts of a large forest, and what they become, would be too much.
    """
    whole: dict[str, bytearray] = {}
    for part in parts:
        for name, array in part.items():
            whole.setdefault(name, bytearray()).extend(array.tobytes())
    return {
        name: np.frombuffer(whole[name], array.dtype).reshape(-1, *array.shape[1:])
        for name, array in part.items()
    }


def _trees(estimator: Any) -> list[Any]:
    if _is_exactly(estimator, _TREES) and hasattr(estimator, "tree_"):
        return [estimator]
    trees = getattr(estimator, "estimators_", []) if _is_exactly(estimator, _FORESTS) else []
    return list(trees) if all(_is_exactly(tree, _TREES) for tree in trees) else []


def _is_exactly(estimator: Any, names: set[str]) -> bool:
    """Whether the class is scikit-learn's own: a subclass may predict differently."""
    kind = type(estimator)
    return kind.__name__ in names and kind.__module__.startswith("sklearn.")


def _preorder(tree: Any) -> dict[str, np.ndarray]:
    """Return feature, threshold and value of one `sklearn.tree._tree.Tree` in preorder."""
    order = preorder(tree.children_left, tree.children_right)
    split = tree.children_left[order] >= 0
    feature = np.where(split, tree.feature[order], -1).astype(np.int32)
    value = tree.value[order][~split, 0, :].astype(np.float64)
    threshold = tree.threshold[order][split].astype(np.float64)
    return {"feature": feature, "threshold": threshold, "value": value}


def preorder(left: Ints, right: Ints) -> list[int]:
    """Return the nodes of a tree in preorder, given the children of each (-1: a leaf)."""
    to_left, to_right = left.tolist(), right.tolist()
    order, stack = [], [0]
    while stack:
        node = stack.pop()
        order.append(node)
        if to_left[node] >= 0:
            stack += (to_right[node], to_left[node])
    return order


def are_probabilities(value: np.ndarray) -> bool:
    """Tell whether each row of value (leaves, classes) has probabilities; a few rows at a time."""
    for first in range(0, len(value), ROWS):
        some = value[first : first + ROWS]
        if not (np.all(some >= 0) and np.allclose(some.sum(axis=1), 1, rtol=0, atol=1e-6)):
            return False
    return True


def forest_array(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Return one array of a forest; raises `BundleError` where it has a wrong type or shape."""
    kind, ndim = _SHAPES[name]
    if name not in arrays:
        raise BundleError(f"The forest is damaged: it has no array {name!r}.")
    array = arrays[name]
    if array.dtype.kind != kind or array.ndim != ndim:
        raise BundleError(f"The forest is damaged: {name!r} has a wrong type or shape.")
    return array
