"""The history as rows of CSV. Start at `prediction_rows()`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from irisab.rfc3339 import timestamp
from irisab.store.history import History
from irisab.store.revision import Revision
from irisab.store.rows import decode

Line = Sequence[object]


def prediction_rows(history: History, *, since: float = 0) -> Iterator[Line]:
    """Yield a header and every prediction from `since` (seconds since 1970) on, oldest first.

    Rows of models with other features than the newest revision's are left out.
    """
    features, revisions = _readable(history)
    shadows = sorted({name for each in revisions.values() for name in each.models})
    yield [
        *("request_id", "timestamp", "revision", "version", "user", *features),
        *("prediction", *(f"shadow_{name}" for name in shadows), "label"),
    ]
    for row in history.rows(since=since):
        revision = revisions.get(row["revision"])
        if revision is not None:
            votes = json.loads(row["votes"])
            said = {
                name: _target(vote, revision)
                for name, vote in votes.items()
                if name != row["version"]
            }
            yield [
                row["request_id"].hex(),
                timestamp(row["time"]),
                row["revision"],
                row["version"],
                row["user"].hex() if row["user"] else "",
                *_cells(row, revision),
                _target(row["prediction"], revision),
                *(said.get(name, "") for name in shadows),
                _target(row["label"], revision),
            ]


def training_rows(history: History, *, since: float = 0) -> Iterator[Line]:
    """Yield a header and every labelled row, features and label: what `train --data` reads.

    The last column is called label, with underscores where features have taken the name.
    """
    features, revisions = _readable(history)
    label = "label"
    while label in features:
        label += "_"
    yield [*features, label]
    for row in history.rows(since=since, labelled=True):
        revision = revisions.get(row["revision"])
        if revision is not None:
            yield [*_cells(row, revision), _target(row["label"], revision)]


def _readable(history: History) -> tuple[Sequence[str], Mapping[str, Revision]]:
    newest = history.revision()
    if newest is None:
        return (), {}
    revisions = history.revisions()
    alike = {name: each for name, each in revisions.items() if each.columns == newest.columns}
    return newest.features, alike


def _cells(row: sqlite3.Row, revision: Revision) -> list[object]:
    """Return the features as cells that `train` reads back as what they were."""
    types = revision.feature_types
    values = decode(row["features"], types)
    return [_cell(value, kind) for value, kind in zip(values, types, strict=True)]


def _cell(value: Any, kind: str) -> object:
    if value is None or value != value:  # NaN is not itself
        return ""
    return ("true" if value else "false") if kind == "boolean" else value


def _target(said: Any, revision: Revision) -> object:
    """Return a class by its name, or the value of a regression; nothing where there is none."""
    if said is None:
        return ""
    return revision.class_names[said] if revision.class_names else said
