"""Plain forms: scikit-learn's answers to the last bit, of any family, or none at all."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    RidgeClassifier,
)
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from bench import fuzz
from irisab.errors import BundleError
from irisab.model.estimator import Estimator
from irisab.model.plain import Plain, PlainModel, flatten, restore
from irisab.model.proof import prove

METHODS = ["written", "walk", "bitset"]
IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
WINE = load_wine(return_X_y=True)
DIGITS = tuple(each[:600] for each in load_digits(return_X_y=True))
DIABETES = load_diabetes(return_X_y=True)
GAP = math.nan
Table = tuple[Any, Any]


def with_gaps(data: Table) -> Table:
    rows = data[0].copy()
    rows[np.random.default_rng(0).random(rows.shape) < 0.15] = np.nan
    return rows, data[1]


def binary(data: Table) -> Table:
    return data[0], np.where(data[1] == 1, "yes", "no")


def two_of_three(data: Table) -> Table:
    kept = data[1] != 1
    return data[0][kept], data[1][kept]


def positive(data: Table) -> Table:
    return data[0], data[1] / 100


def mixed() -> Table:
    """Return objects: text with gaps, codes, numbers with gaps, a constant; and classes."""
    random = np.random.default_rng(7)
    n = 160
    colour = random.choice(["red", "green", "blue", "x'y\"", ""], n)
    size = random.normal(size=n)
    rows = np.empty((n, 5), dtype=object)
    rows[:, 0] = [None if random.random() < 0.1 else str(each) for each in colour]
    rows[:, 1] = random.integers(0, 4, n).astype(float)
    rows[:, 2] = np.where(random.random(n) < 0.15, np.nan, size)
    rows[:, 3] = 5.0
    rows[:, 4] = [str(each) for each in random.choice(["a", "b"], n)]
    return rows, (size + (colour == "red") + random.normal(0, 0.3, n) > 0).astype(int)


MIXED = mixed()
VALUES = (MIXED[0], MIXED[1] * 10.5 + np.arange(len(MIXED[1])) / 7)
TEXTS, NUMBERS = [0, 4], [1, 2, 3]


def one_hot(**options: Any) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore", "sparse_output": False, **options})


def ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )


def front(text: Any, numbers: Any, model: Any, **options: Any) -> Pipeline:
    transformers = [("text", text, TEXTS), ("numbers", numbers, NUMBERS)]
    return Pipeline([("prepare", ColumnTransformer(transformers, **options)), ("model", model)])


def filled(*then: Any, **options: Any) -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="median", **options), *then)


CLASSIFIER = {"random_state": 0}
ESTIMATORS: dict[str, tuple[Any, Table]] = {
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=20), CANCER),
    "histogram boosting with gaps": (HistGradientBoostingClassifier(max_iter=9), with_gaps(CANCER)),
    "histogram boosting, several classes": (HistGradientBoostingClassifier(max_iter=9), WINE),
    "histogram boosting, ten classes": (HistGradientBoostingClassifier(max_iter=3), DIGITS),
    "histogram boosting of values": (HistGradientBoostingRegressor(max_iter=20), DIABETES),
    "histogram boosting, poisson": (
        HistGradientBoostingRegressor(max_iter=9, loss="poisson"), DIABETES),
    "histogram boosting, gamma": (
        HistGradientBoostingRegressor(max_iter=9, loss="gamma"), DIABETES),
    "histogram boosting, own categories": (
        front(ordinal(), "passthrough", HistGradientBoostingClassifier(
            max_iter=20, categorical_features=[0, 1, 2], min_samples_leaf=3)), MIXED),
    "boosting": (GradientBoostingClassifier(n_estimators=20, random_state=0), CANCER),
    "boosting, several classes": (GradientBoostingClassifier(n_estimators=9, random_state=0), WINE),
    "boosting, exponential": (
        GradientBoostingClassifier(n_estimators=9, loss="exponential", random_state=0), CANCER),
    "boosting from zero": (
        GradientBoostingClassifier(n_estimators=9, init="zero", random_state=0), binary(IRIS)),
    "boosting of values": (GradientBoostingRegressor(n_estimators=30, random_state=0), DIABETES),
    "boosting, huber": (
        GradientBoostingRegressor(n_estimators=9, loss="huber", random_state=0), DIABETES),
    "forest with gaps": (RandomForestClassifier(20, random_state=0), with_gaps(WINE)),
    "shallow forest with gaps": (
        RandomForestClassifier(20, max_depth=3, random_state=0), with_gaps(IRIS)),
    "extra trees with gaps": (ExtraTreesClassifier(20, random_state=0), with_gaps(WINE)),
    "forest of values": (RandomForestRegressor(20, random_state=0), DIABETES),
    "forest of values with gaps": (RandomForestRegressor(9, random_state=0), with_gaps(DIABETES)),
    "extra trees of values": (ExtraTreesRegressor(9, random_state=0), DIABETES),
    "tree of values": (DecisionTreeRegressor(random_state=0), with_gaps(DIABETES)),
    "tree with gaps": (DecisionTreeClassifier(random_state=0), with_gaps(CANCER)),
    "stump that never splits": (DecisionTreeRegressor(min_samples_leaf=300), DIABETES),
    "scaled forest": (
        make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)), WINE),
    "logistic regression": (
        make_pipeline(StandardScaler(), LogisticRegression()), binary(CANCER)),
    "logistic regression, several classes": (
        make_pipeline(MinMaxScaler(clip=True), LogisticRegression()), WINE),
    "logistic regression, ten classes": (
        make_pipeline(StandardScaler(), LogisticRegression()), DIGITS),
    "logistic regression, robust": (
        make_pipeline(RobustScaler(), LogisticRegression(solver="liblinear")), CANCER),
    "linear regression": (LinearRegression(), DIABETES),
    "ridge": (make_pipeline(MaxAbsScaler(), Ridge()), DIABETES),
    "lasso": (make_pipeline(filled(add_indicator=True), Lasso(0.1)), with_gaps(DIABETES)),
    "elastic net": (ElasticNet(0.01, fit_intercept=False), DIABETES),
    "ridge classifier": (RidgeClassifier(), WINE),
    "support vectors, linear": (make_pipeline(StandardScaler(), LinearSVC()), CANCER),
    "perceptron without intercept": (Perceptron(fit_intercept=False), WINE),
    "one-hot and scaled": (
        front(one_hot(), filled(StandardScaler()), LogisticRegression()), MIXED),
    "one-hot, sparse": (
        front(one_hot(sparse_output=True), filled(), LogisticRegression(), sparse_threshold=1.0),
        MIXED),
    "one-hot, sparse and scaled": (
        make_pipeline(front(one_hot(sparse_output=True), filled(), MaxAbsScaler(),
                            sparse_threshold=1.0), Ridge()), VALUES),
    "one-hot, first dropped, rare together": (
        front(one_hot(drop="first", min_frequency=20, handle_unknown="infrequent_if_exist"),
              filled(), LinearRegression()), VALUES),
    "one-hot, gaps named": (
        front(make_pipeline(SimpleImputer(missing_values=None, strategy="constant",
                                          fill_value="none"), one_hot()),
              filled(MinMaxScaler()), GradientBoostingRegressor(n_estimators=9)), VALUES),
    "one-hot that refuses the unknown": (
        front(OneHotEncoder(), filled(), RandomForestClassifier(9, random_state=0)), MIXED),
    "ordinal": (front(ordinal(), "passthrough", RandomForestClassifier(9, random_state=0)), MIXED),
    "searched": (GridSearchCV(HistGradientBoostingClassifier(max_iter=3),
                              {"max_leaf_nodes": [3, 5]}, cv=2), IRIS),
    "searched at random, in a pipeline": (
        make_pipeline(StandardScaler(), RandomizedSearchCV(
            LogisticRegression(), {"C": [0.1, 1.0]}, n_iter=2, cv=2)), IRIS),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """OpenMP's threads wait for each other in turns; on a busy machine that takes minutes."""
    with threadpool_limits(1):
        yield


