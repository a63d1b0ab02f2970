"""Short work in the main thread, long work in the workers, answers in order."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from traffic import wait_until
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask

from irisab.http import channel, dispatch, exchange, lines
from irisab.http.channel import Channel

LARGE = 1_000_000


class Running:
    """A server in a thread of its own. /slow waits for `go`; `begun` are how many of it do."""

    def __init__(self, threads: int = 1) -> None:
        self.begun = 0
        self._threads = threads
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
                self._app, listener,
                is_quick=lambda method, path, length: path not in ("/slow", "/large", "/other"),
                threads=self._threads, ident="irisab",
            )  # fmt: skip
            self._ready.set()
            while not self._stop:
                server.turn()
            server.task_dispatcher.shutdown()
            wasyncore.close_all(server._map)

    def _app(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/last":
            self._stop = True
        if path == "/slow":
            self.begun += 1
            self.go.wait(10)
        if path == "/tardy":
            started = time.thread_time()
            while time.thread_time() < started + 2 * dispatch.TURN_SECONDS:
                pass
        if path == "/large":
            start_response("200 OK", [("Content-Length", str(LARGE))])
            return [bytes(LARGE)]
        if path == "/broken":
            raise RuntimeError("broken on purpose")
        body = f"{path} {threading.current_thread() is self._thread}".encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def channel(self) -> Channel:
        """Return the channel of a new connection."""
        with self.ask("/quick") as connection:
            read(connection, 1)
            # One that was closed before may not be known to be.
            wait_until(lambda: len(self._server.active_channels) == 1)
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


def test_main_thread_and_workers_give_way_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a worker works: nobody else sees to it that both have the interpreter in turn."""
    gave = list[int]()
    for module in dispatch, channel:
        monkeypatch.setattr(module, "give_way", lambda: gave.append(threading.get_ident()))
    running = Running()
    try:
        dispatcher = running._server.task_dispatcher
        wait_until(lambda: dispatcher.active_count == 0)
        with running.ask("/quick") as quick:
            read(quick, 1)
            # The turn that it was answered in had begun before.
            gave.clear()
            quick.sendall(b"GET /quick HTTP/1.1\r\n\r\n")
            read(quick, 1)
            assert gave == []
            with running.ask("/slow") as slow:
                wait_until(lambda: running.begun == 1)
                quick.sendall(b"GET /quick HTTP/1.1\r\n\r\n")
                read(quick, 1)
                wait_until(lambda: {*gave} == {dispatcher.main_thread})
                running.go.set()
                read(slow, 1)
                wait_until(lambda: len({*gave}) == 2)
    finally:
        running.stop()


def test_of_large_bodies_one_is_worked_on_at_a_time() -> None:
    """Others wait for it, and the workers that are left do other things meanwhile; then they
    have their turn."""
    running = Running(threads=3)
    try:
        large = b"POST /slow HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % lines.LARGE
        with ExitStack() as stack:
            sent = [stack.enter_context(running.ask()) for _ in range(3)]
            for each in sent:
                each.sendall(large + bytes(lines.LARGE))
            wait_until(lambda: running.begun == 1)
            wait_until(lambda: len(running._server.task_dispatcher.queue._large) == 2)
            with running.ask("/other") as other:
                assert read(other, 1) == ["/other False"]
            assert running.begun == 1
            running.go.set()
            for each in sent:
                assert read(each, 1) == ["/slow False"]
    finally:
        running.stop()


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
    for build in exchange.Task.build_response_header, WSGITask.build_response_header:
        task = exchange.Task(running.channel(), request)
        task.start_time = 1764072000.5
        task.status, task.content_length = "200 OK", 2 if len(headers) > 1 else None
        task.response_headers = list(headers)
        found.append((build(task), task.close_on_finish, task.chunked_response))
    assert found[0] == found[1]


def test_a_quick_request_that_is_not_rests_the_main_thread() -> None:
    """What takes longer than promised, twice, is a worker's next time: reading goes on."""
    running = Running()
    try:
        running.go.set()
        for _ in range(2):
            with running.ask("/tardy") as connection:
                assert read(connection, 1) == ["/tardy True"]
        with running.ask("/quick") as connection:
            assert read(connection, 1) == ["/quick False"]
    finally:
        running.stop()


# -- many at once ---------------------------------------------------------------------------


