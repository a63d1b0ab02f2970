"""A program under measurement: start, first answer, processor time, memory. Linux only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
START_SECONDS = 60
FLOWER = '{"features":[5.1,3.5,1.4,0.2]}'


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Process:
    """A server on a port of its own, with what it starts; all end with the block."""

    def __init__(
        self, command: Sequence[str], port: int, *, home: Path, environ: Mapping[str, str]
    ) -> None:
        self.port, self.home = port, home
        self._started = time.perf_counter()
        with (home / "log").open("ab") as log:
            self._child = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **environ}, process_group=0
            )
        self.pid = self._child.pid

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        try:
            self._child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()

    def first_answer(self, body: str = FLOWER) -> float:
        """Wait for the answer to a prediction; return the seconds since the process started."""
        while not self._answers(body):
            late = time.perf_counter() - self._started > START_SECONDS
            if late or self._child.poll() is not None:
                raise RuntimeError(f"{self._child.args}: {(self.home / 'log').read_text()}")
            time.sleep(0.002)
        return time.perf_counter() - self._started

    def _answers(self, body: str) -> bool:
        headers = {"Content-Type": "application/json"}
        with (
            suppress(OSError, HTTPException),
            closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection,
        ):
            connection.request("POST", "/predict", body, headers)
            return connection.getresponse().status == 200
        return False

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes, from the kernel's accounting."""
        # utime, stime, and those of children that have ended (proc(5), fields 14 to 17)
        return sum(sum(map(int, each[11:15])) for each in self._stats()) / TICKS

    def memory_mb(self) -> float:
        """Return the resident memory of all its processes, in MB of 1,000,000 bytes."""
        return sum(int(each[21]) for each in self._stats()) * PAGE / 1e6

    def _stats(self) -> Iterator[list[str]]:
        """Yield /proc/PID/stat, from its third field on, of each process of the group."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.pid:
                    yield fields
