"""The service as this page sees it: a few calls, two ways to fail. Nothing else talks to it."""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

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


class Answer(NamedTuple):
    """A JSON object, and the text it was read from."""

    text: bytes
    value: dict[str, Any]


def address() -> str:
    return os.environ.get("IRISAB_API", "http://127.0.0.1:5000").rstrip("/")


def _key() -> dict[str, str]:
    """Return the header with this page's key, if the service asks for keys.

    systemd hands it over as the credential "key" (LoadCredential=), a shell as $IRISAB_KEY.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(folder) / "key" if folder else None
    key = file.read_text() if file and file.exists() else os.environ.get("IRISAB_KEY", "")
    return {"X-API-Key": key.strip()} if key.strip() else {}


def get(path: str, known: Answer | None = None) -> Answer:
    """Ask for a path. Where the answer is the one already `known`, that is given, and not read."""
    text = _call("GET", path)
    return known if known and known.text == text else Answer(text, _read(text))


def predict(features: list[Any], *, model_version: str | None = None) -> dict[str, Any]:
    """Ask about one row, or a list of rows. A forced version stays out of experiment and drift."""
    forced = {"model_version": model_version} if model_version else {}
    return _read(_call("POST", "/predict", {"features": features} | forced))


def feedback(request_id: str, *, label: str | float) -> dict[str, Any]:
    return _read(_call("POST", "/feedback", {"request_id": request_id, "label": label}))


def _call(method: str, path: str, body: Any = None) -> bytes:
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment is no way to loopback
            timeout = (CONNECT, ANSWER[method])
            answer = session.request(
                method, address() + path, json=body, timeout=timeout, headers=_key()
            )
    except requests.RequestException as error:
        raise Unreachable(f"The service at {address()} is not answering.") from error
    if answer.ok:
        return answer.content
    detail = _read(answer.content).get("detail") or answer.reason
    raise (Unreachable if answer.status_code in GONE else Refused)(detail)


def _read(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unreachable(_STRANGER.format(address())) from error
    if not isinstance(value, dict):
        raise Unreachable(_STRANGER.format(address()))
    return value


_STRANGER = "Something else than the service answers at {}."
