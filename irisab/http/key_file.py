"""The keys as a running service knows them: see `KeyFile`."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from irisab import keys
from irisab.errors import KeysError
from irisab.files import read_regular, replace_for_all
from irisab.keys import Key

log = logging.getLogger(__name__)

# A revoked key is dead within a second.
LOOK_SECONDS = 0.5
# A file that is younger may change again without a new stamp: the clock of files ticks slowly.
SETTLED_SECONDS = 2.0

# Device, inode, size, times of content and of inode: one of them moves with every edit.
_Stamp = tuple[int, ...]
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class KeyFile:
    """What the file says, at most `LOOK_SECONDS` old. Where it cannot be read there are no keys.

    Whoever asks looks, where the last look is too old: a thread that looks could end or hang, and a
    signal could be missed; then a revoked key would live on. It is never part of a snapshot, so no
    last good configuration brings a key back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0.0
        self._seen = _Seen()
        self._error: str | None = None

    def keys(self) -> Mapping[str, Key] | None:
        """Return the keys by fingerprint; None where the file cannot be read or understood."""
        return self._look() if time.monotonic() >= self._next else self._seen.keys

    def keys_with(self, fingerprint: str) -> Mapping[str, Key] | None:
        """Return what `keys()` does, and look first where that lacks one key and the file moved.

        So a key opens as soon as it is printed. Guesses cost a stat each: none of them moves the
        file. `fingerprint` is what `keys.fingerprint` gives.
        """
        known = self.keys()
        if (known is None or fingerprint not in known) and _stamp(self._path) != self._seen.stamp:
            return self._look()
        return known

    def _look(self) -> Mapping[str, Key] | None:
        """Return what this look has seen: one that was slower may put older keys in its place."""
        self._next = time.monotonic() + LOOK_SECONDS
        seen, stamp = self._seen, _stamp(self._path)
        if seen.settled and stamp == seen.stamp:
            return seen.keys
        # Before the file is read: an edit after it must move the stamp.
        settled = _has_settled(stamp)
        try:
            known = {key.sha256: key for key in keys.read(self._path)}
        except KeysError as error:
            # Not settled: what kept it from being read may leave no stamp when it goes.
            self._seen = seen = _Seen(stamp)
            self._tell(str(error))
        else:
            self._seen = seen = _Seen(stamp, settled, known)
            self._tell(None)
        return seen.keys

    def _tell(self, error: str | None) -> None:
        """Log once what is wrong, and once that it is mended."""
        before, self._error = self._error, error
        if error and error != before:
            log.error("%s; until it is mended, all that needs a key is refused", error)
        elif before and not error:
            log.info("%s: the keys can be read again", self._path)


class _Seen(NamedTuple):
    """The last look. In one value, so that threads see all of it together."""

    stamp: _Stamp | None = None
    settled: bool = False
    keys: Mapping[str, Key] | None = None


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when the file does; None where there is none to be seen."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _has_settled(stamp: _Stamp | None) -> bool:
    """Tell whether another edit would move the stamp."""
    return stamp is not None and abs(time.time() - stamp[-1] / 1e9) >= SETTLED_SECONDS


class LastUse:
    """The day on which each key was last used, in a file of the service's own, for `key list`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Days since 1970; of this process.
        self._noted: dict[str, int] = {}

    def note(self, name: str, now: float) -> None:
        """Remember the day; it is written once a day for each key."""
        if self._noted.get(name) == (today := int(now // 86_400)):
            return
        self._noted[name] = today
        days = {**last_use(self._path), name: time.strftime("%Y-%m-%d", time.gmtime(now))}
        try:
            replace_for_all(self._path, json.dumps(days))
        except OSError as error:
            log.warning("%s: cannot be written: %s", self._path, error.strerror)


def beside(history: Path) -> Path:
    """Return where the last use is kept."""
    return history.with_name("keys-used.json")


def last_use(path: Path) -> dict[str, str]:
    """Return the day by name; nothing where it is not known.

    Root reads here what the service's user writes: nothing but days is taken.
    """
    try:
        days = json.loads(read_regular(path, limit=keys.MAX_BYTES))
    except (OSError, ValueError):
        return {}
    if not isinstance(days, dict):
        return {}
    return {name: day for name, day in days.items() if _DAY.fullmatch(str(day))}
