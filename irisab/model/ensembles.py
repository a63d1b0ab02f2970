"""scikit-learn's trees and ensembles of trees, read as plain arrays. Start at `flattened`.

The arrays are those of `trees`; their features are the columns that the ensemble itself sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from irisab.model.arrays import joined, preorder
from irisab.model.known import NotPlain, known_kind
from irisab.model.steps import Prepared

Arrays = dict[str, np.ndarray]
Plain = tuple[dict[str, Any], Arrays]
_FIELDS = {
    "left_child", "right_child", "feature", "threshold", "impurity", "n_node_samples",
    "weighted_n_node_samples", "missing_go_to_left",
}  # fmt: skip
_HISTOGRAM_FIELDS = {
    "value", "count", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right",
    "gain", "depth", "is_leaf", "bin_threshold", "is_categorical", "bitset_idx",
}  # fmt: skip

_HISTOGRAM_LINKS = (
    ("squared_error", "IdentityLink"), ("absolute_error", "IdentityLink"),
    ("quantile", "IdentityLink"), ("gamma", "LogLink"), ("poisson", "LogLink"),
)  # fmt: skip


def flattened(estimator: Any, prepared: Prepared) -> Plain:
    """Return the head of the plain form and its arrays; raises `NotPlain`."""
    return KINDS[known_kind(estimator)](estimator, prepared)


# -- single trees and forests ---------------------------------------------------------------


def _forest(estimator: Any, prepared: Prepared) -> Plain:
    trees = getattr(estimator, "estimators_", None) or [estimator]
    if estimator.n_outputs_ != 1:
        raise NotPlain("several outputs")
    for each in trees:
        known_kind(each)
    arrays = joined(_tree(each.tree_) for each in trees)
    is_classifier = hasattr(estimator, "classes_")
    # scikit-learn before 1.3 kept counts in the leaves.
    if is_classifier and not np.allclose(arrays["value"].sum(axis=1), 1, rtol=0, atol=1e-6):
        raise NotPlain("leaves without probabilities")
    base = np.zeros(arrays["value"].shape[1])
    return {
        "float32": True,
        "gaps": not prepared.sparse and bool(trees[0]._support_missing_values(np.zeros((1, 1)))),
        "turns": False,
        "divide": len(trees),
        "link": "mean" if is_classifier else "identity",
    }, {**arrays, "base": base}


def _tree(tree: Any, *, scale: float | None = None) -> Arrays:
    """Return the arrays of one `sklearn.tree._tree.Tree`."""
    if set(tree.__getstate__()["nodes"].dtype.names) != _FIELDS:
        raise NotPlain("nodes of another scikit-learn")
    order = preorder(tree.children_left, tree.children_right)
    split = tree.children_left[order] >= 0
    value = tree.value[order][~split, 0, :].astype(np.float64)
    return {
        "feature": np.where(split, tree.feature[order], -1).astype(np.int32),
        "threshold": tree.threshold[order][split].astype(np.float64),
        "missing_left": tree.missing_go_to_left[order][split].astype(np.bool_),
        # Each leaf is multiplied on its own when scikit-learn adds it, and rounded then.
        "value": value if scale is None else scale * value,
    }


# -- gradient boosting ----------------------------------------------------------------------


def _boosting(estimator: Any, prepared: Prepared) -> Plain:
    if estimator.init_ != "zero" and known_kind(estimator.init_) not in (
        "DummyClassifier",
        "DummyRegressor",
    ):
        raise NotPlain("boosting that starts with a model")
    anything = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    base = estimator._raw_predict_init(anything)[0].astype(np.float64)
    scale = float(estimator.learning_rate)
    trees = [each for stage in estimator.estimators_ for each in stage]
    for each in trees:
        known_kind(each)
    return {
        "float32": True,
        "gaps": False,
        "turns": True,
        "divide": 1,
        "link": _boosting_link(estimator),
        # predict says the second class where the sum is 0.
        "at_zero": 1,
    }, {**joined(_tree(each.tree_, scale=scale) for each in trees), "base": base}


def _boosting_link(estimator: Any) -> str:
    if not hasattr(estimator, "classes_"):
        return "identity"
    loss = {"log_loss": "logistic", "exponential": "half_logistic"}.get(estimator.loss)
    if loss is None:
        raise NotPlain(f"the loss {estimator.loss}")
    return loss if len(estimator.classes_) == 2 else "softmax"


# -- histogram gradient boosting ------------------------------------------------------------


def _histogram(estimator: Any, prepared: Prepared) -> Plain:
    if prepared.sparse:
        raise NotPlain("a sparse matrix")
    if estimator.is_categorical_ is not None:
        _apply_own_encoder(estimator, prepared)
    predictors = [each for stage in estimator._predictors for each in stage]
    trees = [_histogram_tree(each) for each in predictors]
    base = estimator._baseline_prediction.ravel()
    if base.dtype != np.float64:
        raise NotPlain(f"sums in {base.dtype}")
    return {
        "float32": False,
        "gaps": True,
        "turns": True,
        "divide": 1,
        "link": _histogram_link(estimator),
        # predict says the first class where the sum is 0.
        "at_zero": 0,
    }, {**_numbered(trees), "base": base}


def _numbered(trees: list[Arrays]) -> Arrays:
    """Join trees, the sets of each counted from those before it."""
    arrays = joined(trees)
    if not len(arrays["left"]):
        del arrays["category"], arrays["left"]
        return arrays
    sets = [len(each["left"]) for each in trees]
    splits = [len(each["category"]) for each in trees]
    before = np.repeat(np.cumsum([0, *sets[:-1]]), splits)
    arrays["category"] += np.where(arrays["category"] < 0, 0, before).astype(np.int32)
    return arrays


def _histogram_link(estimator: Any) -> str:
    if hasattr(estimator, "classes_"):
        return "logistic" if len(estimator.classes_) == 2 else "softmax"
    link = type(estimator._loss.link).__name__
    if (estimator.loss, link) not in _HISTOGRAM_LINKS:
        raise NotPlain(f"the loss {estimator.loss}")
    return "exp" if link == "LogLink" else "identity"


def _histogram_tree(predictor: Any) -> Arrays:
    nodes = predictor.nodes
    if set(nodes.dtype.names) != _HISTOGRAM_FIELDS:
        raise NotPlain("nodes of another scikit-learn")
    is_leaf = nodes["is_leaf"].astype(bool)
    left = np.where(is_leaf, -1, nodes["left"].astype(np.int64))
    nodes = nodes[preorder(left, nodes["right"].astype(np.int64))]
    splits = nodes[nodes["is_leaf"] == 0]
    by_set = splits["is_categorical"].astype(bool)
    return {
        "feature": np.where(nodes["is_leaf"], -1, nodes["feature_idx"]).astype(np.int32),
        "threshold": np.where(by_set, 0.0, splits["num_threshold"]),
        "missing_left": splits["missing_go_to_left"].astype(np.bool_),
        "value": nodes["value"][nodes["is_leaf"] == 1][:, None],
        "category": np.where(by_set, np.cumsum(by_set) - 1, -1).astype(np.int32),
        "left": _left_sets(predictor, splits[by_set]),
    }


def _left_sets(predictor: Any, splits: np.ndarray) -> np.ndarray:
    """Return, for each split by category, the codes that go left: 256 bits, a gap's first."""
    sets = predictor.raw_left_cat_bitsets[splits["bitset_idx"]].astype("<u4")
    flags = np.unpackbits(sets.view(np.uint8), axis=1, bitorder="little").reshape(-1, 256)
    gap = splits["missing_go_to_left"].astype(np.uint8)[:, None]
    return np.packbits(np.concatenate([gap, flags[:, :255]], axis=1), axis=1, bitorder="little")


