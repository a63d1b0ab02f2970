"""wrk, the load generator (Debian package wrk), and what it says. Start at `measure()`."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.process import Process

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Sample:
    """One stretch of load: requests per second, milliseconds, microseconds of processor time."""

    per_second: float
    p50: float
    p99: float
    cpu: float
    errors: int


def measure(process: Process, *, connections: int, seconds: int, port: int) -> Sample:
    """Keep `connections` to `port` busy for a while; `process` is the one that pays."""
    before = process.cpu_seconds()
    found = _wrk(port, connections, seconds)
    cpu = process.cpu_seconds() - before
    return Sample(
        per_second=found["requests"] / found["seconds"],
        p50=found["p50"],
        p99=found["p99"],
        cpu=1e6 * cpu / found["requests"],
        errors=int(found["errors"]),
    )


def _wrk(port: int, connections: int, seconds: int) -> dict[str, float]:
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    done = subprocess.run(
        [program, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=20s"]
        + ["-s", str(SCRIPT), f"http://127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    return json.loads(done.stderr.splitlines()[-1])
