"""The examples of /config to start from: a button per kind of answer. Start at `buttons()`.

What was chosen on one page is there on the others, too.
"""

from __future__ import annotations

from typing import Any

import inputs
import streamlit as st
import words

Row = dict[str, inputs.Value]
Model = list[Any]


def buttons(config: dict[str, Any]) -> None:
    """Offer a button per kind of answer; pressed again, it gives the next example of its kind."""
    if not config["examples"]:
        return
    st.markdown("Start from an example")
    with st.container(horizontal=True, gap="small"):
        for name, rows in _kinds(config).items():
            label, begin = words.plain(words.title(name)), (model(config), name, rows)
            st.button(label, key=f"example {name}", on_click=_start_from, args=begin)


def _kinds(config: dict[str, Any]) -> dict[str, list[Row]]:
    """Sort the examples by their class, those of a regression by how large their value is."""
    names = [feature["name"] for feature in config["features"]]
    examples = config["examples"]
    rows = [dict(zip(names, each["features"], strict=True)) for each in examples]
    if config["task"] == "regression":
        ranked = [rows[at] for at in sorted(range(len(rows)), key=lambda at: examples[at]["value"])]
        ends = [len(ranked) * third // 3 for third in range(4)]
        kinds = zip(("low", "middle", "high"), ends, ends[1:], strict=False)
        found = {name: ranked[begin:end] for name, begin, end in kinds}
    else:
        found = {name: [] for name in config["classes"]}
        for row, example in zip(rows, examples, strict=True):
            found[example["class_name"]].append(row)
    return {name: some for name, some in found.items() if some}


def _start_from(of: Model, name: str, rows: list[Row]) -> None:
    """Put new inputs, at the next of `rows`, in the place of the old.

    Moving the old ones would lose a race: a click that leaves the browser before it has heard of
    the move brings the old values along.
    """
    turn = st.session_state.get(f"turn {name}", 0)
    st.session_state[f"turn {name}"] = turn + 1
    st.session_state["set"] = st.session_state.get("set", 0) + 1
    st.session_state["start"] = of, rows[turn % len(rows)]


def chosen(config: dict[str, Any]) -> tuple[Row, str]:
    """Give the example that was chosen, empty where none was, and a name for the inputs it is in.

    New inputs come in a new box, else the browser keeps an old one that has the focus until all is
    drawn, and a button moves away under a click.
    """
    of, row = st.session_state.get("start", (None, {}))
    return row if of == model(config) else {}, str(st.session_state.get("set", 0))


def model(config: dict[str, Any]) -> Model:
    """Tell one model's questions and answers from another's."""
    asked = [(feature["name"], feature["type"]) for feature in config["features"]]
    return [config["task"], config["classes"], asked]
