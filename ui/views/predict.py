"""Predict: set the values, press the button, read the answer, say whether it was right."""

from __future__ import annotations

from typing import Any

import api
import beginnings
import inputs
import latest
import live
import streamlit as st
import words
from sliders import Scale

# More bars than this make a wall; the less likely classes are left out.
MOST_BARS = 8


def draw(config: dict[str, Any]) -> None:
    st.title("Try a prediction", anchor=False)
    st.caption("Set the values and ask. The service picks one of its model versions to answer.")
    _ask_and_answer(config)
    _statistics()


# A fragment, because Streamlit ends the run of a whole page for any newer input and may forget the
# click that began it. The runs of a fragment queue up, and no click is lost.
@st.fragment
@live.guarded
def _ask_and_answer(config: dict[str, Any]) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        scales = inputs.scales(config)
        row = _inputs(config, scales)
        asked = st.button("Get Prediction", type="primary", width="stretch", key="ask")
        if asked:
            _ask(config, row)
    with right:
        _answer(config, row)
        _guesses(config, scales, row)
        if asked:
            _scroll_to_answer()


def _inputs(config: dict[str, Any], scales: list[Scale | None]) -> list[inputs.Value]:
    beginnings.buttons(config)
    start, turn = beginnings.chosen(config)
    with st.container(key=f"sliders {turn}"):
        return inputs.draw(config["features"], scales, start=start, key=turn)


# Below the answer: beside the slider this would move the button, above the answer that.
def _guesses(config: dict[str, Any], scales: list[Scale | None], row: list[inputs.Value]) -> None:
    for feature, its, value in zip(config["features"], scales, row, strict=True):
        if not its or not isinstance(value, float):
            continue
        if beyond := words.outside(feature, value, known=its.known(feature)):
            st.caption(f":orange[{beyond}]")


def _scroll_to_answer() -> None:
    """Bring the answer into sight where it is not: on a phone it lies below the button."""
    # The browser runs a script once, so each click needs one of its own.
    st.session_state["click"] = st.session_state.get("click", 0) + 1
    st.html(
        "<script>document.querySelector('.st-key-answer').scrollIntoView({block: 'nearest'})"
        f"  // {st.session_state['click']}\n</script>",
        unsafe_allow_javascript=True,
    )


def _ask(config: dict[str, Any], row: list[inputs.Value]) -> None:
    asked = {"row": row, "model": beginnings.model(config), "answer": None, "trouble": None}
    try:
        with st.spinner("Waiting for an answer"):
            asked["answer"] = api.predict(row)
        latest.forget()
    except api.ApiError as error:
        asked["trouble"] = str(error)
    st.session_state["asked"] = asked


def _answer(config: dict[str, Any], row: list[inputs.Value]) -> None:
    asked = st.session_state.get("asked")
    with st.container(border=True, key="answer"):
        if asked is None or asked["model"] != beginnings.model(config):
            st.header("The answer appears here", anchor=False)
            st.caption(words.what_is_answered(config["task"]))
        elif asked["trouble"]:
            st.header("No answer this time", anchor=False)
            st.markdown(words.plain(asked["trouble"]))
        else:
            _show(config, asked, changed=row != asked["row"])


def _show(config: dict[str, Any], asked: dict[str, Any], *, changed: bool) -> None:
    answer = asked["answer"]
    st.caption("The values have changed since this answer." if changed else "The answer")
    # A regression has no classes, and not every classifier has probabilities.
    chances = dict(zip(config["classes"], answer.get("probabilities") or (), strict=False))
    st.header(words.answer(answer, chances), anchor=False)
    for name in sorted(chances, key=chances.__getitem__, reverse=True)[:MOST_BARS]:
        text = f"{words.plain(words.title(name))} · {words.percent(chances[name])}"
        st.progress(chances[name], text=text)
    st.markdown(
        f"Answered by **{words.plain(answer['model_version'])}** "
        f"in **{words.milliseconds(answer['latency_ms'])}**"
    )
    if said := asked.get("said"):
        st.markdown(said)
    elif config["task"] == "regression":
        _what_was_it(asked)
    else:
        _was_this_right(asked, config["classes"])
    st.caption(f"Request {words.plain(answer['request_id'])}")


def _was_this_right(asked: dict[str, Any], classes: list[str]) -> None:
    answer = asked["answer"]
    st.markdown("Was this right?")
    others = [name for name in classes if name != answer["class_name"]]
    with st.container(horizontal=True):
        st.button("Yes", key="right", on_click=_tell, args=(asked, answer["class_name"]))
        key = f"wrong {answer['request_id']}"
        st.selectbox(
            "What was it?",
            others,
            index=None,
            placeholder="No, it was …",
            format_func=words.titles(others),
            key=key,
            label_visibility="collapsed",
            width=200,
            on_change=lambda: _tell(asked, st.session_state[key]),
        )


def _what_was_it(asked: dict[str, Any]) -> None:
    """Ask for the true value; a form, else the first step towards it would be sent."""
    key = f"truth {asked['answer']['request_id']}"
    with st.form(f"form {key}", border=False):
        st.number_input("What was it really?", value=None, format="%g", key=key)
        st.form_submit_button("Send", on_click=lambda: _tell(asked, st.session_state[key]))


def _tell(asked: dict[str, Any], label: str | float | None) -> None:
    if label is None:  # a box that was cleared, or sent empty
        return
    try:
        status = api.feedback(asked["answer"]["request_id"], label=label)["status"]
    except api.ApiError as error:
        asked["said"] = words.plain(str(error))
    else:
        asked["said"] = words.thanks(status, label)
        latest.forget()


@live.section("versions")
def _statistics(report: dict[str, Any], config: dict[str, Any]) -> None:
    st.header("Who answered", anchor=False)
    total = sum(version["requests"] for version in report["versions"].values())
    with st.container(horizontal=True, gap="small"):
        for name, version in report["versions"].items():
            answered, weight = version["requests"], config["effective_split"].get(name, 0)
            with st.container(width=150):
                st.metric(name, f"{answered:,}")
                st.progress(answered / (total or 1), text=words.share(answered, total, weight))
    st.caption("Counted since the configuration last changed, whoever asked.")
