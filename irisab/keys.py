"""The keys file: one line a key, `NAME SHA256 SCOPE,SCOPE [EXPIRY]`. Start at `read()`.

Only the hash of a key is kept. A key is 256 random bits that nobody can guess, so a fast hash is
right: a slow one protects what people choose, and would cost every request milliseconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from irisab.errors import KeysError
from irisab.files import read_regular, replace_for_group
from irisab.rfc3339 import seconds, timestamp

SCOPES = ("predict", "feedback", "read", "force")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# What scanners for leaked secrets look for, and people recognize.
PREFIX = "irisab_"
# Thousands of keys; what is larger is another file.
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the file. `expires` is in seconds since 1970, None for never."""

    name: str
    sha256: str
    scopes: tuple[str, ...]
    expires: float | None = None

    def __str__(self) -> str:
        words = [self.name, self.sha256, ",".join(self.scopes)]
        return "  ".join(words if self.expires is None else [*words, timestamp(self.expires)])

    def is_valid(self, now: float) -> bool:
        """Tell whether it opens anything at `now`, in seconds since 1970."""
        return self.expires is None or now < self.expires


def generate() -> str:
    """Return a new key: the prefix and 43 characters of base64url (RFC 4648)."""
    return PREFIX + secrets.token_urlsafe(32)


def fingerprint(key: str) -> str:
    """Return what the file keeps of a key. HTTP headers are latin-1."""
    return hashlib.sha256(key.encode("latin-1", "replace")).hexdigest()


def read(path: Path) -> tuple[Key, ...]:
    """Return every key of the file; raises `KeysError` unless all of it is understood."""
    return parse(_text(path), source=path)


def parse(text: str, *, source: Path) -> tuple[Key, ...]:
    """Turn lines into keys. An error names the line, never what stands there: it may be a key."""
    keys: dict[str, Key] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if _is_empty(line):
            continue
        try:
            key = _key(line.split())
            if key.sha256 in keys:
                raise ValueError("is the same key as an earlier line")
        except ValueError as error:
            raise KeysError(f"{source}: line {number}: {error}") from None
        keys[key.sha256] = key
    return tuple(keys.values())


def edit(path: Path, change: Callable[[tuple[Key, ...]], Sequence[Key]]) -> None:
    """Replace the keys by what `change` makes of them; comments stay where they are.

    Raises `KeysError`, and leaves the file, where it cannot be read, understood or written.
    """
    try:
        with _alone(path.with_name(f"{path.name}.lock")):
            text = _text(path) if path.exists() else _HEAD
            before = parse(text, source=path)
            lines = _merged(text, before, change(before))
            replace_for_group(path, "".join(lines).encode(), group="irisab")
    except OSError as error:
        root = "; it is root's: use sudo" if isinstance(error, PermissionError) else ""
        raise KeysError(f"{path}: cannot be written: {error.strerror}{root}") from error


_HEAD = "# Who may do what: irisab key add, list, rotate, revoke. NAME SHA256 SCOPES [EXPIRY]\n"


def _merged(text: str, before: Sequence[Key], after: Sequence[Key]) -> Iterator[str]:
    """Yield the lines of the file: those that stay, changed or not, and then the new ones."""
    left = {key.sha256: key for key in after}
    known = {key.sha256 for key in before}
    for line in text.removesuffix("\n").split("\n"):
        if _is_empty(line):
            yield f"{line}\n"
        elif key := left.get(line.split()[1]):
            yield f"{key}\n"
    yield from (f"{key}\n" for key in after if key.sha256 not in known)


def _key(words: Sequence[str]) -> Key:
    if not 3 <= len(words) <= 4:
        raise ValueError(f"has {len(words)} words, not NAME SHA256 SCOPES [EXPIRY]")
    name, sha256, scopes = words[0], words[1], tuple(words[2].split(","))
    if not NAME.fullmatch(name):
        raise ValueError("its name must be 1 to 64 letters, digits, dots, dashes, underscores")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError("its second word must be a sha256: 64 digits and letters a to f")
    if not set(scopes) <= set(SCOPES):
        raise ValueError(f"its scopes must be of {', '.join(SCOPES)}, a comma between two")
    return Key(name, sha256, scopes, _expiry(words[3]) if len(words) == 4 else None)


def _expiry(word: str) -> float:
    try:
        return seconds(word)
    except (ValueError, OverflowError):
        raise ValueError("its expiry must be a time such as 2027-01-31T12:00:00Z") from None


def _is_empty(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _text(path: Path) -> str:
    try:
        return read_regular(path, limit=MAX_BYTES).decode("ascii")
    except OSError as error:
        raise KeysError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeysError(f"{path}: is not plain text: byte {error.start}") from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let those who edit wait for each other.

    On a file that only they can open: whoever could lock it would keep a key from being revoked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
