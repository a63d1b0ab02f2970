"""Commands in messages, as they must be typed here."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

HOST_COMMAND = Path("/usr/local/bin/irisab")
HOST_CONFIG = Path("/etc/irisab.ini")


def typed(config: Path, command: str) -> str:
    """Return the words that run an irisab command with this INI file from this folder.

    "sudo /usr/local/bin/irisab train v3" on a host, ".venv/bin/irisab --config .run/irisab.ini
    train v3" after `make run`.
    """
    if config == HOST_CONFIG and HOST_COMMAND.exists():
        return f"sudo {HOST_COMMAND} {command}"
    program = Path(sys.prefix) / "bin" / "irisab"
    words = [_near(program)] if program.exists() else [_near(Path(sys.executable)), "-m", "irisab"]
    return f"{shlex.join([*words, '--config', _near(config)])} {command}"


def _near(path: Path) -> str:
    """Return a path as short as it can be written from here."""
    relative = os.path.relpath(path.absolute())
    return relative if not relative.startswith("..") else str(path.absolute())
