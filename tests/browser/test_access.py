"""Who can use the page: axe-core's rules on every page, the keyboard, and pictures as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import PHONE, WIDE, Tab, website
from playwright.sync_api import Locator, Page, expect
from processes import Process, free_port, replace_in, running, write_config
from test_over_time import live_a_day
from test_page import AWAY, CONTRAST, HEADINGS, ask, ready, settle

# One fault is Streamlit's, and nothing of ours can mend it: of several tables that scroll, which a
# screen reader lists as regions, each has this name (landmark-unique).
STREAMLITS = "landmark-unique", 'aria-label="Scrollable table"'
# Beside it nothing is left out: neither a rule of axe's, best practices included, nor a part.
# What it leaves open is the contrast of text on a picture, or below a header that stays in sight.
# That is measured here.
OPEN = "color-contrast"
PICTURES = ".stVegaLiteChart"
# More than a page has of what a keyboard reaches.
MOST_STOPS = 200
# Of what a keyboard must reach, the names; then the name of what it has reached, and whether that
# can be seen: a ring around it, and no opacity of nothing.
REACHABLE = """
() => [...document.querySelectorAll("a[href], button, input, summary, [role=region]")]
  .filter(each => each.checkVisibility({visibilityProperty: true}) && !each.disabled)
  .filter(each => !each.matches("[role=radio] ~ [role=radio]"))
  .filter(each => !each.matches("button[aria-label=Open][tabindex='-1']"))
  .map(each => each.tagName + " " + (each.ariaLabel ?? each.innerText))
