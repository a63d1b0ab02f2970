"""Files that are either there whole, or not at all. Start at `replace_durably`."""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file, and return when it is on the disk; raises `OSError`."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, data: bytes) -> None:
    """Put new content in place of a file in one step; raises `OSError`, and leaves the old one."""
    new = path.with_name(f"{path.name}.new")
    write_durably(new, data)
    new.replace(path)


def replace_for_all(path: Path, text: str) -> None:
    """Replace a short-lived file in one step, readable by everybody; raises `OSError`.

    Written by root under whatever umask, it is read by the service's user.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        new.write_text(text)
        new.chmod(0o644)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