def table_of(rows: Any) -> list[list[Any]]:
    return rows.tolist()


def asked_of(fitted: Any, *, numeric: bool) -> Estimator:
    return Estimator(fitted, n_classes=len(getattr(fitted, "classes_", ())), numeric=numeric)


def read_again(plain: Plain) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a plain form as it comes back from the disk."""
    file = io.BytesIO()
    np.savez(file, **plain.arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return json.loads(json.dumps(plain.about, allow_nan=False)), dict(arrays)


@pytest.fixture(scope="module", params=ESTIMATORS)
def served(request: pytest.FixtureRequest) -> tuple[Any, list[list[Any]], Any, Any]:
    """A fitted estimator, rows, and the plain form read again."""
    estimator, (rows, target) = ESTIMATORS[request.param]
    fitted = estimator.fit(rows, target)
    plain = flatten(fitted)
    assert plain is not None
    return fitted, table_of(rows), *read_again(plain)


def mixed_rows(rows: list[list[Any]], count: int) -> list[list[Any]]:
    """Return rows that mix the columns of others, and some of those as they are."""
    picked = np.random.default_rng(3).integers(len(rows), size=(count, len(rows[0])))
    found = [[rows[row][column] for column, row in enumerate(each)] for each in picked.tolist()]
    return [*rows[:count:2], *found]


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_answers_equal_scikit_learn_alone_and_together(served: Any) -> None:
    """Class, probabilities and values are scikit-learn's for a single row, to the last bit, by
    every way to read the trees."""
    fitted, rows, about, arrays = served
    asked = asked_of(fitted, numeric=not isinstance(rows[0][0], str | None))
    tried = mixed_rows(rows, 40)
    expected = [asked.score_row(row) for row in tried[:25]]
    trees = about["family"] == "trees"
    answers = []
    for method in METHODS if trees else [None]:
        model = PlainModel(about, arrays, method=method)
        alone = [model.score_row(row) for row in tried]
        assert alone[:25] == expected
        assert model.score_rows(tried * 3) == alone * 3
        answers.append(alone)
    assert all(each == answers[0] for each in answers)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_answers_are_proven_around_thresholds_categories_and_gaps(served: Any) -> None:
    """On and next to every threshold, of each category and an unseen one, and with gaps."""
    fitted, rows, about, arrays = served
    asked = asked_of(fitted, numeric=not isinstance(rows[0][0], str | None))
    plain = Plain(about=about, arrays=arrays)
    assert prove(plain, restore(about, arrays), asked, rows[::6], seconds=1.0) is None


def test_only_sums_are_the_same_on_any_machine(served: Any) -> None:
    """`exact` is said of trees whose leaves are added and divided, and of nothing else."""
    fitted, _, about, arrays = served
    last = about["model"]
    exact = last.startswith(("RandomForest", "ExtraTree", "DecisionTree")) or (
        last.endswith("GradientBoostingRegressor") and about["link"] == "identity"
    )
    assert restore(about, arrays).exact == exact


def test_a_class_that_was_never_seen_has_probability_0() -> None:
    """Labels are indices into a manifest's classes: one that has no rows keeps its seat."""
    rows, labels = two_of_three(IRIS)
    for estimator in (HistGradientBoostingClassifier(max_iter=3), LinearSVC()):
        fitted = estimator.fit(rows, labels)
        asked = Estimator(fitted, n_classes=3)
        plain = flatten(fitted, n_classes=3)
        assert plain is not None
        model = restore(*read_again(plain))
        for row in rows[::9].tolist():
            index, probabilities = model.score_row(row)
            assert (index, probabilities) == asked.score_row(row) == model.score_rows([row])[0]
            assert index in (0, 2)
            assert probabilities == () or probabilities[1] == 0
    assert flatten(fitted, n_classes=2).about == flatten(fitted).about


