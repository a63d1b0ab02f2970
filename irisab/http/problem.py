"""Errors as the client sees them: problem details (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus

CONTENT_TYPE = "application/problem+json"


def problem(status: HTTPStatus, detail: str) -> bytes:
    """Return the body; `detail` is a sentence without its capital and full stop."""
    content = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail[:1].upper() + detail[1:].rstrip(".") + ".",
    }
    return json.dumps(content).encode()
