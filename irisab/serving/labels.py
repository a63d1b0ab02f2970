"""Labels as people send them, to what the history keeps. Start at `meant()`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from irisab.errors import RequestError
from irisab.serving.payload import quoted
from irisab.store.history import RecordedRequest
from irisab.store.revision import Revision

# So many classes are named in a message.
NAMED = 50


def meant(recorded: RecordedRequest, labels: Sequence[Any]) -> list[float | None]:
    """Return a class index (or the value of a regression) per row, None where it is not known yet.

    The classes are those of the revision that answered. Raises `RequestError`.
    """
    rows = len(recorded.predictions)
    if len(labels) != rows:
        raise RequestError(f"{len(labels)} label(s) for a request with {rows} row(s)")
    return [None if each is None else _meant(each, recorded.revision) for each in labels]


def _meant(label: Any, revision: Revision) -> float:
    if revision.task == "regression":
        return _value(label)
    for index, (number, name) in enumerate(
        zip(revision.class_numbers, revision.class_names, strict=True)
    ):
        if _is(label, number, name):
            return index
    classes = [*zip(revision.class_numbers, revision.class_names, strict=True)]
    listed = ", ".join(f"{number} ({name})" for number, name in classes[:NAMED])
    raise RequestError(f"label {quoted(str(label))} is unknown; there are {listed}")


def _is(label: Any, number: int, name: str) -> bool:
    if isinstance(label, bool):
        return name.lower() == str(label).lower()
    if isinstance(label, str):
        return label == name
    # Some programs write every number with a fraction: 1.0 is class 1.
    return bool(label == number)


def _value(label: Any) -> float:
    if isinstance(label, str | bool) or not math.isfinite(label):
        raise RequestError(f"a label must be a number, as the answers are; {quoted(str(label))}")
    return float(label)
