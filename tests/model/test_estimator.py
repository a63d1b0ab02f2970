"""Pickled estimators: asked once, in one thread, in the form they were fitted in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

from irisab.model.estimator import Estimator
from irisab.model.nested import missing_text, nested, run_alone

IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
ROWS = IRIS[0].tolist()


class Counted:
    """Counts the calls that an estimator gets; in everything else it is the estimator."""

    def __init__(self, estimator: Any) -> None:
        self.calls: list[str] = []
        for name in ("predict", "predict_proba"):
            if hasattr(estimator, name):
                setattr(estimator, name, self._counting(name, getattr(estimator, name)))
        self.estimator = estimator

    def _counting(self, name: str, call: Any) -> Any:
        def counting(*given: Any, **options: Any) -> Any:
            self.calls.append(name)
            return call(*given, **options)

        return counting


ONCE = {
    "naive Bayes": GaussianNB(),
    "of counts": BernoulliNB(binarize=1.5),
    "neighbours": KNeighborsClassifier(3),
    "discriminant": LinearDiscriminantAnalysis(),
    "bags": BaggingClassifier(n_estimators=3, random_state=0),
    "stumps": AdaBoostClassifier(n_estimators=5, random_state=0),
    "voting": VotingClassifier([("a", GaussianNB()), ("b", KNeighborsClassifier())], voting="soft"),
    "calibrated": CalibratedClassifierCV(GaussianNB(), cv=2),
    "network": MLPClassifier((5,), max_iter=30, random_state=0),
    "logits by descent": make_pipeline(
        StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)
    ),
}
TWICE = {
    "support vectors": make_pipeline(StandardScaler(), SVC()),
    "a threshold of its own": FixedThresholdClassifier(LogisticRegression(), threshold=0.9),
    "stacked": StackingClassifier([("a", GaussianNB())], cv=2),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ONCE)
def test_one_call_says_class_and_probabilities(kind: str) -> None:
    """Where predict is by definition the largest probability; the answers are both methods' own."""
    fitted = ONCE[kind].fit(*IRIS)
    classes, probabilities = fitted.predict(IRIS[0]), fitted.predict_proba(IRIS[0])
    counted = Counted(fitted)
    answers = Estimator(counted.estimator, n_classes=3).score_rows(ROWS)
    assert [index for index, _ in answers] == classes.tolist()
    assert [list(each) for _, each in answers] == probabilities.tolist()
    # A tie is looked up once more, and voting has one in these rows perhaps.
    assert counted.calls in (["predict_proba"], ["predict_proba", "predict"])
    counted.calls.clear()
    Estimator(counted.estimator, n_classes=3).score_row(ROWS[0])
    assert counted.calls == ["predict_proba"]


@pytest.mark.parametrize("kind", TWICE)
def test_where_classes_may_differ_from_probabilities_both_are_asked(kind: str) -> None:
    """The class is what predict says, whatever the probabilities look like."""
    labels = (IRIS[1] == 1).astype(int)
    fitted = TWICE[kind].fit(IRIS[0], labels)
    answers = Estimator(fitted, n_classes=2).score_rows(ROWS)
    assert [index for index, _ in answers] == fitted.predict(IRIS[0]).tolist()


@pytest.mark.parametrize(
    "estimator",
    [
        GradientBoostingClassifier(
            n_estimators=1, init="zero", max_depth=1, min_samples_leaf=40, learning_rate=1e-300
        ),
        HistGradientBoostingClassifier(max_iter=1, learning_rate=1e-300),
    ],
)
def test_a_tie_is_what_predict_says(estimator: Any) -> None:
    """Probabilities that are rounded to the same are no class: the scores behind them are."""
    rows = np.array([[-1.0], [1.0]] * 40)
    fitted = estimator.fit(rows, [0, 1] * 40)
    answers = Estimator(fitted, n_classes=2).score_rows(rows.tolist())
    assert [index for index, _ in answers] == fitted.predict(rows).tolist() == [0, 1] * 40
    assert all(probabilities == (0.5, 0.5) for _, probabilities in answers)


@pytest.mark.parametrize(
    "estimator",
    [
        LinearSVC(),
        RidgeClassifier(),
        VotingClassifier([("a", GaussianNB()), ("b", KNeighborsClassifier())]),
        make_pipeline(StandardScaler(), LinearSVC()),
        GridSearchCV(RidgeClassifier(), {"alpha": [1.0, 2.0]}),
    ],
)
def test_without_predict_proba_there_are_no_probabilities(estimator: Any) -> None:
    """The class alone is served."""
    fitted = estimator.fit(*IRIS)
    answers = Estimator(fitted, n_classes=3).score_rows(ROWS)
    assert answers == [(index, ()) for index in fitted.predict(IRIS[0]).tolist()]


@pytest.mark.parametrize("names", [(-1, 1), ("no", "yes"), (False, True), (0, 2)])
@pytest.mark.parametrize("kind", [GaussianNB, LinearSVC, SVC])
def test_classes_are_known_by_their_order(kind: Any, names: tuple[Any, Any]) -> None:
    """Whatever an estimator calls them, an answer is the index in the order of `classes_`."""
    labels = np.array(names)[(CANCER[1] == 1).astype(int)]
    scaled = StandardScaler().fit_transform(CANCER[0])
    fitted = kind().fit(scaled, labels)
    answers = Estimator(fitted, n_classes=2).score_rows(scaled[::20].tolist())
    said = fitted.predict(scaled[::20])
    assert [names[index] for index, _ in answers] == said.tolist()


