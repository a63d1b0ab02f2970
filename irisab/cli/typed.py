"""Commands in messages, as they must be typed here."""

from __future__ import annotations

from pathlib import Path

from irisab import invocation


def typed(config: Path, command: str) -> str:
    """Return the words that run an irisab command with this INI file from this folder."""
    return f"{invocation.prefix(config)} {command}"
