"""A real service, the real page and a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright
from processes import Process, free_port, irisab, running, write_config

from irisab import config
from irisab.lifecycle import training
from irisab.lifecycle.dataset import Dataset

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 800}

# Streamlit's first page on a machine that does other things, too.
expect.set_options(timeout=30_000)


class Tab:
    """A browser tab that remembers whatever went wrong in it."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.faults: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("requestfailed", self._failed)
        page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the tab has gone to another page
            self.faults.append(f"{request.failure}: {request.url}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.faults.append(f"asked elsewhere: {request.url}")

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.base}/{path}")
        return self.page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def website(service_port: int, folder: Path) -> Iterator[str]:
    """Start the page for a service and give its address."""
    with page_server(service_port, folder) as (base, _):
        yield base


@contextmanager
def page_server(service_port: int, folder: Path) -> Iterator[tuple[str, int]]:
    """Start the page for a service, as the host does but on a free port: its address and pid."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "ui" / "app.py")]
    environment = os.environ | {"IRISAB_API": f"http://127.0.0.1:{service_port}"}
    with (folder / "page.log").open("wb") as log:
        child = subprocess.Popen(
            [*command, f"--server.port={port}"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}", child.pid
    finally:
        child.terminate()
        # Streamlit waits for whoever is still connected, on a busy machine longer than we do.
        with suppress(subprocess.TimeoutExpired):
            child.wait(10)
        child.kill()
        child.wait()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 90  # seconds; with all processors busy 30 were too few
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, iris_models: Path) -> Iterator[Process]:
    """The Iris service, v1 and v2 at 50 % each."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    text = "[split]\nv1 = 50\nv2 = 50\n"
    with running(write_config(folder, iris_models, text, listen=f"127.0.0.1:{port}"), port) as each:
        yield each


@pytest.fixture(scope="session")
def site(served: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with website(served.port, tmp_path_factory.mktemp("site")) as base:
        yield base


@pytest.fixture
def new_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Open tabs; none of them may have seen an error, or asked another host, by the end."""
    tabs: list[Tab] = []

    def open_one(base: str, *, dark: bool = False, size: dict[str, int] = WIDE) -> Tab:
        scheme = "dark" if dark else "light"
        page = browser.new_context(viewport=size, color_scheme=scheme).new_page()
        tabs.append(Tab(page, base))
        return tabs[-1]

    yield open_one
    for tab in tabs:
        tab.page.context.close()
        assert tab.faults == []


@pytest.fixture
def tab(new_tab: Callable[..., Tab], site: str) -> Tab:
    return new_tab(site)


@pytest.fixture(scope="session")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page whose service was trained on other data than Iris."""
    folder, port = tmp_path_factory.mktemp("penguins"), free_port()
    text = "[split]\ngentle = 100\n[model.gentle]\nn_estimators = 20\n"
    path = write_config(folder, folder / "models", text, listen=f"127.0.0.1:{port}")
    data = files("palmerpenguins") / "data" / "penguins.csv"
    train = irisab(path, "train", "--data", str(data), "--target", "species")
    subprocess.run(train, check=True)
    with running(path, port) as each, website(each.port, folder) as base:
        yield base


def train_on_letters(models: Path, version: str, *, trees: int, features: int = 30) -> None:
    """Write the bundle of a forest that has seen many features, odd ones among them."""
    noise, labels = np.random.default_rng(1), np.arange(300) % 10
    rows = noise.normal(labels[:, None], 4, (300, features))
    rows[:, 0] *= 1e13
    rows[:, 1] = 7.5
    dataset = Dataset(
        name="letters",
        rows=rows,
        labels=labels,
        features=tuple((f"stroke_{number}", None) for number in range(features)),
        class_names=tuple(f"{letter}_h" for letter in "ABCDEFGHIJ"),
        class_numbers=tuple(range(10)),
    )
    forest = training.forest(config.ModelOptions(n_estimators=trees))
    training.fit(models, version, dataset, estimator=forest)


@pytest.fixture(scope="session")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page for thirty features, ten classes and three versions."""
    folder, port = tmp_path_factory.mktemp("letters"), free_port()
    for version, trees in {"v1": 50, "v2": 20, "v3": 5}.items():
        train_on_letters(folder / "models", version, trees=trees)
    text = "[split]\nv1 = 60\nv2 = 20\nv3 = 20\n"
    path = write_config(folder, folder / "models", text, listen=f"127.0.0.1:{port}")
    with running(path, port) as each, website(each.port, folder) as base:
        yield base