def test_a_class_that_was_not_seen_has_probability_0() -> None:
    """An estimator of two classes among three of a manifest was fitted on their indices."""
    kept = IRIS[1] != 1
    for fitted in (GaussianNB().fit(IRIS[0][kept], IRIS[1][kept]),):
        answers = Estimator(fitted, n_classes=3).score_rows(ROWS)
        assert {index for index, _ in answers} == {0, 2}
        assert {probabilities[1] for _, probabilities in answers} == {0.0}
    with pytest.raises(ValueError, match="cannot answer"):
        Estimator(GaussianNB().fit(IRIS[0], np.array(["a", "b"])[IRIS[1] % 2]), n_classes=3)


def test_a_regressor_answers_with_a_value() -> None:
    """A float, and nothing else; also where predict gives a column."""
    for target in (DIABETES[1], DIABETES[1][:, None]):
        fitted = Ridge().fit(DIABETES[0], target)
        answers = Estimator(fitted, n_classes=0).score_rows(DIABETES[0][:9].tolist())
        assert answers == [(each, ()) for each in fitted.predict(DIABETES[0][:9]).ravel().tolist()]


def test_nothing_inside_starts_threads() -> None:
    """n_jobs is 1 in templates, in fitted estimators and in what is no estimator itself."""
    for make in (
        lambda forest: CalibratedClassifierCV(forest, cv=2),
        lambda forest: VotingClassifier([("a", forest)], voting="soft"),
        lambda forest: StackingClassifier([("a", make_pipeline(StandardScaler(), forest))], cv=2),
        lambda forest: GridSearchCV(make_pipeline(StandardScaler(), forest), {}, cv=2),
        lambda forest: BaggingClassifier(forest, n_estimators=2),
    ):
        fitted = make(RandomForestClassifier(3, random_state=0)).fit(*IRIS)
        parts = [part for part in nested(fitted) if "n_jobs" in vars(part)]
        assert len(parts) > 2
        for part in parts:
            part.n_jobs = 2
        run_alone(fitted)
        assert {part.n_jobs for part in parts} == {1}


def test_what_scikit_learn_was_not_told_stays_untold() -> None:
    """n_jobs=None is one thread, and setting it would be warned about at the next fit."""
    fitted = LogisticRegression(max_iter=300).fit(*IRIS)
    run_alone(fitted)
    assert fitted.n_jobs is None


# -- rows of text ---------------------------------------------------------------------------


def table() -> tuple[list[list[Any]], Any]:
    random = np.random.default_rng(0)
    colours = random.choice(["red", "green"], 60).tolist()
    rows: list[list[Any]] = [
        [None if n % 7 == 0 else colour, math.nan if n % 5 == 0 else float(n)]
        for n, colour in enumerate(colours)
    ]
    return rows, np.array([colour == "red" for colour in colours]).astype(int)


def pipeline(text: Any, number: Any) -> Any:
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    front = ColumnTransformer([("text", encode, text), ("number", SimpleImputer(), number)])
    return make_pipeline(front, GaussianNB())


def test_rows_of_text_are_arrays_of_objects() -> None:
    """As irisab's own pipelines are fitted: a missing text is None."""
    rows, labels = table()
    array = np.array(rows, dtype=object)
    fitted = pipeline([0], [1]).fit(array, labels)
    assert missing_text(fitted) is None
    answers = Estimator(fitted, n_classes=2, numeric=False).score_rows(rows)
    assert [list(each) for _, each in answers] == fitted.predict_proba(array).tolist()


@pytest.mark.parametrize("text", [["colour"], make_column_selector(dtype_exclude=float), [0]])
def test_rows_for_a_frame_have_its_names(text: Any) -> None:
    """A pipeline that was fitted on a DataFrame gets one, with NaN where a text is missing."""
    pandas = pytest.importorskip("pandas")
    rows, labels = table()
    frame = pandas.DataFrame(rows, columns=["colour", "size"])
    frame["colour"] = frame["colour"].astype("str").where(frame["colour"].notna())
    number = ["size"] if text == ["colour"] else [1]
    fitted = pipeline(text, number).fit(frame, labels)
    answers = Estimator(fitted, n_classes=2, numeric=False).score_rows(rows)
    assert [list(each) for _, each in answers] == fitted.predict_proba(frame).tolist()
    row = Estimator(fitted, n_classes=2, numeric=False).score_row([None, math.nan])
    assert row == answers[0]


def test_numbers_fitted_in_a_frame_are_served_without_one() -> None:
    """No pandas is needed for columns that are not asked for by name, and nothing is warned."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(IRIS[0], columns=list("abcd"))
    fitted = GaussianNB().fit(frame, IRIS[1])
    answers = Estimator(fitted, n_classes=3).score_rows(ROWS)
    assert [list(each) for _, each in answers] == fitted.predict_proba(frame).tolist()


def test_a_histogram_booster_gives_one_answer_whatever_the_threads() -> None:
    """OpenMP shares out rows, and never the sum of one."""
    fitted = HistGradientBoostingClassifier(max_iter=5).fit(*IRIS)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(Estimator(fitted, n_classes=3).score_rows(ROWS))
    assert found[0] == found[1]
