"""sd_notify, the inherited socket, and the handshake behind `irisab reload`."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from irisab.errors import ConfigError, NotRunning, ReloadRefused
from irisab.files import read_note
from irisab.http import systemd
from irisab.http.handshake import Handshake


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_notify_sends_one_datagram(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state arrives at a socket of the file system or of the abstract namespace."""
    name = str(tmp_path / "notify") if kind == "path" else f"@irisab-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0") if kind == "abstract" else name)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        systemd.notify("READY=1")
        assert manager.recv(100) == b"READY=1"
        before = time.monotonic_ns() // 1000
        systemd.notify_reloading()
        first, second = manager.recv(100).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_notify_without_a_manager_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No NOTIFY_SOCKET, or one that nobody reads, is no error."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    systemd.notify("READY=1")


def test_the_watchdog_is_fed_while_all_loops_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever feeds it speaks for all: where one loop has ended or hangs nobody is told that the
    service lives; nor where systemd has not asked."""
    turning = {"control": True, "recorder": True}
    loops = [lambda: turning["control"], lambda: turning["recorder"]]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.Watchdog(loops).feed()
        monkeypatch.setenv("WATCHDOG_USEC", "2")
        watchdog = systemd.Watchdog(loops)
        for name in turning:
            turning[name] = False
            watchdog.feed()
            time.sleep(0.001)
            turning[name] = True
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        watchdog.feed()
        assert manager.recv(100) == b"WATCHDOG=1"
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        watchdog = systemd.Watchdog(loops)
        watchdog.feed()
        watchdog.feed()
        assert manager.recv(100) == b"WATCHDOG=1"
        with pytest.raises(BlockingIOError):  # once in half of what systemd waits
            manager.recv(100)


def test_no_socket_is_inherited_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables meant for another process are ignored, as sd_listen_fds(3) says."""
    monkeypatch.delenv("LISTEN_PID", raising=False)
    assert systemd.inherited_socket() is None
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert systemd.inherited_socket() is None


def test_several_sockets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one socket is expected; which of two to take would be a guess."""
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    with pytest.raises(ConfigError, match="must pass 1 socket, not 2"):
        systemd.inherited_socket()


# A service that answers each SIGHUP with the next outcome of its list.
SERVICE = """
import json, queue, signal, sys
from pathlib import Path
from irisab.http.handshake import Handshake
hups = queue.SimpleQueue()
signal.signal(signal.SIGHUP, lambda *_: hups.put(1))
handshake = Handshake(Path(sys.argv[1]))
with handshake.running():
    print("ready", flush=True)
    for outcome in json.loads(sys.argv[2]):
        hups.get()
        handshake.answer(handshake.request_id(), outcome)
    hups.get()
