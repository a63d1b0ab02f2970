"""Fitted estimators as data: numbers and JSON instead of a pickle. Start at `flatten`.

A plain form answers as scikit-learn does for a single row, needs neither scikit-learn nor pickle,
and is 20 to 1,000 times faster. What it might not reproduce has none: see `known`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from irisab.errors import BundleError
from irisab.model import ensembles, linear, outline
from irisab.model.answer import Answer, Row
from irisab.model.columns import Columns
from irisab.model.known import NotPlain, chain, known_kind
from irisab.model.linear import Linear
from irisab.model.links import EXACT_ANYWHERE
from irisab.model.nested import missing_text
from irisab.model.seats import seats_of
from irisab.model.steps import Prepared
from irisab.model.trees import Trees

# Values up to here are a number as float32, too.
_LARGEST = math.nextafter((2 - 2**-24) * 2.0**127, 0)
# Values that rows may become at once: 20,000 rows of 10,000 categories took 5 GB.
CELLS = 2**20
Prepare = Callable[[Row], Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A plain form on its way to the disk: JSON and arrays, read again by `restore`."""

    about: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def flatten(estimator: Any, *, n_classes: int | None = None) -> Plain | None:
    """Return the plain form of a fitted estimator, None where there is none.

    Pipelines, searches and frozen estimators are unwrapped. Its rows have the features in the
    order in which the estimator was fitted; its classes are those of a manifest with `n_classes`,
    or just its own.
    """
    try:
        plain = _flatten(estimator)
        return plain if n_classes is None else _seated(plain, estimator, n_classes)
    except (NotPlain, AttributeError):  # no such attribute: not fitted, or of another release
        return None


def _flatten(estimator: Any) -> Plain:
    *steps, model = chain(estimator)
    n_inputs = int((steps or [model])[0].n_features_in_)
    prepared = Prepared(n_inputs, gap=missing_text(estimator))
    for step in steps:
        prepared.apply(step)
    kind = known_kind(model)
    family = {**dict.fromkeys(ensembles.KINDS, "trees"), **dict.fromkeys(linear.KINDS, "linear")}
    if kind not in family:
        raise NotPlain(f"{kind} as a model")
    read = ensembles.flattened if family[kind] == "trees" else linear.flattened
    head, arrays = read(model, prepared)
    about = {"family": family[kind], "model": kind, "inputs": n_inputs, **head}
    return Plain(about={**about, "front": prepared.about()}, arrays=arrays)


def _seated(plain: Plain, estimator: Any, n_classes: int) -> Plain:
    """Return the form with the seats of its classes, where it has not seen all of them."""
    classes = getattr(estimator, "classes_", ())
    seats = seats_of(classes, n_classes)
    if len(seats) == n_classes:
        return plain
    return Plain(about={**plain.about, "seats": seats, "classes": n_classes}, arrays=plain.arrays)


def restore(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> PlainModel:
    """Return the model that a plain form describes; raises `BundleError` where it is damaged."""
    try:
        return PlainModel(about, arrays)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise BundleError(f"The plain form is damaged: {error!r}.") from error


class PlainModel:
    """A plain form, ready to score rows that are already validated.

    `exact` says that it gives the same bits on any machine; others use `exp` or a product, whose
    last place may depend on processor and libraries. `method` says how it is evaluated, `outline`
    is the top of the first tree, None where there is none to look at.
    """

    def __init__(
        self,
        about: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        *,
        method: str | None = None,
    ) -> None:
        n_inputs, front = int(about["inputs"]), about["front"]
        self.columns = None if front is None else Columns(front, n_inputs)
        self.n_columns = n_columns = n_inputs if self.columns is None else len(self.columns)
        head: Trees | Linear
        if about["family"] == "linear":
            head = Linear(about, arrays, n_columns)
        else:
            head = Trees(about, arrays, n_columns, method=method)
        self.exact = about["family"] == "trees" and about["link"] in EXACT_ANYWHERE
        self.method, self.n_inputs = head.method, n_inputs
        self.outline = _outline(head, self.columns)
        prepare = _prepare(about, self.columns)
        score, score_all = head.score_row, head.score_rows
        self.score_row: Callable[[Row], Answer] = (
            score if prepare is None else lambda row: score(prepare(row))
        )
        self.score_rows: Callable[[Sequence[Row]], list[Answer]] = (
            score_all if prepare is None else _in_parts(prepare, score_all, n_columns)
        )
        if "seats" in about:
            self._seat(_Seats(about["seats"], about["classes"]))

    def _seat(self, seats: _Seats) -> None:
        score, score_all = self.score_row, self.score_rows
        self.score_row = lambda row: seats.seat(score(row))
        self.score_rows = lambda rows: list(map(seats.seat, score_all(rows)))
        if self.outline is not None:
            self.outline = outline.seated(self.outline, seats.seats, seats.n_classes)


class _Seats:
    """Answers of some classes, made answers of all: one that was never seen has probability 0."""

    def __init__(self, seats: Sequence[int], n_classes: int) -> None:
        if sorted(set(seats)) != list(seats) or not 0 <= seats[0] <= seats[-1] < n_classes:
            raise ValueError(f"there are no classes {seats}")
        self.seats, self.n_classes = seats, n_classes

    def seat(self, answer: Answer) -> Answer:
        index, probabilities = answer
        wide = [0.0] * self.n_classes if probabilities else []
        for seat, probability in zip(self.seats, probabilities, strict=False):
            wide[seat] = probability
        return self.seats[index], tuple(wide)


def _outline(head: Trees | Linear, columns: Columns | None) -> outline.Outline | None:
    asked = head.outline if isinstance(head, Trees) else None
    return asked if columns is None or asked is None else outline.before(columns, asked)


def _prepare(about: Mapping[str, Any], columns: Columns | None) -> Prepare | None:
    """Return what a row goes through before the model sees it, None where it stays as it is."""
    steps: list[Prepare] = [] if columns is None else [columns.function()]
    if about["family"] == "trees":
        if not about["gaps"]:
            steps.append(_without_gaps)
        if about["float32"] and columns is not None and columns.scales:
            steps.append(_of_single_precision)
    if len(steps) < 2:
        return steps[0] if steps else None
    return lambda row: _through(steps, row)


def _in_parts(
    prepare: Prepare, score_all: Callable[[Sequence[Row]], list[Answer]], n_columns: int
) -> Callable[[Sequence[Row]], list[Answer]]:
    """Return what prepares and scores as many rows at a time as make `CELLS`."""
    step = max(1, CELLS // n_columns)

    def score_rows(rows: Sequence[Row]) -> list[Answer]:
        answers: list[Answer] = []
        for begin in range(0, len(rows), step):
            answers += score_all(list(map(prepare, rows[begin : begin + step])))
        return answers

    return score_rows


def _through(steps: Sequence[Prepare], row: Row) -> Row:
    for step in steps:
        row = step(row)
    return row


def _without_gaps(row: Row) -> Row:
    """Return the row; raises `ValueError` where scikit-learn does."""
    total = sum(row)
    if total != total:
        raise ValueError("a value is missing, which this model does not take")
    return row


def _of_single_precision(row: Row) -> Row:
    """Return the row; raises `ValueError` where scikit-learn does."""
    if not max(map(abs, row)) <= _LARGEST and any(abs(value) > _LARGEST for value in row):
        raise ValueError("a scaled value is too large for this model")
    return row
