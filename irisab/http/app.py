"""The WSGI edge: from a request of HTTP to the service and back. Start at `App.__call__`.

The only place that calls start_response. Errors become problem+json (RFC 9457) here, and nowhere
else does a status exist.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from wsgiref.types import StartResponse, WSGIEnvironment

from irisab import config
from irisab.errors import (
    Forbidden,
    HistoryError,
    MethodNotAllowed,
    NotFound,
    RequestError,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from irisab.http import auth, openapi, problem
from irisab.http.exchange import ARRIVED
from irisab.http.key_file import LastUse, beside
from irisab.lifecycle.inventory import Inventory
from irisab.rfc3339 import timestamp
from irisab.serving import buckets, settings
from irisab.serving.service import ModelFailure, Service
from irisab.serving.shadow import Answered
from irisab.serving.snapshot import ReloadOutcome, Snapshot

log = logging.getLogger(__name__)

JSON = "application/json"
_STATUS_LINES = {status: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Response(NamedTuple):
    """What a route answers; `start_response` gets it in one place, `sent` is called after it."""

    status: HTTPStatus
    body: bytes
    content_type: str = JSON
    allow: str | None = None
    challenge: str | None = None
    sent: Callable[[], None] | None = None

    def headers(self) -> list[tuple[str, str]]:
        headers = [("Content-Type", self.content_type), ("Content-Length", str(len(self.body)))]
        if self.allow is not None:
            headers.append(("Allow", self.allow))
        if self.challenge is not None:
            headers.append(("WWW-Authenticate", self.challenge))
        return headers


# Path -> method, and what answers it.
Routes = Mapping[str, tuple[str, Callable[[WSGIEnvironment], Response]]]


class _Body:
    """A body, and what is left to do once it is sent: a server calls `close` then (PEP 3333)."""

    def __init__(self, body: bytes, close: Callable[[], None]) -> None:
        self._body = body
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    def __len__(self) -> int:
        return 1


class App:
    """The WSGI application (PEP 3333) around a `Service`."""

    def __init__(self, service: Service, *, command: str) -> None:
        """`command` is what the commands of irisab begin with here."""
        self._service = service
        self._command = command
        self._inventory = Inventory(service.history)
        self._described: tuple[Snapshot, Response] | None = None
        self._used = LastUse(beside(service.snapshot.config.data.history))
        self._open: Routes = {
            "/predict": ("POST", self._predict),
            "/feedback": ("POST", self._feedback),
            "/health": ("GET", self._health),
            "/config": ("GET", self._config),
            "/report": ("GET", self._report),
            "/timeline": ("GET", self._timeline),
            "/versions": ("GET", self._versions),
            "/metrics": ("GET", self._metrics),
            "/openapi.json": ("GET", self._describe),
        }
        self._door: auth.Door | None = None
        self.lock()

    def lock(self) -> None:
        """Ask for keys as the configuration says, from the next request on.

        To be called after each swap. What needs no key goes the way that it went without keys.
        """
        options, self._door = self._service.snapshot.config.auth, None
        if options.require == "no":
            self._routes = self._open
            return
        self._door = door = auth.Door(options, self._service.metrics, self._used)
        locked: Routes = {
            path: (self._open[path][0], partial(self._admit, door, path)) for path in door.scopes
        }
        self._routes = {**self._open, **locked}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = self._respond(environ)
        start_response(_STATUS_LINES[response.status], response.headers())
        # RFC 9110, 9.3.2: the headers of GET, and no body.
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        return [response.body] if response.sent is None else _Body(response.body, response.sent)

    def is_quick(self, method: str, path: str, length: int) -> bool:
        """Tell whether a request will be answered at once, and without waiting for anything."""
        if path == "/predict":
            return method == "POST" and 0 < length <= self._service.quick_bytes
        # Whoever asks wants to know whether it serves, not whether its threads are busy.
        return path == "/health" and length == 0

    def _respond(self, environ: WSGIEnvironment) -> Response:
        path = environ.get("PATH_INFO", "")
        try:
            return self._dispatch(environ, path)
        except RequestError as error:
            self._count_error(path, error.reason)
            return _refused(error)
        except ModelFailure as error:
            log.exception("%s", error)
            self._count_error(path, "model")
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}; its log says why")
        except HistoryError as error:
            log.error("%s", error)
            return _problem(Unavailable.status, _NO_HISTORY)
        except Exception:
            log.exception("%s %s failed", environ.get("REQUEST_METHOD"), path)
            self._count_error(path, "internal")
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "irisab failed; its log says why")

    def _count_error(self, path: str, reason: str) -> None:
        if path == "/predict":
            self._service.metrics.errors.labels(reason).inc()

    def _dispatch(self, environ: WSGIEnvironment, path: str) -> Response:
        try:
            method, answer = self._routes[path]
        except KeyError:
            raise NotFound(f"there is nothing here; try {', '.join(self._routes)}") from None
        asked = environ["REQUEST_METHOD"]
        if asked != method and not (asked == "HEAD" and method == "GET"):
            allow = "GET, HEAD" if method == "GET" else method
            raise MethodNotAllowed(f"{path} answers {allow}, not {asked[:16]}", allow=allow)
        return answer(environ)

    def _admit(self, door: auth.Door, path: str, environ: WSGIEnvironment) -> Response:
        key = door.admit(environ, door.scopes[path])
        if path == "/predict":
            return self._predict(environ, may_force="force" in key.scopes)
        return self._open[path][1](environ)

    def _predict(self, environ: WSGIEnvironment, *, may_force: bool = True) -> Response:
        started = self._started(environ)
        answer, answered = self._service.answer(self._body(environ), may_force=may_force)
        return Response(HTTPStatus.OK, answer, sent=partial(self._sent, started, answered))

    def _started(self, environ: WSGIEnvironment) -> float:
        """Return when the client began to wait, as far as is known, in seconds since 1970.

        That is nginx's X-Request-Start ("t=" and seconds), else when the first byte came here.
        """
        now = time.time()
        arrived: float = environ.get(ARRIVED, now)
        if "HTTP_X_REQUEST_START" not in environ:
            return arrived
        try:
            stamp = float(environ["HTTP_X_REQUEST_START"].removeprefix("t="))
        except ValueError:
            return arrived
        # An hour is no queue but another clock, or a client's fancy.
        if not now - 3600 < stamp < now + 3600:
            return arrived
        self._service.metrics.queue.observe(max(now - stamp, 0.0))
        return stamp

    def _sent(self, started: float, answered: Answered) -> None:
        self._service.metrics.duration.observe(max(time.time() - started, 0.0))
        self._service.follow(answered)

    def _feedback(self, environ: WSGIEnvironment) -> Response:
        return _json({"status": self._service.feedback(self._body(environ))})

    def _body(self, environ: WSGIEnvironment) -> bytes:
        content_type = environ.get("CONTENT_TYPE", "")
        if content_type != JSON and content_type.partition(";")[0].strip().lower() != JSON:
            raise UnsupportedMediaType(f"send JSON with the header Content-Type: {JSON}")
        if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
            raise UnsupportedMediaType("send the JSON as it is, without Content-Encoding")
        length = _content_length(environ)
        limit = self._service.snapshot.config.server.max_body_bytes
        if length > limit:
            raise TooLarge(
                f"the body has {length} bytes, the limit is {limit} ([server] max_body_bytes)"
            )
        body: bytes = environ["wsgi.input"].read(length)
        if not body:
            raise RequestError('the body is empty: send JSON such as {"features": [...]}')
        return body

    def _health(self, environ: WSGIEnvironment) -> Response:
        service = self._service
        healthy = not service.draining
        return _json(
            {
                "status": "healthy" if healthy else "draining",
                "timestamp": timestamp(time.time()),
                "models_loaded": True,
                "revision": service.snapshot.revision_id,
                "reload": _reload(service.reload),
                "keys_ok": self._door is None or self._door.works,
            },
            status=HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    def _config(self, environ: WSGIEnvironment) -> Response:
        return _json(settings.public(self._service.snapshot, self._service.rollout()))

    def _report(self, environ: WSGIEnvironment) -> Response:
        report = self._service.report()
        candidate = self._inventory.candidate(self._service.snapshot)
        drift = {**report["drift"], "candidate": candidate}
        return _json({**report, "drift": drift, "command": self._command})

    def _timeline(self, environ: WSGIEnvironment) -> Response:
        hours = buckets.hours(environ.get("QUERY_STRING", ""))
        service = self._service
        return _json(buckets.told(service.history, service.snapshot, hours, now=time.time()))

    def _versions(self, environ: WSGIEnvironment) -> Response:
        return _json({"command": self._command, **self._inventory.told(self._service.snapshot)})

    def _metrics(self, environ: WSGIEnvironment) -> Response:
        content_type, body = self._service.metrics.render(environ.get("HTTP_ACCEPT", ""))
        return Response(HTTPStatus.OK, body, content_type)

    def _describe(self, environ: WSGIEnvironment) -> Response:
        snapshot, known = self._service.snapshot, self._described
        if known is None or known[0] is not snapshot:
            # Once, however often it is asked for: it takes as long as a hundred predictions.
            self._described = known = snapshot, _json(openapi.described(snapshot))
        return known[1]


_NO_HISTORY = "the history cannot be used now; try again, the log of irisab says why"


def _content_length(environ: WSGIEnvironment) -> int:
    try:
        return int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise RequestError("the header Content-Length is not a number") from None


def _json(value: object, *, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(status, json.dumps(value, allow_nan=False).encode())


def _problem(status: HTTPStatus, detail: str) -> Response:
    return Response(status, problem.problem(status, detail), problem.CONTENT_TYPE)


def _refused(error: RequestError) -> Response:
    response = _problem(error.status, str(error))
    if isinstance(error, MethodNotAllowed):
        return response._replace(allow=error.allow)
    if isinstance(error, Unauthorized | Forbidden):
        return response._replace(challenge=error.challenge)
    return response


def _reload(outcome: ReloadOutcome) -> dict[str, Any]:
    error = None if outcome.error is None else config.refusal(outcome.error)
    return {"ok": outcome.ok, "error": error, "at": timestamp(outcome.at)}
