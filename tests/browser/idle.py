"""Measure what open tabs cost the host: PYTHONPATH=tests .venv/bin/python tests/browser/idle.py

Real chromium, the real page and a real service whose drift window is full. It prints, for each
number of features and each page, the processor time (user and system, from /proc, as a share of
one core) of the page's server and of the service: while nothing happens, and while somebody
else predicts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from conftest import CHROMIUM, FLAGS, WIDE, page_server, train_on_letters
from playwright.sync_api import Browser, sync_playwright
from processes import Process, free_port, running, write_config

PAGES = ("try", "ab-test", "drift", "over-time", "models", "learn")
TICKS = os.sysconf("SC_CLK_TCK")
# Until all of a page is drawn and nothing moves in it, seconds.
SETTLING = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, nargs="+", default=[4, 30, 120])
    parser.add_argument("--seconds", type=float, default=30, help="how long each is measured")
    options = parser.parse_args()
    print("percent of one core    page's server   service")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for features in options.features:
            with tempfile.TemporaryDirectory() as folder:
                measure(browser, Path(folder), features, options.seconds)
        browser.close()


def measure(browser: Browser, folder: Path, features: int, seconds: float) -> None:
    train_on_letters(folder / "models", "v1", trees=50, features=features)
    train_on_letters(folder / "models", "v2", trees=20, features=features)
    port = free_port()
    text = "[split]\nv1 = 50\nv2 = 50\n"
    config = write_config(folder, folder / "models", text, listen=f"127.0.0.1:{port}")
    with running(config, port) as service, page_server(port, folder) as (base, pid):
        fill_the_window(service, features)
        pids = (pid, service.pid)
        for tabs in [(), *((page,) for page in PAGES), ("drift",) * 3]:
            with opened(browser, base, tabs):
                report(f"{features:4}, idle, {named(tabs)}", pids, seconds)
        for tabs in [("try",), ("drift",), ("drift",) * 3]:
            with opened(browser, base, tabs), somebody_predicts(service, features):
                report(f"{features:4}, busy, {named(tabs)}", pids, seconds)


def named(tabs: tuple[str, ...]) -> str:
    return f"{len(tabs)} x {tabs[0]}" if tabs else "no tab"


def fill_the_window(service: Process, features: int) -> None:
    rows = np.random.default_rng(2).normal(4.5, 5, (100, features))
    for row in rows.tolist():
        service.post("/predict", {"features": row})


@contextmanager
def opened(browser: Browser, base: str, tabs: tuple[str, ...]) -> Iterator[None]:
    contexts = [browser.new_context(viewport=WIDE) for _ in tabs]
    for context, path in zip(contexts, tabs, strict=True):
        page = context.new_page()
        page.goto(f"{base}/{path}")
        page.get_by_role("heading", level=1).wait_for()
    time.sleep(SETTLING)
    yield
    for context in contexts:
        context.close()


@contextmanager
def somebody_predicts(service: Process, features: int) -> Iterator[None]:
    """Five predictions a second of ever new rows: every look finds another report."""
    done = threading.Event()
    rows = np.random.default_rng(3)

    def predict() -> None:
        while not done.wait(0.2):
            service.post("/predict", {"features": rows.normal(4.5, 5, features).tolist()})

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def report(what: str, pids: tuple[int, int], seconds: float) -> None:
    """Print the share of one core that each process took during `seconds`."""
    before, began = [cpu_seconds(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    shares = [100 * (cpu_seconds(pid) - was) / took for pid, was in zip(pids, before, strict=True)]
    print(f"{what:22} {shares[0]:8.2f} {shares[1]:15.2f}", flush=True)


def cpu_seconds(pid: int) -> float:
    """Give a process's user and system time (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICKS


if __name__ == "__main__":
    main()