def test_columns_are_taken_by_name_as_by_index() -> None:
    """A pipeline fitted on a DataFrame needs none: its rows have the order it was fitted in."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(MIXED[0], columns=list("abcde")).astype(
        {"b": float, "c": float, "d": float}
    )
    for text, numbers in ((one_hot(), filled(StandardScaler())), (ordinal(), filled())):
        transformers = [("numbers", numbers, ["c", "b"]), ("text", text, ["e", "a"])]
        prepare = ColumnTransformer(transformers, remainder="passthrough")
        fitted = make_pipeline(prepare, filled(), LogisticRegression()).fit(frame, MIXED[1])
        plain = flatten(fitted)
        assert plain is not None
        rows = table_of(MIXED[0])
        asked = Estimator(fitted, n_classes=2, numeric=False)
        assert prove(plain, restore(*read_again(plain)), asked, rows, seconds=2.0) is None


def test_columns_of_pandas_categories_are_served_as_text() -> None:
    """Histogram boosting takes them as they are; a row has the text, and so has an unseen one."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(MIXED[0], columns=list("abcde")).astype(
        {"a": "category", "b": float, "c": float, "d": float, "e": "category"}
    )
    for target, estimator in (
        (MIXED[1], HistGradientBoostingClassifier(max_iter=9, min_samples_leaf=4)),
        (VALUES[1], HistGradientBoostingRegressor(max_iter=9, min_samples_leaf=4)),
    ):
        fitted = estimator.fit(frame, target)
        plain = flatten(fitted)
        assert plain is not None
        assert len(plain.arrays["left"]) > 5
        asked = asked_of(fitted, numeric=False)
        rows = table_of(MIXED[0])
        assert prove(plain, restore(*read_again(plain)), asked, rows, seconds=2.0) is None


