"""The command that takes the pictures of the documentation."""

from __future__ import annotations

from pathlib import Path

import pages
import pictures
from playwright.sync_api import Browser


def test_it_takes_what_the_page_shows(browser: Browser, tmp_path: Path) -> None:
    """Each picture of docs/page.md is made anew, and as wide as the one that is there."""
    taken = tmp_path / "docs"
    taken.mkdir()
    pictures.take(browser, tmp_path, taken)
    shown = pages.ROOT / "docs"
    names = {each.name for each in shown.glob("*.png")}
    assert {each.name for each in taken.iterdir()} == names
    assert all(each in pages.text("docs/page.md") for each in names)
    for name in names:
        assert width(taken / name) == width(shown / name)


def width(png: Path) -> int:
    """Return the pixels of a line: in a PNG, what follows the name of the first chunk."""
    return int.from_bytes(png.read_bytes()[16:20])