"""
GOOD = {"ok": True, "error": None, "revision": "abc"}
BAD = {"ok": False, "error": "v1 = 51: no", "revision": "abc"}


@contextmanager
def service(folder: Path, *outcomes: object) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(folder), json.dumps(outcomes)],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def test_reload_returns_what_the_service_answers(tmp_path: Path) -> None:
    """A success returns the revision, a refusal raises its reason, and both can follow."""
    with service(tmp_path, GOOD, BAD, GOOD):
        handshake = Handshake(tmp_path)
        assert handshake.reload() == "abc"
        with pytest.raises(ReloadRefused, match="v1 = 51: no .the old configuration serves on"):
            handshake.reload()
        assert handshake.reload() == "abc"
    assert not (tmp_path / "irisab.reload").exists()


def test_concurrent_reloads_wait_for_each_other(tmp_path: Path) -> None:
    """Two reloads at a time each get an answer of their own."""
    outcomes = [GOOD | {"revision": str(number)} for number in range(8)]
    with service(tmp_path, *outcomes), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Handshake(tmp_path).reload(), range(8)))
    assert sorted(found) == [str(number) for number in range(8)]


def test_nothing_runs(tmp_path: Path) -> None:
    """No folder, no pid file, or a pid file of a dead service: not running."""
    with pytest.raises(NotRunning):
        Handshake(tmp_path / "none").reload()
    with pytest.raises(NotRunning):
        Handshake(tmp_path).reload()
    with service(tmp_path) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert (tmp_path / "irisab.pid").read_text() == f"{child.pid}\n"
    with pytest.raises(NotRunning):
        Handshake(tmp_path).reload()


def test_a_service_that_dies_is_noticed(tmp_path: Path) -> None:
    """A service that is killed while it reloads does not keep `irisab reload` waiting."""
    with service(tmp_path) as child:
        threading.Timer(0.3, child.kill).start()
        started = time.monotonic()
        with pytest.raises((NotRunning, ReloadRefused)):
            Handshake(tmp_path).reload(timeout=20)
        assert time.monotonic() - started < 10


def test_a_service_that_hangs_is_given_up(tmp_path: Path) -> None:
    """Without an answer in time the reload fails, and says after how long."""
    with service(tmp_path) as child:
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(ReloadRefused, match="did not answer within 0.2 seconds"):
            Handshake(tmp_path).reload(timeout=0.2)


def test_one_service_at_a_time(tmp_path: Path) -> None:
    """A second service in the same folder is refused while the first one lives."""
    with (
        service(tmp_path),
        pytest.raises(BlockingIOError),
        Handshake(tmp_path).running(),
    ):
        pass


def test_a_look_at_the_lock_is_waited_for(tmp_path: Path) -> None:
    """`irisab reload` looking who runs does not keep a service from starting, and never sees half
    a pid."""
    handshake = Handshake(tmp_path)
    (tmp_path / "irisab.pid").write_text("stale")

    def look() -> None:
        with handshake._alone(10), (tmp_path / "irisab.pid").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            looking.set()
            time.sleep(0.2)
            looked.set()

    looking, looked = threading.Event(), threading.Event()
    reload = threading.Thread(target=look)
    reload.start()
    looking.wait()
    with handshake.running():
        assert looked.is_set()
        assert (tmp_path / "irisab.pid").read_text() == f"{os.getpid()}\n"


# Asks, and is suspended while it waits for the answer.
SUSPENDED = """
import os, signal, sys
from pathlib import Path
from irisab.http.handshake import Handshake
handshake = Handshake(Path(sys.argv[1]))
with handshake._alone(10):
    print("asking", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_a_suspended_reload_keeps_no_service_from_starting(tmp_path: Path) -> None:
    """It has been asked from a terminal, and somebody pressed Ctrl-Z; others are told so."""
    with subprocess.Popen(
        [sys.executable, "-c", SUSPENDED, tmp_path], stdout=subprocess.PIPE, process_group=0
    ) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == b"asking\n"
            with Handshake(tmp_path).running():
                assert Handshake(tmp_path).running_pid() == os.getpid()
                with pytest.raises(ReloadRefused, match="another irisab reload has been at it"):
                    Handshake(tmp_path).reload(timeout=0.1)
        finally:
            child.kill()


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    """A service that cannot keep its pid file does not start, and says which."""
    (tmp_path / "file").write_text("")
    handshake = Handshake(tmp_path / "file" / "state")
    with (
        pytest.raises(ConfigError, match="state/irisab.pid: cannot be written: Not a directory"),
        handshake.running(),
    ):
        pass


def test_an_outcome_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk does not end the service: here a folder is where the file should be."""
    (tmp_path / "irisab.outcome").mkdir()
    Handshake(tmp_path).answer("an-id", GOOD)
    assert "the outcome of a reload cannot be written" in caplog.text
    Handshake(tmp_path).answer(None, GOOD)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("room", [0, 60])
def test_a_full_disk_refuses_no_reload(room: int, tmp_path: Path) -> None:
    """The answer takes no room on the disk, so it comes; only its reason may not fit."""
    outcome = tmp_path / "irisab.outcome"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        for said in GOOD, BAD, BAD | {"error": "x" * 5000}:
            Handshake(tmp_path).answer("an-id", said)
            found = json.loads(read_note(outcome))
            assert found in ({"id": "an-id", **said}, {"id": "an-id", "ok": said["ok"]})
            assert outcome.is_symlink() == (len(json.dumps({"id": "an-id", **said})) > room)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found == {"id": "an-id", "ok": False}
    Handshake(tmp_path).answer("an-id", GOOD)
    assert not outcome.is_symlink()


# Import first: another user may not be allowed to read the package.
NOBODY = """
import os, sys
from pathlib import Path
from irisab.errors import ReloadRefused
from irisab.http.handshake import Handshake
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Handshake(Path(sys.argv[1])).reload()
except ReloadRefused as error:
    sys.exit(f"refused: {error}")
"""


def test_who_may_not_reload_is_told(tmp_path: Path) -> None:
    """Another user gets a sentence and no traceback."""
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, folder], capture_output=True, text=True, check=False
    )
    folder.chmod(0o700)
    assert done.stderr.startswith("refused: [Errno 13] Permission denied: ")
    assert done.stderr.endswith("; only root and the service's user may ask it\n")


def test_what_root_asks_the_service_can_read(tmp_path: Path) -> None:
    """However strict the umask of the shell is that `irisab reload` runs in."""
    before = os.umask(0o077)
    try:
        Handshake(tmp_path).answer("an-id", GOOD)
    finally:
        os.umask(before)
    assert (tmp_path / "irisab.outcome").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(("said", "limit"), [("1073741824", 1 << 30), ("infinity", None)])
def test_the_limit_of_a_unit_is_what_systemd_has_read(
    said: str, limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for, because drop-ins count; without systemd, or a limit, there is none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert systemd.memory_limit("irisab.service") is None
    asked = '"$*" = "show --property=MemoryMax --value irisab.service"'
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\n[ {asked} ] && echo {said}\n")
    (tmp_path / "systemctl").chmod(0o755)
    assert systemd.memory_limit("irisab.service") == limit
