"""Over time: what each version did, how good its answers were, and what happened meanwhile."""

from __future__ import annotations

from typing import Any

import course
import curves
import latest
import life
import live
import streamlit as st
import tables
import words

NEWEST = 10


def draw(config: dict[str, Any]) -> None:
    st.title("Over time", anchor=False)
    span = st.segmented_control("The last", list(course.SPANS), default="Day", key="span")
    _body(config, hours=course.SPANS[span or "Day"])


@live.redrawn("/timeline?hours={hours}")
def _body(seen: latest.Seen, config: dict[str, Any], *, hours: int) -> None:
    told = seen.value(f"/timeline?hours={hours}")
    if told is None:
        st.info("The service does not tell what was before.", icon=":material/info:")
        return
    st.caption(f"A point for each {course.STEPS[told['seconds']]}, in UTC; the last is not over.")
    _traffic(told)
    if config["task"] == "regression":
        _wrong(told)
    else:
        _right(told)
    _latency(told)
    _errors(told)
    _drift(told, config)
    _events(told["events"])


def _traffic(told: dict[str, Any]) -> None:
    names = course.versions(told)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Requests**")
        _lines(told, names, course.figure("requests"), "Requests of each version")
    with right:
        st.markdown("**Share of the requests**")
        _lines(told, names, course.share, "Share of the requests", share=True)
    _numbers("requests", course.table(told, names, course.requests, any_of=["requests"]))


def _right(told: dict[str, Any]) -> None:
    st.header("Accuracy in use", anchor=False)
    names = course.versions(told)
    numbers = course.table(told, names, course.right, any_of=["labelled"])
    if not any(numbers.values()):
        _nothing("Not known yet: there are no labels.")
        return
    marks, across = course.marks(told), course.across(told)
    with st.container():
        for pair in (names[at : at + 2] for at in range(0, len(names), 2)):
            for column, name in zip(st.columns(2, gap="large"), pair, strict=False):
                with column:
                    st.markdown(f"**{words.plain(name)}**")
                    rows = course.accuracies(told, name)
                    spec = curves.course_of_accuracy(rows, marks, across, f"Accuracy of {name}")
                    st.vega_lite_chart(spec)
    st.caption(
        "Of the answers given then, as far as labels have come. Dot: share of right answers. "
        "Line: where the true value lies, 19 times out of 20 (Wilson's interval)."
    )
    _numbers("accuracy", numbers)


def _wrong(told: dict[str, Any]) -> None:
    st.header("Mean error in use", anchor=False)
    names = course.versions(told)
    numbers = course.table(told, names, course.wrong, any_of=["labelled"])
    if not any(numbers.values()):
        _nothing("Not known yet: there are no labels.")
        return
    _lines(told, names, course.figure("mae"), "Mean error of each version")
    st.caption("Of the answers given then, as far as labels have come: less is better.")
    _numbers("errors of the answers", numbers)


def _latency(told: dict[str, Any]) -> None:
    st.header("Milliseconds for an answer", anchor=False)
    names = course.versions(told)
    for column, key, title in zip(
        st.columns(2, gap="large"),
        ("p50", "p95"),
        ("Half answered within", "95% answered within"),
        strict=True,
    ):
        with column:
            st.markdown(f"**{title}**")
            _lines(told, names, course.figure(key), f"{title}, in milliseconds")
    _numbers("milliseconds (half; 95%)", course.table(told, names, course.latency, any_of=["p50"]))


def _errors(told: dict[str, Any]) -> None:
    st.header("Errors", anchor=False)
    names = course.versions(told)
    numbers = course.table(told, names, course.errors, any_of=["errors"])
    if not any(numbers.values()):
        _nothing("None: no version has failed.")
        return
    _lines(told, names, course.figure("errors"), "Requests that each version failed to answer")
    st.caption("Requests that the version failed to answer.")
    _numbers("failures", numbers)


def _drift(told: dict[str, Any], config: dict[str, Any]) -> None:
    st.header("Drift", anchor=False)
    names = course.features(told)
    if not names:
        _nothing("Not known yet: it takes a full window of rows.")
        return
    shown, alarm = names[: course.MOST_FEATURES], config["drift"]["threshold"]
    _lines(told, shown, course.drift, "Drift of each feature", alarm=alarm)
    others = f" Shown: the {len(shown)} that changed most." if len(names) > len(shown) else ""
    st.caption(
        "The most that was seen in each stretch: 0 the same as in training, 1 nothing in common. "
        f"Orange: the alarm, at {words.number(alarm)} or what chance reaches.{others}"
    )
    _numbers("drift", course.table(told, shown, course.drifted, any_of=["drift"]))


def _events(events: list[dict[str, Any]]) -> None:
    st.header("What happened", anchor=False)
    if not events:
        _nothing("Nothing in this time.")
        return
    lines = [f"**{course.letter(each)}** {life.happened(each)}" for each in reversed(events)]
    st.caption("The letters are those above the charts.")
    st.markdown(_listed(lines[:NEWEST]))
    if earlier := lines[NEWEST:]:
        with st.expander(f"{len(earlier)} earlier"):
            st.markdown(_listed(earlier))
    else:
        st.empty()


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {each}" for each in lines)


def _lines(
    told: dict[str, Any],
    names: list[str],
    value: Any,
    description: str,
    *,
    share: bool = False,
    alarm: float | None = None,
) -> None:
    rows = course.series(told, names, value)
    spec = curves.course(
        rows, course.marks(told), course.across(told), description, share=share, alarm=alarm
    )
    st.vega_lite_chart(spec)


def _numbers(what: str, numbers: course.Table) -> None:
    tables.folded(what, numbers, of="From, UTC")


def _nothing(text: str) -> None:
    """Say that there is nothing to draw, and take the places of what would be there."""
    st.caption(text)
    st.empty()
    st.empty()
