"""How irisab is called here: what a command begins with where it must be typed. See `prefix()`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

HOST_COMMAND = Path("/usr/local/bin/irisab")
HOST_CONFIG = Path("/etc/irisab.ini")


def prefix(config: Path) -> str:
    """Return the words in front of a command that run it with this INI file from this folder.

    "sudo /usr/local/bin/irisab" on a host, ".venv/bin/irisab --config .run/irisab.ini" after
    `make run`.
    """
    if config == HOST_CONFIG and HOST_COMMAND.exists():
        return f"sudo {HOST_COMMAND}"
    program = Path(sys.prefix) / "bin" / "irisab"
    words = [_near(program)] if program.exists() else [_near(Path(sys.executable)), "-m", "irisab"]
    return shlex.join([*words, "--config", _near(config)])


def _near(path: Path) -> str:
    """Return a path as short as it can be written from here."""
    relative = os.path.relpath(path.absolute())
    return relative if not relative.startswith("..") else str(path.absolute())
