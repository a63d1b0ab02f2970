"""JSON bytes to a checked request. Start at `Parser.prediction`.

scikit-learn accepts NaN, strings of digits and reordered columns; a service must not. Everything
is checked here, so that what reaches a model is of its types, in float32's range and in order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from irisab.errors import RequestError, TooLarge
from irisab.model.schema import FLOAT32_MAX, Feature
from irisab.serving.values import check_of, kind

MAX_NAME = 128
Row = list[Any]


class PredictRequest(NamedTuple):
    """A checked POST /predict. `single` tells a row from a list with one row."""

    rows: list[Row]
    single: bool
    user_id: str | None
    version: str | None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class FeedbackRequest:
    """A checked POST /feedback: a label per row of the request, None where it is not known yet.

    The request is named by `request_id`, or by the caller's own `id`. `correct` says that the
    labels may replace others.
    """

    request_id: bytes | None
    labels: list[int | float | str | bool | None]
    id: str | None = None
    correct: bool = False


def _refuse_constant(name: str) -> float:
    raise RequestError(f"the body is not JSON: {name} is not a JSON number")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _parse(body: bytes) -> dict[str, Any]:
    try:
        value = _decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise RequestError(
            f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except RecursionError:
        raise RequestError("the body is nested too deeply") from None
    except ValueError:  # Python converts no more than 4,300 digits
        raise RequestError("the body has a number with too many digits") from None
    if type(value) is not dict:
        raise RequestError(
            f'the body must be a JSON object, such as {{"features": [...]}}{_not(value)}'
        )
    return value


def _not(value: Any) -> str:
    return f", not {kind(value)}"


class Parser:
    """Checks requests against the features that the served versions share."""

    def __init__(self, features: Sequence[Feature], *, max_rows: int) -> None:
        self._names = [feature.name for feature in features]
        self._checks = [check_of(feature) for feature in features]
        # Only then can a row be checked as a whole, in C.
        self._plain = all(each.type == "number" for each in features)
        self._length = len(features)
        self._max_rows = max_rows

    def prediction(self, body: bytes) -> PredictRequest:
        """Parse the body of POST /predict; raises `RequestError` with a sentence."""
        options = _parse(body)
        try:
            features = options.pop("features")
        except KeyError:
            raise RequestError(
                f"'features' is missing: send the {self._length} values {self._listed()}"
            ) from None
        named = _options(options) if options else _UNNAMED
        # An object or list as the first row: a batch.
        if type(features) is list and features and type(features[0]) in _ROWS:
            return PredictRequest(self._batch(features), False, *named)
        return PredictRequest([self._row(features, "'features'")], True, *named)

    def _batch(self, rows: list[Any]) -> list[Row]:
        if len(rows) > self._max_rows:
            raise TooLarge(
                f"'features' has {len(rows)} rows, "
                f"the limit is {self._max_rows} ([server] max_rows)"
            )
        if self._plain and self._are_floats(rows):
            return rows
        for number, row in enumerate(rows):
            if type(row) is not type(rows[0]):
                raise RequestError(
                    f"'features' row {number} must be {kind(rows[0])} as row 0 is{_not(row)}"
                )
        return [self._row(row, f"'features' row {number}") for number, row in enumerate(rows)]

    def _are_floats(self, rows: list[Any]) -> bool:
        """Tell, in a third of the time that a look at each row takes, whether none needs one."""
        if {*map(type, rows)} != {list} or {*map(len, rows)} != {self._length}:
            return False
        values = [*chain.from_iterable(rows)]
        return {*map(type, values)} == {float} and _in_range(values)

    def _row(self, row: Any, where: str) -> Row:
        if type(row) is dict:
            row = self._in_order(row, where)
        if type(row) is not list:
            raise RequestError(f"{where} must be a list or an object of values{_not(row)}")
        if len(row) != self._length:
            raise RequestError(
                f"{where} has {len(row)} values, the model needs {self._length}: {self._listed()}"
            )
        # Sets and extremes run in C; only another row is looked at value by value.
        if self._plain and {*map(type, row)} <= _NUMBERS and _in_range(row):
            return [*map(float, row)]
        return self._checked(row, where)

    def _checked(self, row: list[Any], where: str) -> Row:
        checked = []
        for name, check, value in zip(self._names, self._checks, row, strict=True):
            try:
                checked.append(check(value))
            except ValueError as error:
                raise RequestError(f"{where}: {name} {error}") from None
        return checked

    def _in_order(self, row: dict[str, Any], where: str) -> list[Any]:
        for name in self._names:
            if name not in row:
                raise RequestError(f"{where} has no {name!r}; the model needs {self._listed()}")
        if len(row) > self._length:
            unknown = next(name for name in row if name not in self._names)
            raise RequestError(
                f"{where} has an unknown {quoted(unknown)}; the model knows {self._listed()}"
            )
        return [row[name] for name in self._names]

    def _listed(self) -> str:
        return ", ".join(self._names)


_NUMBERS = {int, float}
_ROWS = {list, dict}


def _in_range(values: Sequence[float]) -> bool:
    return max(values) <= FLOAT32_MAX and min(values) >= -FLOAT32_MAX


_Named = tuple[str | None, str | None, str | None]
_UNNAMED: _Named = (None, None, None)


def _options(options: dict[str, Any]) -> _Named:
    """Return user, version and the caller's own id."""
    user_id = options.pop("user_id", None)
    version = options.pop("model_version", None)
    own_id = options.pop("id", None)
    if options:
        raise RequestError(
            f"unknown key {quoted(next(iter(options)))}: "
            "there are features, user_id, id and model_version"
        )
    if version is not None and type(version) is not str:
        raise RequestError(f"'model_version' must be text{_not(version)}")
    return _name("user_id", user_id), version, _name("id", own_id)


