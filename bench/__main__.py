"""Measure, write bench/RESULTS.md, and fill in the page's table."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench import compare, document, growth, kinds, stages
from bench.compare import Row
from bench.servers import Bench

LIBRARIES = ("irisab", "waitress", "numpy", "scikit-learn", "Flask", "fastapi", "uvicorn")


def main() -> None:
    """Run all of it, or with --quick a minute's worth that is printed and not kept."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute; writes nothing")
    quick = parser.parse_args().quick
    about = _about()
    with tempfile.TemporaryDirectory(prefix="irisab-bench-") as folder:
        tables = measure_all(Bench(Path(folder)), quick=quick)
    print(document.results(about, tables))
    if quick:
        return
    document.write(about, tables)
    missed = [row for row in document.promises(tables) if row["kept"] == document.MISSED]
    if missed:
        sys.exit(f"not kept:\n{document.markdown(missed)}")


def measure_all(bench: Bench, *, quick: bool) -> dict[str, list[Row]]:
    """Return every table."""
    started = time.time()
    rounds, seconds = (1, 1) if quick else (5, 2)
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    tables: dict[str, list[Row]] = {}
    for step in (
        lambda: compare.run(bench, rounds=rounds, seconds=seconds),
        lambda: kinds.run(bench, rounds=rounds, seconds=seconds),
        lambda: stages.live(bench, seconds=seconds + 2),
        lambda: stages.alone(bench),
        lambda: growth.batches(bench, rounds=2 * rounds + 1),
        lambda: growth.forests(quick=quick),
        lambda: growth.users(
            bench, number=1_000 if quick else 100_000, rounds=rounds, seconds=seconds + 2
        ),
        lambda: growth.edited(bench, number=1_000 if quick else 200_000),
        # A 99th percentile of a busy machine needs more of it.
        lambda: growth.histories(bench, sizes, rounds=2 * rounds + 1, seconds=seconds + 1),
    ):
        tables |= step()
        print(f"{time.time() - started:4.0f} s  {list(tables)[-1]}", file=sys.stderr)
    return tables


def _about() -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = cpuinfo.partition("model name")[2].partition("\n")[0].lstrip("\t: ")
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{datetime.now(UTC).date()}, {os.cpu_count()} CPUs ({model}), "
        f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f} before the start. {libraries}.\n\n"
        "Everybody in turn, round after round, each started anew with the environment of irisab's "
        "unit; wrk on the same machine. Median (lowest to highest). Absolute figures belong to "
        "this machine and its other work; ratios travel better."
    )


if __name__ == "__main__":
    main()
