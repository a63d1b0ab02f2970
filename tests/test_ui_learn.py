"""The page that teaches: its tree, its pictures and its simulations, without a browser."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import altair
import api
import cases
import explained
import grammar
import latest
import lessons
import numpy as np
import pytest
import simulated
import trees
import words
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest
from test_ui import ANIMALS, LINE, address, service, serving, texts, view, write_animals

from irisab.stats import drift

__all__ = ["address", "service"]

ISLAND = {"name": "island", "unit": None, "type": "category", "categories": ["Biscoe", "Dream"]}
TAME = {"name": "tame", "unit": None, "type": "boolean", "categories": None}
DEPTH = {"name": "bill_depth", "unit": "mm", "type": "number", "categories": None}
FEATURES = [ISLAND, TAME, DEPTH]
GENTOO = {"class_name": "gentoo", "probability": 1.0}
TREE = {
    **{"feature": "island", "is_in": ["Biscoe"], "missing": False, "others": True},
    "yes": {
        **{"feature": "bill_depth", "at_most": 16.4, "missing": None, "others": None},
        "yes": GENTOO,
        "no": {"class_name": "adelie", "probability": 0.75},
    },
    "no": {
        **{"feature": "tame", "at_most": 0.5, "missing": True, "others": None},
        "yes": {"more": 1},
        "no": GENTOO,
    },
}


@pytest.mark.parametrize(
    ("case", "way", "end"),
    [
        (("Biscoe", True, 16.4), ["yes", "yes"], "Gentoo"),
        (("Biscoe", True, 16.5), ["yes", "no"], "Adelie, 75%"),
        (("Torgersen", True, 1.0), ["yes", "yes"], "Gentoo"),
        (("Biscoe", True, None), ["yes"], "Bill depth at most 16.4 mm?"),
        (("Dream", True, 1.0), ["no", "no"], "Gentoo"),
        ((None, None, 1.0), ["no", "yes"], "1 more question, not shown"),
    ],
)
def test_the_way_of_a_case(case: tuple[Any, ...], way: list[str], end: str) -> None:
    """It follows the answers, also of gaps and of what nobody has learned, as far as it is told."""
    row = dict(zip(("island", "tame", "bill_depth"), case, strict=True))
    lines = trees.lines(TREE, FEATURES, row)
    assert [said for _, said in trees.way(lines)] == way
    assert trees.end(lines).text == end
    assert explained.steps(lines)["Answer"] == {str(n): said for n, said in enumerate(way, 1)}
    assert [line.text for line in lines if line.kind == "question"] == [
        *("Island: Biscoe?", "Bill depth at most 16.4 mm?", "Tame: no?")
    ]


def test_what_is_asked_first_comes_first() -> None:
    """Level by level, each feature once."""
    assert trees.asked(TREE) == ["island", "bill_depth", "tame"]


ONE_TREE = ANIMALS.replace("n_estimators = 5", "kind = decision_tree\nmax_depth = 4")


def test_the_way_leads_to_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's way through a tree ends where the service's own does, whatever is asked."""
    write_animals(tmp_path)
    with serving(tmp_path, ONE_TREE, monkeypatch=monkeypatch):
        config = api.get("/config").value
        tree, names = config["versions"]["few"]["tree"], [f["name"] for f in config["features"]]
        assert len(trees.asked(tree)) > 1
        choices = {
            "weight": [None, 0.5, 1.4, 2.6, 4.4, 9.0],
            "colour": [None, "red", "*blue*", "green", "grey"],
            "home": ["sea", "land", "moon"],
            "tame": [None, True, False],
        }
        rows = [list(row) for row in itertools.product(*(choices[name] for name in names))]
        said = api.predict(rows, model_version="few")
        for row, answer in zip(rows, said["class_names"], strict=True):
            lines = trees.lines(tree, config["features"], dict(zip(names, row, strict=True)))
            assert trees.end(lines).text.partition(", ")[0] == words.title(answer)
        page = view("learn")
        assert "few is one decision tree" in texts(page)
        assert "few has no other tree, so its leaf is the answer" in texts(page)


HISTOGRAM = {"edges": [0.0, 1.0, 2.0, 4.0], "training": [0.2, 0.5, 0.3], "window": None}
CATEGORIES = {"categories": ["a", "b", "(others)"], "training": [0.7, 0.3, 0.0]}


