"""The pictures of the pages are what `make figures` draws of irisab as it is."""

from __future__ import annotations

import re
from pathlib import Path

import figures
import flowers
import joblib
import numpy as np
import pages
import pytest

DOCS = pages.ROOT / "docs"
# As many as a second simulates; a change of a test's arithmetic shows in most experiments.
AGAIN = 3
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.mark.parametrize("path", figures.PICTURES)
def test_a_picture_is_what_would_be_drawn_today(path: str) -> None:
    """Drawn anew it says the same; a pen's width may differ, as arithmetic does between machines.

    If this fails, type `make figures`, and look at the picture.
    """
    shown, drawn = (DOCS / path).read_text(), figures.PICTURES[path]()
    assert NUMBER.sub("#", shown) == NUMBER.sub("#", drawn)
    ours, theirs = ([float(n) for n in NUMBER.findall(svg)] for svg in (shown, drawn))
    assert ours == pytest.approx(theirs, abs=0.11)


def test_every_drawing_is_drawn_by_the_command() -> None:
    """No picture that nobody can make again, and none that no page shows."""
    assert {str(file.relative_to(DOCS)) for file in DOCS.rglob("*.svg")} == {*figures.PICTURES}
    shown = {
        (pages.ROOT / page).parent.joinpath(target).resolve()
        for page in pages.pages()
        for target in pages.links(page)
        if target.endswith(".svg")
    }
    assert shown == {DOCS / path for path in figures.PICTURES}


@pytest.mark.parametrize(("name", "world", "seed"), list(figures.worlds())[:3])
def test_the_simulation_is_of_these_statistics(name: str, world: figures.World, seed: int) -> None:
    """The first experiments, done again, are decided after the labels that the pictures show."""
    kept, again = figures.simulated()[name], figures.decided(world, seed=seed, experiments=AGAIN)
    assert all(len(first) == figures.EXPERIMENTS for first in kept.values())
    for test, first in again.items():
        np.testing.assert_array_equal(kept[test][:AGAIN], first, err_msg=test)


def test_the_table_is_of_this_simulation() -> None:
    """Each line of the page's table ends with the medians that were simulated."""
    table = pages.chapter("docs/verdict.md", "Why few labels are enough")
    ends = re.findall(r"^\| \d.*?(\| [\d,]+ \| [\d,]+ \| [\d.]+ \|)$", table, re.MULTILINE)
    assert ends == figures.medians()


def test_the_forest_that_is_drawn_is_the_one_that_is_served(iris_models: Path) -> None:
    """The course draws v1 as `train` makes it, tree by tree."""
    served = joblib.load(iris_models / "v1/current/model.joblib")
    rows = flowers.IRIS.rows
    for ours, theirs in zip(flowers.v1().estimators_, served.estimators_, strict=True):
        np.testing.assert_array_equal(ours.predict_proba(rows), theirs.predict_proba(rows))