class ByHand:
    """A server in this thread, which turns when told to. An answer takes a millisecond of it."""

    def __init__(self, **options: object) -> None:
        self.answered: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server = dispatch.create(
            self._app, self.listener, is_quick=lambda method, path, length: True,
            threads=1, **options,
        )  # fmt: skip

    def _app(self, environ, start_response):
        started = time.thread_time()
        while time.thread_time() < started + 0.001:
            pass
        self.answered.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def connect(self, sent: bytes = b"") -> socket.socket:
        connection = socket.create_connection(self.listener.getsockname(), timeout=20)
        connection.sendall(sent)
        return connection

    def turn(self, until: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not until():
            assert time.monotonic() < deadline, "it did not come to pass"
            # A second's wait for sockets is for those who have nothing to do.
            self.server.trigger.pull_trigger()
            self.server.turn()

    def close(self) -> None:
        self.server.task_dispatcher.shutdown()
        wasyncore.close_all(self.server._map)


@pytest.fixture
def by_hand() -> Iterator[ByHand]:
    made = ByHand()
    yield made
    made.close()


GET = b"GET /%b HTTP/1.1\r\n\r\n"


def test_idle_connections_are_closed_one_after_another(by_hand: ByHand) -> None:
    """At the end, a turn for each: a proxy that finds one closed has others. Who has begun to ask
    keeps theirs."""
    with by_hand.connect(b"GET") as _, by_hand.connect() as _, by_hand.connect() as _:
        channels = by_hand.server.active_channels
        by_hand.turn(
            lambda: [dispatch._is_idle(each) for each in channels.values()].count(True) == 2
        )
        assert len(channels) == 3
        closing = threading.Thread(target=by_hand.server.close_idle)
        closing.start()
        left = []
        while closing.is_alive():
            by_hand.server.turn()
            left.append(len(channels))
        closing.join()
        by_hand.turn(lambda: len(channels) == 1)
        assert {*left} <= {3, 2, 1} and 2 in left


def test_who_sends_many_requests_waits_for_who_sends_one(by_hand: ByHand) -> None:
    """An answer of a pipeline comes after those of all who came meanwhile."""
    with by_hand.connect(GET % b"a" * 100) as _, by_hand.connect(GET % b"a" * 100) as _:
        by_hand.turn(lambda: by_hand.answered)
        with by_hand.connect(GET % b"b") as one:
            before = len(by_hand.answered)
            by_hand.turn(lambda: "/b" in by_hand.answered)
            assert one.recv(1000).startswith(b"HTTP/1.1 200 OK")
            # Two turns to accept and to read it, of ten milliseconds each.
            assert len(by_hand.answered) - before < 60
        by_hand.turn(lambda: by_hand.answered.count("/a") == 200)


def test_of_many_requests_in_one_go_few_are_parsed(by_hand: ByHand) -> None:
    """One more than is answered. Until the last answer the connection counts as busy, and all
    answers come, in order."""
    paths = [f"/{number}" for number in range(300)]
    with by_hand.connect(b"".join(GET % path[1:].encode() for path in paths)) as connection:
        by_hand.turn(lambda: by_hand.server.active_channels)
        (channel,) = by_hand.server.active_channels.values()
        by_hand.turn(lambda: channel.requests)
        while len(by_hand.answered) < 300:
            assert 1 <= len(channel.requests) <= 2
            by_hand.server.turn()
        assert by_hand.answered == paths
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 300:
            received += connection.recv(65536)


def test_who_waits_for_100_behind_another_request_gets_it(by_hand: ByHand) -> None:
    """After the answer to that one, although both came in one go."""
    expecting = b"POST /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    with by_hand.connect(GET % b"a" + expecting) as connection:
        connection.setblocking(False)
        received = b""

        def has(answers: int) -> bool:
            nonlocal received
            with suppress(BlockingIOError):
                received += connection.recv(65536)
            return received.count(b"HTTP/1.1 ") == answers

        by_hand.turn(lambda: has(2))
        assert received.endswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"body" + GET % b"c")
        by_hand.turn(lambda: has(4))
    assert by_hand.answered == ["/a", "/b", "/c"]


def test_nothing_is_answered_behind_what_is_refused(by_hand: ByHand) -> None:
    """The connection is closed after the 400: what comes behind may be the body of it."""
    with by_hand.connect(GET % b"a" + b"nonsense\r\n\r\n" + GET % b"b" * 100) as connection:
        by_hand.turn(lambda: by_hand.answered)
        by_hand.turn(lambda: not by_hand.server.active_channels)
        received = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                received += chunk
    assert received.count(b"HTTP/1.") == 2 and b" 400 Bad Request" in received
    assert by_hand.answered == ["/a"]


