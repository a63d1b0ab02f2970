"""Learn: how a model decides, what an A/B test and drift are, with something to play in each."""

from __future__ import annotations

from typing import Any

import api
import beginnings
import cases
import charts
import explained
import inputs
import latest
import lessons
import live
import simulated
import streamlit as st
import tables
import trees
import words

# More inputs would be a wall: those of the picture's axes, and what the tree asks first.
MOST_INPUTS = 8
# Whoever moves a slider back sees the same again, and nobody is asked.
KEPT = 200

Json = dict[str, Any]


def draw(config: Json) -> None:
    st.title("Learn", anchor=False)
    st.caption("How a model decides, and how one finds out whether it still decides well.")
    _decides(config)
    st.header("4. A test shows which is better", anchor=False)
    _split()
    _split_here()
    st.header("5. The world drifts away", anchor=False)
    _drift(config)
    _drift_here()
    st.caption(
        "The course (docs/course in the source) has all of this, to type along. What serves here, "
        "and since when, is on the page Versions."
    )


# A fragment, because all of it depends on the case that the inputs make, and nothing else does.
@st.fragment
@live.guarded
def _decides(config: Json) -> None:
    version = _version(config)
    tree = config["versions"][version].get("tree")
    asked = trees.asked(tree) if tree else []
    st.header("1. A model learns from examples", anchor=False)
    left, right = st.columns(2, gap="large")
    with right:
        picture = st.container()
        pair = _pair(config, asked)
    with left:
        beginnings.buttons(config)
        case = _case(config, [*pair, *asked])
    with picture:
        _examples(config, pair, case)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("2. A tree asks" if tree else "2. There is no tree to see", anchor=False)
        _tree(config, version, case)
    with right:
        st.header("3. All trees answer" if tree else "3. The model answers", anchor=False)
        _votes(config, version, case)


def _version(config: Json) -> str:
    names, control = list(config["versions"]), str(config["experiment"]["control"])
    if len(names) == 1:
        return control
    # None where a second click has taken the choice back.
    return st.segmented_control("Version", names, default=control, key="learn version") or control


def _pair(config: Json, asked: list[str]) -> tuple[str, str]:
    """Let the two axes be chosen; at first they are what the tree asks about first."""
    names = [feature["name"] for feature in config["features"]]
    usual = [*asked, *(name for name in names if name not in asked)]
    if len(names) == 1:
        return names[0], names[0]
    written, chosen = words.titles(names), []
    for column, label, name in zip(st.columns(2), ("Across", "Up"), usual, strict=False):
        with column:
            at = names.index(name)
            key = f"{label} {name}"  # another tree begins with other features
            chosen.append(str(st.selectbox(label, names, at, format_func=written, key=key)))
    return chosen[0], chosen[1]


def _case(config: Json, wanted: list[str]) -> cases.Case:
    """Draw inputs for what is wanted most; the other features keep the values they start with."""
    start, turn = beginnings.chosen(config)
    features = config["features"]
    case = {each["name"]: start.get(each["name"], inputs.usual(each)) for each in features}
    few = list(dict.fromkeys([*wanted, *case]))[:MOST_INPUTS]
    scales = zip(features, inputs.scales(config), strict=True)
    some = [(feature, its) for feature, its in scales if feature["name"] in few]
    with st.container(key=f"case {turn}"):
        row = inputs.draw(*zip(*some, strict=True), start=start, key=turn)
    if others := len(features) - len(some):
        st.caption(f"{words.count(others, 'other feature')}: as usual, or as in the example.")
    return case | {feature["name"]: value for (feature, _), value in zip(some, row, strict=True)}


def _examples(config: Json, pair: tuple[str, str], case: cases.Case) -> None:
    """Draw the examples by two features, and the case; where there are none, how each is spread."""
    features = {each["name"]: each for each in config["features"]}
    labels = words.label(features[pair[0]]), words.label(features[pair[1]])
    rows = cases.points(config, pair)
    if not rows:
        _spread(pair)
        return
    scales = dict(zip(features, inputs.scales(config), strict=True))
    x = lessons.axis("x", labels[0], cases.ends(scales[pair[0]]))
    y = lessons.axis("y", labels[1], cases.ends(scales[pair[1]]))
    point, classes = cases.point(case, pair), cases.names(config)
    st.vega_lite_chart(lessons.cases(rows, point, x, y, classes=classes))
    st.caption(explained.examples(point, classes))
    tables.folded("the examples", cases.table(rows, labels), of="Example")


def _spread(pair: tuple[str, str]) -> None:
    st.caption(explained.NO_EXAMPLES)
    report = latest.look().value("/report") or {"drift": {"distributions": {}}}
    for name in dict.fromkeys(pair):
        if told := report["drift"]["distributions"].get(name):
            st.markdown(f"**{words.plain(words.title(name))}**")
            st.vega_lite_chart(charts.distribution({**told, "window": None}))


