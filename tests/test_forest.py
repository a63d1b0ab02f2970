from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from irisab.errors import BundleError
from irisab.forest import Forest, flatten

METHODS = ["bitset", "walk"]
IRIS = load_iris(return_X_y=True)


def assert_equal_to_sklearn(estimator, rows, method):
    """Every class and every probability is scikit-learn's, to the last bit."""
    forest = Forest(flatten(estimator), method=method)
    answers = forest.score_rows(rows.tolist())
    assert np.array_equal([p for _, p in answers], estimator.predict_proba(rows))
    assert np.array_equal(estimator.classes_[[c for c, _ in answers]], estimator.predict(rows))
    for row, answer in zip(rows[:100].tolist(), answers, strict=False):
        assert forest.score_row(row) == answer


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_estimators", [50, 100])
def test_iris_forests_equal_sklearn_on_20000_random_rows(n_estimators, method):
    """The two forests of the worked example answer exactly as scikit-learn does."""
    estimator = RandomForestClassifier(n_estimators, random_state=0).fit(*IRIS)
    low, high = IRIS[0].min(axis=0), IRIS[0].max(axis=0)
    rows = np.random.default_rng(0).uniform(low - 1, high + 1, size=(20_000, 4))
    assert_equal_to_sklearn(estimator, rows, method)


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(max_depth=3, random_state=0),
        ExtraTreesClassifier(20, min_samples_leaf=3, random_state=0),
        RandomForestClassifier(20, max_leaf_nodes=6, random_state=0),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_impure_leaves_are_added_in_the_order_of_the_trees(estimator, method):
    """Where leaves are impure the sum is rounded, so its order counts."""
    rows = np.random.default_rng(1).normal(IRIS[0].mean(axis=0), 1, size=(2000, 4))
    assert_equal_to_sklearn(estimator.fit(*IRIS), rows, method)


def test_other_estimators_have_no_plain_form():
    """What cannot be reproduced exactly is left to scikit-learn."""
    assert flatten(LogisticRegression(max_iter=1000).fit(*IRIS)) is None


@pytest.mark.parametrize("name", ["feature", "threshold", "value", "n_features"])
def test_a_missing_array_is_refused(name):
    """A damaged bundle is refused with a sentence, not served."""
    arrays = flatten(DecisionTreeClassifier(random_state=0).fit(*IRIS))
    del arrays[name]
    with pytest.raises(BundleError, match=name):
        Forest(arrays)


def test_importing_forest_does_not_import_sklearn():
    """Serving a plain forest needs no scikit-learn in memory."""
    code = "import sys, irisab.forest; sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
