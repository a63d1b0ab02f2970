"""What keeps a page current: shared, short-lived answers and parts that redraw themselves."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import api
import streamlit as st
import words

# Seconds between two looks at the service: a change on the host is seen while the hand is still
# on the keyboard. And between two redraws of a part: where a run is asked for just as another one
# ends, Streamlit loses the end of the other. With one rhythm for both, one such moment would be
# followed by the next, and what was drawn last would stay.
EVERY, REDRAW = 2, 3

log = logging.getLogger(__name__)


@st.cache_data(ttl=1, show_spinner=False)
def _shared(address: str, path: str) -> Any:
    """All open pages together ask the service at most once a second.

    A failure is a value like any other, else each page would wait for one of its own.
    """
    try:
        return api.get(path)
    except api.ApiError as error:
        return error


def answers() -> bool:
    return not isinstance(_shared(api.address(), "/health"), api.ApiError)


def latest(path: str) -> Any:
    """Give the newest answer, else the last one this page had, else None."""
    known: dict[str, Any] = st.session_state.setdefault("known", {})
    # One question is enough to find out that nobody answers.
    newest = _shared(api.address(), path) if answers() else None
    if newest is not None and not isinstance(newest, api.ApiError):
        known[path] = newest
    return known.get(path)


def forget() -> None:
    """Ask anew next time: something was just changed from here."""
    _shared.clear()


def guarded(draw: Callable[..., None]) -> Callable[..., None]:
    """Turn a fault of ours into a sentence for the page and a trace for the journal."""

    @functools.wraps(draw)
    def wrapper(*args: Any) -> None:
        try:
            draw(*args)
        except Exception:
            log.exception("%s could not be drawn", draw.__name__)
            st.info("This part can't be shown just now.", icon=":material/info:")

    return wrapper


def section(draw: Callable[..., None]) -> Callable[..., None]:
    """Make a part of a page that redraws itself."""
    return st.fragment(guarded(draw), run_every=REDRAW)


@functools.partial(st.fragment, run_every=EVERY)
@guarded
def watch(drawn: Any) -> None:
    """Say when the service is away or refused an edit; redraw all when its configuration moved.

    `drawn` is the /config the rest of the page was drawn from, None for a page still empty.
    """
    health, config = latest("/health"), latest("/config")
    if health is None or not answers():
        st.info("The service is not answering; trying again.", icon=":material/sync:")
        return
    if health["reload"]["ok"]:
        st.empty()  # in the place of what may stand there: nothing at all would wait for the end
    else:
        st.warning(
            "The last edit of the configuration was refused, so the one before is still in use: "
            + words.plain(health["reload"]["error"]),
            icon=":material/edit_off:",
        )
    if config != drawn:
        st.rerun()


MARKS = {
    "good": ":green[:material/check_circle:]",
    "bad": ":orange[:material/error:]",
    "open": ":gray[:material/hourglass:]",
}


def show(message: words.Message) -> None:
    """Draw a headline with what it rests on and what to do next."""
    with st.container(border=True):
        st.markdown(f"### {MARKS[message.tone]} {words.plain(message.headline)}", anchors=False)
        if message.because:
            st.markdown(words.plain(message.because))
        if message.todo:
            st.markdown(message.todo)
