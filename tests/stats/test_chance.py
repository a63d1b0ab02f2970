"""What chance reaches: calm windows of any kind stay below it, and real drift is above."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp, norm

from irisab.stats import chance, drift

Draw = Callable[[np.random.Generator, int, int], drift.Array]


def normal(random: np.random.Generator, rows: int, features: int) -> drift.Array:
    return random.normal(size=(rows, features))


def alike(random: np.random.Generator, rows: int, features: int) -> drift.Array:
    """Features that nearly say the same, as length and weight do."""
    return random.normal(size=(rows, 1)) + 0.1 * random.normal(size=(rows, features))


def incomes(random: np.random.Generator, rows: int, features: int) -> drift.Array:
    """Far-out values in every feature at once."""
    return np.exp(random.normal(size=(rows, 1)) + 0.01 * random.normal(size=(rows, features)))


def counts(random: np.random.Generator, rows: int, features: int) -> drift.Array:
    """Few different values, many ties."""
    return random.poisson(1.5, size=(rows, features)).astype(float)


def seldom(random: np.random.Generator, rows: int, features: int) -> drift.Array:
    """Nearly always 0: in a small reference a feature may never vary."""
    return (random.random((rows, features)) < 0.03).astype(float)


def gaps(random: np.random.Generator, rows: int, features: int) -> NDArray[Any]:
    """Numbers of which every fifth is missing."""
    return np.where(random.random((rows, features)) < 0.2, np.nan, normal(random, rows, features))


def texts(random: np.random.Generator, rows: int, features: int) -> NDArray[Any]:
    """Categories, some of them rare, and gaps; in a window there may be new ones."""
    shares = np.array([1 / (1 + number) for number in range(20)])
    found = random.choice(20, size=(rows, features), p=shares / shares.sum())
    names = np.array([None, *(f"kind {number}" for number in range(1, 20))], dtype=object)
    return names[found]


def tables(random: np.random.Generator, rows: int, features: int) -> NDArray[Any]:
    """Both, side by side."""
    columns = [gaps(random, rows, features), texts(random, rows, features)]
    return np.concatenate([each.astype(object) for each in columns], axis=1)[:, ::2]


def warns(window: drift.Array, reference: drift.Reference, threshold: float) -> bool:
    scores = drift.measure(window, reference)
    limits = chance.limits(window, reference, threshold=threshold)
    return scores.score > limits.score or any(
        scores.features[name] > limit for name, limit in limits.features.items()
    )


def summarise(rows: NDArray[Any]) -> drift.Reference:
    names = [f"x{n}" for n in range(rows.shape[1])]
    if rows.dtype == np.float64 and not np.isnan(rows).any():
        return drift.summarise(rows, names=names)
    there = [
        [value for value in column if value == value and value is not None] for column in rows.T
    ]
    texts = [any(isinstance(value, str) for value in column) for column in there]
    columns = [np.sort([] if text else column) for text, column in zip(texts, there, strict=True)]
    return drift.Reference(
        names=tuple(names),
        mean=np.array([column.mean() if len(column) else np.nan for column in columns]),
        std=np.array([column.std() if len(column) else np.nan for column in columns]),
        columns=tuple(columns),
        shares=tuple(
            {name: count / len(column) for name, count in Counter(column).items()} if text else None
            for text, column in zip(texts, there, strict=True)
        ),
        missing=tuple(1 - len(column) / len(rows) for column in there),
        rows=len(rows),
    )


@pytest.mark.parametrize("draw", [normal, alike, incomes, counts, seldom, gaps, texts, tables])
@pytest.mark.parametrize(
    ("rows", "trained", "features", "windows"),
    [
        (10, 120, 4, 300),
        (10, 60, 30, 100),
        (30, 120, 1, 600),
        (100, 120, 4, 300),
        (100, 1000, 30, 20),
        (1000, 120, 4, 100),
    ],
)
def test_calm_windows_seldom_warn(
    draw: Draw, rows: int, trained: int, features: int, windows: int
) -> None:
    """At most 1 % of them, for small windows and large, few features and many, whatever their
    distribution; at a threshold of nothing, so that only chance's limit holds them back."""
    random = np.random.default_rng(1)
    found = sum(
        warns(draw(random, rows, features), summarise(draw(random, trained, features)), 1e-6)
        for _ in range(windows)
    )
    # 1 % of the windows, and what chance adds to that in one run of 50.
    assert found <= windows / 100 + 2 * (windows / 100) ** 0.5


@pytest.mark.parametrize(("rows", "windows"), [(10, 40), (10_000, 5)])
def test_calm_windows_of_120_features_seldom_warn(rows: int, windows: int) -> None:
    """Many features do not add up to many warnings, in the smallest window and in a huge one."""
    random = np.random.default_rng(2)
    found = sum(
        warns(normal(random, rows, 120), summarise(normal(random, 2000, 120)), 1e-6)
        for _ in range(windows)
    )
    assert found <= windows / 100 + 2 * (windows / 100) ** 0.5


