"""What nothing may be learned from, each with its reason; and what is no reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from irisab.lifecycle import vetoes
from irisab.lifecycle.labelled import Label
from irisab.lifecycle.rows import Dataset, checked
from irisab.lifecycle.vetoes import veto

ONE, TWO = "hash-1", "hash-2"


def table(rows: int, seed: int = 0, **changes: object) -> Dataset:
    """Return rows of two features, and three classes in turn."""
    values = np.random.default_rng(seed).normal(size=(rows, 2))
    found = Dataset(
        name="table",
        rows=values,
        labels=np.arange(rows) % 3,
        features=[("length", "cm"), ("width", "cm")],
        class_names=["a", "b", "c"],
    )
    return checked(replace(found, **changes))


def label(number: int, truth: float, said: Sequence[float], shown: str, user: str = "") -> Label:
    return Label(
        id=f"{number:032x} 0",
        user=user or None,
        values=[0.0, 0.0],
        truth=truth,
        said=dict(zip((ONE, TWO), said, strict=True)),
        shown=shown,
    )


def honest(count: int) -> list[Label]:
    """Return labels of which three in four confirm the answer."""
    return [label(n, n % 4 and 1, [1, 1], ONE) for n in range(count)]


OLD, NEW = table(300), table(300, seed=1)


def judged(labels: list[Label], old: Dataset = OLD, new: Dataset = NEW, **changes: float) -> object:
    options = {"min_labels": 100, "in_exam": 60, "tie": 0.0, **changes}
    found = veto(labels, old, new, **options)  # type: ignore[arg-type]
    return found and found.code


def moved(column: int, values: object, rows: int = 300) -> Dataset:
    """Return new rows with other values in one feature."""
    found = NEW.rows.copy()
    found[-rows:, column] = values
    return replace(NEW, rows=found)


def test_honest_labels_are_learned_from() -> None:
    """Of the same world nothing is wrong."""
    assert judged(honest(300)) is None


def test_few_labels_are_not_enough() -> None:
    """Neither fewer than asked for, nor so few for the exam that it says nothing."""
    assert judged(honest(99)) == "too_few_labels"
    assert judged(honest(300), in_exam=vetoes.MIN_EXAM - 1) == "too_few_labels"


def test_labels_that_follow_the_answer() -> None:
    """Whichever version is shown is wrong wherever somebody reports: who was right is no truth."""
    reported = [label(n, 1, [0, 1], ONE) for n in range(20)]
    reported += [label(n, 1, [1, 0], TWO) for n in range(20, 40)]
    assert judged([*honest(300), *reported]) == "labels_depend_on_answer"


def test_a_version_that_is_better_is_no_habit() -> None:
    """It is right whoever was shown."""
    better = [label(n, 1, [0, 1], (ONE, TWO)[n % 2]) for n in range(40)]
    assert judged([*honest(300), *better]) is None


def test_nobody_votes_twice() -> None:
    """One user who complains forty times is one vote."""
    reported = [label(n, 1, [0, 1], ONE, user="ann") for n in range(20)]
    reported += [label(n, 1, [1, 0], TWO, user="bob") for n in range(20, 40)]
    assert judged([*honest(300), *reported]) is None


def test_complaints_alone() -> None:
    """Where hardly a label confirms an answer, right ones are not labelled."""
    wrong = [label(n, 0, [1, 1], ONE) for n in range(300)]
    assert judged(wrong) == "only_complaints"
    assert judged([*wrong, *honest(60)]) is None


def test_a_class_that_vanished() -> None:
    """One that was a third, and has no label; not one that chance may miss."""
    without = replace(NEW, labels=np.arange(300) % 2)
    assert judged(honest(300), new=without) == "class_vanished"
    rare = np.where(np.arange(300) < 2, 2, np.arange(300) % 2)
    assert judged(honest(300), old=replace(OLD, labels=rare), new=without) is None


@pytest.mark.parametrize(
    ("values", "rows", "code"),
    [
        (0.25, 300, "feature_stuck"),
        (0.25, 60, "feature_stuck"),  # of late
        (np.nan, 300, "feature_missing"),
        (9999.0, 6, "feature_implausible"),
        (9999.0, 2, None),
    ],
)
def test_a_sensor_that_is_broken(values: float, rows: int, code: str | None) -> None:
    """Stuck, silent, or beyond anything that was ever measured."""
    assert judged(honest(300), new=moved(1, values, rows)) == code


def test_an_input_that_moves_is_learned() -> None:
    """Three standard deviations are what a retraining is for."""
    assert judged(honest(300), new=moved(1, NEW.rows[:, 1] + 3)) is None


def test_what_was_always_so_is_not_broken() -> None:
    """A feature with a usual value, a gap or a constant in training may go on as it was."""
    for value in (0.0, np.nan):
        usual = OLD.rows.copy()
        usual[:200, 1] = value
        assert judged(honest(300), old=replace(OLD, rows=usual), new=moved(1, value, 200)) is None
    constant = OLD.rows.copy()
    constant[:, 1] = 7.0
    assert judged(honest(300), old=replace(OLD, rows=constant), new=moved(1, 8.0)) is None


def test_numbers_are_never_confirmed() -> None:
    """In a regression the closer version is right, beyond the tie; no answer is exact."""
    values = np.random.default_rng(2).normal(size=300)
    old, new = (
        checked(replace(each, task="regression", labels=values, class_names=(), class_numbers=()))
        for each in (OLD, NEW)
    )
    wrong = [label(n, 5.0, [4.0, 4.0], ONE) for n in range(100, 400)]
    assert judged(wrong, old=old, new=new) is None
    follow = [label(n, 5.0, [4.0, 4.5], ONE) for n in range(20)]
    follow += [label(n, 5.0, [4.5, 4.0], TWO) for n in range(20, 40)]
    assert judged([*wrong, *follow], old=old, new=new) == "labels_depend_on_answer"
    assert judged([*wrong, *follow], old=old, new=new, tie=1.0) is None
