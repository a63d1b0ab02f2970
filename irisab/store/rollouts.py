"""What becomes of each rollout, kept in the history. Start at `newest()`.

Only the last row holds; the others tell how it came to that. An older irisab passes the table over.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from irisab.errors import HistoryError
from irisab.store.database import BUSY_SECONDS, transaction
from irisab.store.reader import explained
from irisab.store.upgrade import open_history

State = Literal[
    "shadow",
    "step",
    "waiting",
    "paused",
    "baking",
    "promoted",
    "rolled_back",
    "aborted",
    "superseded",
]
STATES: tuple[State, ...] = State.__args__  # type: ignore[attr-defined]
FINISHED = ("promoted", "rolled_back", "aborted", "superseded")
# Why one does not go on; no data is never a failure.
HOLDS = ("few_requests", "sample_ratio", "history_not_written", "reload_refused", "no_service")
# A rollout takes a dozen; a person may pause and resume for ever.
KEEP = 1000


class Changed(HistoryError):
    """Somebody else has moved the rollout on meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Where a rollout is. Times are seconds since 1970.

    `models` are the hashes of `version` and `control`, `settings` what the INI file said of
    [split], [experiment] and [rollout] when it started: with others it is not in force. `step` is 0
    before the first of `steps`, and `percent` the share of `version`. `since` is when the state
    began, `clock` when the time to the deadline did.
    """

    version: str
    control: str
    models: Mapping[str, str]
    settings: str
    steps: Sequence[float]
    since: float
    clock: float
    state: State = "shadow"
    step: int = 0
    percent: float = 0.0
    reason: str = ""
    # Why it does not go on, in words and for programs.
    hold: str | None = None
    hold_code: str | None = None
    # The state that a paused one goes on with.
    paused_in: State | None = None
    # Looks in a row at which it was too slow.
    slow_looks: int = 0
    # The counters when the step began: requests in `revision`, and failures of control and version.
    revision: str = ""
    requests: int = 0
    failures: Sequence[int] = field(default=(0, 0))

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def place(self) -> tuple[str, int, float]:
        """What changes who is served by what."""
        return self.state, self.step, self.percent

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Rollout:
        """Read what any irisab has written: a newer one may have added what this one cannot use."""
        content: dict[str, Any] = json.loads(text)
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in known})


def newest(history: Path) -> Rollout | None:
    """Return the last rollout, also where it is finished; None where there was none.

    The file is only read, whoever asks. Raises `HistoryError`.
    """
    places = _select(history, limit=1)
    return places[-1] if places else None


def told(history: Path) -> list[Rollout]:
    """Return where the last rollout has been, oldest first."""
    places = _select(history, limit=KEEP)
    starts = [number for number, each in enumerate(places) if each.state == "shadow"]
    # A paused one may go back to its shadow.
    fresh = [number for number in starts if number == 0 or places[number - 1].state != "paused"]
    return places[fresh[-1] :] if fresh else places


def _select(history: Path, *, limit: int) -> list[Rollout]:
    if not history.exists():
        return []
    uri = f"{history.absolute().as_uri()}?mode=ro"
    with (
        explained(history),
        closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection,
    ):
        if not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'rollouts'"
        ).fetchone():
            return []
        rows = connection.execute(
            "SELECT content FROM rollouts ORDER BY number DESC LIMIT ?", (limit,)
        ).fetchall()
    return [Rollout.from_json(text) for (text,) in reversed(rows)]


def write(history: Path, after: Rollout | None, now: Rollout) -> None:
    """Let `now` follow on `after`, and return when it is on the disk.

    Raises `HistoryError` where it cannot be written, `Changed` where `after` is not the last.
    """
    with (
        explained(history),
        closing(open_history(history, synchronous="FULL")) as connection,
        transaction(connection),
    ):
        row = connection.execute(
            "SELECT number, content FROM rollouts ORDER BY number DESC LIMIT 1"
        ).fetchone()
        if (row and Rollout.from_json(row[1]).to_json()) != (after and after.to_json()):
            raise Changed("the rollout was changed meanwhile; try again")
        if after is not None and after.place == now.place and after.since == now.since:
            connection.execute(
                "UPDATE rollouts SET content = ? WHERE number = ?", (now.to_json(), row[0])
            )
        else:
            connection.execute("INSERT INTO rollouts (content) VALUES (?)", (now.to_json(),))
        connection.execute(
            "DELETE FROM rollouts WHERE number <= (SELECT max(number) FROM rollouts) - ?", (KEEP,)
        )
