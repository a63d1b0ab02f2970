"""Predict: set the values, press the button, read the answer, say whether it was right."""

from __future__ import annotations

from typing import Any

import api
import latest
import live
import streamlit as st
import words
from sliders import Scale, scale

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
        scales = _scales(config)
        row = _inputs(config, scales)
        asked = st.button("Get Prediction", type="primary", width="stretch", key="ask")
        if asked:
            _ask(config, row)
    with right:
        _answer(config, row)
        _guesses(config, scales, row)
        if asked:
            _scroll_to_answer()


def _scales(config: dict[str, Any]) -> list[Scale]:
    rows = [example["features"] for example in config["examples"]]
    return [
        scale(feature, [row[at] for row in rows]) for at, feature in enumerate(config["features"])
    ]


def _inputs(config: dict[str, Any], scales: list[Scale]) -> list[float]:
    names = [feature["name"] for feature in config["features"]]
    examples = [dict(zip(names, each["features"], strict=True)) for each in config["examples"]]
    _examples(config, examples)
    # New sliders come in a new box, else the browser keeps an old one that has the focus until all
    # is drawn, and the button moves away under a click.
    with st.container(key=f"sliders {st.session_state.get('set', 0)}"):
        return [_slider(*each) for each in zip(config["features"], scales, strict=True)]


# Below the answer: beside the slider this would move the button, above the answer that.
def _guesses(config: dict[str, Any], scales: list[Scale], row: list[float]) -> None:
    for feature, its, value in zip(config["features"], scales, row, strict=True):
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


def _examples(config: dict[str, Any], examples: list[dict[str, float]]) -> None:
    """Offer a button per class; pressed again, it gives that class's next example."""
    if not examples:
        return
    st.markdown("Start from an example")
    classes = [example["class_name"] for example in config["examples"]]
    with st.container(horizontal=True, gap="small"):
        for name in config["classes"]:
            rows = [row for row, its in zip(examples, classes, strict=True) if its == name]
            if rows:
                label = words.plain(words.title(name))
                st.button(label, key=f"example {name}", on_click=_start_from, args=(name, rows))


def _start_from(name: str, rows: list[dict[str, float]]) -> None:
    """Put new sliders, at the next of `rows`, in the place of the old.

    Moving the old ones would lose a race: a click that leaves the browser before it has heard of
    the move brings the old values along.
    """
    turn = st.session_state.get(f"turn {name}", 0)
    st.session_state[f"turn {name}"] = turn + 1
    st.session_state["set"] = st.session_state.get("set", 0) + 1
    st.session_state["start"] = rows[turn % len(rows)]


def _slider(feature: dict[str, Any], its: Scale) -> float:
    # Another model's feature of the same name is another slider.
    key = f"{st.session_state.get('set', 0)} {feature['name']} {feature['min']} {feature['max']}"
    start = st.session_state.get("start", {})
    return st.slider(
        f"{words.label(feature)} · trained on {words.trained_on(feature)}",
        its.low,
        its.high,
        value=its.snap(start.get(feature["name"], feature["mean"])),
        step=its.step,
        format=f"%.{its.decimals}f",
        key=key,
        persist_state="session",
    )


def _ask(config: dict[str, Any], row: list[float]) -> None:
    asked = {"row": row, "classes": config["classes"], "answer": None, "trouble": None}
    try:
        with st.spinner("Waiting for an answer"):
            asked["answer"] = api.predict(row)
        latest.forget()
    except api.ApiError as error:
        asked["trouble"] = str(error)
    st.session_state["asked"] = asked


def _answer(config: dict[str, Any], row: list[float]) -> None:
    asked = st.session_state.get("asked")
    with st.container(border=True, key="answer"):
        if asked is None or asked["classes"] != config["classes"]:
            st.markdown("#### The answer appears here")
            st.caption("Which class it is, how sure the model is, and which version answered.")
        elif asked["trouble"]:
            st.markdown("#### No answer this time")
            st.markdown(words.plain(asked["trouble"]))
        else:
            _show(asked, changed=row != asked["row"])


def _show(asked: dict[str, Any], *, changed: bool) -> None:
    answer = asked["answer"]
    st.caption("The values have changed since this answer." if changed else "The answer")
    chances = dict(zip(asked["classes"], answer["probabilities"], strict=True))
    sure = words.percent(chances[answer["class_name"]])
    st.header(f"{words.plain(words.title(answer['class_name']))}, {sure}", anchor=False)
    for name in sorted(chances, key=chances.__getitem__, reverse=True)[:MOST_BARS]:
        text = f"{words.plain(words.title(name))} · {words.percent(chances[name])}"
        st.progress(chances[name], text=text)
    st.markdown(
        f"Answered by **{words.plain(answer['model_version'])}** "
        f"in **{words.milliseconds(answer['latency_ms'])}**"
    )
    _was_this_right(asked)
    st.caption(f"Request {words.plain(answer['request_id'])}")


def _was_this_right(asked: dict[str, Any]) -> None:
    answer = asked["answer"]
    if said := asked.get("said"):
        st.markdown(said)
        return
    st.markdown("Was this right?")
    others = [name for name in asked["classes"] if name != answer["class_name"]]
    with st.container(horizontal=True):
        st.button("Yes", key="right", on_click=_tell, args=(asked, answer["class_name"]))
        key = f"wrong {answer['request_id']}"
        st.selectbox(
            "What was it?",
            others,
            index=None,
            placeholder="No, it was …",
            format_func=words.title,
            key=key,
            label_visibility="collapsed",
            width=200,
            on_change=lambda: _tell(asked, st.session_state[key]),
        )


def _tell(asked: dict[str, Any], label: str) -> None:
    try:
        status = api.feedback(asked["answer"]["request_id"], label=label)["status"]
    except api.ApiError as error:
        asked["said"] = words.plain(str(error))
    else:
        asked["said"] = words.thanks(status, label)
        latest.forget()


@live.section("versions")
def _statistics(report: dict[str, Any], config: dict[str, Any]) -> None:
    st.subheader("Who answered", anchor=False)
    total = sum(version["requests"] for version in report["versions"].values())
    with st.container(horizontal=True, gap="medium"):
        for name, version in report["versions"].items():
            answered, weight = version["requests"], config["split"].get(name, 0)
            with st.container(width=150):
                st.metric(name, f"{answered:,}")
                st.progress(answered / (total or 1), text=words.share(answered, total, weight))
    st.caption("Counted since the configuration last changed, whoever asked.")
