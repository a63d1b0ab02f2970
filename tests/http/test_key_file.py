"""The keys as a running service sees them change."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from irisab import keys
from irisab.http import key_file
from irisab.http.key_file import KeyFile, LastUse, last_use
from irisab.keys import Key

ONE = Key("one", "1" * 64, ("read",))
TWO = Key("two", "2" * 64, ("read",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    keys.edit(path, lambda _: [ONE, TWO])
    return path


class Watched(KeyFile):
    """Looks each time it is asked, as after half a second."""

    def names(self) -> set[str] | None:
        self._next = 0.0
        found = self.keys()
        return None if found is None else {key.name for key in found.values()}


def test_an_edit_is_seen_at_the_next_look(path: Path) -> None:
    """However the file was changed: by the command, or in place."""
    watched = Watched(path)
    assert watched.names() == {"one", "two"}
    keys.edit(path, lambda _: [TWO])
    assert watched.names() == {"two"}
    path.write_text(f"{ONE}\n")
    assert watched.names() == {"one"}


def test_an_edit_that_leaves_size_and_time_is_seen(path: Path) -> None:
    """Two edits within a tick of the clock, or a time that somebody set back, hide nothing."""
    path.write_text(f"{ONE}\n")
    watched = Watched(path)
    about = path.stat()
    assert watched.names() == {"one"}
    path.write_text(f"{TWO}\n")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert path.stat().st_size == about.st_size
    assert watched.names() == {"two"}


def test_between_two_looks_the_file_is_left_alone(path: Path) -> None:
    """A request costs a look into memory, and at most two a second cost one at the disk."""
    watched = KeyFile(path)
    assert watched.keys() is not None
    watched._next = time.monotonic() + 3600
    path.unlink()
    assert watched.keys() is not None
    assert key_file.LOOK_SECONDS <= 0.5


def test_a_file_that_has_settled_is_not_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as nothing about it moves, it is only looked at."""
    monkeypatch.setattr(key_file, "SETTLED_SECONDS", -1.0)
    watched = Watched(path)
    first = watched.names(), watched.keys()
    assert watched.names() == first[0]
    assert watched.keys() is first[1]


def test_a_key_opens_as_soon_as_it_is_printed(path: Path) -> None:
    """Whoever makes a key and asks with it in the next line is let in, also after the first key."""
    watched = KeyFile(path)
    assert set(watched.keys_with(ONE.sha256) or {}) == {ONE.sha256, TWO.sha256}
    three = Key("three", "3" * 64, ("read",))
    keys.edit(path, lambda before: [*before, three])
    watched._next = time.monotonic() + 3600
    assert three.sha256 not in (watched.keys() or {})
    assert three.sha256 in (watched.keys_with(three.sha256) or {})
    path.unlink()
    watched._next = 0.0
    assert watched.keys_with(ONE.sha256) is None
    watched._next = time.monotonic() + 3600
    keys.edit(path, lambda _: [ONE])
    assert watched.keys() is None
    assert set(watched.keys_with(ONE.sha256) or {}) == {ONE.sha256}


@pytest.mark.parametrize("damage", [None, "broken"])
def test_guesses_do_not_read_the_file(
    damage: str | None, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes with key after key costs one reading, also of a file that is young or broken."""
    if damage:
        path.write_text("irisab_secret\n")
    reads, read = [], keys.read
    monkeypatch.setattr(keys, "read", lambda path: reads.append(path) or read(path))
    watched = KeyFile(path)
    watched.keys()
    watched._next = time.monotonic() + 3600
    for guess in range(100):
        watched.keys_with(f"{guess:064x}")
    assert len(reads) == 1


@pytest.mark.parametrize("damage", ["broken", "gone", "unreadable line"])
def test_a_broken_file_has_no_keys_and_says_so_once(
    damage: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is let in by keys of yesterday; one line of the log says why, one that it is over."""
    caplog.set_level(logging.INFO)
    watched = Watched(path)
    assert watched.names() is not None
    good = path.read_text()
    match damage:
        case "broken":
            path.write_text(good + "irisab_secret\n")
        case "gone":
            path.unlink()
        case _:
            path.write_bytes(b"\xff" + good.encode())
    assert [watched.names() for _ in range(3)] == [None, None, None]
    path.write_text(good)
    assert watched.names() == {"one", "two"}
    loud = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(loud) == 1 and "all that needs a key is refused" in loud[0].message
    assert "can be read again" in caplog.records[-1].message
    assert "irisab_secret" not in caplog.text


def test_the_last_use_is_kept_by_day(tmp_path: Path) -> None:
    """Another process reads it; the same day is written once."""
    path = tmp_path / "keys-used.json"
    used = LastUse(path)
    used.note("one", 86_400.0 * 365)
    used.note("two", 86_400.0 * 366)
    assert last_use(path) == {"one": "1971-01-01", "two": "1971-01-02"}
    written = path.stat().st_mtime_ns, path.stat().st_ino
    used.note("one", 86_400.0 * 365 + 3600)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == written
    LastUse(path).note("one", 86_400.0 * 367)
    assert last_use(path) == {"one": "1971-01-03", "two": "1971-01-02"}


@pytest.mark.parametrize("text", ["", "[]", "7", '{"one": "\\u001b[2J"}', '{"one": {}}', "{"])
def test_a_last_use_that_is_none_is_not_shown(text: str, tmp_path: Path) -> None:
    """Root's terminal shows what the service's user has written: days, and nothing else."""
    path = tmp_path / "keys-used.json"
    path.write_text(text)
    assert last_use(path) == {}


def test_a_use_that_cannot_be_written_lets_in_all_the_same(tmp_path: Path) -> None:
    """A disk that is full or not there costs the date, and no request."""
    LastUse(tmp_path / "missing" / "keys-used.json").note("one", 0.0)