@pytest.mark.parametrize(
    ("rows", "trained", "features", "windows"),
    [
        (100, 120, 1, 200),
        (100, 120, 4, 200),
        (100, 1000, 30, 100),
        (100, 120, 120, 60),
        (400, 2000, 120, 20),
    ],
)
def test_one_feature_that_moved_is_found(
    rows: int, trained: int, features: int, windows: int
) -> None:
    """+1 sd in one feature of up to 120 warns in 95 % of windows of 100 rows or more."""
    random = np.random.default_rng(3)
    found = 0
    for _ in range(windows):
        reference = summarise(normal(random, trained, features))
        window = normal(random, rows, features)
        window[:, -1] += reference.std[-1]
        found += warns(window, reference, 0.3)
    assert found >= 0.95 * windows


@pytest.mark.parametrize(("rows", "trained"), [(200, 1000), (400, 2000)])
def test_a_category_that_spreads_and_values_that_go_missing_are_found(
    rows: int, trained: int
) -> None:
    """Where half of what was something else becomes one category, or nothing, the window warns."""
    random = np.random.default_rng(8)
    for number, becomes in (1, "kind 3"), (1, None), (1, "unseen"), (0, np.nan):
        found = 0
        for _ in range(40):
            window, reference = tables(random, rows, 4), summarise(tables(random, trained, 4))
            column = 2 if number else 0
            window[: rows // 2, column] = becomes
            found += warns(window, reference, 0.3)
        assert found >= 38, (number, becomes)


def exceeded(distance: float, rows: int, trained: int) -> float:
    """Return the probability of a larger distance: of all ways to mix the samples, each as likely,
    those in which one is ever ahead of the other by more."""
    inside = np.zeros(rows + 1)  # by how many of the window's rows are among the first so many
    inside[0] = 1
    for seen in range(1, rows + trained + 1):
        new = np.arange(max(0, seen - trained), min(rows, seen) + 1)
        old = seen - new
        before = inside.copy()
        inside[:] = 0
        inside[new] = before[new - 1] * (new > 0) * new / seen + before[new] * old / seen
        inside[new] *= np.abs(new / rows - old / trained) <= distance + 1e-12
    return 1 - float(inside[rows])


@pytest.mark.parametrize(("rows", "trained"), [(10, 37), (30, 30), (100, 120)])
def test_the_exact_probability_is_scipys(rows: int, trained: int) -> None:
    """What the next test compares with is what scipy says of two samples."""
    random = np.random.default_rng(7)
    for shift in (0.3, 0.6):
        found = ks_2samp(
            random.normal(size=trained), random.normal(shift, size=rows), method="exact"
        )
        smaller = found.statistic - 0.5 / (rows * trained)
        assert exceeded(smaller, rows, trained) == pytest.approx(found.pvalue, rel=1e-6)


@pytest.mark.parametrize("level", [0.007, 0.007 / 4, 0.007 / 120])
@pytest.mark.parametrize("trained", [10, 37, 120, 500])
@pytest.mark.parametrize("rows", [10, 30, 100, 250])
def test_the_ks_limit_holds_by_the_exact_distribution(
    rows: int, trained: int, level: float
) -> None:
    """No more than `level` of all distances are above it, and more are above seven eighths."""
    limit = chance.ks_limit(trained, rows, level)
    assert exceeded(limit, rows, trained) <= level
    assert exceeded(limit * 7 / 8, rows, trained) > level


def test_the_limit_is_the_threshold_where_chance_reaches_less() -> None:
    """At the defaults, a window of 1,000 rows is judged by the threshold alone."""
    random = np.random.default_rng(4)
    reference = summarise(normal(random, 1000, 4))
    found = chance.limits(normal(random, 1000, 4), reference, threshold=0.3)
    assert found.score == 0.3 and set(found.features.values()) == {0.3}
    smaller = chance.limits(normal(random, 20, 4), reference, threshold=0.3)
    assert smaller.score > 0.3 and all(limit > 0.3 for limit in smaller.features.values())


def test_the_mean_shift_limit_is_near_the_exact_one() -> None:
    """For one normal feature the shift is normal: the bound is at most a quarter above its
    quantile."""
    random = np.random.default_rng(5)
    reference = summarise(normal(random, 400, 1))
    exact_limit = norm.isf(chance.MEAN_SHIFT_LEVEL / 2) * (1 / 400 + 1 / 50) ** 0.5
    found = chance.mean_shift_limit(reference, 50)
    assert exact_limit < found < 1.25 * exact_limit


def test_features_that_never_varied_reach_nothing_by_chance() -> None:
    """One of them that moves is a shift, unless so few rows may have missed the training."""
    reference = summarise(np.ones((50, 2)))
    window = np.ones((10, 2))
    assert chance.mean_shift_limit(reference, 10) == 0
    assert not warns(window, reference, 0.3)
    window[3, 1] = 2
    assert not warns(window, reference, 0.3)  # one row of 60: it may as well have been trained on
    window[:5, 1] = 2
    assert warns(window, reference, 0.3)


def test_one_row_far_out_is_no_drift_of_the_mean() -> None:
    """Where the training rows have had no such row by chance, the window itself tells of it."""
    random = np.random.default_rng(6)
    reference = summarise(normal(random, 500, 1))
    window = normal(random, 100, 1)
    window[0] = 60
    assert drift.mean_shift(window, reference) > chance.mean_shift_limit(reference, 100)
    assert not warns(window, reference, 0.3)
