"""Quantiles of counts by bin."""

from __future__ import annotations

import numpy as np
import pytest

from irisab.stats import sketch


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("count", [1, 2, 3, 100, 5000])
def test_quantiles_are_off_by_a_twentieth_at_most(share: float, count: int) -> None:
    """As DDSketch promises, over decades and for any number of values."""
    values = np.random.default_rng(count).lognormal(-4, 2, count)
    bins, counts = np.unique([sketch.bin_of(each) for each in values], return_counts=True)
    found = sketch.quantile(dict(zip(bins.tolist(), counts.tolist(), strict=True)), share)
    assert found == pytest.approx(np.quantile(values, share, method="lower"), rel=0.05)


def test_of_nothing_there_is_no_quantile() -> None:
    """A step without requests has none, not 0."""
    assert sketch.quantile({}, 0.5) is None


def test_no_time_at_all_has_a_bin() -> None:
    """A clock that stood still between two looks is no reason to fail."""
    assert sketch.bin_of(0.0) == sketch.bin_of(1e-9) == sketch.bin_of(sketch.LEAST)
