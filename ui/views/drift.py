"""Drift: does the input still look like what the model learnt from?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import charts
import drifted
import live
import streamlit as st
import tables
import words


def draw(config: dict[str, Any]) -> None:
    st.title("Drift", anchor=False)
    _body()


@live.section("drift")
def _body(report: dict[str, Any], config: dict[str, Any]) -> None:
    drift = report["drift"]
    live.show(drifted.drift(drift))
    if drift["score"] is None:
        st.empty()
        st.empty()
    else:
        _scores(drift)
        tables.folded("scores and alarms", drifted.in_numbers(drift), of="Measurement")
    _distributions(drift, config["features"])


def _scores(drift: dict[str, Any]) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**All measurements together**")
        st.vega_lite_chart(charts.against_limits({"Score": (drift["score"], drift["limit"])}))
        st.caption("How far the averages have moved. Orange tick: the alarm.")
    with right:
        st.markdown("**Each measurement**")
        scores = sorted(drift["features"].items(), key=lambda each: -each[1])
        each = {words.title(name): (score, drift["limits"][name]) for name, score in scores}
        st.vega_lite_chart(charts.against_limits(each))
        st.caption("How different its values are spread: 0 the same, 1 nothing in common.")


def _distributions(drift: dict[str, Any], features: list[dict[str, Any]]) -> None:
    st.header("Now and in training", anchor=False)
    full = drift["score"] is not None
    latest = f" Blue outline: the latest {words.count(drift['window'], 'row')}." if full else ""
    st.caption(f"Grey bars: the training data.{latest}")
    for pair in _pairs(features):
        for column, feature in zip(st.columns(2, gap="large"), pair, strict=False):
            with column:
                above = feature["name"] in drift["above"]
                st.markdown(f"**{words.label(feature)}**{words.MOVED if above else ''}")
                st.vega_lite_chart(charts.distribution(drift["distributions"][feature["name"]]))
    _spread(drift, features)


def _spread(drift: dict[str, Any], features: list[dict[str, Any]]) -> None:
    # Of many features this is long: it is made for those only who open it.
    with st.expander("In numbers: now and in training", on_change="rerun", key="spread") as folded:
        if folded.open:
            tables.show(drifted.spread(drift, features), of="Values")


def _pairs(items: list[Any]) -> Iterable[list[Any]]:
    """Cut a list in twos, so that a narrow screen keeps the order."""
    return (items[at : at + 2] for at in range(0, len(items), 2))
