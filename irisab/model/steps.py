"""scikit-learn's preprocessing, read as columns. Start at `Prepared`.

What an encoder makes of a value is asked of the encoder itself, once for each value that it knows:
so whatever its options are, the table is what it does.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from irisab.model.arrays import Floats
from irisab.model.known import NotPlain, chain, known_kind

# A column: the feature it begins with, and the steps of `columns.Columns`.
Column = tuple[Any, ...]
# No column has learnt this.
_UNKNOWN = "\0never learnt"
# Values that an encoder may give at once: each of 30,000 categories has a column, so all of them
# together are 7 GB.
CELLS = 2**22


class Prepared:
    """The columns that the next step sees, as far as the steps before it are read.

    `gap` is what stands for a missing text, NaN or None. `sparse` says whether they come as a
    sparse matrix, which some of scikit-learn's code adds up or scales otherwise.
    """

    def __init__(self, n_inputs: int, *, gap: float | None) -> None:
        self.gap, self.sparse, self._n_inputs = gap, False, n_inputs
        self.columns: list[Column] = [(source,) for source in range(n_inputs)]
        self.tables: list[dict[str, Any]] = []

    def apply(self, step: Any) -> None:
        """Read one more step; raises `NotPlain` where it does what no column can."""
        kind = known_kind(step)
        if kind not in _STEPS:
            raise NotPlain(f"{kind} in front of a model")
        _STEPS[kind](self, step)

    def about(self) -> dict[str, Any] | None:
        """Return the plain form, None where nothing is done to a row."""
        if self.columns == [(source,) for source in range(self._n_inputs)]:
            return None
        return {"columns": [list(map(_listed, each)) for each in self.columns],
                "tables": self.tables}  # fmt: skip

    def then(self, *steps: tuple[str, Any] | None) -> None:
        """Do arithmetic with a constant of each column's own, one step after the other."""
        for step in steps:
            if step is not None:
                name, constants = step
                self.columns = [
                    (*column, (name, _number(constant)))
                    for column, constant in zip(self.columns, constants, strict=True)
                ]


def _listed(part: Any) -> Any:
    return list(part) if isinstance(part, tuple) else part


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise NotPlain("a step with a constant that is no number")
    return number


# -- scaling --------------------------------------------------------------------------------


def _standard(prepared: Prepared, step: Any) -> None:
    prepared.then(
        ("-", step.mean_) if step.with_mean else None,
        _divided(prepared, step.scale_) if step.with_std else None,
    )


def _robust(prepared: Prepared, step: Any) -> None:
    prepared.then(
        ("-", step.center_) if step.with_centering else None,
        _divided(prepared, step.scale_) if step.with_scaling else None,
    )


def _divided(prepared: Prepared, scale: Any) -> tuple[str, Any]:
    """Return how a column is divided: of a sparse matrix, multiplied with the reciprocal."""
    return ("*", 1.0 / np.asarray(scale)) if prepared.sparse else ("/", scale)


def _max_abs(prepared: Prepared, step: Any) -> None:
    prepared.then(_divided(prepared, step.scale_))
    if getattr(step, "clip", False):
        _clip(prepared, -1.0, 1.0)


def _min_max(prepared: Prepared, step: Any) -> None:
    prepared.then(("*", step.scale_), ("+", step.min_))
    if step.clip:
        _clip(prepared, *step.feature_range)


def _clip(prepared: Prepared, low: float, high: float) -> None:
    limits = ("clip", _number(low), _number(high))
    prepared.columns = [(*column, limits) for column in prepared.columns]


# -- gaps -----------------------------------------------------------------------------------


def _imputed(prepared: Prepared, step: Any) -> None:
    flags = _gaps(step.missing_values, prepared.gap)
    learnt = [_plain(value) for value in step.statistics_.tolist()]
    columns = []
    for column, value in zip(prepared.columns, learnt, strict=True):
        if value == value:
            columns.append((*column, ("fill", value, *flags)))
        elif step.keep_empty_features:
            raise NotPlain("a gap that stays one")
        # Else it had no value in training, and is left out.
    if step.add_indicator:
        marked = [prepared.columns[each] for each in step.indicator_.features_.tolist()]
        columns += [(*column, ("gap", *flags)) for column in marked]
    prepared.columns = columns


def _gaps(missing: Any, gap: float | None) -> tuple[bool, bool]:
    """Return whether NaN and None are gaps to an imputer."""
    if missing is not None and not (isinstance(missing, float) and math.isnan(missing)):
        raise NotPlain(f"an imputer that takes {missing!r} for a gap")
    same = (missing is None) == (gap is None)
    return missing is not None, same


def _plain(value: Any) -> str | float:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int | float):
        return float(value)
    raise NotPlain(f"a value that is a {type(value).__name__}")


# -- encoding -------------------------------------------------------------------------------