def _tree(config: Json, version: str, case: cases.Case) -> None:
    about = config["versions"][version]
    if not about.get("tree"):
        st.markdown(explained.no_tree(version, about))
        return
    st.markdown(explained.grown(version, about))
    lines = trees.lines(about["tree"], config["features"], case)
    st.vega_lite_chart(lessons.tree(lines))
    st.markdown(explained.way(lines))
    tables.folded("the way of this case", explained.steps(lines), of="Step")


def _votes(config: Json, version: str, case: cases.Case) -> None:
    about = config["versions"][version]
    try:
        said = _asked(api.address(), version, about["sha256"], list(case.values()))
    except api.ApiError as error:
        st.caption(words.plain(str(error)))
        return
    chances = dict(zip(config["classes"], said.get("probabilities") or (), strict=False))
    if chances:
        voters = about["n_estimators"] if about.get("tree") else None
        names = map(words.titles(list(chances)), chances)
        written = dict(zip(names, chances.values(), strict=True))
        st.vega_lite_chart(charts.votes(written, voters=voters))
        st.caption(explained.shares(chances))
    st.markdown(explained.votes(version, about, said))


@st.cache_data(show_spinner=False, max_entries=KEPT)
def _asked(address: str, version: str, sha256: str, row: list[Any]) -> Json:
    """Ask one version, which stays out of the experiment and of drift."""
    if not latest.look().answers:  # it would take as long as it does to hang
        raise api.Unreachable(f"The service at {address} is not answering.")
    return api.predict(row, model_version=version)


@st.fragment
@live.guarded
def _split() -> None:
    st.caption(explained.SPLIT)
    left, right = st.columns(2, gap="large")
    with left:
        share = st.slider("Requests that B gets, percent", 0, 100, 10, 5, key="share")
        right_a = st.slider("A is right, percent", 50, 100, 90, key="right A")
        right_b = st.slider("B is right, percent", 50, 100, 94, key="right B")
        requests = st.select_slider("Requests", [100, 300, 1000, 3000, 10_000], 300, key="requests")
        if st.button("Once more, with other luck", key="luck"):
            st.session_state["seed"] = st.session_state.get("seed", 0) + 1
    seed = st.session_state.get("seed", 0)
    arms = simulated.split(
        requests, share=share / 100, right=(right_a / 100, right_b / 100), seed=seed
    )
    with right:
        st.markdown("**Share of the requests**")
        asked, weights = (
            {name: arm.requests for name, arm in arms.items()},
            {"A": 100 - share, "B": share},
        )
        st.vega_lite_chart(charts.shares(asked, weights))
        st.markdown("**Right answers**")
        st.vega_lite_chart(charts.accuracies(explained.intervals(arms)))
        st.caption(words.INTERVAL)
        st.markdown(explained.test(arms))
    tables.folded("the simulated test", explained.tested(arms), of="Version")


@live.section("versions", "comparisons")
def _split_here(report: Json, config: Json) -> None:
    st.caption(explained.split_here(report))


@st.fragment
@live.guarded
def _drift(config: Json) -> None:
    report = latest.look().value("/report")
    if report is None:
        return
    features = {each["name"]: each for each in config["features"]}
    st.caption(explained.DRIFT)
    left, right = st.columns(2, gap="large")
    with left:
        names = list(features)
        name = st.selectbox("Feature", names, format_func=words.titles(names), key="drifting")
        moved = _moved(features[name], report["drift"]["distributions"][name])
        limit = report["drift"]["limits"][name] or report["drift"]["threshold"]
        st.vega_lite_chart(charts.against_limits({"Distance": (moved.distance, limit)}))
        st.markdown(explained.distance(moved, features[name], limit))
    with right:
        title = words.label(features[name])
        st.vega_lite_chart(charts.distribution(moved.histogram, title=title))
        if moved.gap:
            st.vega_lite_chart(lessons.gap(moved, title=title))
        st.caption(explained.SIGNS)
    tables.folded("the moved feature", explained.moved(moved), of="Value")


def _moved(feature: Json, training: Json) -> simulated.Moved:
    """Let the values of a feature be moved."""
    if "categories" in training:
        share = st.slider(
            "Rows that have another value now, percent",
            0,
            100,
            20,
            5,
            key=f"other {feature['name']}",
        )
        return simulated.replaced(training, share / 100)
    width = training["edges"][-1] - training["edges"][0]
    steps = st.slider(
        "All values are higher by, percent of the range",
        -100,
        100,
        15,
        5,
        key=f"by {feature['name']}",
    )
    return simulated.moved(training, width * steps / 100)


@live.section("drift")
def _drift_here(report: Json, config: Json) -> None:
    st.caption(explained.drift_here(report["drift"], config["features"]))