"""
REACHED = """
() => {
  const on = document.activeElement, style = getComputedStyle(on);
  let opacity = 1;
  for (let at = on; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
  const ring = on.tagName === "INPUT" || on.tagName === "MAIN" || style.outlineStyle !== "none";
  return [on.tagName + " " + (on.ariaLabel ?? on.innerText), ring && opacity > 0];
}
"""

# Of texts of pictures those that have too little contrast. It is measured by their colour, which is
# what they are drawn in.
ILLEGIBLE = f"""
texts => texts
  .filter(each => each.getAttribute("opacity") !== "0")
  .filter(each => {{
    const style = getComputedStyle(each);
    return style.fill !== style.color || ({CONTRAST.strip()})(each) < 4.5;
  }})
  .map(each => each.textContent)
"""


@pytest.fixture(scope="module")
def busy(
    tmp_path_factory: pytest.TempPathFactory, iris_models: Path
) -> Iterator[tuple[Process, str]]:
    """A service of which every page has something to show: a day, labels, and drift."""
    folder, port = tmp_path_factory.mktemp("busy"), free_port()
    config = write_config(
        folder, iris_models, "[split]\nv1 = 50\nv2 = 50\n", listen=f"127.0.0.1:{port}"
    )
    live_a_day(config)
    with running(config, port) as service, website(port, folder) as base:
        for row in ([7.9, 2.0, 6.9, 2.5], [4.3, 4.4, 6.9, 0.1]) * 50:
            service.post("/predict", {"features": row})
        yield service, base


def faults(page: Page) -> list[str]:
    """Say what axe finds wrong, and which text it could not judge that is no picture's."""
    kinds = {"resultTypes": ["violations", "incomplete"]}
    found: dict[str, Any] = Axe().run(page, options=kinds).response
    wrong = [
        f"{each['id']}: {node['html']}"
        for each in found["violations"]
        for node in each["nodes"]
        if each["id"] != STREAMLITS[0] or STREAMLITS[1] not in node["html"]
    ]
    unjudged = [
        f"{each['id']} is not known: {node['html']}"
        for each in found["incomplete"]
        for node in each["nodes"]
        if each["id"] != OPEN or not legible(page.locator(node["target"][0]).first)
    ]
    return wrong + unjudged


def legible(text: Locator) -> bool:
    """Whether text has the contrast that WCAG asks for, or is not shown, as labels that overlap."""
    return text.get_attribute("opacity") == "0" or text.evaluate(CONTRAST) >= 4.5


def all_open(page: Page, path: str) -> None:
    """Unfold what is folded, and have something answered."""
    if path == "try":
        page.get_by_role("button", name="Setosa").click()
        ask(page)
        expect(page.get_by_text("Was this right?")).to_be_visible()
    for each in page.locator("summary").all():
        each.click()
        settle(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", HEADINGS)
def test_axe_finds_nothing(
    new_tab: Callable[..., Tab], busy: tuple[Process, str], path: str, dark: bool
) -> None:
    """On every page, as it opens and with all unfolded, on a wide screen and on a phone."""
    page = new_tab(busy[1], dark=dark).open(path)
    ready(page, HEADINGS[path])
    settle(page)
    assert faults(page) == []
    all_open(page, path)
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        settle(page)
        assert faults(page) == []
        assert page.get_by_test_id("stMain").evaluate("each => each.scrollWidth") <= size["width"]


def test_pictures_have_names_and_legible_text(
    new_tab: Callable[..., Tab], busy: tuple[Process, str]
) -> None:
    """Each says what it shows to those who cannot see it, and its letters have contrast."""
    for dark in (False, True):
        for path in ("ab-test", "drift", "over-time", "models", "learn"):
            page = new_tab(busy[1], dark=dark).open(path)
            ready(page, HEADINGS[path])
            settle(page)
            pictures = page.locator(PICTURES)
            assert pictures.count()
            assert all(each.get_attribute("aria-label") for each in pictures.all())
            # In one go: a picture that is drawn anew meanwhile has other texts.
            assert pictures.locator("text").evaluate_all(ILLEGIBLE) == []
            page.close()


def test_axe_finds_nothing_in_rarer_states(
    new_tab: Callable[..., Tab],
    busy: tuple[Process, str],
    penguins: str,
    letters: str,
    tmp_path: Path,
) -> None:
    """Words and gaps, thirty features, an edit that was refused, and a service that is away."""
    service, base = busy
    for site in (penguins, letters):
        page = new_tab(site).open("try")
        ask(page)
        expect(page.get_by_text("Was this right?")).to_be_visible()
        settle(page)
        assert faults(page) == []
    replace_in(service.config, "v2 = 50", "v2 = 60")
    try:
        assert service.run("reload").returncode == 2
        page = new_tab(base).open("ab-test")
        expect(page.get_by_text("The last edit of the configuration was refused")).to_be_visible()
        settle(page)
        assert faults(page) == []
    finally:
        replace_in(service.config, "v2 = 60", "v2 = 50")
        assert service.run("reload").returncode == 0
    with website(free_port(), tmp_path) as nobody:
        page = new_tab(nobody).open("try")
        expect(page.get_by_text(AWAY)).to_be_visible()
        assert faults(page) == []
        page.close()


@pytest.mark.parametrize("path", HEADINGS)
def test_a_keyboard_reaches_everything(
    new_tab: Callable[..., Tab], busy: tuple[Process, str], path: str
) -> None:
    """Tab leads to each link, button, input and folded part, and shows where it is.

    An input's ring is Streamlit's own, and the whole page, which a keyboard scrolls, has none.
    Within a choice of one from several, arrows lead on, and a list opens from its input.
    """
    page = new_tab(busy[1]).open(path)
    ready(page, HEADINGS[path])
    settle(page)
    wanted = page.evaluate(REACHABLE)
    stops: list[str] = []
    while len(stops) < MOST_STOPS:
        page.keyboard.press("Tab")
        name, seen = page.evaluate(REACHED)
        if name.startswith("BODY"):
            break
        assert seen, name
        stops.append(name)
    assert {*wanted} <= {*stops}
    choice = page.get_by_role("radio")
    for here, there in pairwise(choice.all()):
        here.focus()
        page.keyboard.press("ArrowRight")
        expect(there).to_be_focused()
