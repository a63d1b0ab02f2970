"""Measure how soon a page is there: PYTHONPATH=tests .venv/bin/python tests/browser/opening.py

Real chromium, the real page and a real service with a million rows of history. It prints, for each
page, the median and the longest time in seconds from the address to all of it drawn, by a browser
that has never been there: alone, and while ten tabs are open.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from conftest import CHROMIUM, FLAGS, WIDE, website
from idle import PAGES, opened
from playwright.sync_api import Browser, sync_playwright
from processes import free_port, irisab, running, write_config
from test_much import MILLION, fill

TIMES = 7
TABS = tuple(PAGES[number % len(PAGES)] for number in range(10))
# Each part of a page sends its pulse last; the first is that of what is above all pages.
DRAWN = """
() => document.querySelectorAll("[class*=st-key-pulse]").length > 1
  && !document.querySelector("[data-testid=stSkeleton]")
  && [...document.querySelectorAll(".stVegaLiteChart")].every(each => each.querySelector("svg"))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder, port = Path(name), free_port()
        text = "[split]\nv1 = 50\nv2 = 50\n"
        config = write_config(folder, folder / "models", text, listen=f"127.0.0.1:{port}")
        subprocess.run(irisab(config, "train"), check=True)
        fill(config, MILLION)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with running(config, port), website(port, folder) as base:
            for tabs in ((), TABS):
                with opened(browser, base, tabs):
                    report(browser, base, f"{len(tabs):2} tabs open")
        browser.close()


def report(browser: Browser, base: str, what: str) -> None:
    for path in PAGES:
        took = [seconds(browser, f"{base}/{path}") for _ in range(TIMES)]
        print(f"{what}, {path:10} {statistics.median(took):6.2f} {max(took):6.2f}", flush=True)


def seconds(browser: Browser, address: str) -> float:
    context = browser.new_context(viewport=WIDE)
    page, began = context.new_page(), time.monotonic()
    page.goto(address)
    page.wait_for_function(DRAWN)
    took = time.monotonic() - began
    context.close()
    return took


if __name__ == "__main__":
    main()
