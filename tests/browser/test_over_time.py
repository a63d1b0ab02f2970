"""Over time: a day that has been, on both ends of screen and light, and what is drawn anew."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import PHONE, WIDE, Tab, website
from playwright.sync_api import Page, expect
from processes import Process, free_port, running, write_config
from test_page import CONTRAST, picture, ready, rested
from traffic import prediction

from irisab.serving import snapshot
from irisab.store.events import EventLog
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.store.timeline import Drift
from irisab.store.writer import Failure

CHARTS = (
    *("Requests of each version", "Share of the requests", "Accuracy of v1", "Accuracy of v2"),
    *("Half answered within, in milliseconds", "95% answered within, in milliseconds"),
    *("Requests that each version failed to answer", "Drift of each feature"),
)


def live_a_day(config: Path) -> None:
    """Write what a service would have written in the last day: v2 got worse at noon."""
    served, draw = snapshot.build(config), random.Random(5)
    path, now = served.config.data.history, time.time()
    recorder, history = Recorder(path, keep_rows=10_000), History(path)
    recorder.announce(served.describe())
    asked = []
    for quarter in range(95):
        at = now - 900 * (95 - quarter)
        for _ in range(0 if 30 < quarter < 36 else draw.randrange(4, 12)):
            version = draw.choice(["v1", "v2"])
            item = prediction(
                version=version,
                revision=served.revision_id,
                rows=[[5.1, 3.5, 1.4, 0.2]],
                at=at,
            )._replace(latency=draw.lognormvariate(-9 if version == "v1" else -8.5, 0.4))
            recorder.record(item)
            good = 0.95 if version == "v1" or quarter < 48 else 0.6
            asked.append((item.request_id, 0 if draw.random() < good else 1))
        if quarter % 17 == 5:
            recorder.fail(Failure(served.revision_id, "v2", at, ["v1"]))
        moved = 0.1 if quarter < 60 else 0.6
        names = served.reference.names
        scores = {name: moved * (1 - 0.2 * number) for number, name in enumerate(names)}
        recorder.drift(Drift(at, moved, scores))
    recorder.flush()
    for request_id, label in asked[::2]:
        history.label(request_id, [label])
    events = EventLog(path)
    for kind, text, hours in (
        ("rollout", "v2 is being rolled out: step 2 of 4", 13),
        ("drift", "WARNING: score 0.60, above its limit", 8),
        ("reload", "serving v1 50 %, v2 50 %", 2),
    ):
        events.add(kind, text, by="irisab")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(
                "UPDATE events SET at = ? WHERE event = (SELECT max(event) FROM events)",
                (now - hours * 3600,),
            )
            connection.commit()
    recorder.close()
    history.close()


@pytest.fixture(scope="module")
def lived(
    tmp_path_factory: pytest.TempPathFactory, iris_models: Path
) -> Iterator[tuple[Process, str]]:
    """A service that has a day behind it, and its page."""
    folder, port = tmp_path_factory.mktemp("lived"), free_port()
    # No window is full, so that the drift is what was written before.
    text = "[split]\nv1 = 50\nv2 = 50\n[drift]\nwindow = 5000\n"
    config = write_config(folder, iris_models, text, listen=f"127.0.0.1:{port}")
    live_a_day(config)
    with running(config, port) as service, website(port, folder) as base:
        yield service, base


def drawn(page: Page) -> None:
    ready(page, "Over time")
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()


def charts(page: Page) -> list[str]:
    """Name what is drawn, as those are told who cannot see it."""
    expect(page.locator(".stVegaLiteChart[aria-label] svg")).to_have_count(len(CHARTS))
    named = page.locator(".stVegaLiteChart[aria-label]").all()
    return [each.get_attribute("aria-label") or "" for each in named]


@pytest.mark.parametrize(
    ("size", "dark"), [(WIDE, False), (PHONE, True)], ids=["wide, light", "phone, dark"]
)
def test_a_day(
    size: dict[str, int],
    dark: bool,
    new_tab: Callable[..., Tab],
    lived: tuple[Process, str],
) -> None:
    """Every chart is there with its numbers, and no more is drawn than the screen is wide."""
    page = new_tab(lived[1], size=size, dark=dark).open("over-time")
    drawn(page)
    picture(page, f"over-time-{size['width']}")
    assert charts(page) == list(CHARTS)
    assert page.get_by_test_id("stMain").evaluate("each => each.scrollWidth") <= size["width"]
    small = page.locator("li, [data-testid=stCaptionContainer] p").all()
    assert min(each.evaluate(CONTRAST) for each in small if each.is_visible()) >= 4.5
    folded = page.get_by_text("In numbers:").all()
    assert len(folded) == 5
    for each in folded:
        each.click()
    expect(page.locator("table:visible")).to_have_count(5)
    picture(page, f"over-time-numbers-{size['width']}")
    expect(page.get_by_text("WARNING: score 0.60")).to_be_visible()


def test_it_is_drawn_anew_when_something_happened(
    new_tab: Callable[..., Tab], lived: tuple[Process, str]
) -> None:
    """A page left open shows what came meanwhile; another stretch of time is a click away."""
    service, base = lived
    page = new_tab(base).open("over-time")
    drawn(page)
    expect(page.get_by_text("A point for each quarter of an hour")).to_be_visible()
    page.get_by_text("Hour", exact=True).click()
    expect(page.get_by_text("A point for each minute")).to_be_visible()
    EventLog(service.config.parent / "h.sqlite3").add("backup", "of this hour", by="operator")
    expect(page.get_by_text("of this hour")).to_be_visible(timeout=60_000)
    for span, step in (("Month", "day"), ("Week", "hour")):
        page.get_by_text(span, exact=True).click()
        expect(page.get_by_text(f"A point for each {step}, in UTC")).to_be_visible()
    page.close()


def a_new_day_is_far(page: Page) -> None:
    """Wait where midnight, UTC, is near: it draws a new point."""
    left = 86_400 - time.time() % 86_400
    if left < 120:
        page.wait_for_timeout((left + 40) * 1000)  # it is asked for twice a minute


def test_nothing_is_drawn_where_nothing_changed(
    new_tab: Callable[..., Tab], lived: tuple[Process, str]
) -> None:
    """The page asks for the long answer twice a minute at the most, and for no redraw."""
    tab = new_tab(lived[1])
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.page.on(
        "websocket", lambda wire: wire.on("framereceived", lambda _: asked.append("a part"))
    )
    page = tab.open("over-time")
    drawn(page)
    page.get_by_text("Month", exact=True).click()
    expect(page.get_by_text("A point for each day")).to_be_visible()
    a_new_day_is_far(page)
    rested(page, lambda: [asked.count("a part")])
    asked.clear()
    page.wait_for_timeout(8000)
    stamps = [url for url in asked if "/stamps" in url]
    assert 1 <= len(stamps) <= 5 and all("hours%3D744" in url for url in stamps)
    assert "a part" not in asked
    page.close()
