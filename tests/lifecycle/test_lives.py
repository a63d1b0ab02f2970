"""Simulated lives of a version, a few in each world; `make lives` lives a hundred."""

from __future__ import annotations

import lives
import numpy as np
import pytest


@pytest.mark.parametrize("name", lives.WORLDS)
def test_what_should_be_learned_is_and_nothing_else(name: str) -> None:
    """Through the service and its labels: proposed, rejected, or vetoed for the right reason."""
    world = lives.WORLDS[name]
    assert [lives.outcome(world, seed) for seed in range(3)] == [world.expected] * 3


@pytest.mark.slow
def test_an_exam_stays_an_exam() -> None:
    """After retraining again and again a tree that knows its rows by heart gets what is true: had
    a row changed sides, its exam would be a quarter too good."""
    gaps = [lives.gap_after(4, seed) for seed in range(2)]
    assert abs(float(np.mean(gaps))) < 0.03
