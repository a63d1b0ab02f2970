"""Iris as `v1` of `make run` has it: the rows, the forest made of them, and how they are drawn.

Nothing here is made up: the model is the one that `train` makes of the rows which are not for the
exam.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from svg import text

from irisab.config import TrainingOptions
from irisab.lifecycle import estimators, exam
from irisab.lifecycle.dataset import load_iris
from irisab.versions import ModelOptions

IRIS = load_iris()
NAMES = [name.replace("_", " ") for name, _ in IRIS.features]
# Told apart by those who see no colours too: as shapes, and as light and dark.
COLOURS = ("#2471a3", "#1e8449", "#d68910")
SHADES = ("#d6e6f2", "#d5ecdd", "#fbe8c8")


@cache
def for_exam() -> NDArray[np.bool_]:
    return exam.members(IRIS, salt=TrainingOptions().salt)


def forest(rows: NDArray[np.float64], labels: NDArray[np.int64]) -> Any:
    """Return a forest of 50 trees, as `train` fits one."""
    estimator = estimators.build(ModelOptions(n_estimators=50), "classification")
    return estimator.set_params(n_jobs=None).fit(rows, labels)


@cache
def v1() -> Any:
    return forest(IRIS.rows[~for_exam()], IRIS.labels[~for_exam()])


def mark(x: float, y: float, species: int) -> str:
    """A circle, a square or a triangle: a flower of a species."""
    attributes = f'fill="{COLOURS[species]}" stroke="#fff" stroke-width="0.7"'
    if species == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" {attributes}/>'
    if species == 1:
        return f'<rect x="{x - 3.2:.1f}" y="{y - 3.2:.1f}" width="6.4" height="6.4" {attributes}/>'
    corners = f"{x:.1f},{y - 4.2:.1f} {x - 4.2:.1f},{y + 3.4:.1f} {x + 4.2:.1f},{y + 3.4:.1f}"
    return f'<polygon points="{corners}" {attributes}/>'


def legend(x: float, y: float) -> list[str]:
    return [
        part
        for species, name in enumerate(IRIS.class_names)
        for part in (mark(x, y + 20 * species, species), text(x + 12, y + 4 + 20 * species, name))
    ]
