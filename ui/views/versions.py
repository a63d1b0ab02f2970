"""Versions: what serves, what is kept, how far a rollout is, and what happened before."""

from __future__ import annotations

from typing import Any

import bundles
import charts
import latest
import life
import live
import streamlit as st
import tables
import words

# More would be a wall; the rest is a click away.
NEWEST = 10
MARKS = {
    "done": ":green[:material/check:] {} · done",
    "now": ":blue[:material/arrow_forward:] **{} · now**",
    "held": ":orange[:material/pause:] **{} · waits here**",
    "ended": ":orange[:material/stop_circle:] **{} · ended here**",
    "next": ":gray[:material/radio_button_unchecked:] {} · to come",
    "never": ":gray[:material/radio_button_unchecked:] {} · not reached",
}


def draw(config: dict[str, Any]) -> None:
    st.title("Versions", anchor=False)
    _body(config)


@live.redrawn("/versions")
def _body(seen: latest.Seen, config: dict[str, Any]) -> None:
    told = seen.value("/versions")
    if told is None:
        st.info("The service does not tell which versions it keeps.", icon=":material/info:")
        return
    _rollout(told, config)
    st.header("What serves", anchor=False)
    tables.show(bundles.serving(config), of="Fact")
    _exam(told, config)
    _kept(told, config)
    _events(told["events"])


def _rollout(told: dict[str, Any], config: dict[str, Any]) -> None:
    at = told["rollout"]
    live.show(life.rollout(told, config))
    if at is None:
        st.empty()
        st.empty()
        return
    with st.container(key="stages"):
        _listed([MARKS[mark].format(name) for name, mark in life.stages(at)])
    with st.expander(f"How the rollout of {words.plain(at['version'])} came to this"):
        _listed(life.past(at))


def _exam(told: dict[str, Any], config: dict[str, Any]) -> None:
    st.header("On the same exam", anchor=False)
    control, task = config["experiment"]["control"], config["task"]
    sat = bundles.exam(told["models"], control=control, task=task)
    if sat is None:
        st.empty()
    elif task == "regression":
        st.vega_lite_chart(charts.errors(sat.scores))
    else:
        st.vega_lite_chart(charts.accuracies(bundles.intervals(sat)))
    command = told["command"]
    st.caption(bundles.on_the_exam(sat, control=control, task=task, command=command))


def _kept(told: dict[str, Any], config: dict[str, Any]) -> None:
    st.header("What is kept", anchor=False)
    _listed([bundles.kept(each, config) for each in told["models"]])
    if typed := bundles.going_back(told["models"], told["command"]):
        st.caption("To go back to an older one, type on the host:")
        st.code(typed, language=None, wrap_lines=True)
    else:
        st.empty()
        st.empty()


def _events(events: list[dict[str, Any]]) -> None:
    st.header("What happened", anchor=False)
    _listed([life.happened(each) for each in events[:NEWEST]] or ["Nothing yet."])
    if earlier := events[NEWEST:]:
        with st.expander(f"{len(earlier)} earlier"):
            _listed([life.happened(each) for each in earlier])
    else:
        st.empty()


def _listed(lines: list[str]) -> None:
    st.markdown("\n".join(f"- {each}" for each in lines))
