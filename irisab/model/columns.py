"""What is done to a row before a model sees it: each column on its own. Start at `Columns`.

The plain form of scikit-learn's scalers, imputers and encoders, as JSON:

    columns  [[source, step, step, ...], ...]   a column for each value that the model sees
    tables   [{"values": [...], "codes": [...], "nan": c, "none": c, "other": c}, ...]

A column begins with the value of one feature, and its steps follow each other:

    ["-", a] ["+", a] ["*", a] ["/", a]   float64 arithmetic, in this order, as scikit-learn's
    ["clip", low, high]                   NaN stays NaN
    ["fill", value, nan, none]            the value where NaN or None (as the flags say) stood
    ["gap", nan, none]                    1.0 there, else 0.0
    ["code", t]                           the code that table t has for the value
    ["hot", t, k]                         1.0 if that code is k, else 0.0

A table has a code for NaN, None and every other value too: null stands for an error, "nan" for NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from irisab.errors import BundleError
from irisab.model.answer import Row
from irisab.model.written import Source, literal

_ARITHMETIC = ("-", "+", "*", "/")
Lookup = Callable[[Any], float]


class Columns:
    """Checked columns, ready to be asked for. Raise `BundleError` where they make no sense.

    `sources` has, for each column, the feature it begins with; `tables` what each table knows.
    """

    def __init__(self, about: Mapping[str, Any], n_inputs: int) -> None:
        try:
            self.tables = [_table(each) for each in about["tables"]]
            self._columns = [_column(each, n_inputs, len(self.tables)) for each in about["columns"]]
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise BundleError(
                f"The plain form is damaged: its preprocessing makes no sense ({error!r})."
            ) from error
        self.sources = [source for source, *_ in self._columns]

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def scales(self) -> bool:
        """Whether a value may leave the range that a feature has."""
        return any(step[0] in _ARITHMETIC for _, *steps in self._columns for step in steps)

    def arithmetic(self, column: int) -> list[tuple[str, float]] | None:
        """Return the arithmetic of a column, None where there is a table or a gap's flag."""
        steps = self._columns[column][1:]
        if any(step[0] in ("code", "hot", "gap") for step in steps):
            return None
        return [(step[0], step[1]) for step in steps if step[0] in _ARITHMETIC]

    def table_of(self, column: int) -> Mapping[str | float, float] | None:
        """Return what the first table of a column knows, None where it has none."""
        steps = [step for step in self._columns[column][1:] if step[0] in ("code", "hot")]
        return self.tables[steps[0][1]].known if steps else None

    def function(self, only: Sequence[int] | None = None) -> Callable[[Row], list[float]]:
        """Return the function from a row to the values that the model sees, or some of them."""
        source = Source()
        tables = [source.share(each.look_up) for each in self.tables]
        names = []
        for begin, *steps in self._columns if only is None else [self._columns[n] for n in only]:
            name = source.let(f"row[{begin}]")
            for step in steps:
                name = source.let(_expression(step, name, tables, source))
            names.append(name)
        return source.function("row", f"[{', '.join(names)}]")


class Table:
    """The code of each known value, of NaN, of None and of any other; None is an error."""

    def __init__(
        self,
        known: Mapping[str | float, float],
        *,
        nan: float | None,
        none: float | None,
        other: float | None,
    ) -> None:
        self.known, self._nan, self._none, self._other = known, nan, none, other
        self._get = known.get

    def look_up(self, value: Any) -> float:
        """Return the code of a value; raises `ValueError` where scikit-learn's encoder does."""
        code = self._get(value)
        if code is None:
            code = self._none if value is None else self._nan if value != value else self._other
            if code is None:
                raise ValueError(f"the model has not learnt the category {value!r}")
        return code


def _table(about: Mapping[str, Any]) -> Table:
    values = [each if isinstance(each, str) else _number(each) for each in about["values"]]
    codes = [float(each) for each in about["codes"]]
    nan, none, other = (
        None if about[name] is None else float(about[name]) for name in ("nan", "none", "other")
    )
    return Table(dict(zip(values, codes, strict=True)), nan=nan, none=none, other=other)


def _column(about: Sequence[Any], n_inputs: int, n_tables: int) -> list[Any]:
    source, *steps = about
    if type(source) is not int or not 0 <= source < n_inputs:
        raise ValueError(f"there is no feature {source!r}")
    return [source, *(_step(each, n_tables) for each in steps)]


def _step(about: Sequence[Any], n_tables: int) -> tuple[Any, ...]:
    name, *given = about
    if name in _ARITHMETIC:
        (number,) = given
        return name, _number(number)
    if name == "clip":
        low, high = given
        return name, _number(low), _number(high)
    if name == "fill":
        value, nan, none = given
        return name, value if isinstance(value, str) else _number(value), bool(nan), bool(none)
    if name == "gap":
        nan, none = given
        return name, bool(nan), bool(none)
    table, *hot = (int(each) for each in given)
    if not 0 <= table < n_tables or (name, len(hot)) not in (("code", 0), ("hot", 1)):
        raise ValueError(f"there is no step {about!r}")
    return name, table, *hot


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no number")
    return number


def _expression(step: tuple[Any, ...], v: str, tables: Sequence[str], source: Source) -> str:
    name, *given = step
    if name in _ARITHMETIC:
        return f"{v} {name} {literal(given[0])}"
    if name == "clip":
        low, high = map(literal, given)
        return f"{low} if {v} < {low} else {high} if {v} > {high} else {v}"
    if name == "fill":
        return f"{literal(given[0])} if {_is_gap(v, *given[1:])} else {v}"
    if name == "gap":
        return f"1.0 if {_is_gap(v, *given)} else 0.0"
    code = f"{tables[given[0]]}({v})"
    return code if name == "code" else f"1.0 if {source.let(code)} == {given[1]} else 0.0"


def _is_gap(v: str, nan: bool, none: bool) -> str:
    tests = [test for test, wanted in ((f"{v} is None", none), (f"{v} != {v}", nan)) if wanted]
    return " or ".join(tests) or "False"
