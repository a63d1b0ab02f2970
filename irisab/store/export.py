"""The history as rows of CSV. Start at `prediction_rows()`."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterator, Mapping, Sequence

from irisab.rfc3339 import timestamp
from irisab.store.history import History
from irisab.store.revision import Revision

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
        if row["revision"] in revisions:
            names = revisions[row["revision"]].class_names
            votes = json.loads(row["votes"])
            said = {name: names[vote] for name, vote in votes.items() if name != row["version"]}
            yield [
                row["request_id"].hex(),
                timestamp(row["time"]),
                row["revision"],
                row["version"],
                row["user"].hex() if row["user"] else "",
                *_features(row),
                names[row["prediction"]],
                *(said.get(name, "") for name in shadows),
                _label(row, names),
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
    for row in history.rows(since=since):
        if row["label"] is not None and row["revision"] in revisions:
            yield [*_features(row), _label(row, revisions[row["revision"]].class_names)]


def _readable(history: History) -> tuple[Sequence[str], Mapping[str, Revision]]:
    newest = history.revision()
    if newest is None:
        return (), {}
    revisions = history.revisions()
    same = {name: each for name, each in revisions.items() if each.features == newest.features}
    return newest.features, same


def _features(row: sqlite3.Row) -> Sequence[float]:
    return array("d", row["features"])


def _label(row: sqlite3.Row, names: Sequence[str]) -> str:
    return "" if row["label"] is None else names[row["label"]]
