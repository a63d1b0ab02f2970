"""Draw the page: ask /config, then hand over to one view."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import latest
import live
import streamlit as st
from views import ab_test, drift, learn, over_time, predict, versions

VIEWS = {
    "try": ("Predict", predict.draw),
    "ab-test": ("A/B test", ab_test.draw),
    "drift": ("Drift", drift.draw),
    "over-time": ("Over time", over_time.draw),
    "models": ("Versions", versions.draw),
    "learn": ("Learn", learn.draw),
}

STYLE = """
<style>
  .stMainBlockContainer { max-width: 62rem; padding-top: 1rem; padding-bottom: 3rem; }
  header.stAppHeader { display: none; }  /* empty, and its spinner would blink at every refresh */
  [class*="st-key-pulse"] { display: none; }
  .st-key-ask button { min-height: 3.5rem; }
  .st-key-ask button p { font-size: 1.2rem; font-weight: 700; }
  .st-key-answer { scroll-margin: 1rem; }
  .st-key-answer h2 { font-size: 1.5rem; padding-top: 0; }
  .stColumn:has(.st-key-answer) { position: sticky; top: 1rem; align-self: flex-start; }
  .st-key-stages :is(ul, li) { list-style: none; margin-left: 0; padding-left: 0; }
  .stPageLink a:focus-visible { color: inherit; }
  .stApp :is(a, button, summary, div[tabindex]):focus-visible {
    outline: 2px solid; outline-offset: 1px;
  }
  .stApp .stElementToolbar:focus-within { opacity: 1; }  /* not for a mouse only */
  [data-testid="stCaptionContainer"] { opacity: 0.85; }
  /* Else it scrolls to the side, out of a keyboard's reach. */
  .stTable table p { overflow-wrap: anywhere !important; }
  .stVegaLiteChart text { fill: currentcolor; }
  @media (max-width: 640px) {
    .stHorizontalBlock { row-gap: 1rem; }  /* columns, stacked */
    .st-key-menu { gap: 0; }  /* all in one line */
    .st-key-menu a { padding-inline: 0.25rem; }
    .st-key-menu a p { font-size: 0.85rem; }
  }
</style>
"""


def main() -> None:
    icon = Path(__file__).with_name("icon.svg")
    st.set_page_config(page_title="irisab", page_icon=str(icon), layout="wide")
    st.html(STYLE)
    config = latest.look().value("/config")
    pages = [_page(path, *view, config) for path, view in VIEWS.items()]
    # The bare address leads to the first page, so that every page has one address of its own.
    entry = st.Page(
        partial(st.switch_page, pages[0]), title="irisab", url_path="start", default=True
    )
    current = st.navigation([entry, *pages], position="hidden")
    with st.container(horizontal=True, gap="small", key="menu"):
        for page in pages:
            st.page_link(page)
    live.watch(config)
    if config is not None:
        current.run()


def _page(path: str, title: str, draw: Callable[[Any], None], config: Any) -> Any:
    return st.Page(partial(live.guarded(draw), config), title=title, url_path=path)


main()
