"""What happened to a host, for people and for the page. Start at `EventLog`.

Predictions and labels are not events. A text names versions, hashes and reasons, and no secret.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from irisab.rfc3339 import timestamp
from irisab.store.database import transaction
from irisab.store.reader import Reader, explained
from irisab.store.upgrade import open_history

# Years of a busy host, and two megabytes.
KEEP = 10_000
MOST_CHARACTERS = 500

Kind = Literal[
    "start",
    "reload",
    "refused",
    "train",
    "retrain",
    "rollout",
    "rollback",
    "drift",
    "backup",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`at` is in seconds since 1970, `by` who did it: operator, timer, or irisab itself."""

    at: float
    kind: str
    version: str | None
    text: str
    by: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": timestamp(self.at)}


class EventLog:
    """The events of one history. Methods raise `HistoryError` where its file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, kind: Kind, text: str, *, version: str | None = None, by: str) -> None:
        """Write an event, and return when it is on the disk."""
        with (
            explained(self._path),
            closing(open_history(self._path, synchronous="FULL")) as connection,
            transaction(connection),
        ):
            connection.execute(
                "INSERT INTO events (at, kind, version, text, by) VALUES (?, ?, ?, ?, ?)",
                (time.time(), kind, version, text[:MOST_CHARACTERS], by),
            )
            connection.execute(
                "DELETE FROM events WHERE event <= (SELECT max(event) FROM events) - ?", (KEEP,)
            )

    def list(self, *, since: float = 0, most: int = KEEP) -> list[Event]:
        """Return the `most` newest events from `since` (seconds since 1970) on, oldest first."""
        reader = Reader(self._path)
        try:
            with reader.reading() as connection:
                rows = connection.execute(
                    "SELECT at, kind, version, text, by FROM events WHERE at >= ?"
                    " ORDER BY event DESC LIMIT ?",
                    (since, most),
                ).fetchall()
        finally:
            reader.close()
        names = Event.__slots__
        return [Event(**dict(zip(names, row, strict=True))) for row in reversed(rows)]
