"""What grows: a history of a million rows, ten open tabs, a hundred and twenty features."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Tab, train_on_letters, website
from playwright.sync_api import expect
from processes import Process, free_port, running, write_config
from test_page import HEADINGS, ask, ready, settle
from traffic import prediction

from irisab.serving import snapshot
from irisab.store.writer import Writer

MILLION = 1_000_000
BATCH, AT_ONCE = 1000, 20
MONTH = 30 * 86_400  # seconds


def fill(config: Path, rows: int) -> None:
    """Write a month of batches as the service does; in one row of ten the versions disagree."""
    served = snapshot.build(config)
    writer, now = Writer(served.config.data.history), time.time()
    writer.write([served.describe()], keep_rows=rows)
    votes = [{"v1": 0, "v2": int(row % 10 == 0)} for row in range(BATCH)]
    batches = [
        prediction(
            votes,
            version=f"v{number % 2 + 1}",
            rows=[[5.1, 3.5, 1.4, 0.2]] * BATCH,
            revision=served.revision_id,
            user_id=f"user-{number}",
            at=now - MONTH * (1 - number * BATCH / rows),
        )
        for number in range(rows // BATCH)
    ]
    for begin in range(0, len(batches), AT_ONCE):
        writer.write(batches[begin : begin + AT_ONCE], keep_rows=rows)
    writer.close()


@pytest.fixture(scope="module")
def million(
    tmp_path_factory: pytest.TempPathFactory, iris_models: Path
) -> Iterator[tuple[Process, str]]:
    """A service with a month behind it, of a million rows, and its page."""
    folder, port = tmp_path_factory.mktemp("million"), free_port()
    text = "[split]\nv1 = 50\nv2 = 50\n"
    config = write_config(folder, iris_models, text, listen=f"127.0.0.1:{port}")
    fill(config, MILLION)
    with running(config, port) as service, website(port, folder) as base:
        yield service, base


@pytest.mark.parametrize("path", HEADINGS)
def test_a_million_rows(
    new_tab: Callable[..., Tab], million: tuple[Process, str], path: str
) -> None:
    """Every page shows them, and no more slowly than somebody waits for."""
    page = new_tab(million[1]).open(path)
    ready(page, HEADINGS[path])
    shown = {
        "try": page.get_by_text("Counted since"),
        "ab-test": page.get_by_role("row", name="Requests").get_by_text("500"),
        "drift": page.get_by_role("heading", name="The input"),
        "over-time": page.get_by_text("A point for each quarter of an hour"),
        "models": page.get_by_role("heading", name="What happened"),
        "learn": page.get_by_text("answered 500"),
    }
    if path in shown:
        expect(shown[path].first).to_be_visible()
    if path == "over-time":
        page.get_by_text("Month", exact=True).click()
        expect(page.get_by_text("A point for each day")).to_be_visible()
    expect(page.get_by_text("can't be shown")).to_have_count(0)


def test_ten_tabs(new_tab: Callable[..., Tab], site: str) -> None:
    """While ten tabs are open, another is opened, asked and answered."""
    paths = [*HEADINGS, *HEADINGS][:10]
    for path in paths:
        ready(new_tab(site).open(path), HEADINGS[path])
    page = new_tab(site).open("try")
    page.get_by_role("button", name="Setosa").click()
    ask(page)
    expect(page.get_by_role("heading", name="Setosa, ")).to_be_visible()
    page.get_by_role("link", name="Drift").click()
    ready(page, HEADINGS["drift"])


def test_a_hundred_and_twenty_features(
    new_tab: Callable[..., Tab], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each has an input and a picture, drifted or not; the numbers of all come when unfolded."""
    folder, port, features = tmp_path_factory.mktemp("wide"), free_port(), 120
    for version in ("v1", "v2"):
        train_on_letters(folder / "models", version, trees=20, features=features)
    text = "[split]\nv1 = 50\nv2 = 50\n[drift]\nwindow = 10\n"
    config = write_config(folder, folder / "models", text, listen=f"127.0.0.1:{port}")
    with running(config, port) as service, website(port, folder) as base:
        tab = new_tab(base)
        page = tab.open("try")
        expect(page.get_by_role("slider")).to_have_count(features)
        ask(page)
        expect(page.get_by_text("Was this right?")).to_be_visible()
        for number in range(10):
            service.post("/predict", {"features": [float(number)] * features})
        page = tab.open("drift")
        expect(page.get_by_text("The input no longer looks like")).to_be_visible()
        expect(page.locator(".stVegaLiteChart[aria-label]")).to_have_count(features + 2)
        settle(page)
        page.get_by_text("In numbers: now and in training").click()
        expect(page.get_by_role("rowheader", name="Stroke 119: ")).to_have_count(10)
        for path, heading in HEADINGS.items():
            ready(tab.open(path), heading)
            settle(page)
            assert page.get_by_test_id("stMain").evaluate("each => each.scrollWidth") <= 1280
        page.close()
