"""Files that are either there whole, or not at all. Start at `replace_durably`."""

from __future__ import annotations

import errno
import grp
import os
import stat
from contextlib import suppress
from io import BufferedReader
from pathlib import Path


def open_regular(path: Path) -> BufferedReader:
    """Open a file to be read; raises `OSError`.

    A pipe, which would be waited for, and a device, which may never end, are no files.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, *, limit: int | None = None) -> bytes:
    """Return the content of a file, of at most `limit` bytes if there is one; raises `OSError`."""
    with open_regular(path) as file:
        data = file.read(-1 if limit is None else limit + 1)
    if limit is not None and len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
    return data


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


# Errors of a disk, a quota or a process that has no room for what is written.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def leave_note(path: Path, *texts: str) -> None:
    """Replace a short-lived file in one step with a text for `read_note`; raises `OSError`.

    Where the disk is full, with a link that points nowhere but is the text, as a link takes no
    room; the further texts are shorter ones, of which a link can hold one of some fifty characters.
    """
    try:
        return replace_for_all(path, texts[0])
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        full = error
    new = path.with_name(f"{path.name}.{os.getpid()}")
    for text in texts:
        with suppress(OSError):
            new.symlink_to(text)
            new.replace(path)
            return None
    raise full


def read_note(path: Path) -> str:
    """Return what `leave_note` has left; raises `OSError`."""
    return str(path.readlink()) if path.is_symlink() else path.read_text()


def replace_for_group(path: Path, data: bytes, *, group: str) -> None:
    """Replace a file in one step, durably, that its owner may write and a group read (0640).

    Where root writes, and the group exists, it is the file's; else the writer's own. Raises
    `OSError`, and leaves the old file.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        if os.geteuid() == 0:
            os.fchown(descriptor, 0, _number(group))
        os.fchmod(descriptor, 0o640)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)


def _number(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return -1
