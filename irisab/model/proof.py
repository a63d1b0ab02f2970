"""Whether a plain form answers as scikit-learn does. Start at `prove`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, islice
from time import monotonic

from irisab.model.answer import Answer, Model, Row
from irisab.model.around import rows_around
from irisab.model.plain import Plain, PlainModel

# Beyond, values that were not tried are left to golden rows: training must end.
SECONDS = 10.0
# One row that is refused makes its whole batch be asked one by one.
BATCH = 256
Said = Answer | None


def prove(
    plain: Plain,
    model: PlainModel,
    asked: Model,
    rows: Sequence[Row],
    *,
    seconds: float = SECONDS,
) -> str | None:
    """Return None where the plain form answers as the estimator does, else a sentence.

    Compared are the rows given, and those around them: on both sides of every threshold, of every
    category and an unseen one, and with gaps. Where the estimator refuses a row, the plain form
    must do so too. Of what has no end, as many are tried as fit in `seconds`.

    Parameters
    ----------
    model : what `plain` was restored to
    asked : the estimator as it would be served without its plain form
    rows : at least one

    What scikit-learn says of a row alone counts: in a batch it may sum in another order.
    """
    until = monotonic() + seconds
    waiting = chain(rows, rows_around(plain, model, rows))
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
        for said in (alone, together):
            if not _same(expected, said, exact=model.exact):
                expected = _alone(asked, row)
                if not _same(expected, said, exact=model.exact):
                    return f"answers {list(row)} with {said}, where scikit-learn says {expected}"
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


def _same(expected: Said, answered: Said, *, exact: bool) -> bool:
    """Tell whether two answers are equal; probabilities may be a unit in the last place apart."""
    if expected is None or answered is None or exact:
        return expected == answered
    (said, probabilities), (other, others) = expected, answered
    return (
        said == other
        and len(probabilities) == len(others)
        and all(
            abs(a - b) <= math.ulp(max(a, b)) for a, b in zip(probabilities, others, strict=True)
        )
    )
