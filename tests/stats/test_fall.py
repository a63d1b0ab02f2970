"""A fall of the accuracy in use: found where there is one, and seldom where there is none."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.random import Generator

from irisab.stats.fall import Day, log_e_fall

ALARM = math.log(20)


def days(rates: list[float], noise: Generator, *, labels: float) -> list[Day]:
    """Draw days on which a model is right at these rates; some of them have no label."""
    drawn = []
    for number, rate in enumerate(rates):
        labelled = int(noise.poisson(labels))
        if labelled:
            drawn.append(Day(20_000 + number, labelled, int(noise.binomial(labelled, rate))))
    return drawn


def looks(lived: list[Day]) -> Iterator[float]:
    """Give the evidence as it is at the end of each day."""
    return (log_e_fall(lived[:number]) for number in range(1, len(lived) + 1))


@pytest.mark.parametrize("labels", [0.5, 20.0])
def test_it_cries_wolf_once_in_twenty_models_at_the_most(labels: float) -> None:
    """Of models that stay as they are, looked at every day; most are far from an alarm."""
    noise = np.random.default_rng(7)
    rates = noise.uniform(0.55, 0.99, 100)
    alarmed = [
        max(looks(days([rate] * 30, noise, labels=labels)), default=0) > ALARM for rate in rates
    ]
    assert sum(alarmed) <= 0.05 * len(alarmed)


@pytest.mark.parametrize(
    ("rate", "fallen", "labels", "within"), [(0.95, 0.8, 20, 18), (0.9, 0.7, 20, 15)]
)
def test_a_fall_is_found(rate: float, fallen: float, labels: int, within: int) -> None:
    """Within so many days, in nine of ten models, also where a month of good labels was before."""
    noise = np.random.default_rng(3)
    alarmed = [
        log_e_fall(days([rate] * 30 + [fallen] * within, noise, labels=labels)) > ALARM
        for _ in range(60)
    ]
    assert sum(alarmed) >= 54


def test_a_rise_is_no_fall() -> None:
    """Getting better is no alarm, however clear it is."""
    assert log_e_fall([Day(1, 100, 50), Day(2, 100, 100)]) == -math.inf
    assert log_e_fall([Day(1, 100, 100), Day(2, 100, 50)]) > ALARM


@pytest.mark.parametrize("seen", [[], [Day(1, 100, 0)], [Day(1, 9, 9), Day(2, 9, 9)]])
def test_without_two_days_that_differ_there_is_none(seen: list[Day]) -> None:
    """A model that is bad from its first day on has not fallen."""
    assert log_e_fall(seen) == -math.inf


def test_the_stakes_are_never_more_than_one() -> None:
    """Whatever days have labels, so that the mean of e-values is one."""
    noise = np.random.default_rng(1)
    numbers = sorted(noise.choice(1000, 60, replace=False).tolist())
    # Without labels no bet has won or lost anything, and each is worth its stake.
    offsets = [number - numbers[0] + 1 for number in numbers]
    stakes = [1 / one - 1 / two for one, two in zip(offsets, offsets[1:], strict=False)]
    assert sum(stakes) == pytest.approx(1 - 1 / offsets[-1]) and sum(stakes) < 1
    one = log_e_fall([Day(0, 10, 10), Day(1, 10, 0)])
    late = log_e_fall([Day(0, 10, 10), Day(9, 10, 0)])
    assert one == pytest.approx(late + math.log(0.5 / 0.9))
