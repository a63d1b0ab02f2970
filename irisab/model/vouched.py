"""Whose word it takes for a pickle to be opened. Start at `Vouchers`.

A pickle is a program. Whoever may write where models are could have one run by whoever opens it,
with manifest and hashes that fit. So the manifest itself must be somebody's word: it is of root,
or of whoever opens it, or root has written its hash into a list. The word of the account that
serves does not count: it writes models by itself, and so would who has got into it.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from irisab.errors import BundleError, Unvouched
from irisab.files import open_regular, read_regular, replace_for_group

SERVICE = "irisab"
LIST = Path("/etc/irisab/vouched")
_HEAD = "# Which pickled models may be opened: irisab vouch. VERSION, SHA256 of its manifest\n"


class Origin(NamedTuple):
    """Where a manifest comes from: its hash, and the owner and mode of its file."""

    sha256: str
    file: os.stat_result


@dataclass(frozen=True, slots=True)
class Vouchers:
    """Root, the account that is `own`, and what one of them has written into the list.

    `own` is a number, None where the word of who opens the pickle does not count.
    """

    own: int | None
    list: Path = LIST

    def refuse_unvouched(self, origin: Origin, folder: Path, version: str) -> None:
        """Raise `Unvouched` where nobody vouches for a manifest."""
        if self._is_theirs(origin.file) or origin.sha256 in self._listed():
            return
        what = f"{folder}: is kept as a pickle, which is a program that runs when it is opened"
        if self.own is not None:
            raise Unvouched(
                f"{what}, and belongs to somebody else: if you know who made it, "
                f"sudo chown -R {self.own} {folder}"
            )
        raise Unvouched(
            f"{what}, and root has not vouched for it: if you know who made it, "
            f"'irisab vouch {version} {folder.name}'"
        )

    def _is_theirs(self, file: os.stat_result) -> bool:
        """Tell whether a file is ours, or root's and nobody else can write into it."""
        by_others = file.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return file.st_uid == self.own or (file.st_uid == 0 and not by_others)

    def _listed(self) -> set[str]:
        with suppress(OSError), open_regular(self.list) as file:
            if self._is_theirs(os.fstat(file.fileno())):
                text = file.read().decode(errors="replace")
                return {line.split()[-1] for line in _lines(text)}
        return set()


def here() -> Vouchers:
    """Return whose word counts in this process."""
    own = os.geteuid()
    try:
        serves = _name(own) == SERVICE
    except KeyError:  # a number without a name, as in containers
        serves = False
    return Vouchers(None if serves else own)


# Once: pwd asks for memory without holding the interpreter's lock, and Python before 3.13.2 dies of
# it where another thread, which writes a bundle, just ends tracing memory (python/cpython#128679).
@cache
def _name(user: int) -> str:
    return pwd.getpwuid(user).pw_name


def add(path: Path, manifests: Iterable[tuple[str, str]]) -> None:
    """Write (version, sha256 of the manifest) into the list at `path`; raises `BundleError`."""
    if not path.parent.exists():
        raise BundleError(
            f"{path.parent}: is not there, as it is on a host: elsewhere a model of one's own is "
            "opened without a word"
        )
    try:
        text = read_regular(path).decode() if path.exists() else _HEAD
        known = {line.split()[-1] for line in _lines(text)}
        new = [f"{name}  {sha256}\n" for name, sha256 in manifests if sha256 not in known]
        replace_for_group(path, "".join([text, *new]).encode(), group=SERVICE)
    except OSError as error:
        root = "; it is root's: use sudo" if isinstance(error, PermissionError) else ""
        raise BundleError(f"{path}: cannot be written: {error.strerror}{root}") from error


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
