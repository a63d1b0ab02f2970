"""A file that is read as it was when it was hashed. See `Unchanged`."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Any

from irisab.errors import BundleError

# Bytes; each has a hash of its own. Some are in memory at a time, besides what is made of them.
PIECE = 1 << 18


class Unchanged(io.RawIOBase):
    """A file with the content that `sha256` is of; reading raises `BundleError` where it is not.

    Between hash and use whoever owns the file may write into it: each piece is hashed once more as
    it is read.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        """Take over an open file; raises `OSError`."""
        self._file = file
        self._at = 0
        self._size = 0
        whole, self._pieces = hashlib.sha256(), list[bytes]()
        while piece := self._piece(len(self._pieces)):
            whole.update(piece)
            self._pieces.append(hashlib.sha256(piece).digest())
            self._size += len(piece)
        self.sha256 = whole.hexdigest()

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read up to the end of a piece."""
        number, begin = divmod(self._at, PIECE)
        if number >= len(self._pieces):
            return 0
        piece = self._piece(number)
        if hashlib.sha256(piece).digest() != self._pieces[number]:
            raise BundleError(f"{self._file.name}: was changed while it was read")
        part = memoryview(piece)[begin : begin + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _piece(self, number: int) -> bytes:
        return os.pread(self._file.fileno(), PIECE, number * PIECE)
