"""Learn, as a person uses it: a case is moved, and all that hangs on it follows."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from conftest import PHONE, WIDE, Tab
from playwright.sync_api import expect
from test_page import CONTRAST, picture, ready

CHARTS = (
    *("The examples, and the case among them", "The first tree, and the way of the case"),
    *("Votes for each class", "How often each version answered", "Accuracy of each version"),
    *("Drift against the alarm", "Values now and in training Sepal length (cm)"),
    "Both curves of Sepal length (cm), and the gap between them",
)


@pytest.mark.parametrize(
    ("size", "dark"), [(WIDE, False), (PHONE, True)], ids=["wide light", "phone dark"]
)
def test_all_of_it(
    site: str, new_tab: Callable[..., Tab], size: dict[str, int], dark: bool
) -> None:
    """Each picture has a name for who can't see it, and numbers below; small print is legible."""
    page = new_tab(site, dark=dark, size=size).open("learn")
    ready(page, "Learn")
    expect(page.locator(".stVegaLiteChart[aria-label] svg")).to_have_count(len(CHARTS))
    named = page.locator(".stVegaLiteChart[aria-label]").all()
    assert {each.get_attribute("aria-label") for each in named} == set(CHARTS)
    for what in ("the examples", "the way of this case", "the simulated test", "the moved feature"):
        page.get_by_text(f"In numbers: {what}").click()
    expect(page.locator("table:visible")).to_have_count(4)
    expect(page.get_by_role("cell", name=re.compile("Petal width at most")).first).to_be_visible()
    captions = page.locator("[data-testid=stCaptionContainer] :is(p, span)").all()
    assert min(caption.evaluate(CONTRAST) for caption in captions) >= 4.5
    assert page.get_by_test_id("stMain").evaluate("each => each.scrollWidth") <= size["width"]
    picture(page, f"learn-open-{size['width']}")


def test_a_case_is_moved_by_keyboard(tab: Tab) -> None:
    """An example and a key: the tree and the vote say another class, on this page and the first."""
    page = tab.open("learn")
    page.get_by_role("button", name="Setosa").click()
    expect(page.get_by_text(re.compile("this tree says Setosa"))).to_be_visible()
    expect(page.get_by_text(re.compile("Most say Setosa"))).to_be_visible()
    slider = page.get_by_role("slider", name=re.compile("Petal width"))
    slider.focus()
    page.keyboard.press("End")
    expect(page.get_by_text(re.compile("this tree says Setosa"))).to_have_count(0)
    page.get_by_role("link", name="Predict", exact=True).click()
    ready(page, "Try a prediction")
    expect(page.get_by_role("slider", name=re.compile("Petal width"))).to_have_value("3.1")


def test_a_feature_drifts(tab: Tab) -> None:
    """Moved far enough, it is above its alarm, and the page says so in words."""
    page = tab.open("learn")
    expect(page.get_by_text("below the alarm")).to_be_visible()
    page.get_by_role("slider", name=re.compile("All values are higher by")).focus()
    page.keyboard.press("End")
    expect(page.get_by_text("above the alarm")).to_be_visible()
    expect(page.get_by_text("1.00", exact=True)).to_be_visible()
