"""Short work in the main thread, long work in the workers, answers in order."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask

from irisab.http import dispatch


class Running:
    """A server in a thread of its own, with one worker. GET /slow waits for `go`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.port = 0
        self._stop = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            self._server = server = dispatch.create(
                self._app, listener, is_quick=lambda method, path, length: path != "/slow",
                threads=1, ident="irisab",
            )  # fmt: skip
            self._ready.set()
            while not self._stop:
                server.turn()
            server.task_dispatcher.shutdown()
            dispatch.wasyncore.close_all(server._map)

    def _app(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/last":
            self._stop = True
        if path == "/slow":
            self.go.wait(10)
        if path == "/tardy":
            started = time.thread_time()
            while time.thread_time() < started + 2 * dispatch.TURN_SECONDS:
                pass
        if path == "/broken":
            raise RuntimeError("broken on purpose")
        body = f"{path} {threading.current_thread() is self._thread}".encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def channel(self) -> dispatch.Channel:
        """Return the channel of a new connection."""
        with self.ask("/quick") as connection:
            read(connection, 1)
            (found,) = self._server.active_channels.values()
            return found

    def ask(self, *paths: str) -> socket.socket:
        """Send requests in one go, and return the connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(b"".join(f"GET {path} HTTP/1.1\r\n\r\n".encode() for path in paths))
        return connection

    def stop(self) -> None:
        """End the server by a request: until it is read, the server listens."""
        self.go.set()
        self.ask("/last").close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def running() -> Iterator[Running]:
    server = Running()
    yield server
    server.stop()


def read(connection: socket.socket, answers: int) -> list[str]:
    """Return the bodies of so many answers."""
    received = b""
    while received.count(b"HTTP/1.1 ") < answers or not received.endswith((b"True", b"False")):
        chunk = connection.recv(65536)
        assert chunk, f"the connection ended after {received!r}"
        received += chunk
    return [
        each.partition(b"\r\n\r\n")[2].decode() for each in received.split(b"HTTP/1.1 200 OK")[1:]
    ]


def test_short_work_does_not_wait_for_long_work(running: Running) -> None:
    """While the only worker is busy, quick requests are answered by the main thread."""
    with running.ask("/slow") as slow, running.ask("/quick") as quick:
        assert read(quick, 1) == ["/quick True"]
        running.go.set()
        assert read(slow, 1) == ["/slow False"]


def test_pipelined_answers_keep_their_order(running: Running) -> None:
    """Requests sent in one go are answered in that order, whichever thread does it."""
    running.go.set()
    with running.ask("/1", "/2", "/slow", "/3", "/4") as connection:
        bodies = read(connection, 5)
    assert [body.split()[0] for body in bodies] == ["/1", "/2", "/slow", "/3", "/4"]


def test_a_broken_answer_ends_no_server(running: Running) -> None:
    """An app that fails in the main thread is a 500, and the next request is answered."""
    with running.ask("/broken") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 500 ")
    with running.ask("/quick") as connection:
        assert read(connection, 1) == ["/quick True"]


HEADERS = [("Content-Type", "application/json"), ("Content-Length", "2")]


@pytest.mark.parametrize("command", ["GET", "HEAD"])
@pytest.mark.parametrize("header", ["Content-Length: 15000000", "Transfer-Encoding: chunked"])
def test_a_get_takes_no_body(command: str, header: str, running: Running) -> None:
    """It is refused by its header: none of the body is waited for, or stored."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(f"{command} /quick HTTP/1.1\r\n{header}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.1 400 Bad Request\r\n")
    assert f"{command} takes no body" in answer or command == "HEAD"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("connection", [None, "close", "Keep-Alive", "upgrade"])
@pytest.mark.parametrize("headers", [HEADERS, HEADERS[:1], [*HEADERS, ("Allow", "POST")]])
def test_headers_are_waitresss_own(
    version: str, connection: str | None, headers: list[tuple[str, str]], running: Running
) -> None:
    """The short way builds the same bytes, whatever client and app ask for."""
    lines = [f"GET /quick HTTP/{version}", "Host: x"]
    lines += [f"Connection: {connection}"] if connection else []
    request = HTTPRequestParser(Adjustments())
    request.received("\r\n".join([*lines, "", ""]).encode())
    found = []
    for build in dispatch.Task.build_response_header, WSGITask.build_response_header:
        task = dispatch.Task(running.channel(), request)
        task.start_time = 1764072000.5
        task.status, task.content_length = "200 OK", 2 if len(headers) > 1 else None
        task.response_headers = list(headers)
        found.append((build(task), task.close_on_finish, task.chunked_response))
    assert found[0] == found[1]


def test_a_quick_request_that_is_not_rests_the_main_thread() -> None:
    """What takes longer than promised is a worker's next time, so that reading goes on."""
    running = Running()
    try:
        running.go.set()
        with running.ask("/tardy") as connection:
            assert read(connection, 1) == ["/tardy True"]
        with running.ask("/quick") as connection:
            assert read(connection, 1) == ["/quick False"]
    finally:
        running.stop()
