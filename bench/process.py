"""A program under measurement: start, first answer, processor time, memory. Linux only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

BODY = b'{"features":[5.1,3.5,1.4,0.2]}'
REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
START_SECONDS = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Process:
    """A server on a port of its own, and all processes it starts."""

    def __init__(
        self, command: Sequence[str], port: int, *, log: Path, environ: Mapping[str, str]
    ) -> None:
        self.port = port
        self._log = log
        self._started = time.perf_counter()
        with log.open("ab") as file:
            self._child = subprocess.Popen(
                command,
                stdout=file,
                stderr=file,
                env={**os.environ, **environ},
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def first_answer(self) -> float:
        """Wait for the answer to a prediction; return the seconds since the process started."""
        while True:
            with suppress(OSError):
                if self._asks():
                    return time.perf_counter() - self._started
            late = time.perf_counter() - self._started > START_SECONDS
            if late or self._child.poll() is not None:
                self.stop()
                raise RuntimeError(f"{self._child.args}: no answer\n{self._log.read_text()}")
            time.sleep(0.002)

    def _asks(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(REQUEST)
            return connection.recv(64).split()[1:2] == [b"200"]

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes, from the kernel's accounting."""
        return sum(_ticks(pid) for pid in _family(self.pid)) / TICKS

    def memory_mb(self) -> float:
        """Return the resident memory of all its processes, in MB of 1,000,000 bytes."""
        return sum(_resident(pid) for pid in _family(self.pid)) / 1e6

    def stop(self) -> None:
        """End the process and what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        try:
            self._child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()


def _family(pid: int) -> list[int]:
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(children).split():
            found += _family(int(child))
    return found


def _read(path: Path) -> str:
    """Return a file of /proc; nothing where its thread or process has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _ticks(pid: int) -> int:
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    # utime, stime, and those of children that have ended (proc(5), fields 14 to 17)
    return sum(map(int, fields[11:15]))


def _resident(pid: int) -> int:
    # Not status, in which a process that has ended has no memory instead of none.
    pages = _read(Path(f"/proc/{pid}/statm")).split()[1:2]
    return sum(map(int, pages)) * PAGE
