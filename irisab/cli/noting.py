"""What a command writes into the history about itself. See `note()`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from irisab.errors import HistoryError
from irisab.store.events import EventLog, Kind

# The units of the timers set it, and whatever else runs commands for a person may.
BY = "IRISAB_BY"


def who() -> str:
    """Return who runs this command."""
    return os.environ.get(BY) or "operator"


def note(history: Path, kind: Kind, text: str, *, version: str | None = None) -> None:
    """Write an event where there is a history; what was done stays done if it cannot be written."""
    if not history.exists():
        return
    try:
        EventLog(history).add(kind, text, version=version, by=who())
    except HistoryError as error:
        print(f"irisab: not among the events: {error}", file=sys.stderr)