def test_trees_too_deep_or_too_many_to_be_written_are_walked() -> None:
    """As exact, and neither the parser nor the memory is tried."""
    rows = np.arange(400.0)[:, None]
    chain = DecisionTreeRegressor(criterion="poisson", max_leaf_nodes=300).fit(
        rows, np.exp(rows[:, 0] / 20)
    )
    deep = flatten(chain)
    assert deep is not None
    feature = np.array([0, -1] * 300 + [-1], dtype=np.int32)
    arrays = {
        "feature": feature,
        "threshold": np.arange(300.0),
        "missing_left": np.zeros(300, dtype=np.bool_),
        "value": np.arange(301.0)[:, None],
        "base": np.zeros(1),
    }
    model = PlainModel(deep.about, arrays, method="written")
    assert model.method == "walk"
    tried = [-1.0, 0.0, 0.5, 123.4, 1e9]
    assert [model.score_row([each])[0] for each in tried] == [0, 0, 1, 124, 300]
    assert [each for each, _ in model.score_rows([[each] for each in tried] * 20)] == [
        0, 0, 1, 124, 300] * 20  # fmt: skip


@pytest.mark.parametrize(("trees", "method"), [(300, "written"), (400, "walk")])
def test_categories_are_counted_where_trees_are_written(trees: int, method: str) -> None:
    """They take time and memory as leaves do: few leaves with many of them are walked."""
    boosted = HistGradientBoostingRegressor(max_iter=1, min_samples_leaf=1)
    plain = flatten(boosted.fit(np.arange(9.0)[:, None], np.arange(9.0)))
    assert plain is not None
    codes = np.random.default_rng(0).random((trees, 256)) < 0.99
    arrays = {
        "feature": np.tile(np.array([0, -1, -1], dtype=np.int32), trees),
        "threshold": np.zeros(trees),
        "missing_left": np.zeros(trees, dtype=np.bool_),
        "category": np.arange(trees, dtype=np.int32),
        "left": np.packbits(codes, axis=1, bitorder="little"),
        "value": np.tile([[1.0], [0.0]], (trees, 1)),
        "base": np.zeros(1),
    }
    model = PlainModel(plain.about, arrays, method="written")
    assert model.method == method
    for code in (0, 7, 254):
        assert model.score_row([float(code)])[0] == codes[:, code + 1].sum()