def _one_hot(prepared: Prepared, step: Any) -> None:
    _refuse_single_precision(step)
    ends = np.cumsum(step._n_features_outs).tolist()
    columns = []
    for each, (begin, end) in enumerate(pairwise([0, *ends])):
        table = len(prepared.tables)
        prepared.tables.append(_Asked(step, each, _hot, slice(begin, end)).table(prepared.gap))
        columns += [(*prepared.columns[each], ("hot", table, code)) for code in range(end - begin)]
    prepared.columns, prepared.sparse = columns, bool(step.sparse_output)


def _hot(rows: Floats) -> list[float]:
    """Return which value of each row is 1, -1 where none is."""
    ones = rows == 1
    if (rows[~ones] != 0).any() or (ones.sum(axis=1) > 1).any():
        raise NotPlain("an encoder that gives other values than one 1")
    places = ones.argmax(axis=1) if rows.size else 0
    codes: list[float] = np.where(ones.any(axis=1), places, -1.0).tolist()
    return codes


def _alone(rows: Floats) -> list[float]:
    codes: list[float] = rows[:, 0].tolist()
    return codes


def _ordinal(prepared: Prepared, step: Any) -> None:
    _refuse_single_precision(step)
    for each, column in enumerate(prepared.columns):
        table = _Asked(step, each, _alone, slice(each, each + 1)).table(prepared.gap)
        prepared.columns[each] = (*column, ("code", len(prepared.tables)))
        prepared.tables.append(table)


def _refuse_single_precision(step: Any) -> None:
    kind = np.dtype(step.dtype)
    if kind.kind not in "iu" and kind != np.float64:
        raise NotPlain(f"an encoder that gives {kind}")


class _Asked:
    """What an encoder makes of the values of one column, the other ones being known to it.

    `codes` reads the part of its output's rows that comes from the column.
    """

    def __init__(
        self, encoder: Any, column: int, codes: Callable[[Floats], list[float]], part: slice
    ) -> None:
        self._encoder, self._column, self._read, self._part = encoder, column, codes, part
        self._known = [each[0] for each in encoder.categories_]

    def table(self, gap: float | None) -> dict[str, Any]:
        categories = self._encoder.categories_[self._column].tolist()
        values = [each for each in categories if each is not None and each == each]
        nan, other = self._one(math.nan), self._one(_UNKNOWN)
        none = nan if gap is not None else self._one(None)
        codes = self._codes(values) if values else []
        return {
            "values": [_plain(each) for each in values],
            "codes": [_told(each) for each in codes],
            "nan": _told(nan),
            "none": _told(none),
            "other": _told(other),
        }

    def _one(self, value: Any) -> float | None:
        try:
            return self._codes([value])[0]
        except ValueError:
            return None

    def _codes(self, values: Sequence[Any]) -> list[float]:
        step = max(1, CELLS // max(1, self._part.stop - self._part.start))
        return [
            code
            for begin in range(0, len(values), step)
            for code in self._read(self._encoded(values[begin : begin + step]))
        ]

    def _encoded(self, values: Sequence[Any]) -> Floats:
        rows = np.empty((len(values), len(self._known)), dtype=object)
        rows[:] = self._known
        rows[:, self._column] = values
        with warnings.catch_warnings():
            # Of names that an array has not, and of what is unknown on purpose.
            warnings.simplefilter("ignore", UserWarning)
            encoded = self._encoder.transform(rows)[:, self._part]
        dense = encoded.toarray() if hasattr(encoded, "toarray") else np.asarray(encoded)
        return dense.astype(np.float64)


def _told(code: float | None) -> float | str | None:
    """Return a code as JSON can say it."""
    return "nan" if code is not None and math.isnan(code) else code


# -- columns of their own -------------------------------------------------------------------


def _apart(prepared: Prepared, step: Any) -> None:
    """Read a ColumnTransformer: some columns to each of its transformers."""
    if step.transformer_weights:
        raise NotPlain("a ColumnTransformer with weights")
    before, columns = prepared.columns, []
    for name, transformer, _ in step.transformers_:
        chosen = [before[each] for each in _indices(step, name, len(before))]
        if not chosen or (isinstance(transformer, str) and transformer == "drop"):
            continue
        prepared.columns, prepared.sparse = chosen, False
        if not (isinstance(transformer, str) and transformer == "passthrough"):
            for each in chain(transformer):
                prepared.apply(each)
        columns += prepared.columns
    prepared.columns, prepared.sparse = columns, bool(step.sparse_output_)


def _indices(step: Any, name: str, n_columns: int) -> list[int]:
    positions = [int(each) for each in step._transformer_to_input_indices[name]]
    if not all(0 <= each < n_columns for each in positions):
        raise NotPlain("a ColumnTransformer of other columns")
    return positions


def _unchanged(prepared: Prepared, step: Any) -> None:
    if step.func is not None:
        raise NotPlain("a FunctionTransformer with a function")


_STEPS: dict[str, Callable[[Prepared, Any], None]] = {
    "ColumnTransformer": _apart,
    "FunctionTransformer": _unchanged,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "OneHotEncoder": _one_hot,
    "OrdinalEncoder": _ordinal,
    "RobustScaler": _robust,
    "SimpleImputer": _imputed,
    "StandardScaler": _standard,
}
