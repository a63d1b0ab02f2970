"""Starts that did not survive the loading of their models. Start at `counted()`.

A kernel that has no memory left ends a process without a word: nothing is raised that could be
caught, and whoever starts it again would see it end again, for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from irisab.config import Config
from irisab.errors import BundleError
from irisab.model.bundle import CURRENT

STARTING = "irisab.starting"
# A machine that lost its power, and an operator's kill -9, may come once or twice in a row.
MOST_KILLED = 3


@contextmanager
def counted(options: Config, *, source: Path) -> Iterator[None]:
    """Remember that models are being loaded, as long as the block lasts.

    Raises `BundleError` where so many processes have ended in it with this INI file and these
    models that trying again would not help.
    """
    file, what = _file(options), _what(options)
    killed = _killed(file, what)
    if killed >= MOST_KILLED:
        raise BundleError(
            f"{source}: [split] {', '.join(options.split)}: the last {killed} starts were killed "
            "while they loaded these models, as a kernel does that has no memory left; give the "
            "unit more, as in 'sudo systemctl set-property irisab MemoryMax=4G', or take a smaller "
            "model, then: sudo systemctl reload irisab"
        )
    # A full disk is no reason not to start.
    with suppress(OSError):
        file.write_text(json.dumps({"what": what, "killed": killed + 1}))
    try:
        yield
    finally:
        forget(options)


def forget(options: Config) -> None:
    """Let what is in the INI file be tried again: it was loaded, or refused with a reason."""
    with suppress(OSError):
        _file(options).unlink()


def _file(options: Config) -> Path:
    return options.data.history.parent / STARTING


def _what(options: Config) -> list[str]:
    models = [(options.data.models / each / CURRENT).resolve().name for each in options.split]
    return [hashlib.sha256(options.text.encode()).hexdigest(), *models]


def _killed(file: Path, what: list[str]) -> int:
    try:
        said: Any = json.loads(file.read_text())
        return int(said["killed"]) if said["what"] == what else 0
    except (OSError, ValueError, LookupError, TypeError):  # written by half
        return 0
