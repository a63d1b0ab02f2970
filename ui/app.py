"""Serve the browser page: `streamlit run ui/app.py`. What it draws begins in main.py."""

from __future__ import annotations

from pathlib import Path

import course
import latest
import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.routing import Route

# Opened at /drift, Streamlit's script looks for its server below /drift/ first, and the browser's
# console fills with 404s. This tells it where the server is.
AT_THE_ROOT = "<script>window.__streamlit = { BACKEND_BASE_URL: location.origin }</script>"


async def page(request: Request) -> HTMLResponse:
    """Answer a page's own address with Streamlit's one HTML file."""
    html = (Path(st.__file__).parent / "static" / "index.html").read_text()
    html = html.replace("<head>", f"<head>{AT_THE_ROOT}", 1)
    return HTMLResponse(html, headers={"Cache-Control": "no-cache"})


async def above(request: Request) -> RedirectResponse:
    """Lead from an address below a page, where Streamlit shows nothing, to that page."""
    return RedirectResponse("/" + request.url.path.split("/")[1])


def stamps(request: Request) -> JSONResponse:
    """Tell an open page whether what it shows is still so. Not async: it may wait for the API."""
    asked = set(request.query_params.getlist("also"))
    seen = latest.look(*(path for path in course.PATHS if path in asked))
    return JSONResponse(seen.stamps, headers={"Cache-Control": "no-store"})


PAGES = ("try", "ab-test", "drift", "over-time", "models", "learn")

app = st.App(
    Path(__file__).with_name("main.py"),
    routes=[
        Route("/stamps", stamps),
        *(Route(f"/{path}", page) for path in PAGES),
        *(Route(f"/{path}/{{rest:path}}", above) for path in PAGES),
    ],
)
