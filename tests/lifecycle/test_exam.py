"""Every labelled row is for learning or for the exam, for ever."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from irisab.lifecycle import exam
from irisab.lifecycle.dataset import load_iris

IRIS = load_iris()
values = st.one_of(st.none(), st.text(), st.floats(width=64))


def test_membership_is_for_ever() -> None:
    """These very units are for the exam: another release that disagreed would learn from them."""
    units = [f"user {n}" for n in range(30)]
    assert [n for n, unit in enumerate(units) if exam.is_exam(unit, salt="irisab")] == MEMBERS
    assert exam.unit_of([5.1, 3.5, math.nan, "ä", None]) == '[5.1, 3.5, null, "\\u00e4", null]'


MEMBERS = [7, 8, 10, 17, 18, 29]


def test_a_fifth_is_for_the_exam() -> None:
    """Of many units, whatever they are; another salt takes another fifth."""
    chosen = {
        salt: np.array([exam.is_exam(str(n), salt=salt) for n in range(20_000)])
        for salt in ("irisab", "x")
    }
    assert all(abs(each.mean() - 0.2) < 0.01 for each in chosen.values())
    assert abs((chosen["irisab"] & chosen["x"]).mean() - 0.04) < 0.005


@given(st.lists(values, min_size=1, max_size=5))
def test_equal_rows_stay_together(row: list[float | str | None]) -> None:
    """However a gap or a zero is written, and whatever kind of float it is."""
    same = [
        0.0 if value == 0 else np.float64(value) if isinstance(value, float) else value
        for value in row
    ]
    also = [-0.0 if value == 0 else value for value in row]
    assert exam.unit_of(row) == exam.unit_of(same) == exam.unit_of(also)


def test_a_group_is_not_torn_apart() -> None:
    """All rows of a group are for the exam, or none."""
    groups = [f"g{n % 12}" for n in range(150)]
    members = exam.members(replace(IRIS, groups=groups), salt="irisab")
    for name in set(groups):
        of_group = members[[each == name for each in groups]]
        assert of_group.all() or not of_group.any()
    assert members.any() and not members.all()
