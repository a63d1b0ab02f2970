"""waitress, with a short way for short work. Start at `create()`.

waitress reads requests in its main thread and hands each to a worker. For a forest's answer that
costs more than the answer: two threads wake each other, and fight for the interpreter. So a request
that takes microseconds and waits for nothing is answered by the main thread, where it was read.
Labels that wait for the disk, reports, batches, and models that compute for milliseconds go to the
workers, and hold nobody up.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic, thread_time, time
from typing import Any
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, build_http_date

from irisab.http.problem import CONTENT_TYPE, problem

log = logging.getLogger(__name__)

# What the environ says: when the request's first byte came, in seconds since 1970.
ARRIVED = "irisab.arrived"
# The first byte of a TLS connection (RFC 8446, 5.1), and of no HTTP request.
TLS_HANDSHAKE = b"\x16"
# Of a GET, which should have none: bytes that cost nothing.
SHORT_BODY = 4096
# What answers may take of the main thread at once: meanwhile it reads nothing.
TURN_SECONDS = 0.01
# After more than that it leaves everything to the workers for so many times as long.
REST = 100

# Method, path, and bytes of the body -> whether the main thread may answer.
IsQuick = Callable[[str, str, int], bool]


def create(
    app: WSGIApplication, listener: socket.socket, *, is_quick: IsQuick, **adjustments: Any
) -> HttpServer:
    """Return a server that listens on a bound socket; the calling thread must run it."""
    adjusted = Adjustments(sockets=[listener], **adjustments)
    dispatcher = Dispatcher(is_quick)
    dispatcher.set_thread_count(adjusted.threads)
    where = (listener.family, listener.type, listener.proto, listener.getsockname())
    return HttpServer(
        app,
        {},
        True,
        listener,
        dispatcher=dispatcher,
        adj=adjusted,
        sockinfo=where,
        bind_socket=False,
    )


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Sorts requests between the main thread and the workers."""

    def __init__(self, is_quick: IsQuick) -> None:
        super().__init__()
        self.main_thread = threading.get_ident()
        self._is_quick = is_quick
        self._here: deque[Channel] = deque()
        self._not_before = 0.0

    def add_task(self, channel: Channel) -> None:
        """Take a channel whose first request is complete."""
        request = channel.requests[0]
        if (
            request.error is None
            and threading.get_ident() == self.main_thread
            and monotonic() >= self._not_before
            and self._is_quick(request.command, request.path, request.content_length)
        ):
            self._here.append(channel)
        else:
            super().add_task(channel)

    def answer_here(self) -> None:
        """Answer the quick requests; the caller holds no lock of theirs.

        If they take longer than they should, the workers get the rest, and all that comes for a
        while: a model may turn slow on some rows.
        """
        if not self._here:
            return
        # Of this thread's own work: what other programs take must not count.
        started = thread_time()
        while self._here:
            try:
                self._here.popleft().service()
            except Exception:
                log.exception("a request was not answered")
            spent = thread_time() - started
            if spent > TURN_SECONDS:
                self._not_before = monotonic() + spent * REST
                while self._here:
                    super().add_task(self._here.popleft())


class Task(WSGITask):  # type: ignore[misc]
    """Sends short answers in one piece, and the last ones with Connection: close."""

    wrote_header: bool

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environ, with when the request arrived."""
        environ: dict[str, Any] = super().get_environment()
        environ[ARRIVED] = self.request.arrived
        return environ

    def build_response_header(self) -> bytes:
        """Build what waitress would, in a fifth of the time where nothing is unusual."""
        server = self.channel.server
        if server.draining:
            self.set_close_on_finish()
        elif self.version == "1.1" and "CONNECTION" not in self.request.headers:
            match self.response_headers:
                case [("Content-Type", kind), ("Content-Length", length)]:
                    return (
                        f"HTTP/1.1 {self.status}\r\nContent-Length: {length}\r\n"
                        f"Content-Type: {kind}\r\nDate: {server.date(self.start_time)}\r\n"
                        f"Server: {server.adj.ident}\r\n\r\n"
                    ).encode("latin-1")
        header: bytes = super().build_response_header()
        return header

    def write(self, data: bytes) -> None:
        """Write header and body with one call to the kernel, where waitress makes two."""
        if self.wrote_header or len(data) != self.content_length or not self.has_body:
            super().write(data)
            return
        header = self.build_response_header()
        self.wrote_header = True
        self.content_bytes_written = len(data)
        self.channel.write_soon(header + data)


class Refusal(ErrorTask):  # type: ignore[misc]
    """Answers what waitress itself cannot accept, in the form of all other errors."""

    def execute(self) -> None:
        """Write the answer, and close the connection after it."""
        error = self.request.error
        status = HTTPStatus(error.code)
        body = problem(status, str(error.body))
        self.status = f"{status.value} {status.phrase}"
        self.response_headers += [("Content-Type", CONTENT_TYPE)]
        self.content_length = len(body)
        self.set_close_on_finish()
        self.write(body)


class Request(HTTPRequestParser):  # type: ignore[misc]
    """A request as it comes; `arrived` is when its first byte did, in seconds since 1970."""

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.arrived = time()
        self._begun = False

    def received(self, data: bytes) -> int:
        """Take what came; who speaks TLS is told at once, instead of waiting for its answer."""
        if not self._begun and data.startswith(TLS_HANDSHAKE):
            self.error = BadRequest("this port speaks HTTP, not HTTPS: use http://")
            self.completed = True
            return len(data)
        self._begun = True
        taken: int = super().received(data)
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        """Read the header; refuse a GET that announces a body, before any of it is stored.

        A short one is read and means nothing (RFC 9110, 9.3.1).
        """
        super().parse_header(header_plus)
        long = self.chunked or self.content_length > SHORT_BODY
        if long and self.command in ("GET", "HEAD"):
            raise ParsingError(f"{self.command} takes no body")


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    parser_class = Request
    task_class = Task
    error_task_class = Refusal


class HttpServer(TcpWSGIServer):  # type: ignore[misc]
    """The listening socket. While `draining`, every answer closes its connection."""

    channel_class = Channel
    draining = False
    turns = 0
    _second = (0, "")

    def date(self, now: float) -> str:
        """Return the HTTP date of `now`, in seconds since 1970; worked out once a second."""
        known, text = self._second
        if int(now) != known:
            text = build_http_date(now)
            self._second = (int(now), text)
        return text

    def turn(self) -> None:
        """Wait for sockets, for a second at most; read what came; answer what is quick.

        All sockets that are ready are read before the first request is answered. Answering in
        between would poll again for every request, and each poll costs a look at every connection.
        """
        use_poll = self.adj.asyncore_use_poll
        wasyncore.loop(timeout=1, use_poll=use_poll, map=self._map, count=1)
        self.task_dispatcher.answer_here()
        self.turns += 1

    def pull_trigger(self) -> None:
        # It wakes the main thread, which is awake where it calls.
        if threading.get_ident() != self.task_dispatcher.main_thread:
            super().pull_trigger()
