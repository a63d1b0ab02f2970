"""A/B test: which version is better, what that rests on, and what would decide it."""

from __future__ import annotations

from typing import Any

import charts
import live
import scores
import streamlit as st
import tables
import verdicts
import words


def draw(config: dict[str, Any]) -> None:
    st.title("A/B test", anchor=False)
    _body()


@live.section("versions", "comparisons", "sample_ratio")
def _body(report: dict[str, Any], config: dict[str, Any]) -> None:
    if not report["comparisons"]:
        st.markdown(words.plain(words.ALONE))
    for comparison in report["comparisons"]:
        live.show(
            verdicts.verdict(
                comparison,
                control=report["control"],
                split=config["effective_split"],
                command=report["command"],
            )
        )
    # Something or nothing, else all below would change places, and what was opened close.
    _how_to_label(report, config["effective_split"])
    if report["sample_ratio"]["ok"]:
        st.empty()
    else:
        invented = "" if config["auth"]["require"] == "all" else words.plain(words.INVENTED)
        st.warning(f"{words.UNEVEN} {invented}", icon=":material/warning:")
    _versions(report, config)
    _evidence(report, config)
    if config["auth"]["require"] == "no":
        st.caption(words.plain(words.ANYBODY))
    else:
        st.empty()


def _how_to_label(report: dict[str, Any], split: dict[str, float]) -> None:
    control = report["control"]
    if any(
        verdicts.labels_help(comparison, control=control, split=split)
        for comparison in report["comparisons"]
    ):
        st.markdown(words.HOW_TO_LABEL)
    else:
        st.empty()


def _versions(report: dict[str, Any], config: dict[str, Any]) -> None:
    st.header("Side by side", anchor=False)
    versions = report["versions"]
    tables.show(scores.side_by_side(versions, config), of="Figure")
    st.caption(f"Requests, labels and times are of this split alone. {words.TESTED}")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Share of the requests**")
        requests = {name: version["requests"] for name, version in versions.items()}
        st.vega_lite_chart(charts.shares(requests, config["effective_split"]))
        st.caption("Blue: as it is. Orange tick: as planned.")
    with right:
        if config["task"] == "regression":
            st.markdown("**Mean error in use**")
            _errors(versions)
        else:
            st.markdown("**Accuracy in use**")
            _accuracies(versions)
    _classes(versions)


def _classes(versions: dict[str, Any]) -> None:
    """Show what each version has found of each class, as soon as there are labels."""
    found = scores.found(versions)
    if any(found.values()):
        st.markdown("**Found of each class**")
        tables.show(found, of="Class")
    else:
        st.empty()
        st.empty()


def _errors(versions: dict[str, Any]) -> None:
    means = {name: each["mae"] for name, each in versions.items() if each["mae"] is not None}
    if not means:
        st.caption("Not known yet: there are no labels.")
        return
    st.vega_lite_chart(charts.errors(means))
    st.caption("How far the answers are from the truth on average: less is better.")


def _accuracies(versions: dict[str, Any]) -> None:
    intervals = {
        name: (version["accuracy"], *scores.wilson(version["correct"], version["labelled"]))
        for name, version in versions.items()
        if version["labelled"]
    }
    if not intervals:
        st.caption("Not known yet: there are no labels.")
        return
    st.vega_lite_chart(charts.accuracies(intervals))
    st.caption(words.INTERVAL)


def _evidence(report: dict[str, Any], config: dict[str, Any]) -> None:
    """Show what each verdict rests on; the challengers share the risk of a wrong one."""
    alpha = config["experiment"]["alpha"] / max(len(report["comparisons"]), 1)
    control, task = report["control"], config["task"]
    for comparison in report["comparisons"]:
        with st.expander(f"What the verdict on {words.plain(comparison['challenger'])} rests on"):
            facts = verdicts.evidence(comparison, control=control, alpha=alpha, task=task)
            tables.show({"What is known": facts}, of="Fact")
