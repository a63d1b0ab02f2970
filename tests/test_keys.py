"""The keys file: what is a line, what is refused, and how it is edited."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisab import keys
from irisab.errors import KeysError
from irisab.keys import Key

HASH = "0" * 63
ONE = Key("shop", HASH + "1", ("predict", "feedback"))
TWO = Key("jenkins", HASH + "2", ("read",), 1_800_000_000.0)


def test_a_line_is_read_as_it_is_written() -> None:
    """Name, hash, scopes and expiry come back as they were; comments and empty lines are none."""
    text = f"# our keys\n\n{ONE}\n  {TWO}  \r\n"
    assert keys.parse(text, source=Path("keys")) == (ONE, TWO)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("irisab_0123456789", "has 1 words, not NAME SHA256 SCOPES [EXPIRY]"),
        (f"{ONE} never ever", "has 5 words"),
        (f"-shop {HASH}1 predict", "its name must be"),
        (f"{'s' * 65} {HASH}1 predict", "its name must be"),
        (f"shop {HASH}1f predict", "its second word must be a sha256"),
        (f"shop {HASH}A predict", "its second word must be a sha256"),
        (f"shop {HASH}1 predict,admin", "its scopes must be of predict, feedback, read, force"),
        (f"shop {HASH}1 predict,", "its scopes must be"),
        (f"shop {HASH}1 predict soon", "its expiry must be a time such as"),
        (f"shop {HASH}9 predict", "is the same key as an earlier line"),
    ],
)
def test_a_line_that_is_not_understood_is_named(line: str, why: str) -> None:
    """One bad line refuses the file, by number and reason, and never shows what stands there."""
    text = f"old {HASH}9 read\n{line}\n"
    with pytest.raises(KeysError) as error:
        keys.parse(text, source=Path("keys"))
    assert str(error.value).startswith(f"keys: line 2: {why}")
    assert "irisab_0123456789" not in str(error.value) and HASH not in str(error.value)


@given(st.text(max_size=80))
def test_no_text_gives_a_traceback(text: str) -> None:
    """Whatever the file holds, it is understood or refused with a sentence."""
    try:
        found = keys.parse(text, source=Path("keys"))
    except KeysError:
        return
    assert all(set(key.scopes) <= set(keys.SCOPES) for key in found)


def test_a_key_is_valid_until_it_expires() -> None:
    """The moment itself is too late."""
    assert TWO.is_valid(1_799_999_999.9) and not TWO.is_valid(1_800_000_000.0)
    assert ONE.is_valid(9e9)


def test_keys_are_long_and_never_twice() -> None:
    """256 bits each, in the form that scanners for leaked secrets can look for."""
    made = {keys.generate() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("irisab_") and len(key) == 50 for key in made)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "device", "large", "binary"])
def test_what_is_no_plain_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    """A pipe is not waited for, a device is not read, and none of them is an empty list of keys."""
    path = tmp_path / "keys"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "large":
            path.write_bytes(b"#" * (keys.MAX_BYTES + 1))
        case "binary":
            path.write_bytes(b"\xff\xfe")
    with pytest.raises(KeysError, match=f"^{path}: "):
        keys.read(path)


def test_an_edit_keeps_what_it_does_not_change(tmp_path: Path) -> None:
    """Comments and other keys stay where they are; a new key comes last."""
    path = tmp_path / "keys"
    path.write_text(f"# mine\n{ONE}\n\n# theirs\n{TWO}\n")
    new = Key("new", HASH + "3", ("force",))
    ended = replace(ONE, expires=2e9)
    keys.edit(path, lambda _: [ended, TWO, new])
    assert path.read_text() == f"# mine\n{ended}\n\n# theirs\n{TWO}\n{new}\n"
    keys.edit(path, lambda before: [key for key in before if key.name != "shop"])
    assert path.read_text() == f"# mine\n\n# theirs\n{TWO}\n{new}\n"


def test_others_cannot_read_the_file(tmp_path: Path) -> None:
    """Whatever the umask and the mode before: the owner writes, a group reads, nobody else."""
    path = tmp_path / "keys"
    before = os.umask(0)
    try:
        keys.edit(path, lambda _: [ONE])
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o666)
        keys.edit(path, lambda _: [TWO])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert keys.read(path) == (TWO,)
    # Nor can they lock it.
    assert not stat.S_IMODE(path.with_name("keys.lock").stat().st_mode) & 0o077


def test_an_edit_that_fails_leaves_the_file(tmp_path: Path) -> None:
    """A file with a line that is not understood is not written over."""
    path = tmp_path / "keys"
    path.write_text("broken\n")
    with pytest.raises(KeysError, match="line 1"):
        keys.edit(path, lambda _: [ONE])
    assert path.read_text() == "broken\n"


def test_edits_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Eight who add a key at once: eight keys."""
    path = tmp_path / "keys"

    def add(number: int) -> None:
        key = Key(f"key-{number}", f"{number:064x}", ("read",))
        keys.edit(path, lambda before: [*before, key])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in keys.read(path)} == {f"key-{number}" for number in range(8)}
