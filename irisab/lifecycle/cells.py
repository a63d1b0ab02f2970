"""What a cell of a CSV file says, and what kind of column cells make. Start at `kind_of()`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from irisab.lifecycle.reading import Table
from irisab.model.schema import FLOAT32_MAX

MISSING = ("", "na", "nan", "n/a", "<na>", "null", "none", "?")
# Two words each; one alone may be a class of many. Single letters too: R writes T and F.
BOOLEANS: Sequence[tuple[str, str]] = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"))
# More would make a column of each, most of them of a few rows.
MOST_CATEGORIES = 100
_CODE = re.compile(r"[+-]?0[0-9]+")
_PLAIN = re.compile(r"[0-9.eE+;-]+")
_ANY_CODE = re.compile(r"(^|;)[+-]?0[0-9]+(;|$)")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}([,.'’\u00a0\u202f ][0-9]{3})+([.,][0-9]+)?")
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
_DATE = re.compile(
    r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}([T ][0-9:.]+(Z|[+-][0-9:]+)?)?"
    r"|[0-9]{1,2}[-/.][0-9]{1,2}[-/.]([0-9]{4}|[0-9]{2})( [0-9:.]+)?"
)


def is_missing(cell: str) -> bool:
    """Tell whether a feature's cell says that there is nothing; a target's is only if empty."""
    return cell.strip().lower() in MISSING


def number(cell: str, decimal: str = ".") -> float:
    """Return the number in a cell, NaN where there is none that a model can take."""
    text = cell.strip()
    if decimal == ",":
        # A point would be a thousands separator there: 1.234 is not a bit more than one.
        text = "" if "." in text else text.replace(",", ".")
    try:
        # Python takes 1_0 and digits of other scripts for numbers; whoever wrote them may not.
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
    return value if abs(value) <= FLOAT32_MAX else math.nan


def plain_numbers(column: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the numbers of a column that has nothing else, in a tenth of the time.

    None where it has a gap, a code, a comma, or anything that has to be looked at cell by cell.
    """
    text = ";".join(column)
    if not _PLAIN.fullmatch(text) or _ANY_CODE.search(text):
        return None
    try:
        values = np.fromiter(map(float, column), np.float64, len(column))
    except ValueError:
        return None
    return values if bool((np.abs(values) <= FLOAT32_MAX).all()) else None


def is_code(cell: str) -> bool:
    """Tell whether a cell is digits that no number writes so, such as 007."""
    return _CODE.fullmatch(cell.strip()) is not None


def is_date(cell: str) -> bool:
    return _DATE.fullmatch(cell.strip()) is not None


def has_thousands(cell: str) -> bool:
    return _THOUSANDS.fullmatch(cell.strip()) is not None


def is_comma_number(cell: str) -> bool:
    """Tell whether a cell can only be a number with a decimal comma: 1,5 and 0,125, not 1,250."""
    text = cell.strip()
    return _COMMA.fullmatch(text) is not None and (
        not has_thousands(text) or text.lstrip("+-").startswith("0")
    )


def decimal_of(table: Table) -> str:
    """Return the decimal sign of a file: a comma where a column of numbers has it unmistakably."""
    for column in table.columns.values():
        if plain_numbers(column) is not None:
            continue
        cells = [cell for cell in column if not is_missing(cell)]
        if any(map(is_comma_number, cells)) and all(
            not math.isnan(number(cell, ",")) for cell in cells
        ):
            return ","
    return "."


def boolean_words(cells: Iterable[str]) -> Mapping[str, float] | None:
    """Return what the two words of a column mean; None where they are no truth values."""
    words = {cell.strip().lower() for cell in cells}
    for no, yes in BOOLEANS:
        if words == {no, yes}:
            return {no: 0.0, yes: 1.0}
    return None


def kind_of(cells: Sequence[str], decimal: str) -> str:
    """Return the kind of a column by its cells that are not missing.

    One of number, boolean, category, and of what cannot be used: empty, date, thousands, mixed
    (numbers beside some words), names (a text for almost each row).
    """
    if not cells:
        return "empty"
    if decimal == "." and plain_numbers(cells) is not None:
        return "number"
    if any(map(is_code, cells)) and not any(map(_is_fraction, cells)):
        return _text_kind(cells)
    others = [cell for cell in cells if math.isnan(number(cell, decimal))]
    if not others:
        return "number"
    if boolean_words(cells):
        return "boolean"
    # Only the larger numbers of a column have separators.
    if all(map(has_thousands, others)):
        return "thousands"
    if 2 * sum(map(is_date, cells)) > len(cells):
        return "date"
    return "mixed" if 2 * len(others) < len(cells) else _text_kind(cells)


def _is_fraction(cell: str) -> bool:
    return "." in cell or "," in cell


def _text_kind(cells: Sequence[str]) -> str:
    different = len({cell.strip() for cell in cells})
    return "category" if different <= min(MOST_CATEGORIES, len(cells) / 2) else "names"
