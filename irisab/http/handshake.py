"""How `irisab reload` asks the running service, and learns what came of it. See `Handshake`."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from irisab.errors import ConfigError, NotRunning, ReloadRefused
from irisab.files import leave_note, read_note

log = logging.getLogger(__name__)

RELOAD_SECONDS = 60.0
# A look at who runs takes no time; whoever holds the folder for longer asks, or hangs.
LOOK_SECONDS = 2.0
_DISK_FULL = "the disk is full, so that only the journal says why"


class Handshake:
    """How `irisab reload` asks the running service, and learns what came of it.

    In one folder: `irisab.pid`, locked as long as the service lives, so that a stale one is seen to
    be stale; `irisab.reload`, the id of the request; `irisab.outcome`, the answer with that id.
    A signal alone could not carry an answer back.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid = folder / "irisab.pid"
        self._request = folder / "irisab.reload"
        self._outcome = folder / "irisab.outcome"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be the service as long as the block lasts; raises `BlockingIOError` if one runs.

        Raises `ConfigError` where the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = self._open_pid()
        except OSError as error:
            raise ConfigError(f"{self._pid}: cannot be written: {error.strerror}") from error
        try:
            # `irisab reload` locks the pid file for a moment to see whether somebody holds it. At
            # that moment this lock would fail, as if another service ran; and the reader could see
            # a file that is emptied and not yet written. So the two take turns.
            with self._alone(LOOK_SECONDS):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._write_pid(file)
            yield
        finally:
            os.close(file)

    def _open_pid(self) -> int:
        try:
            return os.open(self._pid, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            # A disk that has turned read-only after an error still has the file to be locked.
            if error.errno != errno.EROFS:
                raise
            return os.open(self._pid, os.O_RDONLY)

    def _write_pid(self, file: int) -> None:
        # A full or read-only disk costs reloads, not predictions. Emptied first: where the new pid
        # cannot be written the old one, by now perhaps somebody else's, must not stay.
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            log.error("%s: cannot be written: %s; reload will not work", self._pid, error.strerror)

    def running_pid(self) -> int | None:
        """Return the pid of the service that holds this folder, as far as it is seen from here."""
        try:
            with self._alone(LOOK_SECONDS):
                return self._running_pid()
        except (NotRunning, OSError):
            return None

    def request_id(self) -> str | None:
        """Return the id that waits for an answer, in the service."""
        try:
            return read_note(self._request)
        except OSError:
            return None

    def answer(self, request_id: str | None, outcome: Mapping[str, Any]) -> None:
        """Leave the outcome of a reload, in the service."""
        if request_id is None:
            return
        # No reason to stop serving: who asked is told that nothing was answered.
        try:
            short = json.dumps({"id": request_id, "ok": outcome["ok"]})
            leave_note(self._outcome, json.dumps({"id": request_id, **outcome}), short)
        except OSError as error:
            log.error("the outcome of a reload cannot be written: %s", error)

    def reload(self, *, timeout: float = RELOAD_SECONDS) -> str:
        """Make the service reload and return its new revision.

        Raises `NotRunning` where no service runs, `ReloadRefused` with the reason otherwise.
        """
        try:
            with self._alone(timeout) as alone:
                if not alone:
                    raise ReloadRefused(_ANOTHER)
                outcome = self._ask(timeout)
        except PermissionError as error:
            raise ReloadRefused(f"{error}; only root and the service's user may ask it") from None
        except OSError as error:
            raise ReloadRefused(f"the service cannot be asked: {error}") from None
        if not outcome["ok"]:
            reason = outcome.get("error", _DISK_FULL)
            raise ReloadRefused(f"{reason} (the old configuration serves on)")
        return str(outcome.get("revision", "not known, as the disk is full"))

    def _ask(self, timeout: float) -> dict[str, Any]:
        pid = self._running_pid()
        request_id = uuid.uuid4().hex
        leave_note(self._request, request_id)
        try:
            os.kill(pid, signal.SIGHUP)
            return self._wait(request_id, timeout)
        except ProcessLookupError:
            raise NotRunning("the service stopped while it was asked to reload") from None
        finally:
            self._request.unlink(missing_ok=True)

    @contextmanager
    def _alone(self, patience: float) -> Iterator[bool]:
        """Let those who start, ask or look wait for each other; False after so many seconds.

        Who asks may be suspended meanwhile, and must not keep a service from starting.
        """
        try:
            folder = os.open(self._folder, os.O_RDONLY)
        except FileNotFoundError:
            raise NotRunning(f"no irisab service runs: there is no {self._folder}") from None
        # The folder itself is the lock: root and the service's user can both open it.
        try:
            yield _locked(folder, patience)
        finally:
            os.close(folder)

    def _running_pid(self) -> int:
        with suppress(FileNotFoundError), self._pid.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = file.read()
                if not pid:
                    raise NotRunning(
                        "the service could not write its pid when it started, so it cannot be "
                        "found; once the disk has room: systemctl restart irisab"
                    ) from None
                return int(pid)
        raise NotRunning(f"no irisab service runs: nobody holds {self._pid}")

    def _wait(self, request_id: str, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                outcome: dict[str, Any] = json.loads(read_note(self._outcome))
            except (OSError, ValueError):
                outcome = {}
            if outcome.get("id") == request_id:
                return outcome
            self._running_pid()
            time.sleep(0.02)
        raise ReloadRefused(f"the service did not answer within {timeout:g} seconds")


_ANOTHER = (
    "another irisab reload has been at it all the time; it may be suspended: see 'jobs', or "
    "'pgrep -af \"irisab.* reload\"'"
)


def _locked(file: int, patience: float) -> bool:
    """Tell whether a file could be locked within so many seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
