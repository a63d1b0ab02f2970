"""Exact tests of counts, beside scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from irisab.stats.exact import sign_test, upper_bound

counts = st.integers(0, 200)


@given(counts, counts)
def test_the_sign_test_is_scipys(ahead: int, behind: int) -> None:
    """Two-sided, exact, and 1 where nothing was seen."""
    expected = stats.binomtest(ahead, ahead + behind).pvalue if ahead + behind else 1.0
    assert sign_test(ahead, behind) == pytest.approx(expected, rel=1e-9)


def test_the_sign_test_knows_large_counts() -> None:
    """Thousands of disagreements are no overflow."""
    assert sign_test(3000, 2500) == pytest.approx(stats.binomtest(3000, 5500).pvalue, rel=1e-9)


@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_upper_bound_is_clopper_and_pearsons(seen: int, trials: int, alpha: float) -> None:
    """It is the rate at which so few successes have probability alpha."""
    seen = min(seen, trials)
    expected = stats.beta.ppf(1 - alpha, seen + 1, trials - seen) if seen < trials else 1.0
    assert upper_bound(seen, trials, alpha) == pytest.approx(expected, rel=1e-6)
