"""Rollouts of versions whose worth is known end as they should: a part of simulate_rollouts.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulate_rollouts import ALPHA, PLAN, World, live


@pytest.mark.parametrize("right", [0.25, 0.4])
def test_a_worse_version_never_gets_all_of_the_traffic(right: float) -> None:
    """In more than alpha of the rollouts; and it harms few until it is gone."""
    lives = [live(World(name="worse", right=right), seed=seed) for seed in range(12)]
    promoted = sum(each.at.state == "baking" for each in lives)
    assert promoted <= ALPHA * len(lives)
    assert all(each.at.state == "rolled_back" for each in lives)
    assert np.mean([each.answers for each in lives]) <= 60


def test_a_better_version_gets_it() -> None:
    """In at least 95 % of the rollouts."""
    lives = [live(World(name="better", right=0.75), seed=seed) for seed in range(12)]
    assert [each.at.state for each in lives] == ["baking"] * 12


def test_no_step_is_taken_without_its_own_requests() -> None:
    """Traffic that stops half-way holds it there, until the deadline hands it to a person."""
    for seed in range(4):
        found = live(World(name="better", right=0.75, silent_from=2), seed=seed)
        assert (found.at.state, found.at.step) == ("paused", 2)
        assert "0 of 200 requests" in found.at.reason
    found = live(World(name="better", right=0.75), seed=5)
    assert len(found.steps) == 4 and min(found.steps) >= PLAN.min_requests


def test_equal_versions_end_at_the_deadline_as_told() -> None:
    """They differ too often to be called alike, and neither wins."""
    world = World(name="equal", requests_per_look=2000)
    for on_deadline, state in (
        ("pause", "paused"),
        ("promote", "baking"),
        ("rollback", "rolled_back"),
    ):
        plan = replace(PLAN, on_deadline=on_deadline, deadline=8 * 3600.0)  # type: ignore[arg-type]
        found = live(world, seed=3, plan=plan)
        assert (found.at.state, "deadline" in found.at.reason) == (state, True)


def test_failures_roll_back_where_the_other_version_answers() -> None:
    """Those of one version alone do, before it has answered anybody; as many of both do not."""
    alike = World(name="better", right=0.75, errors=(0.002, 0.002))
    assert live(alike, seed=1).at.state == "baking"
    found = live(replace(alike, errors=(0.0, 0.02)), seed=1)
    assert (found.at.state, found.answers) == ("rolled_back", 0)
    assert "failed on" in found.at.reason