# -- what has none --------------------------------------------------------------------------


class OwnForest(RandomForestClassifier):
    """A namesake that answers differently."""

    def predict_proba(self, X: Any) -> Any:
        return 1 - super().predict_proba(X)


class OwnScaler(StandardScaler):
    """Another one of the name."""


OwnForest.__name__, OwnScaler.__name__ = "RandomForestClassifier", "StandardScaler"
LOGISTIC = LogisticRegression(max_iter=1000)
NONE: dict[str, Callable[[], Any]] = {
    "a subclass": lambda: OwnForest(3).fit(*with_gaps(IRIS)),
    "a subclass in a pipeline": lambda: make_pipeline(OwnScaler(), LOGISTIC).fit(*IRIS),
    "another learner": lambda: GaussianNB().fit(*IRIS),
    "another one in a pipeline": lambda: make_pipeline(StandardScaler(), SVC()).fit(*IRIS),
    "bags": lambda: BaggingClassifier(n_estimators=2).fit(*IRIS),
    "boosting of stumps": lambda: AdaBoostClassifier(n_estimators=2).fit(*IRIS),
    "calibrated": lambda: CalibratedClassifierCV(DecisionTreeClassifier(), cv=2).fit(*IRIS),
    "a frozen one of those": lambda: FrozenEstimator(GaussianNB().fit(*IRIS)),
    "a function in front": lambda: make_pipeline(FunctionTransformer(np.log1p), LOGISTIC).fit(
        *IRIS
    ),
    "boosting that starts with a model": lambda: GradientBoostingClassifier(
        n_estimators=2, init=LOGISTIC
    ).fit(*IRIS),
    "weights of transformers": lambda: make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [0, 1])], transformer_weights={"a": 2}), LOGISTIC
    ).fit(*IRIS),
    "single precision": lambda: make_pipeline(one_hot(dtype=np.float32), LOGISTIC).fit(
        np.round(IRIS[0]), IRIS[1]
    ),
    "a gap that is a number": lambda: make_pipeline(
        SimpleImputer(missing_values=-1.0), LOGISTIC
    ).fit(*IRIS),
    "several outputs": lambda: RandomForestRegressor(2).fit(IRIS[0], IRIS[0][:, :2]),
    "several linear outputs": lambda: LinearRegression().fit(IRIS[0], IRIS[0][:, :2]),
    "not fitted": RandomForestRegressor,
    "not fitted, in a pipeline": lambda: make_pipeline(StandardScaler(), LOGISTIC),
    "only a transformer": lambda: StandardScaler().fit(IRIS[0]),
    "no estimator": object,
}


@pytest.mark.parametrize("what", NONE)
def test_what_may_not_be_reproduced_has_no_plain_form(what: str) -> None:
    """Subclasses, other learners and options that are not known are served by their pickle."""
    assert flatten(NONE[what]()) is None


def test_a_parameter_of_a_newer_release_is_not_guessed() -> None:
    """An estimator that has one more than those known has no plain form."""
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(*IRIS)
    assert flatten(fitted) is not None
    own = fitted[0].get_params
    fitted[0].get_params = lambda deep=True: {**own(deep), "winsorise": True}
    assert flatten(fitted) is None


# -- damage ---------------------------------------------------------------------------------


