"""About: a random forest, an A/B test and drift, each with a picture drawn from the live data."""

from __future__ import annotations

from typing import Any

import api
import charts
import drifted
import explained
import latest
import live
import streamlit as st
import words


def draw(config: dict[str, Any]) -> None:
    st.title("About", anchor=False)
    forest, test, drift = st.columns(3, gap="large")
    with forest:
        _forest(config)
    with test:
        st.header("An A/B test", anchor=False)
        _test()
    with drift:
        st.header("Drift", anchor=False)
        _drift()


def _forest(config: dict[str, Any]) -> None:
    st.header("A random forest", anchor=False)
    try:
        votes = _hardest(api.address(), config) if latest.look().answers else None
    except api.ApiError:
        votes = None
    if votes:
        st.vega_lite_chart(charts.votes(votes["chances"], voters=votes["trees"]))
    st.markdown(explained.about_forest(votes, task=config["task"]))


@st.cache_data(show_spinner=False, max_entries=4)
def _hardest(address: str, config: dict[str, Any]) -> dict[str, Any] | None:
    """Let the control vote on the examples, and give the closest vote."""
    control = config["experiment"]["control"]
    rows = [example["features"] for example in config["examples"]]
    if not rows or config["task"] == "regression":
        return None
    answer = api.predict(rows, model_version=control)
    if None in answer["probabilities"]:  # a model that votes for one class only
        return None
    at = min(range(len(rows)), key=lambda row: max(answer["probabilities"][row]))
    about = config["versions"][control]
    return {
        "version": control,
        # The trees of other ensembles do not vote.
        "trees": about.get("n_estimators") if "Forest" in about.get("estimator", "") else None,
        "class_name": answer["class_names"][at],
        "chances": dict(zip(config["classes"], answer["probabilities"][at], strict=True)),
    }


@live.section("versions", "comparisons")
def _test(report: dict[str, Any], config: dict[str, Any]) -> None:
    requests = {name: version["requests"] for name, version in report["versions"].items()}
    st.vega_lite_chart(charts.shares(requests, config["effective_split"]))
    st.markdown(explained.about_test(report, config["effective_split"]))


@live.section("drift")
def _drift(report: dict[str, Any], config: dict[str, Any]) -> None:
    drift = report["drift"]
    feature = drifted.most_moved(drift, config["features"])
    shares = drift["distributions"][feature["name"]]
    st.vega_lite_chart(charts.distribution(shares, title=words.title(feature["name"])))
    st.markdown(explained.about_drift(drift, feature))
