"""The labelled rows of the history, as a version takes them. Start at `collect()`.

Which of them a bundle has learned from already it says in a file beside its rows, so that each is
counted once, however late its label came.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irisab.lifecycle import kept
from irisab.lifecycle.known import Known
from irisab.store.history import History
from irisab.store.revision import Revision
from irisab.store.rows import columns, decode

FILE = "labelled.txt.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A labelled row. `id` is its request and its place in it, `user` a salted hash.

    `said` has what each model (by its hash) said, `shown` is the one whose answer was shown.
    Answers and label are values, or positions in the classes of the version that asks.
    """

    id: str
    user: str | None
    values: Sequence[Any]
    truth: float
    said: Mapping[str, float]
    shown: str

    @property
    def unit(self) -> str:
        """Who votes: the user, else the request."""
        return self.user or self.id.partition(" ")[0]


def collect(history: History, version: Known) -> Iterator[Label]:
    """Yield the labelled rows with just the features and classes of a version, oldest first."""
    revisions = {name: each for name, each in history.revisions().items() if _fits(each, version)}
    for row in history.rows(labelled=True):
        revision = revisions.get(row["revision"])
        if revision is not None:
            yield _label(row, revision, version)


def _fits(revision: Revision, version: Known) -> bool:
    names = [each.name for each in version.features]
    return (
        revision.columns == columns(names, version.types)
        and revision.task == version.task
        and set(revision.class_names) == set(version.class_names)
    )


def _label(row: sqlite3.Row, revision: Revision, version: Known) -> Label:
    def meant(said: float) -> float:
        if not version.class_names:
            return said
        return version.class_names.index(revision.class_names[int(said)])

    votes = {row["version"]: row["prediction"], **json.loads(row["votes"])}
    return Label(
        id=f"{row['request_id'].hex()} {row['row']}",
        user=row["user"].hex() if row["user"] else None,
        values=decode(row["features"], revision.feature_types),
        truth=meant(row["label"]),
        said={revision.models[name]: meant(said) for name, said in votes.items()},
        shown=revision.models[row["version"]],
    )


def pack(ids: Sequence[str]) -> tuple[bytes, dict[str, Any]]:
    """Return the file that says which rows were learned from, and what the manifest says of it."""
    content = "".join(f"{each}\n" for each in ids).encode()
    about = {"file": FILE, "sha256": hashlib.sha256(content).hexdigest(), "rows": len(ids)}
    return gzip.compress(content, mtime=0), about


def unpack(folder: Path, about: Mapping[str, Any] | None) -> list[str]:
    """Return the ids of the last of a bundle's rows, which came from the history.

    Raises `DataError` where the file is not what it was: rows would be learned from twice.
    """
    if about is None:
        return []
    return kept.unzipped(folder / about["file"], about["sha256"]).splitlines()