def damaged(name: str, change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def damage(about: dict[str, Any], arrays: dict[str, Any]) -> None:
        where = arrays if name in arrays else about
        where[name] = change(where[name])

    return damage


BROKEN = {
    "nodes after the last tree": damaged("feature", lambda a: np.append(a, np.int32(0))),
    "a tree cut short": damaged("feature", lambda a: a[:-1]),
    "no nodes": damaged("feature", lambda a: a[:0]),
    "an unknown column": damaged("feature", lambda a: np.where(a == 0, 99, a)),
    "a negative column": damaged("feature", lambda a: np.where(a == -1, -2, a)),
    "columns that are no integers": damaged("feature", lambda a: a.astype(float)),
    "a missing threshold": damaged("threshold", lambda a: a[1:]),
    "a threshold that is no number": damaged("threshold", lambda a: np.append(a[1:], np.nan)),
    "gaps that go nowhere": damaged("missing_left", lambda a: a[1:]),
    "a leaf that is no number": damaged("value", lambda a: np.where(a == a[0], np.nan, a)),
    "a missing leaf": damaged("value", lambda a: a[1:]),
    "leaves without sums": damaged("value", lambda a: a[:, :0]),
    "more sums than leaves add to": damaged("base", lambda a: np.append(a, [0.0, 0.0])),
    "no sums": damaged("base", lambda a: a[:0]),
    "an unknown set": damaged("category", lambda a: np.where(a == 0, 9999, a)),
    "a negative set": damaged("category", lambda a: np.where(a == -1, -2, a)),
    "sets of another size": damaged("left", lambda a: a[:, :5]),
    "sets that are no bits": damaged("left", lambda a: a.astype(float)),
    "another family": damaged("family", lambda _: "linear"),
    "no link": damaged("link", lambda _: None),
    "a link of several sums": damaged("link", lambda _: "softmax"),
    "no inputs": damaged("inputs", lambda _: 0),
    "inputs that are no number": damaged("inputs", lambda _: "four"),
    "a front that is a list": damaged("front", lambda _: [1, 2]),
    "no front": damaged("front", lambda _: {}),
}


@pytest.fixture(scope="module")
def categories() -> tuple[dict[str, Any], dict[str, Any]]:
    estimator, (rows, target) = ESTIMATORS["histogram boosting, own categories"]
    plain = flatten(estimator.fit(rows, target))
    assert plain is not None
    return read_again(plain)


@pytest.mark.parametrize("fault", BROKEN)
def test_malformed_forms_are_refused(fault: str, categories: Any) -> None:
    """A damaged plain form is refused with a sentence, never half served."""
    about, arrays = map(dict, categories)
    BROKEN[fault](about, arrays)
    with pytest.raises(BundleError, match=r"damaged: .*[.]"):
        restore(about, arrays)


def test_missing_parts_are_refused(categories: Any) -> None:
    """Each array, and each key of the manifest."""
    about, arrays = categories
    for name in {*arrays} - {"left"}:
        with pytest.raises(BundleError, match="damaged"):
            restore(about, {key: value for key, value in arrays.items() if key != name})
    for name in {*about} - {"at_zero", "model"}:
        with pytest.raises(BundleError, match="damaged"):
            restore({key: value for key, value in about.items() if key != name}, arrays)


STEPS = {
    "an unknown feature": [9, ["-", 1.0]],
    "a feature that is no number": ["0", ["-", 1.0]],
    "an unknown step": [0, ["eval", 0]],
    "code instead of a number": [0, ["-", "__import__('os')"]],
    "code instead of a table": [0, ["code", "__import__('os')"]],
    "code instead of a class": [0, ["hot", 0, "__import__('os')"]],
    "infinity": [0, ["/", math.inf]],
    "an unknown table": [0, ["code", 7]],
    "no arguments": [0, ["clip"]],
    "too many": [0, ["+", 1.0, 2.0]],
    "no list": [0, 7],
    "nothing at all": [],
}


@pytest.mark.parametrize("what", STEPS)
def test_steps_that_make_no_sense_are_refused(what: str, categories: Any) -> None:
    """Python is written from numbers and texts only, whatever a manifest has in their place."""
    about, arrays = dict(categories[0]), categories[1]
    about["front"] = {**about["front"], "columns": [STEPS[what], *about["front"]["columns"][1:]]}
    with pytest.raises(BundleError, match="damaged"):
        restore(about, arrays)


def test_texts_are_data_and_not_code() -> None:
    """A category or a filling with quotes and newlines stays what it is."""
    rows = np.array([["'); raise SystemExit #"], ["\n\\"], ['"""'], [None]] * 9, dtype=object)
    fill = SimpleImputer(missing_values=None, strategy="constant", fill_value="\"'\n) #")
    fitted = make_pipeline(fill, one_hot(), LinearRegression()).fit(rows, np.arange(36.0) % 4)
    model = restore(*read_again(flatten(fitted)))
    assert model.score_rows(rows.tolist()) == asked_of(fitted, numeric=False).score_rows(
        rows.tolist()
    )


LINEAR_BROKEN = {
    "no coefficients": ("coefficients", lambda a: a[..., :0]),
    "fewer": ("coefficients", lambda a: a[..., 1:]),
    "of one precision": ("coefficients", lambda a: a.astype(np.float32)),
    "no numbers": ("coefficients", lambda a: a * np.nan),
    "a cube": ("coefficients", lambda a: a[None]),
    "no intercept": ("intercept", lambda a: a[:0]),
    "one that is none": ("intercept", lambda a: a * np.inf),
}


@pytest.mark.parametrize("fault", LINEAR_BROKEN)
def test_malformed_coefficients_are_refused(fault: str) -> None:
    """As damaged trees are."""
    about, arrays = read_again(flatten(LogisticRegression(max_iter=500).fit(*IRIS)))
    name, damage = LINEAR_BROKEN[fault]
    with np.errstate(invalid="ignore"), pytest.raises(BundleError, match="damaged"):
        restore(about, {**arrays, name: damage(arrays[name])})


@settings(max_examples=150)
@given(data=st.data())
def test_any_damage_is_refused_or_scored(data: st.DataObject, categories: Any) -> None:
    """Whatever is overwritten, cut or repeated, there is an answer or a `BundleError`."""
    about, arrays = categories
    name = data.draw(st.sampled_from(sorted(arrays)))
    array = arrays[name].copy()
    at = data.draw(st.integers(0, len(array) - 1))
    kind = data.draw(st.sampled_from(["overwrite", "cut", "repeat", "swap"]))
    if kind == "overwrite":
        array[at] = data.draw(st.sampled_from([0, 1, 2, 7, 200]))
    else:
        array = {"cut": array[:at], "repeat": np.append(array, array[at:], axis=0),
                 "swap": np.roll(array, at, axis=0)}[kind]  # fmt: skip
    try:
        model = restore(about, {**arrays, name: array})
    except BundleError:
        return
    rows = table_of(MIXED[0])[:40]
    assert model.score_rows(rows) == [model.score_row(row) for row in rows]


# -- without scikit-learn -------------------------------------------------------------------


def test_a_plain_form_is_served_without_scikit_learn() -> None:
    """Neither scikit-learn, scipy, joblib nor numpy.random is imported by loading and scoring."""
    file = io.BytesIO()
    estimator, (rows, target) = ESTIMATORS["one-hot and scaled"]
    plain = flatten(estimator.fit(rows, target))
    np.savez(file, **plain.arrays)
    code = (
        "import io, json, sys, numpy as np; before = set(sys.modules);"
        "from irisab.model import bundle; from irisab.model.plain import restore;"
        "about = json.loads(sys.argv[1]);"
        "model = restore(about, dict(np.load(io.BytesIO(sys.stdin.buffer.read()))));"
        "model.score_rows([['red', 1.0, 0.5, 5.0, 'a']] * 40);"
        "print({'sklearn', 'scipy', 'joblib', 'numpy.random'} & (set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(plain.about)],
        input=file.getvalue(), capture_output=True, check=True,
    )  # fmt: skip
    assert run.stdout.decode().strip() == "set()"


# -- many of them ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(24))
def test_random_estimators_answer_as_scikit_learn(seed: int) -> None:
    """Random options on random data, as `make fuzz` tries thousands of."""
    _, difference = fuzz.judge(seed, seconds=0.2)
    assert difference is None
