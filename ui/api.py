"""The service as this page sees it: a few calls, two ways to fail. Nothing else talks to it."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import Any

import requests

# Seconds to connect, and to answer. While systemd restarts the service a connection waits: a
# question will be asked again soon and should not hold up the page, a prediction is worth waiting.
CONNECT = 1
ANSWER = {"GET": 2, "POST": 5}

GONE = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


class ApiError(Exception):
    """No answer worth showing; the text is a sentence for the person at the page."""


class Unreachable(ApiError):
    """The service is down, restarting or not there."""


class Refused(ApiError):
    """The service answered, and said why not."""


def address() -> str:
    return os.environ.get("IRISAB_API", "http://127.0.0.1:5000").rstrip("/")


def get(path: str) -> Any:
    return _call("GET", path)


def predict(features: list[Any], *, model_version: str | None = None) -> Any:
    """Classify one row, or a list of rows. A forced version stays out of experiment and drift."""
    forced = {"model_version": model_version} if model_version else {}
    return _call("POST", "/predict", {"features": features} | forced)


def feedback(request_id: str, *, label: str) -> Any:
    return _call("POST", "/feedback", {"request_id": request_id, "label": label})


def _call(method: str, path: str, body: Any = None) -> Any:
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment is no way to loopback
            timeout = (CONNECT, ANSWER[method])
            answer = session.request(method, address() + path, json=body, timeout=timeout)
            content = answer.json()
    except requests.RequestException as error:
        raise Unreachable("The service is not answering.") from error
    if answer.ok:
        return content
    detail = content.get("detail") or answer.reason
    raise (Unreachable if answer.status_code in GONE else Refused)(detail)
