"""Tables, and the numbers of a chart as text."""

from __future__ import annotations

from collections.abc import Mapping

import pandas
import streamlit as st

# Column -> row -> text.
Columns = Mapping[str, Mapping[str, str]]


# A table of more rows scrolls in so many pixels. Streamlit lets a keyboard reach such a one.
MOST_ROWS, HEIGHT = 12, 400


def show(columns: Columns, *, of: str) -> None:
    """Draw a table; `of` says above the names of its rows what they are."""
    frame = pandas.DataFrame(columns).rename_axis(of)
    st.table(frame, height=HEIGHT if len(frame) > MOST_ROWS else "content")


def folded(what: str, columns: Columns, *, of: str) -> None:
    """Give a chart's numbers as text, folded away."""
    with st.expander(f"In numbers: {what}"):
        if any(columns.values()):
            show(columns, of=of)
        else:
            st.caption("None yet.")
