"""Measure; write bench/results.json, bench/RESULTS.md and the table of docs/performance.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import batch, compare, document, growth, scrapes, settings, stages
from bench.document import is_kept
from bench.servers import ROOT, Bench

RESULTS = ROOT / "bench/results.json"
HISTORY = "large.sqlite3"
LIBRARIES = ("irisab", "waitress", "numpy", "scikit-learn", "Flask", "fastapi", "uvicorn")


def main() -> None:
    """Run all of it, or with --quick a minute's worth that is printed and not kept."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute; writes nothing")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="irisab-bench-") as folder:
        found = measure_all(Bench(Path(folder)), quick=quick)
    if quick:
        print(document.results(found))
        return
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    document.write(found)
    print(document.results(found))
    missed = [words for words, *promise in document.promises(found) if not is_kept(*promise)]
    if missed:
        sys.exit(f"not kept: {'; '.join(missed)}")


def measure_all(bench: Bench, *, quick: bool) -> dict[str, Any]:
    """Return every figure."""
    started = time.time()
    rounds, seconds = (1, 1) if quick else (5, 2)
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    bench.train()
    found: dict[str, Any] = {"about": _about(), "rounds": rounds, "seconds": seconds}
    for name, step in (
        ("starts", lambda: compare.starts(bench, rounds=rounds)),
        ("compared", lambda: compare.run(bench, rounds=rounds, seconds=seconds)),
        ("stages", lambda: stages.live(bench, seconds=seconds + 2)),
        ("alone", lambda: stages.alone(bench)),
        ("batch", lambda: batch.run(bench, rounds=2 * rounds + 1)),
        ("forests", lambda: growth.forests(quick=quick)),
        ("histories", lambda: growth.histories(bench, HISTORY, sizes)),
        ("settings", lambda: settings.run(bench, rounds=rounds, seconds=seconds)),
        # A 99th percentile of a busy machine needs more of it.
        (
            "scrapes",
            lambda: scrapes.run(bench, HISTORY, rounds=2 * rounds + 1, seconds=seconds + 1),
        ),
    ):
        print(f"{time.time() - started:4.0f} s  {name}", file=sys.stderr)
        found[name] = step()
    found["took_seconds"] = round(time.time() - started)
    return found


def _about() -> dict[str, Any]:
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": model,
        "cpus": os.cpu_count(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "libraries": {name: version(name) for name in LIBRARIES},
    }


if __name__ == "__main__":
    main()
