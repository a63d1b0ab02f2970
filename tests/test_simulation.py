"""A small edition of `make simulate`: the promises of the verdict, through the real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest
from pages import chapter
from scipy.stats import binom
from simulate import (
    ALPHA,
    DECIDED,
    HEAD,
    RESULTS,
    WORLDS,
    Laboratory,
    World,
    laboratory,
    of_equal,
    with_table,
)

from irisab.stats.exact import upper_bound

TITLE = "How well it keeps its word"


SIMULATED = json.loads(RESULTS.read_text())


def test_the_page_shows_the_simulated_table() -> None:
    """Each figure is one that `make simulate` gave, which writes them there."""
    text = chapter("docs/verdict.md", TITLE)
    assert HEAD in text and text == with_table(text, SIMULATED)
    assert "{} of {} experiments with equally good".format(*of_equal(SIMULATED)) in text


def simulated(kind: str) -> list[dict[str, Any]]:
    found = [each for each in SIMULATED if kind in each["world"]]
    assert found
    return found


def test_a_verdict_is_seldom_wrong() -> None:
    """Fewer than alpha of all equal pairs got one, by Clopper's and Pearson's bound; and in no
    world were so many wrong that chance would do it once in a hundred times at a rate of alpha."""
    assert upper_bound(*of_equal(SIMULATED), 0.05) < ALPHA
    worlds = {world.name: world for _, world in WORLDS}
    for each in SIMULATED:
        wrong = sum(each[verdict] for verdict in worlds[each["world"]].wrong)
        assert wrong <= binom.ppf(0.99, each["experiments"], ALPHA), each
        assert each["wrong_at_most"] == upper_bound(wrong, each["experiments"], 0.05)


def test_a_better_version_was_found_sooner_than_a_split_finds_it() -> None:
    """In at least 95 % of the experiments, with fewer labels than the unpaired test needs."""
    for each in simulated("challenger right"):
        assert each["better"] >= 0.95 * each["experiments"]
        if each["labels_without_shadow"] is not None:  # a third version's answers tell it nothing
            assert each["labels"] < each["labels_without_shadow"]


def test_reported_mistakes_alone_were_not_judged() -> None:
    """At most 1 % of the experiments, at whatever split, and the others say why."""
    for each in simulated("only mistakes"):
        assert each["better"] + each["worse"] <= each["experiments"] / 100
        assert all("right answers too" in reason for reason in each["reasons"])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("laboratory"), pairs=25, seed=5) as served:
        yield served


@pytest.mark.slow
def test_equal_versions_get_no_verdict(found: Laboratory) -> None:
    """Looked at all day, with a history far smaller than the experiment: at most 2 of 10 err."""
    world = World(name="equal", keep_rows=100)
    ends = [found.run(world, labels=150).verdict for _ in range(10)]
    assert sum(end in DECIDED for end in ends) <= 2


@pytest.mark.slow
def test_a_better_version_is_found_with_fewer_labels_than_a_split_needs(found: Laboratory) -> None:
    """Right in 75 % of the disagreements ends better, sooner than the unpaired test can tell."""
    world = World(name="better", challenger_right=0.75, disagreeing=0.2, unpaired=True)
    outcomes = [found.run(world, labels=300) for _ in range(5)]
    assert [each.verdict for each in outcomes] == ["better"] * 5
    assert median(each.labels for each in outcomes) < median(
        each.labels_unpaired for each in outcomes
    )


@pytest.mark.slow
@pytest.mark.parametrize("percent", [90, 50])
def test_reported_mistakes_alone_give_no_verdict(percent: int, found: Laboratory) -> None:
    """Users who report only mistakes cause no verdict, and the report says why."""
    world = World(name="mistakes", control_percent=percent, report_right=0.0)
    outcomes = [found.run(world, labels=200) for _ in range(3)]
    assert [each.verdict for each in outcomes] == ["inconclusive"] * 3
    assert all("right answers too" in each.reason for each in outcomes)
