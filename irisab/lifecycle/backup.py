"""All that cannot be made again, in one file: history, models, settings. Start at `backup()`.

The archive is an ordinary .tar.gz:

    irisab.ini           the settings
    history.sqlite3      a consistent copy, made while the service writes (sqlite3_backup)
    models/              every bundle, and which is current
    SHA256SUMS           as sha256sum(1) checks it; the last member, so a cut archive has none
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from irisab import config
from irisab.errors import DataError
from irisab.model import bundle
from irisab.model.bundle import CURRENT
from irisab.model.publish import FOLDER_NAME

INI, HISTORY, MODELS, SUMS = "irisab.ini", "history.sqlite3", "models", "SHA256SUMS"
# A version, its bundle, and a file in it.
MEMBER = re.compile(rf"{MODELS}/[A-Za-z0-9][\w.-]*/{FOLDER_NAME}/[\w.-]+")
LINK = re.compile(rf"{MODELS}/[A-Za-z0-9][\w.-]*/{CURRENT}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came back. `aside` is where that lies which was there before, `ini` the settings of
    the backup where others are in force."""

    models: int
    rows: int
    aside: tuple[Path, ...]
    ini: Path | None


def backup(settings: config.Config, target: Path) -> tuple[int, int]:
    """Write the archive, whole or not at all; return how many bundles and rows it has.

    Raises `DataError` where the file is there already, or cannot be written.
    """
    if target.exists():
        raise DataError(f"{target}: is there already; name another file")
    try:
        with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".irisab-") as folder:
            return _write(settings, target, Path(folder))
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"{target}: the backup cannot be written: {error}") from error


def _write(settings: config.Config, target: Path, folder: Path) -> tuple[int, int]:
    history, archive, sums = folder / HISTORY, folder / "archive", []
    rows = _copy_history(settings.data.history, history)
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        sums.append(_add_text(tar, INI, settings.text))
        if history.exists():
            sums.append(_add_file(tar, HISTORY, history))
        members = list(_bundle_files(settings.data.models))
        sums += [_add_file(tar, name, path) for name, path in members if not path.is_symlink()]
        for name, path in members:
            if path.is_symlink():
                tar.add(path, name)
        _add_text(tar, SUMS, "".join(sums))
    with archive.open("rb") as file:
        os.fsync(file.fileno())
    os.link(archive, target)  # fails where somebody has taken the name meanwhile
    return len(
        {PurePosixPath(name).parent for name, path in members if not path.is_symlink()}
    ), rows


def _copy_history(source: Path, target: Path) -> int:
    if not source.exists():
        return 0
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True, timeout=10)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)
        (rows,) = copy.execute("SELECT count(*) FROM predictions").fetchone()
    return int(rows)


def _bundle_files(models: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name, path) of every file of every bundle, and of the links that say which serves."""
    for each in bundle.entries(models):
        name = f"{MODELS}/{each.parent.name}/{each.name}"
        if each.name == CURRENT and each.is_symlink():
            yield name, each
        elif re.fullmatch(FOLDER_NAME, each.name):
            for path in sorted(each.iterdir()):
                yield f"{name}/{path.name}", path


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> str:
    data = text.encode()
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), int(time.time()), 0o600
    tar.addfile(member, io.BytesIO(data))
    return f"{hashlib.sha256(data).hexdigest()}  {name}\n"


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> str:
    tar.add(path, name, recursive=False)
    with path.open("rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n"


def restore(archive: Path, settings: config.Config, ini: Path) -> Restored:
    """Bring back what a backup holds. What is there now is put aside, never deleted.

    No service may run meanwhile. Raises `DataError` where the archive is not a whole backup;
    nothing is changed then.
    """
    data = settings.data
    try:
        data.history.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data.history.parent, prefix=".restore-") as folder:
            unpacked = Path(folder)
            _unpack(archive, unpacked)
            return _put_in_place(unpacked, settings, ini)
    except (OSError, EOFError, tarfile.TarError, sqlite3.Error) as error:
        raise DataError(f"{archive}: cannot be restored: {error}") from error


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack into an empty folder; whatever is not part of a backup is refused."""
    sums = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            path = folder / member.name
            if member.issym() and LINK.fullmatch(member.name):
                if not re.fullmatch(FOLDER_NAME, member.linkname):
                    raise DataError(f"{archive}: {member.name} leads to {member.linkname}")
                path.symlink_to(member.linkname)
            elif member.isreg() and (
                member.name in (INI, HISTORY, SUMS) or MEMBER.fullmatch(member.name)
            ):
                sums[member.name] = _extract(tar, member, path)
            else:
                raise DataError(f"{archive}: {member.name!r} is not part of a backup")
    _check(archive, folder, sums)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None  # it is a regular file
    with source, path.open("xb") as file:
        shutil.copyfileobj(source, file)
        os.fsync(file.fileno())
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(archive: Path, folder: Path, sums: dict[str, str]) -> None:
    if SUMS not in sums:
        raise DataError(f"{archive}: is not a whole backup: it has no {SUMS}")
    del sums[SUMS]
    lines = (line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines())
    written = {name: digest for digest, name in lines}
    for name in sorted(written.keys() | sums.keys()):
        if written.get(name) != sums.get(name):
            raise DataError(f"{archive}: is damaged: {name} is not as it was written")
    if HISTORY in sums:
        with closing(sqlite3.connect(folder / HISTORY)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check").fetchone()
        if answer != "ok":
            raise DataError(f"{archive}: its history is damaged: {answer}")


def _put_in_place(unpacked: Path, settings: config.Config, ini: Path) -> Restored:
    stamp = time.strftime("before-%Y%m%dT%H%M%S")
    history, models = settings.data.history, settings.data.models
    rows = _count_rows(unpacked / HISTORY)
    folders = (each.parent for each in (unpacked / MODELS).glob("*/*/manifest.json"))
    bundles = sum(not each.is_symlink() for each in folders)
    aside = []
    if (unpacked / HISTORY).exists():
        aside += _replace_history(unpacked / HISTORY, history, stamp)
    if (unpacked / MODELS).exists():
        aside += _replace_models(unpacked / MODELS, models, stamp)
    text = (unpacked / INI).read_text()
    other = None
    if text != settings.text:
        other = history.with_name(f"{INI}.restored")
        other.write_text(text)
    return Restored(models=bundles, rows=rows, aside=tuple(aside), ini=other)


def _count_rows(history: Path) -> int:
    if not history.exists():
        return 0
    with closing(sqlite3.connect(history)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM predictions").fetchone()
    return int(rows)


def _replace_history(new: Path, place: Path, stamp: str) -> list[Path]:
    """Put a history in place in one step; return where that lies now which was there."""
    aside = []
    if place.exists():
        # Its write-ahead log must not be taken for that of the new file.
        with suppress(sqlite3.Error), closing(sqlite3.connect(place)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                place.with_name(place.name + suffix).rename(f"{place}.{stamp}{suffix}")
        aside = [place.with_name(f"{place.name}.{stamp}")]
        os.link(place, aside[0])
    new.replace(place)
    return aside


def _replace_models(new: Path, place: Path, stamp: str) -> list[Path]:
    aside = []
    if place.exists():
        aside = [place.with_name(f"{place.name}.{stamp}")]
        place.rename(aside[0])
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(new, place)
    return aside
