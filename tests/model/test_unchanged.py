"""What is read is what was hashed, whoever writes into the file meanwhile."""

from __future__ import annotations

import hashlib
import io
import random
from io import BufferedReader
from pathlib import Path

import pytest

from irisab.errors import BundleError
from irisab.files import open_regular
from irisab.model.unchanged import PIECE, Unchanged


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two pieces and a bit."""
    path = tmp_path / "model.joblib"
    path.write_bytes(random.Random(0).randbytes(2 * PIECE + 1000))
    return path


def test_a_file_reads_as_it_is(file: Path) -> None:
    """From wherever, and however much at once."""
    data = file.read_bytes()
    with BufferedReader(Unchanged(open_regular(file)), PIECE) as read:
        assert read.raw.sha256 == hashlib.sha256(data).hexdigest()  # type: ignore[attr-defined]
        assert read.read() == data
        assert read.read(1) == b""
        for at in (0, 1, PIECE - 1, PIECE, len(data) - 1, len(data)):
            assert read.seek(at) == read.tell() == at
            assert read.read(PIECE + 1) == data[at : at + PIECE + 1]
        assert read.seek(-10, io.SEEK_END) == len(data) - 10
        assert read.read() == data[-10:]


@pytest.mark.parametrize("at", [0, PIECE + 5, 2 * PIECE + 999])
def test_what_was_written_since_is_not_read(at: int, file: Path) -> None:
    """Not a byte of a piece that has changed; the others are as they were."""
    before = file.read_bytes()
    with BufferedReader(Unchanged(open_regular(file)), PIECE) as read, file.open("r+b") as other:
        other.seek(at)
        other.write(bytes([before[at] ^ 1]))
        other.flush()
        begin = at // PIECE * PIECE
        assert read.read(begin) == before[:begin]
        with pytest.raises(BundleError, match="was changed while it was read"):
            read.read(1)


def test_a_file_that_was_cut_short_is_not_read(file: Path) -> None:
    """Its end would look like the end of what was hashed."""
    with BufferedReader(Unchanged(open_regular(file)), PIECE) as read:
        file.write_bytes(file.read_bytes()[:PIECE])
        assert len(read.read(PIECE)) == PIECE
        with pytest.raises(BundleError, match="was changed while it was read"):
            read.read(1)


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    """As others are."""
    (tmp_path / "empty").touch()
    with BufferedReader(Unchanged(open_regular(tmp_path / "empty")), PIECE) as read:
        assert read.read() == b""