@given(st.floats(-8, 8))
def test_moved_is_as_far_as_the_service_would_say(by: float) -> None:
    """The distance and its gap are those of many values that are spread like the histogram."""
    places = np.linspace(0, 1, 4001)[1:-1]
    values = np.interp(places, [0, 0.2, 0.7, 1], HISTOGRAM["edges"])
    moved = simulated.moved(HISTOGRAM, by)
    assert moved.distance == pytest.approx(drift.ks_distance(values, values + by), abs=0.01)
    assert moved.gap is not None and moved.gap in moved.curve
    assert moved.distance == abs(moved.gap[1] - moved.gap[2])
    for shares in (moved.histogram["training"], moved.histogram["window"]):
        assert sum(shares) == pytest.approx(1)
        assert min(shares) >= -1e-9


def test_what_stays_is_no_drift() -> None:
    """Nothing moved is 0, and all moved out of reach is 1; so for categories."""
    assert simulated.moved(HISTOGRAM, 0).distance == 0
    assert simulated.moved(HISTOGRAM, 4).distance == 1
    assert simulated.replaced(CATEGORIES, 0).distance == 0
    assert simulated.replaced(CATEGORIES, 0.25).distance == pytest.approx(0.25)
    moved = simulated.replaced(CATEGORIES, 0.25).histogram["window"]
    assert moved == pytest.approx([0.525, 0.225, 0.25])


def test_a_split_is_luck_that_can_be_had_again() -> None:
    """Shares and accuracies come out near what was asked for; another seed is another luck."""
    arms = simulated.split(10_000, share=0.1, right=(0.9, 0.5), seed=0)
    assert arms["A"].requests + arms["B"].requests == 10_000
    assert arms["B"].requests == pytest.approx(1000, abs=150)
    assert arms["A"].correct / arms["A"].requests == pytest.approx(0.9, abs=0.02)
    assert arms["B"].correct / arms["B"].requests == pytest.approx(0.5, abs=0.06)
    assert arms == simulated.split(10_000, share=0.1, right=(0.9, 0.5), seed=0)
    assert arms != simulated.split(10_000, share=0.1, right=(0.9, 0.5), seed=1)


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ({"A": (1000, 950), "B": (1000, 850)}, "**A is better**"),
        ({"A": (1000, 850), "B": (1000, 950)}, "**B is better**"),
        ({"A": (90, 81), "B": (10, 10)}, "**Too early to say**"),
        ({"A": (100, 90), "B": (0, 0)}, "Who answers nothing is not tested"),
    ],
)
def test_a_simulated_test_says_what_it_can(arms: dict[str, Any], said: str) -> None:
    """A winner only where the intervals do not touch."""
    told = {name: simulated.Arm(*arm) for name, arm in arms.items()}
    assert explained.test(told).startswith(said)
    assert list(explained.tested(told)) == ["A", "B"]


ROWS = [{"x": 1.0, "y": 2.0, "class": "A"}, {"x": 2.0, "y": "no", "class": "B"}]
AXES = lessons.axis("x", "Length (cm)", (0, 3)), lessons.axis("y", "Tame", None)


@pytest.mark.parametrize(
    "spec",
    [
        lessons.cases(ROWS, {"x": 1.0, "y": "no"}, *AXES, classes=["A", "B"]),
        lessons.cases(ROWS, {"x": None, "y": "no"}, *AXES, classes=["A", "B"]),
        lessons.cases([{"x": 1.0, "y": 2.0, "value": 3}], {"x": 1, "y": 1}, *AXES, classes=[]),
        lessons.tree(trees.lines(TREE, FEATURES, dict.fromkeys(["island", "tame", "bill_depth"]))),
        lessons.tree(trees.lines(GENTOO, FEATURES, {})),
        lessons.gap(simulated.moved(HISTOGRAM, 0.5), title="Length"),
    ],
)
def test_pictures_are_vega_lite(spec: grammar.Spec) -> None:
    """Each picture keeps to the grammar that the browser draws it by."""
    altair.LayerChart.from_dict(spec)


def test_the_way_is_not_told_by_colour_alone() -> None:
    """It is thick, bold and of larger dots as well."""
    spec = lessons.tree(
        trees.lines(TREE, FEATURES, {"island": "Dream", "tame": 1, "bill_depth": 1})
    )
    bold = [each for each in spec["layer"] if each["mark"].get("fontWeight") == "bold"]
    texts = [row["text"] for each in bold for row in each["data"]["values"]]
    assert texts == ["Island: Biscoe?", "no: Tame: no?", "no: Gentoo"]
    assert lessons.WAY_MARK["strokeWidth"] > 2 * lessons.BRANCH_MARK["strokeWidth"]


