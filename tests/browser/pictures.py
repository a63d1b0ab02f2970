"""Take the pictures of docs/page.md from the running system: `make pictures`.

Both versions of Iris answer 2,000 rows of the data, each of which gets its label; chromium then
looks at the page.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from conftest import CHROMIUM, FLAGS, ROOT, WIDE, website
from playwright.sync_api import Browser, expect, sync_playwright
from processes import Process, free_port, irisab, running, write_config
from test_page import ask, picture, settle
from traffic import wait_until

from irisab.lifecycle.dataset import load_iris

# Two thirds of these, scored by both, make it equivalent: the shadow of a busy machine skips some.
ROWS = 2000
PHONE = {"width": 390, "height": 844}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        take(browser, Path(folder), ROOT / "docs")
        browser.close()


def take(browser: Browser, work: Path, docs: Path) -> None:
    """Train, serve and predict in the folder `work`, and write the pictures into `docs`."""
    port = free_port()
    text = "[split]\nv1 = 50\nv2 = 50\n"
    config = write_config(work, work / "models", text, listen=f"127.0.0.1:{port}")
    subprocess.run(irisab(config, "train"), check=True)
    with running(config, port) as service, website(port, work) as base:
        predict(service)
        take_predict(browser, base, docs)
        take_test(browser, base, docs)


def predict(service: Process) -> None:
    """Ask for rows of Iris, tell what each was, and wait until the report knows all of it."""
    iris = load_iris()
    for number in np.random.default_rng(1).integers(len(iris.labels), size=ROWS):
        answer = service.post("/predict", {"features": iris.rows[number].tolist()}).json
        label = {"request_id": answer["request_id"], "label": int(iris.labels[number])}
        service.post("/feedback", label)
    wait_until(lambda: answered(service) == ROWS)


def answered(service: Process) -> int:
    versions = service.get("/report").json["versions"]
    return sum(each["requests"] for each in versions.values())


def take_predict(browser: Browser, base: str, docs: Path) -> None:
    page = browser.new_page(viewport=WIDE)
    page.goto(f"{base}/try")
    page.get_by_role("button", name="Versicolor").click()
    ask(page)
    expect(page.get_by_role("heading", name=re.compile(r"Versicolor, \d+%"))).to_be_visible()
    picture(page, "ui-try", folder=docs)
    page.close()


def take_test(browser: Browser, base: str, docs: Path) -> None:
    """As much of the A/B test as fits a phone's screen."""
    page = browser.new_page(viewport=PHONE)
    page.goto(f"{base}/ab-test")
    expect(page.get_by_role("heading", name="as good as each other")).to_be_visible()
    settle(page)
    page.screenshot(path=docs / "ui-phone.png")
    page.close()


if __name__ == "__main__":
    main()
