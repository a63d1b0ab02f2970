"""What keeps a page current: parts that are drawn anew when what they show has changed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import api
import course
import latest
import streamlit as st
import verdicts
import words

log = logging.getLogger(__name__)

# Streamlit can redraw a part every few seconds, but each time it draws it all, and a tab that is
# merely open would keep the host busy. So the browser looks, and asks for what has changed.
_pulse = st.components.v2.component("pulse", js=Path(__file__).with_name("pulse.js").read_text())


def guarded(draw: Callable[..., None]) -> Callable[..., None]:
    """Turn a fault of ours into a sentence for the page and a trace for the journal."""

    @functools.wraps(draw)
    def wrapper(*args: Any, **keywords: Any) -> None:
        try:
            draw(*args, **keywords)
        except Exception:
            log.exception("%s could not be drawn", draw.__name__)
            st.info("This part can't be shown just now.", icon=":material/info:")

    return wrapper


def redrawn(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a part of a page that is drawn anew when one of these stamps moves.

    A name may have a place for one of the part's keywords: "/timeline?hours={hours}". It gets what
    was seen, which is what its stamps are of, and then its own arguments. Where
    something may be missing from it, `st.empty()` has to be drawn instead: what only the end of a
    run would remove stays whenever Streamlit loses that end, which it does where the next run is
    asked for at that moment.
    """

    def decorate(draw: Callable[..., None]) -> Callable[..., None]:
        @st.fragment
        @functools.wraps(draw)
        def part(*args: Any, **keywords: Any) -> None:
            looked_at = [name.format(**keywords) for name in names]
            seen = latest.look(*(name for name in looked_at if name in course.PATHS))
            guarded(draw)(seen, *args, **keywords)
            # Last: once it arrives in the browser, so has all that it vouches for.
            shown = {name: seen.stamps.get(name) for name in looked_at}
            _pulse(key=f"pulse {draw.__module__} {draw.__name__}", data={"shown": shown})

        return part

    return decorate


def section(*names: str) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Make a part of a page that shows these parts of the report: it gets report and config."""

    def decorate(draw: Callable[..., None]) -> Callable[[], None]:
        @redrawn(*(f"/report/{name}" for name in names))
        @functools.wraps(draw)
        def drawn(seen: latest.Seen) -> None:
            report, config = seen.value("/report"), seen.value("/config")
            if report is not None and config is not None:
                draw(report, config)

        return drawn

    return decorate


# Of /config, all but the rollout: its reasons may change every second, and no page shows them but
# one, which has them from elsewhere.
DRAWN_FROM = (
    "split",
    "effective_split",
    "versions",
    "features",
    "task",
    "classes",
    "examples",
    "drift",
    "experiment",
)


@redrawn("answers", "/health/reload", *(f"/config/{name}" for name in DRAWN_FROM))
def watch(seen: latest.Seen, drawn: Any) -> None:
    """Say when the service is away or refused an edit; redraw all when its configuration moved.

    `drawn` is the /config the rest of the page was drawn from, None for a page still empty.
    """
    if not seen.answers:
        st.info(words.away(api.address(), empty=drawn is None), icon=":material/sync:")
        return
    reload = seen.value("/health")["reload"]
    if reload["ok"]:
        st.empty()
    else:
        st.warning(
            "The last edit of the configuration was refused, so the one before is still in use: "
            + words.plain(reload["error"]),
            icon=":material/edit_off:",
        )
    if _parts(seen.value("/config")) != _parts(drawn):
        st.rerun()


def _parts(config: Any) -> list[Any]:
    return [config and config.get(name) for name in DRAWN_FROM]


MARKS = {
    "good": ":green[:material/check_circle:]",
    "bad": ":orange[:material/error:]",
    "open": ":gray[:material/hourglass:]",
}


def show(message: words.Message) -> None:
    """Draw a headline with what it rests on and what to do next."""
    with st.container(border=True):
        st.markdown(f"## {MARKS[message.tone]} {words.plain(message.headline)}", anchors=False)
        for text in (words.plain(message.because), message.todo):
            if text:
                st.markdown(text)
            else:
                st.empty()
        if message.typed:
            st.caption(verdicts.where_typed(message))
            st.code(message.typed, language=None, wrap_lines=True)
        else:
            st.empty()
            st.empty()