def test_no_worker_waits_for_who_does_not_read(running: Running) -> None:
    """It gets what it asked for when it reads, and meanwhile the worker is there for others."""
    with running.ask(*["/large"] * 40) as unread:
        wait_until(lambda: running._server._unread)
        for _ in range(3):
            running.go.set()
            with running.ask("/slow") as other:
                assert read(other, 1) == ["/slow False"]
        left = 40 * LARGE
        while left > 0:
            left -= len(unread.recv(1 << 20))


def test_who_never_reads_is_closed(running: Running) -> None:
    """A moment after it has taken the last byte."""
    server = running._server
    with running.ask(*["/large"] * 40):
        wait_until(lambda: server._unread)
        (channel,) = server._unread

        def is_closed() -> bool:
            # Each time: the main thread may just have sent something more.
            channel.last_activity = 0
            server.next_channel_cleanup = 0
            server.pull_trigger()
            return not server.active_channels and not server._unread

        wait_until(is_closed)


def test_idle_connections_cost_a_request_nothing(
    by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks them what they want while others are answered."""
    asked: list[Channel] = []

    def readable(channel: Channel) -> bool:
        asked.append(channel)
        return bool(HTTPChannel.readable(channel))

    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(by_hand.connect())
        channels = by_hand.server.active_channels
        by_hand.turn(lambda: len(channels) == 50)
        by_hand.turn(lambda: by_hand.server.sockets._touched.isdisjoint(channels.values()))
        monkeypatch.setattr(by_hand.server.sockets, "_next_look", time.monotonic() + 3600)
        monkeypatch.setattr(Channel, "readable", readable, raising=False)
        one = stack.enter_context(by_hand.connect())
        for number in range(1, 21):
            one.sendall(GET % b"a")
            by_hand.turn(lambda number=number: len(by_hand.answered) == number)
        assert len({*asked}) == 1


def test_only_the_main_thread_closes_a_connection(by_hand: ByHand) -> None:
    """A worker that finds it broken leaves that to the main thread, which may be looking through
    all of them: what it looks through must not change meanwhile."""
    with by_hand.connect() as connection:
        by_hand.turn(lambda: by_hand.server.active_channels)
        (channel,) = by_hand.server.active_channels.values()
        by_hand.turn(lambda: channel not in by_hand.server.sockets._touched)
        worker = threading.Thread(target=channel.handle_close)
        worker.start()
        worker.join()
        assert channel in by_hand.server.active_channels.values()
        by_hand.turn(lambda: not by_hand.server.active_channels)
        assert connection.recv(1) == b""


def test_idle_connections_make_room() -> None:
    """Of too many, the idle ones go; who asks is answered, however many there are."""
    by_hand = ByHand(connection_limit=30)
    try:
        with ExitStack() as idle:
            for _ in range(200):
                idle.enter_context(by_hand.connect())
            with by_hand.connect(GET % b"me") as connection:
                by_hand.turn(lambda: by_hand.answered)
                assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
            assert len(by_hand.server._map) <= 30
    finally:
        by_hand.close()


def test_who_has_just_come_and_asked_does_not_make_room() -> None:
    """The one who fills the last place is heard before those who had an answer are closed."""
    by_hand = ByHand(connection_limit=5)  # the listener and the trigger are two of them
    try:
        with by_hand.connect(GET % b"a") as one, by_hand.connect(GET % b"b") as two:
            by_hand.turn(lambda: len(by_hand.answered) == 2)
            with by_hand.connect(GET % b"me") as last, by_hand.connect(GET % b"more") as waiting:
                by_hand.turn(lambda: len(by_hand.answered) == 4)
                for each in (one, two, last, waiting):
                    assert each.recv(1000).startswith(b"HTTP/1.1 200 OK")
    finally:
        by_hand.close()


def test_without_a_file_nobody_is_accepted_for_a_moment(
    by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread does other things meanwhile, and accepts as soon as there is one."""
    monkeypatch.setattr(dispatch, "FULL_SECONDS", 60)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with by_hand.connect(GET % b"me") as connection:
        with open(os.devnull) as lowest:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), hard))
        try:
            by_hand.server.turn()
            assert not by_hand.server.active_channels and not by_hand.server.readable()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        by_hand.server._accept_from = 0
        by_hand.turn(lambda: by_hand.answered)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