def _apply_own_encoder(estimator: Any, prepared: Prepared) -> None:
    """Read what the estimator does to categories before its trees see them.

    It puts them first. A gap and an unknown category have the code -1 in our arrays, where
    scikit-learn has NaN.
    """
    encoder = estimator._preprocessor.named_transformers_["encoder"]
    columns, by_set = prepared.columns, estimator.is_categorical_
    categories = [each for each, yes in zip(columns, by_set, strict=True) if yes]
    numbers = [each for each, yes in zip(columns, by_set, strict=True) if not yes]
    known, _ = estimator._bin_mapper.make_known_categories_bitsets()
    learnt = sum(sum(each == each for each in column.tolist()) for column in encoder.categories_)
    if np.unpackbits(known.view(np.uint8)).sum() != learnt:
        raise NotPlain("categories that the trees do not know")
    prepared.columns = categories
    before = len(prepared.tables)
    prepared.apply(encoder)
    for table in prepared.tables[before:]:
        for name in ("nan", "none", "other"):
            table[name] = -1.0 if table[name] == "nan" else table[name]
    prepared.columns += numbers


KINDS: dict[str, Callable[[Any, Prepared], Plain]] = {
    "DecisionTreeClassifier": _forest,
    "DecisionTreeRegressor": _forest,
    "ExtraTreeClassifier": _forest,
    "ExtraTreeRegressor": _forest,
    "ExtraTreesClassifier": _forest,
    "ExtraTreesRegressor": _forest,
    "GradientBoostingClassifier": _boosting,
    "GradientBoostingRegressor": _boosting,
    "HistGradientBoostingClassifier": _histogram,
    "HistGradientBoostingRegressor": _histogram,
    "RandomForestClassifier": _forest,
    "RandomForestRegressor": _forest,
}