def _name(key: str, value: Any) -> str | None:
    """Check a name that the caller has chosen."""
    if value is None:
        return None
    if type(value) is not str:
        raise RequestError(f"'{key}' must be text{_not(value)}")
    if not 1 <= len(value) <= MAX_NAME:
        raise RequestError(f"'{key}' must have 1 to {MAX_NAME} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RequestError(f"'{key}' holds half a character (a lone surrogate)") from None
    return value


def quoted(name: str) -> str:
    """Show a client's text in a message: short, on one line, encodable."""
    return ascii(name if len(name) <= 64 else name[:61] + "...")


def feedback(body: bytes) -> FeedbackRequest:
    """Parse the body of POST /feedback; raises `RequestError` with a sentence."""
    fields = _parse(body)
    unknown = set(fields) - {"request_id", "id", "label", "labels", "correct"}
    if unknown:
        raise RequestError(
            f"unknown key {quoted(min(unknown))}: "
            "there are request_id, id, label, labels and correct"
        )
    if ("request_id" in fields) == ("id" in fields):
        raise RequestError(
            "send either 'request_id' as /predict answered it, or the 'id' that you sent there"
        )
    correct = fields.get("correct", False)
    if type(correct) is not bool:
        raise RequestError(f"'correct' must be true or false{_not(correct)}")
    own_id = _name("id", fields["id"]) if "id" in fields else None
    request_id = _request_id(fields["request_id"]) if "request_id" in fields else None
    if request_id is None and own_id is None:
        raise RequestError("'id' must be text, not null")
    return FeedbackRequest(request_id, _labels(fields), own_id, correct)


def _labels(fields: dict[str, Any]) -> list[Any]:
    if ("label" in fields) == ("labels" in fields):
        raise RequestError("send either 'label' for one row or 'labels' for a batch")
    labels = fields["labels"] if "labels" in fields else [fields["label"]]
    if type(labels) is not list:
        raise RequestError(f"'labels' must be a list with a label per row{_not(labels)}")
    if not labels:
        raise RequestError("'labels' is empty: send a label per row")
    for label in labels:
        if type(label) in (list, dict):
            raise RequestError(f"a label must be a class or a number{_not(label)}")
    if all(label is None for label in labels):
        raise RequestError("no label is there, all are null: send at least one")
    return labels


def _request_id(text: Any) -> bytes:
    if type(text) is not str or not re.fullmatch("[0-9a-fA-F]{32}", text):
        raise RequestError("'request_id' must be the 32 hexadecimal digits that /predict answered")
    return bytes.fromhex(text)