def test_a_class_looks_alike_in_all_pictures() -> None:
    """The same colour and shape, wherever it stands; of many classes none shares both."""
    one = grammar.classes(["B", "A"], among=["A", "B", "C"])
    other = grammar.classes(["A", "B", "C"], among=["A", "B", "C"])
    for channel in ("color", "shape"):
        assert one[channel]["scale"]["range"] == other[channel]["scale"]["range"][1::-1]
    names = [f"c{number}" for number in range(7)] + ["all others"]
    many = grammar.classes(names, among=[f"c{number}" for number in range(30)])
    assert len(set(many["shape"]["scale"]["range"])) == len(names)


def test_examples_become_points() -> None:
    """Those whose two values are known, with what each was; of many classes the last are one."""
    config = {
        "features": FEATURES,
        "classes": [f"c_{number}" for number in range(9)],
        "task": "classification",
        "examples": [
            {"features": ["Dream", True, 17.0], "class_name": "c_0"},
            {"features": ["Biscoe", None, 15.5], "class_name": "c_8"},
        ],
    }
    rows = cases.points(config, ("bill_depth", "island"))
    assert rows == [
        {"x": 17.0, "y": "Dream", "class": "C 0"},
        {"x": 15.5, "y": "Biscoe", "class": cases.OTHERS},
    ]
    assert cases.table(rows, ("Depth", "Island")) == {
        "Depth": {"1": "17", "2": "15.5"},
        "Island": {"1": "Dream", "2": "Biscoe"},
        "Class": {"1": "C 0", "2": cases.OTHERS},
    }
    assert len(cases.points(config, ("tame", "bill_depth"))) == 1


def test_a_vote_leaves_no_trace(address: str) -> None:
    """Drawing it asks a forced version: nothing enters the drift window, counts or labels."""
    before = api.get("/report").value
    page = view("learn")
    assert "trees of v1 vote" in texts(page)
    page.slider[0].set_value(page.slider[0].min).run()
    page.button(key="luck").click().run()
    assert not page.exception
    assert before == api.get("/report").value


def test_a_slider_changes_the_way(address: str) -> None:
    """The example that is chosen comes to its own class, in the tree and in the vote."""
    page = view("learn")
    for name in ("Setosa", "Virginica"):
        page.button(key=f"example {name.lower()}").click().run()
        assert f"this tree says **{name}**" in texts(page)
        assert f"Most say **{name}**" in texts(page)


def test_each_version_has_its_own_tree(address: str) -> None:
    """Another version is chosen by a click."""
    page = view("learn")
    assert "v1 has 50 decision trees" in texts(page)
    page.button_group(key="learn version").set_value("v2").run()
    assert "v2 has 100 decision trees" in texts(page)


def test_a_regression_is_a_mean_of_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model without trees says so; the leaves of the other say how much.

    While the service is away, all that needs no answer stays.
    """
    rows = [f"{n},{('old', 'new')[n % 2]},{1000.25 + 3 * n}" for n in range(80)]
    (tmp_path / "table.csv").write_text("\n".join(["size,state,price", *rows]) + "\n")
    with serving(tmp_path, LINE, monkeypatch=monkeypatch):
        page = view("learn")
        assert "one is of the kind LinearRegression: it has no trees" in texts(page)
        page.button_group(key="learn version").set_value("two").run()
        assert "The mean of its 5 trees is **" in texts(page)
        assert "The larger a dot, the larger the value" in texts(page)
    latest.forget()
    page.slider[0].set_value(page.slider[0].max).run()
    assert not page.exception
    assert "is not answering" in texts(page)
    assert "two has 5 decision trees" in texts(page)


def test_what_has_no_examples_is_drawn_from_its_summary(address: str) -> None:
    """How each of the two features is spread stands for the picture."""
    script = """
import latest
from views import learn
learn.draw(latest.look().value("/config") | {"examples": []})
"""
    page = AppTest.from_string(script, default_timeout=60).run()
    assert not page.exception
    assert explained.NO_EXAMPLES in texts(page)
    assert "can't be shown" not in texts(page)
