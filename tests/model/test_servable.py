"""What cannot be served is refused before it is fitted, in a sentence that says what can."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_diabetes
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC, OneClassSVM

from irisab.model.servable import CAN_BE, unservable

ROWS, TARGET = load_diabetes(return_X_y=True)

REFUSED: dict[str, list[Any]] = {
    "clusters": [KMeans(), DBSCAN(), make_pipeline(StandardScaler(), KMeans()),
                 GridSearchCV(KMeans(), {})],
    "outliers": [IsolationForest(), OneClassSVM()],
    "only transforms": [PCA(), make_pipeline(StandardScaler(), PCA()), StandardScaler()],
    "neither a classifier nor a regressor": [GaussianMixture()],
    "no estimator inside": [SelfTrainingClassifier()],
    "several values at once": [
        MultiOutputClassifier(LogisticRegression()), RegressorChain(Ridge()),
        RandomForestRegressor(2).fit(ROWS, ROWS[:, :2]), LinearRegression().fit(ROWS, ROWS[:, :2]),
        RandomForestClassifier(2).fit(ROWS, ROWS[:, :2] > 0),
        make_pipeline(StandardScaler(), Ridge()).fit(ROWS, ROWS[:, :2])],
    "documents instead of rows": [
        make_pipeline(TfidfVectorizer(), LogisticRegression()),
        GridSearchCV(make_pipeline(CountVectorizer(), LinearSVC()), {})],
    "no estimator of scikit-learn's kind": [42, "model", None, {}],
}  # fmt: skip
CASES = [(reason, each) for reason, several in REFUSED.items() for each in several]


@pytest.mark.parametrize(("reason", "estimator"), CASES)
def test_what_cannot_be_served_is_refused(reason: str, estimator: Any) -> None:
    """The sentence says why, and what can be served."""
    said = unservable(estimator)
    assert said is not None
    assert reason in said
    assert said.endswith(CAN_BE)
    assert said.isprintable()


def test_a_class_is_not_yet_an_estimator() -> None:
    """It is said how to make one."""
    assert unservable(LogisticRegression) == (
        "LogisticRegression is a class, not an estimator: write LogisticRegression()"
    )


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        LinearSVC(),
        Ridge().fit(ROWS, TARGET),
        LinearRegression().fit(ROWS, TARGET),
        RandomForestRegressor(2).fit(ROWS, TARGET),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {}),
        FrozenEstimator(Ridge().fit(ROWS, TARGET)),
    ],
)
def test_classifiers_and_regressors_are_servable(estimator: Any) -> None:
    """Fitted or not, alone, searched, frozen or at the end of a pipeline."""
    assert unservable(estimator) is None
