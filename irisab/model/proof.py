"""Whether a plain form answers as scikit-learn does. Start at `prove`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from time import monotonic
from typing import Any

import numpy as np

from irisab.model.answer import Answer, Model, Row
from irisab.model.plain import PlainModel
from irisab.model.schema import FLOAT32_MAX
from irisab.model.trees import Trees

# Beyond, values that were not tried are left to golden rows: training must end.
SECONDS = 10.0
BATCH = 512
_UNSEEN = "a category never seen"
Said = Answer | None


def prove(
    model: PlainModel, asked: Model, rows: Sequence[Row], *, seconds: float = SECONDS
) -> str | None:
    """Return None where the plain form answers as the estimator does, else a sentence.

    Compared are the rows given, and more that differ from them in one feature: on and next to
    every threshold, of every category and an unseen one, and missing. Where the estimator refuses
    a row, the plain form must do so too. Of what has no end, as many are tried as fit in `seconds`.

    Parameters
    ----------
    asked : the estimator as it would be served without its plain form
    rows : at least one

    What scikit-learn says of a row alone counts: in a batch it may sum in another order.
    """
    until = monotonic() + seconds
    waiting = iter([*rows, *_varied(model, rows)])
    while batch := list(islice(waiting, BATCH)):
        difference = _difference(model, asked, batch)
        if difference is not None or monotonic() > until:
            return difference
    return None


def _difference(model: PlainModel, asked: Model, rows: list[Row]) -> str | None:
    columns = zip(
        rows, _said(asked, rows), _said(model, rows), (_alone(model, each) for each in rows),
        strict=True,
    )  # fmt: skip
    for row, expected, together, alone in columns:
        for found in (alone, together):
            if not _same(expected, found, exact=model.exact):
                expected = _alone(asked, row)
                if not _same(expected, found, exact=model.exact):
                    return f"answers {list(row)} with {found}, where scikit-learn says {expected}"
    return None


def _said(model: Model, rows: Sequence[Row]) -> list[Said]:
    try:
        return list(model.score_rows(rows))
    except Exception:  # whatever an estimator raises about one of them
        return [_alone(model, row) for row in rows]


def _alone(model: Model, row: Row) -> Said:
    """Return the answer to a row, None where it is refused."""
    try:
        return model.score_row(row)
    except Exception:  # whatever an estimator raises
        return None


def _same(expected: Said, found: Said, *, exact: bool) -> bool:
    """Tell whether two answers are equal; if told so, within one unit in the last place."""
    if expected == found or expected is None or found is None or exact:
        return expected == found
    (index, probabilities), (other, others) = expected, found
    is_value = not probabilities and isinstance(index, float)
    if len(probabilities) != len(others) or not (is_value or index == other):
        return False
    numbers = [(index, other)] if is_value else zip(probabilities, others, strict=True)
    return all(abs(a - b) <= math.ulp(max(abs(a), abs(b))) for a, b in numbers)


def _varied(model: PlainModel, rows: Sequence[Row]) -> Iterator[Row]:
    """Yield rows that differ from the given ones in one feature, one feature after the other."""
    values = [_values(model, feature) for feature in range(model.n_inputs)]
    longest = max(map(len, values), default=0)
    for turn in range(longest):
        for feature, tried in enumerate(values):
            if turn < len(tried):
                row = list(rows[(turn * len(values) + feature) % len(rows)])
                value = tried[turn]
                row[feature] = value if value is not _GAP else _gap_like(row[feature])
                yield row


# Stands for NaN or None, as the feature has it.
_GAP: Any = object()


def _gap_like(value: Any) -> Any:
    return None if value is None or isinstance(value, str) else math.nan


def _values(model: PlainModel, feature: int) -> list[Any]:
    """Return what to try in a feature: a gap first, then categories, then next to thresholds."""
    columns = model.columns
    mine = [feature] if columns is None else _where(columns.sources, feature)
    tables = [table for table in map(columns.table_of, mine) if table] if columns else []
    known = list(dict.fromkeys(value for table in tables for value in table))
    unseen = [_unlike(known)] if known else []
    near = [value for column in mine for value in _next_to_thresholds(model, column)]
    return [_GAP, *unseen, *known, *dict.fromkeys(near)]


def _where(sources: Sequence[int], feature: int) -> list[int]:
    return [column for column, source in enumerate(sources) if source == feature]


def _unlike(known: list[Any]) -> Any:
    numbers = [each for each in known if not isinstance(each, str)]
    return max(numbers) + 1.0 if numbers else _UNSEEN


def _next_to_thresholds(model: PlainModel, column: int) -> list[float]:
    """Return the values of a feature at which a test of the column it feeds turns."""
    if not isinstance(model.head, Trees):
        return []
    arithmetic = [] if model.columns is None else model.columns.arithmetic(column)
    if arithmetic is None:
        return []
    branches = model.head.branches
    tested = branches.split & (branches.nodes.feature == column)
    cuts = np.unique(branches.nodes.cut[tested])
    near = [cuts, np.nextafter(cuts, np.inf)]
    if arithmetic:
        near = _around(_undone(cuts, arithmetic))
    values = np.unique(np.concatenate(near))
    # What is larger is refused before a model sees it.
    found: list[float] = values[np.abs(values) <= FLOAT32_MAX].tolist()
    return found


def _undone(x: Any, arithmetic: Sequence[tuple[str, float]]) -> Any:
    """Return about what a value was before its arithmetic."""
    with np.errstate(all="ignore"):
        for name, constant in reversed(arithmetic):
            x = {
                "-": x + constant,
                "+": x - constant,
                "*": x / constant,
                "/": x * constant,
            }[name]
    return x


def _around(x: Any) -> list[Any]:
    """Return values and their neighbours: undoing rounds, by a few units in the last place."""
    found, below, above = [x], x, x
    for _ in range(3):
        below, above = np.nextafter(below, -np.inf), np.nextafter(above, np.inf)
        found += [below, above]
    return found
