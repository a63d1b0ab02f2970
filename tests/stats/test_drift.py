"""Drift: the two figures are what they are said to be, quiet without drift and loud with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import ks_2samp

from irisab.lifecycle.dataset import load_iris
from irisab.model import bundle
from irisab.model.schema import FLOAT32_MAX
from irisab.stats import chance, drift

IRIS = load_iris()
WINDOW, THRESHOLD = 100, 0.3
# What reaches drift is in float32's range, and finite.
numbers = st.floats(-FLOAT32_MAX, FLOAT32_MAX)
columns = arrays.arrays(float, st.integers(2, 40), elements=numbers)
# Few different values: ties.
tied = arrays.arrays(float, st.integers(2, 40), elements=st.integers(0, 4).map(float))


def summarise(rows: drift.Array) -> drift.Reference:
    return drift.summarise(rows, names=[f"x{n}" for n in range(rows.shape[1])])


def iris() -> drift.Reference:
    return drift.summarise(IRIS.rows, names=[name for name, _ in IRIS.features])


# -- what is computed -----------------------------------------------------------------------


@given(columns | tied, columns | tied)
def test_ks_distance_is_scipys(train: drift.Array, window: drift.Array) -> None:
    """The distance per feature is the statistic of the two-sample Kolmogorov-Smirnov test."""
    found = drift.ks_distance(np.sort(train), window)
    assert found == pytest.approx(ks_2samp(train, window, method="asymp").statistic, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(0.1, 3))
def test_mean_shift_is_the_formula(seed: int, shift: float, scale: float) -> None:
    """The score is the mean of |mean(window) - mean(train)| / std(train), and at most 1."""
    random = np.random.default_rng(seed)
    train, window = random.normal(0, 1, (50, 3)), random.normal(shift, scale, (20, 3))
    expected = np.mean(np.abs(window.mean(axis=0) - train.mean(axis=0)) / train.std(axis=0))
    assert drift.mean_shift(window, summarise(train)) == pytest.approx(min(expected, 1))


@given(
    arrays.arrays(float, (12, 2), elements=numbers), arrays.arrays(float, (9, 2), elements=numbers)
)
def test_every_figure_is_a_share(train: drift.Array, window: drift.Array) -> None:
    """Whatever finite rows come, scores are between 0 and 1 and can be sent as JSON."""
    reference = summarise(train)
    found = drift.measure(window, reference)
    assert all(0 <= value <= 1 for value in (found.score, *found.features.values()))
    histograms = drift.distributions(window, reference)
    json.dumps([found.score, found.features, histograms], allow_nan=False)
    for each in histograms.values():
        assert sum(each["training"]) == pytest.approx(1)
        assert sum(each["window"]) == pytest.approx(1)
        assert each["edges"] == sorted(each["edges"])


def test_the_mean_is_capped_not_its_parts() -> None:
    """One feature of four that moved by 2 sd scores 0.5, although more than 1 by itself."""
    train = np.array([[-1.0] * 4, [1.0] * 4])
    window = np.array([[2.0, 0, 0, 0]])
    assert drift.mean_shift(window, summarise(train)) == 0.5
    assert drift.mean_shift(window * 9, summarise(train)) == 1


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e30, 1.7e18])
def test_a_constant_column_counts_as_all_or_nothing(constant: float) -> None:
    """A feature that never varied scores 0 as long as it does not, else 1; no NaN, no crash."""
    train = np.column_stack([np.full(7, constant), np.arange(7.0)])
    same = train.copy()
    other = train.copy()
    other[3, 0] += max(1.0, constant)
    reference = summarise(train)
    assert drift.mean_shift(same, reference) == 0
    assert drift.mean_shift(other, reference) == pytest.approx(0.5)
    assert drift.measure(same, reference).features["x0"] == 0
    assert drift.distributions(same, reference)["x0"]["window"] is not None


# -- thinned references ---------------------------------------------------------------------


def test_small_references_are_kept_whole() -> None:
    """Nothing is lost where nothing has to be."""
    rows = np.random.default_rng(0).normal(size=(drift.REFERENCE_VALUES, 1))
    assert summarise(rows).columns[0].tolist() == np.sort(rows[:, 0]).tolist()


@pytest.mark.parametrize("rows", [2001, 3999, 100_000])
def test_a_thinned_reference_measures_the_same(rows: int) -> None:
    """Of large training data 2,000 quantiles are kept, ends included; the distance is the same to
    a thousandth."""
    random = np.random.default_rng(rows)
    train, window = random.gamma(2, size=(rows, 1)), random.gamma(2.2, size=(100, 1))
    reference = summarise(train)
    (column,) = reference.columns
    assert len(column) == drift.REFERENCE_VALUES
    assert (column[0], column[-1]) == (train.min(), train.max())
    assert (np.diff(column) >= 0).all()
    full = ks_2samp(train[:, 0], window[:, 0]).statistic
    assert drift.ks_distance(column, window[:, 0]) == pytest.approx(full, abs=1e-3)
    assert reference.mean == train.mean(axis=0)
    assert reference.std == train.std(axis=0)


# -- alarms ---------------------------------------------------------------------------------


def windows_of_training_rows(count: int, seed: int) -> drift.Array:
    """Draw windows from the rows themselves: shape (count, WINDOW, n_features)."""
    random = np.random.default_rng(seed)
    return IRIS.rows[random.integers(len(IRIS.rows), size=(count, WINDOW))]


def windows_of_fitted_gaussians(count: int, seed: int) -> drift.Array:
    """Draw windows from a normal distribution per class, fitted to the rows."""
    random = np.random.default_rng(seed)
    classes = [IRIS.rows[IRIS.labels == each] for each in range(3)]
    fitted = [(rows.mean(axis=0), np.cov(rows.T)) for rows in classes]
    picks = random.integers(3, size=(count, WINDOW))
    return np.array(
        [[random.multivariate_normal(*fitted[each]) for each in pick] for pick in picks]
    )


def above(window: drift.Array, reference: drift.Reference) -> list[str]:
    """Name what warns at the default threshold: features, and "" for the mean shift."""
    scores = drift.measure(window, reference)
    limits = chance.limits(window, reference, threshold=THRESHOLD)
    found = [name for name, limit in limits.features.items() if scores.features[name] > limit]
    return [*([""] if scores.score > limits.score else []), *found]


@pytest.mark.parametrize("draw", [windows_of_training_rows, windows_of_fitted_gaussians])
def test_no_alarm_without_drift(draw, iris_models: Path) -> None:
    """60 windows of in-distribution Iris rows stay below the default threshold.

    They are measured as the service does, against the rows that the control was fitted on.
    """
    reference = bundle.load(iris_models, "v1").reference
    alarms = [above(window, reference) for window in draw(60, seed=1)]
    assert alarms == [[]] * 60


@pytest.mark.parametrize("feature", range(4))
def test_a_shift_of_one_feature_is_seen_and_named(feature: int) -> None:
    """+1 sd in one feature raises that feature's score above the threshold, and no other's."""
    reference = iris()
    for window in windows_of_training_rows(20, seed=2):
        window[:, feature] += reference.std[feature]
        assert above(window, reference) == [reference.names[feature]]


def test_a_shift_of_all_features_raises_the_score() -> None:
    """+1 sd in every feature gives a mean shift of about 1, which warns."""
    reference = iris()
    (window,) = windows_of_training_rows(1, seed=3)
    assert drift.measure(window + reference.std, reference).score > 0.8
    assert above(window + reference.std, reference) == ["", *reference.names]


def test_identical_rows_look_like_drift() -> None:
    """A demo that sends one row again and again is told so, however ordinary the row is."""
    assert above(np.tile(IRIS.rows[70], (WINDOW, 1)), iris())


# -- histograms -----------------------------------------------------------------------------


def test_histograms_span_training_and_window() -> None:
    """A window outside the training range is drawn, not cut off."""
    reference = summarise(np.array([[0.0], [1.0]]))
    found = drift.distributions(np.array([[5.0], [5.0]]), reference)["x0"]
    assert found["edges"] == pytest.approx(np.linspace(0, 5, 11))
    assert found["training"] == [0.5, 0, 0.5, 0, 0, 0, 0, 0, 0, 0]
    assert found["window"] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_without_a_window_only_training_is_drawn() -> None:
    """Before the window is full its shares are null, and the edges are training's."""
    found = drift.distributions(None, iris())
    assert list(found) == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    for each, column in zip(found.values(), IRIS.rows.T, strict=True):
        assert each["window"] is None
        assert (each["edges"][0], each["edges"][-1]) == (column.min(), column.max())
        assert sum(each["training"]) == pytest.approx(1)
