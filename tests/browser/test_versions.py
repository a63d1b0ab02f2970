"""The Versions page in every state of a rollout, at both ends of screen and light."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from conftest import PHONE, WIDE, Tab, website
from playwright.sync_api import Page, expect
from processes import Process, free_port, running, write_config
from test_page import CONTRAST, picture, ready

from irisab.lifecycle import rollout
from irisab.model import candidate, publish
from irisab.store import rollouts
from irisab.store.rollouts import Rollout

HOLD = "12 of 200 requests answered in this step"
INI = "[split]\nv1 = 100\n[model.v2]\n"


@contextmanager
def host(folder: Path, iris_models: Path) -> Iterator[tuple[Process, str]]:
    """v1 serves; kept are v2, an older v1, and v3 that retraining has rejected."""
    models = Path(shutil.copytree(iris_models, folder / "models", symlinks=True))
    write_rejected(models, "v3")
    port = free_port()
    config = write_config(folder, models, INI, listen=f"127.0.0.1:{port}")
    with running(config, port) as service, website(port, folder) as base:
        assert service.run("train", "--force", "v1").returncode == 0
        assert service.run("reload").returncode == 0
        yield service, base


def write_rejected(models: Path, version: str) -> None:
    """Write the bundle of v2 as that of a candidate that its exam has rejected."""
    folder = models / "v2" / "current"
    about = json.loads((folder / "manifest.json").read_text())
    about[candidate.KEY] = {
        "decision": "reject",
        "reason": "7 rows of the exam worse than v1",
        "control_sha256": about["sha256"],
    }
    files = {name: (folder / name).read_bytes() for name in about["files"]}
    publish.put(models, version, {**files, "manifest.json": json.dumps(about).encode()})


def go(service: Process, state: rollouts.State, reason: str, **more: Any) -> None:
    """Take the rollout to another state, as a look does, and have the service follow."""
    path = service.config.parent / "h.sqlite3"
    at = rollouts.newest(path)
    assert at is not None
    after = rollout.moved(at, state, reason, now=at.since + 3600)
    rollouts.write(path, at, replace(after, **more))
    assert service.run("reload").returncode == 0


def step(number: int, at: Rollout) -> dict[str, Any]:
    return {"step": number, "percent": at.steps[number - 1]}


def looked_at(new_tab: Callable[..., Tab], base: str, name: str, heading: str) -> None:
    """Take pictures at 1280 pixels, light, and at 360, dark: no more than the screen is wide."""
    for size, dark in ((WIDE, False), (PHONE, True)):
        page = new_tab(base, size=size, dark=dark).open("models")
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        expect(page.get_by_role("heading", name="What happened")).to_be_visible()
        picture(page, f"versions-{name}-{size['width']}")
        assert page.get_by_test_id("stMain").evaluate("each => each.scrollWidth") <= size["width"]
        marks = page.locator("li, [data-testid=stCaptionContainer] p").all()
        assert min(each.evaluate(CONTRAST) for each in marks if each.is_visible()) >= 4.5
        page.close()


def stages(page: Page, *said: str) -> None:
    """Wait until this is said of each part of the rollout."""
    lines = page.locator(".st-key-stages li")
    expect(lines).to_have_text([re.compile(rf" · {each}$") for each in said])


def test_a_rollout(new_tab: Callable[..., Tab], iris_models: Path, tmp_path: Path) -> None:
    """A page left open shows each state of a rollout: where it is, why, and what to type."""
    with host(tmp_path, iris_models) as (service, base):
        page = new_tab(base).open("models")
        ready(page, "Versions")
        expect(page.get_by_role("heading", name="No version is being rolled out.")).to_be_visible()
        command = service.get("/versions").json["command"]
        expect(page.get_by_text(f"{command} rollout start v2")).to_be_visible()
        expect(page.get_by_text("rejected, gets no traffic: 7 rows of the exam")).to_be_visible()
        back = re.compile(rf"^{re.escape(command)} models use v1 \w{{12}}")
        expect(page.get_by_text(back)).to_be_visible()
        stages(page)
        looked_at(new_tab, base, "none", "No version is being rolled out.")

        assert service.run("rollout", "start", "v2").returncode == 3
        expect(page.get_by_text("so far it only scores in the shadow")).to_be_visible()
        stages(page, "now", *["to come"] * 6)

        at = rollouts.newest(service.config.parent / "h.sqlite3")
        assert at is not None
        go(service, "step", "230 requests scored in the shadow", **step(2, at), hold=HOLD)
        headline = "v2 is being rolled out: step 2 of 4, 5% of the requests."
        expect(page.get_by_role("heading", name=headline)).to_be_visible()
        expect(page.get_by_text(f"It waits: {HOLD}.")).to_be_visible()
        stages(page, "done", "done", "waits here", *["to come"] * 4)
        expect(page.get_by_role("cell", name="95% (irisab.ini: 100%)")).to_be_visible()
        looked_at(new_tab, base, "step", headline)

        go(service, "paused", f"the deadline is over: {HOLD}")
        headline = "The rollout of v2 is paused at 5%: a person must decide."
        expect(page.get_by_role("heading", name=headline)).to_be_visible()
        expect(page.get_by_text(f"UTC: the deadline is over: {HOLD}.")).to_be_visible()
        expect(page.get_by_text(f"{command} rollout resume")).to_be_visible()
        stages(page, "done", "done", "waits here", *["to come"] * 4)
        looked_at(new_tab, base, "paused", headline)

        go(service, "rolled_back", "worse than v1: it was wrong in 9 of 9 disagreements")
        expect(page.get_by_role("heading", name="v2 was rolled back.")).to_be_visible()
        expect(page.get_by_text("UTC: worse than v1").first).to_be_visible()
        stages(page, "done", "done", "ended here", *["not reached"] * 4)
        expect(page.get_by_role("cell", name="100%", exact=True)).to_be_visible()
        page.get_by_text("How the rollout of v2 came to this").click()
        expect(page.get_by_text("Paused, 5%: the deadline is over")).to_be_visible()
        looked_at(new_tab, base, "rolled-back", "v2 was rolled back.")

        assert service.run("rollout", "start", "v2").returncode == 3
        go(service, "baking", "better: v2 was right in 20 of 20 disagreements", step=4)
        expect(page.get_by_text("v2 answers everything, and is still")).to_be_visible()
        stages(page, *["done"] * 5, "now", "to come")
        go(service, "promoted", "better: v2 was right in 20 of 20 disagreements")
        headline = "v2 was promoted: its rollout is over."
        expect(page.get_by_role("heading", name=headline)).to_be_visible()
        expect(page.get_by_text("Next, write in irisab.ini, and then type")).to_be_visible()
        stages(page, *["done"] * 7)
        looked_at(new_tab, base, "promoted", headline)
        page.close()


def test_nothing_here_changes_traffic(tab: Tab) -> None:
    """No button and no input: whoever opens the page can look, and not more."""
    page = tab.open("models")
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    # Beside these, pictures and commands have buttons that enlarge and copy.
    controls = page.get_by_test_id("stMain").locator(".stButton, input, textarea")
    assert controls.count() == 0
    page.get_by_role("link", name="Predict").click()
    expect(controls.first).to_be_attached()
