"""A small edition of `make simulate`: the promises of the verdict, through the real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from statistics import median

import pytest
from readme import chapter
from simulate import DECIDED, RESULTS, Laboratory, World, cells, laboratory

TITLE = "How well it keeps its word"


def test_readme_shows_the_simulated_table() -> None:
    """Each figure is one that `make simulate` gave."""
    lines = [line for line in chapter(TITLE).splitlines() if line.startswith("| ")][1:]
    shown = [[cell.strip() for cell in line.strip("|").split("|")][1:] for line in lines]
    assert shown == [cells(each)[1:] for each in json.loads(RESULTS.read_text())]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("laboratory"), pairs=25, seed=5) as served:
        yield served


def test_equal_versions_get_no_verdict(found: Laboratory) -> None:
    """Looked at all day, with a history far smaller than the experiment: at most 2 of 10 err."""
    world = World(name="equal", keep_rows=100)
    ends = [found.run(world, labels=150).verdict for _ in range(10)]
    assert sum(end in DECIDED for end in ends) <= 2


def test_a_better_version_is_found_with_fewer_labels_than_a_split_needs(found: Laboratory) -> None:
    """Right in 75 % of the disagreements ends better, sooner than the unpaired test can tell."""
    world = World(name="better", challenger_right=0.75, disagreeing=0.2, unpaired=True)
    outcomes = [found.run(world, labels=300) for _ in range(5)]
    assert [each.verdict for each in outcomes] == ["better"] * 5
    assert median(each.labels for each in outcomes) < median(
        each.labels_unpaired for each in outcomes
    )


@pytest.mark.parametrize("percent", [90, 50])
def test_reported_mistakes_alone_give_no_verdict(percent: int, found: Laboratory) -> None:
    """Users who report only mistakes cause no verdict, and the report says why."""
    world = World(name="mistakes", control_percent=percent, report_right=0.0)
    outcomes = [found.run(world, labels=200) for _ in range(3)]
    assert [each.verdict for each in outcomes] == ["inconclusive"] * 3
    assert all("right answers too" in each.reason for each in outcomes)
