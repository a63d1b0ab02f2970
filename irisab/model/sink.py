"""Where the files of a bundle in the making go: a folder, or memory where nothing may be written.

A file is given as a function that writes it: its content need not be in memory as a whole.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Protocol

# joblib and numpy write into any file.
Dump = Callable[[Any], object]


class Sink(Protocol):
    def add(self, name: str, dump: Dump) -> str:
        """Write a new file and return its sha256."""

    def open(self, name: str) -> BufferedIOBase:
        """Read one that was added."""


class Folder:
    """Files on the disk when `add` returns, each; raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, name: str, dump: Dump) -> str:
        with (self._path / name).open("w+b") as file:
            dump(file)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def open(self, name: str) -> BufferedIOBase:
        return (self._path / name).open("rb")


class Memory:
    """Files as bytes, by name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, name: str, dump: Dump) -> str:
        file = io.BytesIO()
        dump(file)
        self.files[name] = file.getvalue()
        return hashlib.sha256(self.files[name]).hexdigest()

    def open(self, name: str) -> BufferedIOBase:
        return io.BytesIO(self.files[name])
