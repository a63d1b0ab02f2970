"""The browser page as a person uses it: looked at, clicked, typed at, left open."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PHONE, WIDE, Tab, website
from playwright.sync_api import Page, WebSocketRoute, expect
from processes import Process, free_port, replace_in, running, write_config
from simulate import train_on_noise

HEADINGS = {
    "try": "Try a prediction",
    "ab-test": "A/B test",
    "drift": "Drift",
    "over-time": "Over time",
    "models": "Versions",
    "learn": "Learn",
}
MENU = {**HEADINGS, "try": "Predict"}
AWAY = re.compile("The service at .* is not answering; trying again.")
# Milliseconds until a page must have said that its service hangs: its own patience, twice, and
# some for a busy machine.
HANGING = 30_000
# With all processors busy a tab was seen to take 8 s.
RECOVERING = 30_000
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"


def ready(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)


def answered(page: Page) -> int:
    """Sum up the statistics of who answered."""
    values = page.get_by_test_id("stMetricValue").all_inner_texts()
    return sum(int(value.replace(",", "")) for value in values)


def ask(page: Page) -> None:
    page.get_by_role("button", name="Get Prediction").click()


def settle(page: Page) -> None:
    """Wait until nothing moves any more."""
    page.mouse.move(0, 0)
    page.wait_for_load_state("networkidle")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    page.wait_for_timeout(500)


def picture(page: Page, name: str, *, folder: Path = SCREENSHOTS) -> None:
    """Take the whole page, which scrolls inside its window, once nothing moves in it."""
    settle(page)
    width = page.evaluate("innerWidth")
    height = page.get_by_test_id("stMain").evaluate("each => each.scrollHeight")
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(500)
    page.screenshot(path=folder / f"{name}.png")


@pytest.mark.parametrize("path", HEADINGS)
@pytest.mark.parametrize(
    ("name", "size", "dark"), [("wide", WIDE, False), ("phone", PHONE, True)], ids=["wide", "phone"]
)
def test_every_page(
    site: str,
    served: Process,
    new_tab: Callable[..., Tab],
    path: str,
    name: str,
    size: dict[str, int],
    dark: bool,
) -> None:
    """Each page opens at its own address, fits the screen, and asks no other host."""
    page = new_tab(site, dark=dark, size=size).open(path)
    ready(page, HEADINGS[path])
    picture(page, f"{path}-{name}")
    assert page.get_by_test_id("stMain").evaluate("each => each.scrollWidth") <= size["width"]


def test_entry(tab: Tab) -> None:
    """The bare address leads to the Predict page, the menu to the others, a wrong one back."""
    page = tab.open("")
    ready(page, HEADINGS["try"])
    expect(page).to_have_url(f"{tab.base}/try")
    for path, link in list(MENU.items())[1:]:
        page.get_by_role("link", name=link, exact=True).click()
        ready(page, HEADINGS[path])
        expect(page).to_have_url(f"{tab.base}/{path}")
    page.go_back()
    ready(page, HEADINGS["models"])
    tab.open("ab-test/nowhere")
    ready(page, HEADINGS["ab-test"])


def test_prediction_by_click(tab: Tab, served: Process) -> None:
    """An example, a click: class, probability, version, time, request id; the statistics move."""
    page = tab.open("try")
    expect(page.get_by_test_id("stMetricValue")).to_have_count(2)
    before = settled(page, served)
    page.get_by_role("button", name="Setosa").click()
    ask(page)
    expect(page.get_by_role("heading", name=re.compile(r"Setosa, \d+%"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Answered by v[12] in [\d.]+ ms"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Request \w{16,}"))).to_be_visible()
    expect(page.get_by_test_id("stProgress").filter(has_text="Virginica")).to_be_visible()
    deadline = time.monotonic() + 60
    while answered(page) == before and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert settled(page, served) == before + 1


def settled(page: Page, served: Process) -> int:
    """Wait until all that others asked is recorded and on the page; return how much that is."""
    deadline = time.monotonic() + 60
    seen: list[int] = []
    while seen[-5:] != [answered(page)] * 5:
        assert time.monotonic() < deadline, seen
        page.wait_for_timeout(200)
        seen.append(requests(served))
    return seen[-1]


def requests(served: Process) -> int:
    versions = served.get("/report").json["versions"].values()
    return sum(version["requests"] for version in versions)


def predict_once(served: Process) -> None:
    """Predict, and wait until the report has it."""
    before, deadline = requests(served), time.monotonic() + 10
    served.post("/predict", {"features": [5.0, 3.4, 1.5, 0.2]})
    while requests(served) == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


PRESS_TWO = """
([first, second]) => {
  const press = name => [...document.querySelectorAll("button")]
    .find(each => each.innerText.trim() === name).click();
  press(first);
  return new Promise(done => setTimeout(() => done(press(second)), 10));
}
"""


def test_quick_fingers(tab: Tab) -> None:
    """An example and, before the page has drawn it, the button: the answer is for that example."""
    page = tab.open("try")
    for name in ("Setosa", "Virginica", "Get Prediction"):
        expect(page.get_by_role("button", name=name)).to_be_visible()
    for name in ("Setosa", "Virginica", "Setosa", "Virginica"):
        page.evaluate(PRESS_TWO, [name, "Get Prediction"])
        expect(page.get_by_role("heading", name=re.compile(f"{name}, "))).to_be_visible()


# Begins to count once the button has been in one place for a second: all has loaded.
WATCH_BUTTON = """
() => {
  let last, since;
  const look = now => {
    const top = document.querySelector(".st-key-ask button").getBoundingClientRect().top;
    window.tops?.add(top);
    if (top !== last) [last, since] = [top, now];
    if (!window.tops && now - since > 1000) window.tops = new Set([top]);
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""


def test_button_stays_put(tab: Tab) -> None:
    """Neither an example nor a value out of range moves the button away under a click."""
    page = tab.open("try")
    expect(page.get_by_test_id("stMetricValue")).to_have_count(2)
    page.evaluate(WATCH_BUTTON)
    page.wait_for_function("window.tops")
    slider = page.get_by_role("slider", name=re.compile("Petal length"))
    slider.focus()
    before = slider.input_value()
    # A click by script, unlike one by hand, leaves the focus on the slider.
    page.get_by_role("button", name="Setosa").evaluate("each => each.click()")
    expect(slider).to_have_count(1)
    expect(slider).not_to_have_value(before)
    slider.focus()
    page.keyboard.press("End")
    expect(page.get_by_text("it can only guess")).to_be_visible()
    assert len(page.evaluate("[...tops]")) == 1


def test_values_stay(tab: Tab) -> None:
    """A look at another page and back leaves sliders and answer as they were."""
    page = tab.open("try")
    page.get_by_role("button", name="Setosa").click()
    slider = page.get_by_role("slider", name=re.compile("Petal length"))
    slider.focus()
    page.keyboard.press("ArrowRight")
    ask(page)
    expect(page.get_by_role("heading", name=re.compile("Setosa, "))).to_be_visible()
    value = slider.input_value()
    page.get_by_role("link", name="Drift").click()
    ready(page, HEADINGS["drift"])
    page.get_by_role("link", name="Predict").click()
    expect(slider).to_have_value(value)
    expect(page.get_by_role("heading", name=re.compile("Setosa, "))).to_be_visible()


def test_feedback_by_click(tab: Tab, served: Process) -> None:
    """Yes, and "No, it was ...", are on record with the service."""
    page = tab.open("try")
    before = labelled(served)
    page.get_by_role("button", name="Versicolor").click()
    ask(page)
    page.get_by_role("button", name="Yes", exact=True).click()
    expect(page.get_by_text("Thank you, noted: Versicolor.")).to_be_visible()
    expect(page.get_by_role("combobox")).to_have_count(0)  # the old one is drawn over next
    ask(page)
    page.get_by_role("combobox").click()
    page.get_by_role("option", name="Virginica").click()
    expect(page.get_by_text("Thank you, noted: Virginica.")).to_be_visible()
    assert labelled(served) == before + 2


def labelled(served: Process) -> int:
    versions = served.get("/report").json["versions"].values()
    return sum(version["labelled"] for version in versions)


def test_by_keyboard(tab: Tab) -> None:
    """Slider and button work without a mouse, and a value never seen in training is called so."""
    page = tab.open("try")
    slider = page.get_by_role("slider", name=re.compile("Petal width"))
    slider.focus()
    page.keyboard.press("End")
    expect(page.get_by_text("it can only guess")).to_be_visible()
    button = page.get_by_role("button", name="Get Prediction")
    for _ in range(5):
        page.keyboard.press("Tab")
        if button.evaluate("each => each === document.activeElement"):
            break
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Was this right?")).to_be_visible()


def test_split_edited(tab: Tab, served: Process) -> None:
    """A split edited in the INI is on a page left open, without reloading it."""
    page = tab.open("try")
    expect(page.get_by_text("planned 50%")).to_have_count(2)
    page.evaluate("window.sameDocument = true")
    replace_in(served.config, "v1 = 50\nv2 = 50", "v1 = 90\nv2 = 10")
    try:
        assert served.run("reload").returncode == 0
        expect(page.get_by_text("planned 90%")).to_be_visible()
        expect(page.get_by_text("planned 10%")).to_be_visible()
    finally:
        replace_in(served.config, "v1 = 90\nv2 = 10", "v1 = 50\nv2 = 50")
        assert served.run("reload").returncode == 0
    expect(page.get_by_text("planned 50%")).to_have_count(2)
    assert page.evaluate("window.sameDocument")


def test_edit_refused(tab: Tab, served: Process) -> None:
    """A refused edit is on the page with the place, until it is mended."""
    page = tab.open("ab-test")
    ready(page, HEADINGS["ab-test"])
    replace_in(served.config, "v2 = 50", "v2 = 60")
    try:
        assert served.run("reload").returncode == 2
        expect(page.get_by_text("The last edit of the configuration was refused")).to_be_visible()
        expect(page.get_by_text(re.compile(r"\[split\] was refused"))).to_be_visible()
    finally:
        replace_in(served.config, "v2 = 60", "v2 = 50")
        assert served.run("reload").returncode == 0
    expect(page.get_by_text("was refused")).to_have_count(0)


class Wire:
    """What goes over a tab's connection to the page's server; told to, it loses what comes."""

    def __init__(self, page: Page) -> None:
        self.messages = 0
        self.losing = False
        self.lost = 0
        page.route_web_socket("**/_stcore/stream", self._join)

    def _join(self, browser: WebSocketRoute) -> None:
        server = browser.connect_to_server()
        browser.on_message(lambda message: self._pass(server, message))
        server.on_message(lambda message: self._pass(browser, message, may_lose=True))

    def _pass(self, to: WebSocketRoute, message: str | bytes, *, may_lose: bool = False) -> None:
        self.messages += 1
        if may_lose and self.losing:
            self.lost += 1
        else:
            to.send(message)


def looks(*pages: Page) -> None:
    """Wait while each page looks several times at what the service says."""
    for page in pages * 2:
        with page.expect_response("**/stamps"):
            pass
    pages[0].wait_for_timeout(1000)  # time to draw


def messages(*wires: Wire) -> list[int]:
    return [wire.messages for wire in wires]


def rested(page: Page, count: Callable[[], list[int]]) -> list[int]:
    """Wait until all that was to be drawn has come; return what has been counted by then."""
    deadline = time.monotonic() + 60
    seen: list[list[int]] = []
    while len(seen) < 15 or seen[-15:] != [seen[-1]] * 15:  # three seconds
        assert time.monotonic() < deadline, seen
        page.wait_for_timeout(200)
        seen.append(count())
    return seen[-1]


def test_nothing_is_drawn_where_nothing_changed(new_tab: Callable[..., Tab], site: str) -> None:
    """A page that is merely open looks, and not one message passes between it and its server."""
    # Over time, which asks less often, has a test of its own.
    tabs = {path: new_tab(site) for path in HEADINGS if path != "over-time"}
    wires = {path: Wire(tab.page) for path, tab in tabs.items()}
    for path, tab in tabs.items():
        ready(tab.open(path), HEADINGS[path])
    pages = [tab.page for tab in tabs.values()]
    looks(*pages)
    before = rested(pages[0], lambda: messages(*wires.values()))
    assert all(before)
    looks(*pages)
    assert messages(*wires.values()) == before


def test_what_changed_is_drawn(new_tab: Callable[..., Tab], site: str, served: Process) -> None:
    """A label is drawn where labels are shown, and nothing is drawn where only drift is."""
    request_id = served.post("/predict", {"features": [5.0, 3.4, 1.5, 0.2]}).json["request_id"]
    tabs = {path: new_tab(site) for path in ("ab-test", "drift")}
    wires = {path: Wire(tab.page) for path, tab in tabs.items()}
    for path, tab in tabs.items():
        ready(tab.open(path), HEADINGS[path])
    pages = [tab.page for tab in tabs.values()]
    looks(*pages)
    before = rested(pages[0], lambda: messages(*wires.values()))
    served.post("/feedback", {"request_id": request_id, "label": "setosa"})
    looks(*pages)
    after = rested(pages[0], lambda: messages(*wires.values()))
    assert after[0] > before[0] and after[1] == before[1]


def test_a_lost_redraw_is_made_good(tab: Tab, served: Process) -> None:
    """Where what was drawn does not arrive, the page asks for it again."""
    wire = Wire(tab.page)
    page = tab.open("try")
    expect(page.get_by_test_id("stMetricValue")).to_have_count(2)
    before = settled(page, served)
    wire.losing = True
    predict_once(served)
    deadline = time.monotonic() + 60
    while not wire.lost:
        assert time.monotonic() < deadline
        page.wait_for_timeout(200)
    looks(page)
    assert answered(page) == before
    wire.losing = False
    assert settled(page, served) == before + 1


# Has a pointer go down just before each look that finds something new.
HAND = """
const ask = window.fetch;
window.fetch = async (...what) => {
  const answer = await ask(...what);
  if (window.hand) dispatchEvent(new PointerEvent("pointerdown"));
  return answer;
};
"""


def test_no_redraw_under_a_hand(tab: Tab, served: Process) -> None:
    """A redraw waits while somebody clicks: Streamlit would do one of the two and forget one."""
    tab.page.add_init_script(HAND)
    wire = Wire(tab.page)
    page = tab.open("try")
    expect(page.get_by_test_id("stMetricValue")).to_have_count(2)
    before, passed = settled(page, served), rested(page, lambda: messages(wire))
    page.evaluate("window.hand = true")
    predict_once(served)
    looks(page)
    assert messages(wire) == passed
    page.evaluate("window.hand = false")
    assert settled(page, served) == before + 1


def test_service_stopped_and_started(
    new_tab: Callable[..., Tab], iris_models: Path, tmp_path: Path
) -> None:
    """A page survives the service's absence, opened before it or during it."""
    port = free_port()
    config = write_config(tmp_path, iris_models, listen=f"127.0.0.1:{port}")
    with website(port, tmp_path) as base:
        with running(config, port):
            page = new_tab(base).open("try")
            expect(page.get_by_test_id("stMetricValue")).to_have_count(2)
        expect(page.get_by_text(AWAY)).to_be_visible()
        ask(page)
        expect(page.get_by_text("No answer this time")).to_be_visible()
        late = new_tab(base).open("drift")
        expect(late.get_by_text(AWAY)).to_be_visible()
        with running(config, port):
            for each in (page, late):
                expect(each.get_by_text(AWAY)).to_have_count(0)
            ready(late, HEADINGS["drift"])
            ask(page)
            expect(page.get_by_text("Was this right?")).to_be_visible()
            for each in (page, late):
                each.close()


def test_service_hangs(new_tab: Callable[..., Tab], iris_models: Path, tmp_path: Path) -> None:
    """A service that accepts connections and answers none is soon called so, in every tab."""
    port = free_port()
    config = write_config(tmp_path, iris_models, listen=f"127.0.0.1:{port}")
    with running(config, port) as service, website(port, tmp_path) as base:
        pages = {path: new_tab(base).open(path) for path in HEADINGS}
        for path, page in pages.items():
            ready(page, HEADINGS[path])
        service.signal(signal.SIGSTOP)
        try:
            for page in pages.values():
                expect(page.get_by_text(AWAY)).to_be_visible(timeout=HANGING)
            ask(pages["try"])
            expect(pages["try"].get_by_text("No answer this time")).to_be_visible(timeout=HANGING)
        finally:
            service.signal(signal.SIGCONT)
        for page in pages.values():
            expect(page.get_by_text(AWAY)).to_have_count(0, timeout=RECOVERING)
        ask(pages["try"])
        expect(pages["try"].get_by_text("Was this right?")).to_be_visible()
        for page in pages.values():
            page.close()


def test_drift_appears(tab: Tab, served: Process) -> None:
    """A page left open turns from no data to drift as rows arrive that training never saw."""
    page = tab.open("drift")
    for row in ([7.9, 2.0, 6.9, 2.5], [4.3, 4.4, 6.9, 0.1]) * 50:
        served.post("/predict", {"features": row})
    expect(page.get_by_text("The input no longer looks like the training data.")).to_be_visible()
    expect(page.get_by_text("train the model on recent data")).to_be_visible()
    picture(page, "drift-alarm")


def test_decided(new_tab: Callable[..., Tab], tmp_path: Path) -> None:
    """A page left open turns from too early to a verdict, and shows what that rests on."""
    noise, port = np.random.default_rng(1), free_port()
    for version in ("v1", "v2"):
        train_on_noise(tmp_path / "models", version, noise)
    text = "[split]\nv1 = 50\nv2 = 50\n"
    config = write_config(tmp_path, tmp_path / "models", text, listen=f"127.0.0.1:{port}")
    with running(config, port) as service, website(port, tmp_path) as base:
        page = new_tab(base, size=PHONE).open("ab-test")
        expect(page.get_by_text("It is too early to say whether")).to_be_visible()
        expect(page.get_by_text("A label tells the service")).to_have_count(1)
        page.get_by_text("What the verdict on v2 rests on").click()
        right = page.get_by_role("row", name="Where they disagree, v1 was right")
        expect(right).to_contain_text("0 times")
        agree_with(service, "v2", noise.uniform(-3, 3, (80, 2)).tolist())
        expect(page.get_by_role("heading", name="v2 is better than v1.")).to_be_visible()
        expect(page.get_by_text("give v2 all the traffic")).to_be_visible()
        expect(page.get_by_text("A label tells the service")).to_have_count(0)
        # What was opened before is open still.
        expect(page.get_by_text("Where they disagree, v2 was right")).to_be_visible()
        expect(right).to_contain_text("0 times")
        picture(page, "ab-test-decided")
        page.close()


def agree_with(service: Process, version: str, rows: list[list[float]]) -> None:
    """Ask for each row, and report as the truth what one version says of it."""
    said = service.post("/predict", {"features": rows, "model_version": version}).json
    for row, truth in zip(rows, said["predictions"], strict=True):
        request_id = service.post("/predict", {"features": row}).json["request_id"]
        service.post("/feedback", {"request_id": request_id, "label": truth})


def test_many_of_everything(letters: str, new_tab: Callable[..., Tab]) -> None:
    """Thirty sliders and ten classes: button and answer are in sight together."""
    page = new_tab(letters, dark=True).open("try")
    expect(page.get_by_test_id("stMetricValue")).to_have_count(3)
    expect(page.get_by_role("slider")).to_have_count(30)
    expect(page.get_by_text("trained on 7.5 only")).to_be_visible()
    expect(page.get_by_role("button", name="G h")).to_be_visible()
    page.get_by_role("slider", name="Stroke 9").focus()
    page.keyboard.press("End")
    ask(page)
    expect(page.get_by_role("heading", name=re.compile("^[A-J] h, "))).to_be_in_viewport()
    expect(page.get_by_text(re.compile("^Stroke 9: .* it can only guess"))).to_be_in_viewport()
    expect(page.get_by_role("button", name="Get Prediction")).to_be_in_viewport()
    assert "\\" not in page.locator("body").inner_text()
    picture(page, "letters-try")
    page.goto(f"{letters}/learn")
    expect(page.get_by_text("trees of v1 vote")).to_be_visible()
    expect(page.get_by_text("22 other features")).to_be_visible()
    picture(page, "letters-learn")


def test_answer_in_sight(new_tab: Callable[..., Tab], site: str) -> None:
    """On a small phone the page goes to the answer, which is below the button."""
    page = new_tab(site, size={"width": 375, "height": 667}).open("try")
    page.get_by_role("button", name="Setosa").click()
    for _ in range(2):
        page.get_by_text("Try a prediction").scroll_into_view_if_needed()
        ask(page)
        expect(page.get_by_role("heading", name=re.compile(r"Setosa, \d+%"))).to_be_in_viewport()
        expect(page.get_by_text("Was this right?")).to_be_in_viewport()


CONTRAST = """
each => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([red, green, blue]) => [red, green, blue]
    .map(x => x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, at) => sum + x * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = numbers(getComputedStyle(document.querySelector(".stApp")).backgroundColor);
  let [red, green, blue, opacity = 1] = numbers(getComputedStyle(each).color);
  for (let at = each; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
  const seen = [red, green, blue].map((x, at) => x * opacity + ground[at] * (1 - opacity));
  const [dim, bright] = [light(seen), light(ground)].sort((a, b) => a - b);
  return (bright + 0.05) / (dim + 0.05);
}
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_small_print_is_legible(new_tab: Callable[..., Tab], site: str, dark: bool) -> None:
    """Captions, and the note on a value out of range, have the contrast that WCAG asks for."""
    page = new_tab(site, dark=dark).open("try")
    page.get_by_role("slider", name=re.compile("Petal width")).focus()
    page.keyboard.press("End")
    expect(page.get_by_text("it can only guess")).to_be_visible()
    expect(page.get_by_text("Counted since")).to_be_visible()
    captions = page.locator("[data-testid=stCaptionContainer] :is(p, span)").all()
    assert len(captions) > 4
    assert min(caption.evaluate(CONTRAST) for caption in captions) >= 4.5


def test_focus_is_visible(tab: Tab) -> None:
    """Tab leads from link to link of the menu, each with a ring around it, to the examples."""
    page = tab.open("try")
    expect(page.get_by_role("button", name="Setosa")).to_be_visible()
    page.get_by_test_id("stMain").focus()
    for name in MENU.values():
        page.keyboard.press("Tab")
        link = page.get_by_role("link", name=name, exact=True)
        expect(link).to_be_focused()
        expect(link).to_have_css("outline", "rgb(47, 45, 43) solid 2px")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Setosa")).to_be_focused()


def test_penguins(penguins: str, new_tab: Callable[..., Tab]) -> None:
    """Another model brings its own features and classes, also of text, with gaps."""
    page = new_tab(penguins).open("try")
    expect(page.get_by_role("slider")).to_have_count(5)
    expect(page.get_by_text("Body mass g · trained on")).to_be_visible()
    page.get_by_role("button", name="Gentoo").click()
    ask(page)
    expect(page.get_by_role("heading", name=re.compile("Gentoo, "))).to_be_visible()
    island = page.get_by_role("combobox", name=re.compile("Island"))
    # By keyboard: a list that is drawn again while it is open is closed by that.
    island.fill("Dream")
    island.press("Enter")
    page.get_by_text("Sex is unknown").click()
    expect(page.get_by_role("combobox", name=re.compile("Sex"))).to_be_disabled()
    expect(page.get_by_text("have changed since this answer")).to_be_visible()
    ask(page)
    expect(page.get_by_text("have changed since this answer")).to_have_count(0)
    expect(page.get_by_text("Was this right?")).to_be_visible()
    picture(page, "penguins-try")
    for path, heading in list(HEADINGS.items())[1:]:
        page.goto(f"{penguins}/{path}")
        ready(page, heading)
        picture(page, f"penguins-{path}")
        said: Any = page.locator("body").inner_text()
        assert "2,007" not in said
        assert not re.search("iris|sepal|petal|setosa|flower", said.replace("irisab", ""), re.I)
