from __future__ import annotations

import io
import subprocess
import sys
import threading
import tracemalloc

import joblib
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from irisab.errors import BundleError
from irisab.model import bundle
from irisab.model.arrays import flatten
from irisab.model.bitset import MEMO_BYTES
from irisab.model.forest import Forest
from irisab.model.nodes import cutoffs

METHODS = ["bitset", "walk", "written"]
FLOAT32_MAX = float(np.finfo(np.float32).max)
IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
WINE = load_wine(return_X_y=True)


def assert_equal_to_sklearn(estimator, rows, *, method=None):
    """Fail unless every class and probability is scikit-learn's, to the last bit."""
    forest = Forest(flatten(estimator), method=method)
    answers = forest.score_rows(rows.tolist())
    assert np.array_equal([p for _, p in answers], estimator.predict_proba(rows))
    assert np.array_equal(estimator.classes_[[c for c, _ in answers]], estimator.predict(rows))
    few = slice(None, None, max(1, len(rows) // 200))
    assert [forest.score_row(row) for row in rows[few].tolist()] == answers[few]


def neighbours(threshold):
    """Return float64 values on and next to each threshold, its float32 and the midpoints."""
    down, up = -np.inf, np.inf
    single = threshold.astype(np.float32)
    singles = [single, np.nextafter(single, np.float32(down)), np.nextafter(single, np.float32(up))]
    exact = [threshold, *(each.astype(np.float64) for each in singles)]
    exact += [(exact[1] + exact[2]) / 2, (exact[1] + exact[3]) / 2]
    return np.concatenate([exact, np.nextafter(exact, down), np.nextafter(exact, up)])


def around_every_threshold(estimator, rows):
    """Return rows that differ from some of the given ones in one feature, next to a threshold."""
    arrays = flatten(estimator)
    values = neighbours(arrays["threshold"])
    tested = np.tile(arrays["feature"][arrays["feature"] >= 0], len(values))
    found = rows[np.random.default_rng(0).integers(0, len(rows), values.size)]
    found[np.arange(values.size), tested] = values.ravel()
    return found[np.abs(found).max(axis=1) <= FLOAT32_MAX]


def binary(data):
    return data[0], np.where(data[1] == 1, "yes", "no")


def with_gaps(data):
    rows = data[0].copy()
    rows[::7, 2] = np.nan
    return rows, data[1]


ENSEMBLES = {
    "forest": (RandomForestClassifier(50), IRIS),
    "binary forest": (RandomForestClassifier(30), CANCER),
    "binary forest of strings": (RandomForestClassifier(30, max_depth=4), binary(IRIS)),
    "shallow forest": (RandomForestClassifier(50, max_depth=3), IRIS),
    "large leaves": (RandomForestClassifier(50, min_samples_leaf=5), WINE),
    "best first": (RandomForestClassifier(30, max_leaf_nodes=6), WINE),
    "no bootstrap": (RandomForestClassifier(30, bootstrap=False), WINE),
    "class weights": (RandomForestClassifier(30, class_weight={0: 1, 1: 3, 2: 0.1}), WINE),
    "balanced": (RandomForestClassifier(30, class_weight="balanced", max_depth=3), WINE),
    "monotonic": (RandomForestClassifier(30, monotonic_cst=[1, 0, -1, 0]), binary(IRIS)),
    "trained with gaps": (RandomForestClassifier(30, max_depth=4), with_gaps(IRIS)),
    "extra trees": (ExtraTreesClassifier(50), IRIS),
    "large extra leaves": (ExtraTreesClassifier(30, min_samples_leaf=4), CANCER),
    "tree": (DecisionTreeClassifier(), CANCER),
    "shallow tree": (DecisionTreeClassifier(max_depth=3), WINE),
    "stump": (DecisionTreeClassifier(max_depth=1), IRIS),
    "one class": (RandomForestClassifier(5), (IRIS[0], np.zeros(len(IRIS[0])))),
}


@pytest.fixture(scope="module", params=ENSEMBLES)
def ensemble(request):
    estimator, (rows, labels) = ENSEMBLES[request.param]
    estimator.set_params(random_state=0).fit(rows, labels)
    return estimator, rows[np.isfinite(rows).all(axis=1)]


@pytest.mark.parametrize("method", METHODS)
def test_answers_equal_sklearn_on_random_rows(ensemble, method):
    """Classes and probabilities are scikit-learn's, to the last bit, in both forms."""
    estimator, rows = ensemble
    random = np.random.default_rng(1)
    rows = random.normal(rows.mean(axis=0), 1.5 * rows.std(axis=0), size=(2000, rows.shape[1]))
    assert_equal_to_sklearn(estimator, rows, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_answers_equal_sklearn_around_every_threshold(ensemble, method):
    """So they are on, just below and just above every threshold, where float32 rounds."""
    estimator, rows = ensemble
    if flatten(estimator)["threshold"].size:
        assert_equal_to_sklearn(estimator, around_every_threshold(estimator, rows), method=method)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_served_iris_forests_equal_sklearn_on_20000_random_rows(iris_models, version):
    """The two versions of the worked example answer exactly as scikit-learn does, on and around
    every threshold as well."""
    forest = bundle.load(iris_models, version).model
    estimator = joblib.load(iris_models / version / "current" / "model.joblib")
    low, high = IRIS[0].min(axis=0), IRIS[0].max(axis=0)
    random = np.random.default_rng(0).uniform(low - 1, high + 1, size=(20_000, 4))
    rows = np.concatenate([random, around_every_threshold(estimator, random)])
    expected = list(
        zip(estimator.predict(rows), map(tuple, estimator.predict_proba(rows)), strict=True)
    )
    assert forest.score_rows(rows.tolist()) == expected
    assert [*map(forest.score_row, rows.tolist())] == expected


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**16), kind=st.sampled_from(["forest", "extra", "tree"]),
       n_classes=st.integers(2, 5), depth=st.none() | st.integers(1, 8),
       leaf=st.integers(1, 6), scale=st.sampled_from([1e-42, 1e-30, 1.0, 1e6, 1e36]))  # fmt: skip
def test_answers_equal_sklearn_whatever_was_learnt(seed, kind, n_classes, depth, leaf, scale):
    """Any data, scale (also where float32 has no full precision left) and shape of tree."""
    rows, labels = make_classification(
        120, 6, n_informative=4, n_classes=n_classes, n_clusters_per_class=1, random_state=seed
    )
    shape = {"max_depth": depth, "min_samples_leaf": leaf, "random_state": seed}
    estimator = {
        "forest": RandomForestClassifier(7, **shape),
        "extra": ExtraTreesClassifier(7, **shape),
        "tree": DecisionTreeClassifier(**shape),
    }[kind].fit(rows * scale, labels)
    rows = np.concatenate([rows * scale, around_every_threshold(estimator, rows * scale)])
    for method in METHODS:
        assert_equal_to_sklearn(estimator, rows, method=method)


ANY_SIZE = st.floats(-FLOAT32_MAX, FLOAT32_MAX) | st.floats(-1e-37, 1e-37) | st.floats(-10, 10)


@settings(max_examples=500)
@given(threshold=ANY_SIZE | st.floats(allow_nan=False), x=ANY_SIZE)
@example(threshold=0.0, x=-0.0)
@example(threshold=-0.0, x=2.0**-150)
@example(threshold=-(2.0**-149), x=-(2.0**-150))
@example(threshold=FLOAT32_MAX, x=FLOAT32_MAX)
@example(threshold=np.inf, x=FLOAT32_MAX)
@example(threshold=-np.inf, x=-FLOAT32_MAX)
def test_a_cutoff_compares_like_the_threshold_of_rounded_values(threshold, x):
    """x <= cutoff in float64 is float32(x) <= threshold, also for the neighbours of both."""
    thresholds = np.array([threshold])
    cutoff = cutoffs(thresholds)
    with np.errstate(over="ignore"):
        near = neighbours(np.clip(thresholds, -FLOAT32_MAX, FLOAT32_MAX)).ravel()
        tried = np.concatenate([[x], near, neighbours(np.array([x])).ravel(), cutoff])
        tried = np.clip(tried, -FLOAT32_MAX, FLOAT32_MAX)
        assert np.array_equal(tried.astype(np.float32) <= thresholds, tried <= cutoff)


@st.composite
def trees(draw, n_features=3, n_classes=3):
    """Draw the plain arrays of one to four trees of any shape."""
    feature = []
    for _ in range(draw(st.integers(1, 4))):
        open_nodes = 1
        while open_nodes:
            is_split = len(feature) < 60 and draw(st.booleans())
            feature.append(draw(st.integers(0, n_features - 1)) if is_split else -1)
            open_nodes += 1 if is_split else -1
    n_splits = sum(each >= 0 for each in feature)
    threshold = draw(st.lists(st.sampled_from([-1.5, -0.25, 0.0, 0.1, 1.0, np.inf]),
                              min_size=n_splits, max_size=n_splits))  # fmt: skip
    random = np.random.default_rng(draw(st.integers(0, 99)))
    value = random.dirichlet(np.ones(n_classes), len(feature) - n_splits)
    if draw(st.booleans()):
        value = np.eye(n_classes)[value.argmax(axis=1)]
    return arrays_of(feature, threshold, value, n_features)


def arrays_of(feature, threshold, value, n_features):
    return {
        "feature": np.array(feature, dtype=np.int32),
        "threshold": np.array(threshold, dtype=np.float64),
        "value": np.array(value, dtype=np.float64),
        "n_features": np.array(n_features, dtype=np.int64),
    }


def by_the_book(arrays, row):
    """Return the answer by reading the trees as their definition says, node by node."""
    features, thresholds = iter(arrays["feature"].tolist()), iter(arrays["threshold"])
    leaves = iter(arrays["value"])

    def read():
        if (feature := next(features, None)) is None:
            return None
        if feature < 0:
            return next(leaves)
        goes_left = np.float32(row[feature]) <= next(thresholds)
        left, right = read(), read()
        return left if goes_left else right

    total, n_trees = np.zeros(arrays["value"].shape[1]), 0
    while (value := read()) is not None:
        total, n_trees = total + value, n_trees + 1
    return int(total.argmax()), tuple((total / n_trees).tolist())


@settings(max_examples=150, deadline=None)
@given(arrays=trees(), row=st.lists(st.sampled_from([-2.0, -0.25, 0.0, 0.1, 0.5, 9.0]),
                                    min_size=3, max_size=3))  # fmt: skip
def test_both_forms_read_any_trees_as_defined(arrays, row):
    """Also shapes no learner makes: lopsided, unused features, the same cutoff twice on a path."""
    for method in METHODS:
        forest = Forest(arrays, method=method)
        assert forest.score_row(row) == by_the_book(arrays, row)
        assert forest.score_rows([row] * 20) == [by_the_book(arrays, row)] * 20


@settings(max_examples=200, deadline=None)
@given(feature=st.lists(st.integers(-2, 3), max_size=9), seed=st.integers(0, 9))
def test_arbitrary_nodes_are_refused_or_scored(feature, seed):
    """Whatever the nodes are, there is an answer or a BundleError, never another failure."""
    n_splits = sum(each >= 0 for each in feature)
    threshold = np.random.default_rng(seed).normal(size=n_splits)
    arrays = arrays_of(feature, threshold, np.full((len(feature) - n_splits, 2), 0.5), 3)
    try:
        forest = Forest(arrays)
    except BundleError:
        return
    assert forest.score_row([0.0, 0.0, 0.0]) == by_the_book(arrays, [0.0, 0.0, 0.0])


def test_a_chain_of_5000_splits_is_scored():
    """Depth is limited by neither recursion nor the width of an integer."""
    depth = 5000
    value = np.eye(2)[np.arange(depth + 1) % 2]
    arrays = arrays_of([0, -1] * depth + [-1], np.arange(depth), value, 1)
    for method in METHODS:
        forest = Forest(arrays, method=method)
        rows = [[-1.0], [0.0], [0.5], [4321.0], [1e9]] * 5
        assert [c for c, _ in forest.score_rows(rows)] == [0, 0, 1, 1, 0] * 5


BROKEN = {
    "nodes after the last tree": ("feature", lambda a: np.append(a, 0)),
    "a tree cut short": ("feature", lambda a: a[:-1]),
    "no nodes": ("feature", lambda a: a[:0]),
    "an unknown feature": ("feature", lambda a: np.where(a == 0, 4, a)),
    "a negative feature": ("feature", lambda a: np.where(a == -1, -2, a)),
    "features that are no integers": ("feature", lambda a: a.astype(float)),
    "a table of features": ("feature", lambda a: a[:, None]),
    "a missing threshold": ("threshold", lambda a: a[1:]),
    "a threshold that is no number": ("threshold", lambda a: np.append(a[1:], np.nan)),
    "thresholds that are objects": ("threshold", lambda a: a.astype(object)),
    "a missing leaf": ("value", lambda a: a[1:]),
    "leaves without classes": ("value", lambda a: a[:, :0]),
    "counts instead of probabilities": ("value", lambda a: a * 7),
    "negative probabilities": ("value", lambda a: a * 3 - 2 / 3),
    "probabilities that are no numbers": ("value", lambda a: a * np.nan),
    "a flat list of probabilities": ("value", lambda a: a.ravel()),
    "no features": ("n_features", lambda a: a * 0),
    "several numbers of features": ("n_features", lambda a: np.array([4, 4])),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_malformed_arrays_are_refused(fault):
    """A damaged plain form is refused with a sentence, never half served."""
    arrays = flatten(RandomForestClassifier(3, random_state=0).fit(*IRIS))
    name, damage = BROKEN[fault]
    with pytest.raises(BundleError, match="The forest is damaged: .*[.]"):
        Forest({**arrays, name: damage(arrays[name])})


@pytest.mark.parametrize("name", ["feature", "threshold", "value", "n_features"])
def test_a_missing_array_is_refused(name):
    """The sentence names what is missing."""
    arrays = flatten(DecisionTreeClassifier(random_state=0).fit(*IRIS))
    del arrays[name]
    with pytest.raises(BundleError, match=name):
        Forest(arrays)


class OwnForest(RandomForestClassifier):
    """A namesake that answers differently."""

    def predict_proba(self, X):
        return 1 - super().predict_proba(X)


OwnForest.__name__ = "RandomForestClassifier"


def test_what_may_not_be_reproduced_has_no_plain_form():
    """Other learners, subclasses, several outputs and unfitted forests stay scikit-learn's."""
    rows, labels = IRIS
    two = np.stack([labels, labels], axis=1)
    others = [
        GaussianNB().fit(rows, labels),
        GradientBoostingClassifier(n_estimators=2).fit(rows, labels),
        BaggingClassifier(n_estimators=2).fit(rows, labels),
        RandomForestRegressor(2).fit(rows, labels),
        OwnForest(2).fit(rows, labels),
        RandomForestClassifier(2).fit(rows, two),
        DecisionTreeClassifier().fit(rows, two),
        RandomForestClassifier(2),
        DecisionTreeClassifier(),
    ]
    assert [flatten(each) for each in others] == [None] * len(others)


def test_the_same_seed_gives_the_same_bytes():
    """A plain form can be identified by its hash, and read without pickle."""
    written = []
    for _ in range(2):
        file = io.BytesIO()
        np.savez(file, **flatten(RandomForestClassifier(20, random_state=3).fit(*IRIS)))
        written.append(file.getvalue())
    assert written[0] == written[1]
    with np.load(io.BytesIO(written[0]), allow_pickle=False) as arrays:
        assert Forest(arrays).n_trees == 20


def test_a_forest_knows_its_shape():
    """What a service must know about a model, without scikit-learn."""
    forest = Forest(flatten(RandomForestClassifier(9, random_state=0).fit(*WINE)))
    assert (forest.n_trees, forest.n_features, forest.n_classes) == (9, 13, 3)
    assert forest.method in METHODS


@pytest.mark.parametrize("n_rows", [0, 1, 7, 8, 9, 300])
def test_a_batch_of_any_size_is_its_rows(n_rows):
    """Together or one by one, the answers are the same, in the order of the rows."""
    estimator = RandomForestClassifier(20, max_depth=4, random_state=0).fit(*WINE)
    rows = WINE[0][np.random.default_rng(0).integers(0, len(WINE[0]), n_rows)].tolist()
    for method in METHODS:
        forest = Forest(flatten(estimator), method=method)
        assert forest.score_rows(rows) == [forest.score_row(row) for row in rows]


@pytest.mark.parametrize("max_depth", [None, 3])
def test_the_same_leaves_give_the_same_object(max_depth):
    """Callers may remember what they made of an answer."""
    estimator = RandomForestClassifier(20, max_depth=max_depth, random_state=0).fit(*IRIS)
    forest = Forest(flatten(estimator), method="bitset")
    row = IRIS[0][60].tolist()
    assert forest.score_row(row)[1] is forest.score_row([x + 1e-9 for x in row])[1]


def test_remembered_answers_stay_within_their_memory():
    """Rows that never repeat cannot make a service grow."""
    estimator = RandomForestClassifier(40, max_depth=6, random_state=0).fit(*CANCER)
    forest = Forest(flatten(estimator), method="bitset")
    scale = CANCER[0].mean(axis=0) * 2
    rows = np.random.default_rng(0).uniform(0, scale, size=(6000, 30)).tolist()
    tracemalloc.start()
    try:
        for row in rows:
            forest.score_row(row)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * MEMO_BYTES
    finally:
        tracemalloc.stop()


def test_threads_get_the_answers_of_one():
    """The memory of answers is shared by threads without a wrong or a second answer."""
    estimator = RandomForestClassifier(20, max_depth=4, random_state=0).fit(*WINE)
    forest = Forest(flatten(estimator), method="bitset")
    rows = WINE[0].tolist()
    found = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda out=out: out.extend(map(forest.score_row, rows)))
        for out in found
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers in zip(*found, strict=True):
        assert all(answer is answers[0] for answer in answers)
    assert np.array_equal([p for _, p in found[0]], estimator.predict_proba(WINE[0]))


def test_masks_that_would_fill_the_memory_are_not_built():
    """Deep trees on much data are walked, and remain exact, alone and together."""
    random = np.random.default_rng(0)
    rows, labels = random.normal(size=(6000, 4)), random.integers(0, 3, 6000)
    estimator = ExtraTreesClassifier(10, random_state=0).fit(rows, labels)
    assert Forest(flatten(estimator), method="bitset").method == "walk"
    assert_equal_to_sklearn(estimator, random.normal(size=(1000, 4)))


def test_importing_forest_imports_neither_sklearn_nor_what_else_costs_memory():
    """Scoring a plain form needs only the core of numpy: numpy.random alone takes 7 MB."""
    file = io.BytesIO()
    np.savez(file, **flatten(RandomForestClassifier(5, random_state=0).fit(*IRIS)))
    code = (
        "import io, sys, numpy as np; before = set(sys.modules);"
        "from irisab.model.forest import Forest;"
        "forest = Forest(np.load(io.BytesIO(sys.stdin.buffer.read())));"
        "forest.score_rows([[5.0, 3.0, 1.0, 0.2]] * 40);"
        "print({'sklearn', 'scipy', 'numpy.random'} & (set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input=file.getvalue(), capture_output=True, check=True
    )
    assert run.stdout.decode().strip() == "set()"
