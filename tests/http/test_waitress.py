"""What `http/dispatch.py` relies upon inside waitress: a new release that moves it fails here.

docs/architecture.md says what breaks with each.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest
from traffic import wait_until
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver, FixedStreamReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask

from irisab.http import dispatch


class Plain:
    """waitress as it is, with one worker, turned by hand."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        adjustments = Adjustments(sockets=[self.listener], threads=1)
        self.dispatcher = Noting()
        where = (socket.AF_INET, socket.SOCK_STREAM, 0, self.listener.getsockname())
        self.server = TcpWSGIServer(
            app, {}, True, self.listener,
            dispatcher=self.dispatcher, adj=adjustments, sockinfo=where, bind_socket=False,
        )  # fmt: skip

    def connect(self, data: bytes) -> socket.socket:
        connection = socket.create_connection(self.listener.getsockname(), timeout=5)
        connection.sendall(data)
        return connection

    def turn(self, until: Callable[[], object]) -> None:
        for _ in range(200):
            if until():
                return
            wasyncore.loop(timeout=0.05, use_poll=True, map=self.server._map, count=1)
        raise AssertionError("it did not come to pass")

    def close(self) -> None:
        wasyncore.close_all(self.server._map)


class Noting(ThreadedTaskDispatcher):
    """Notes what it is given, and leaves it in the queue."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[HTTPChannel] = []

    def add_task(self, task: HTTPChannel) -> None:
        self.given.append(task)


class Body:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"hello"

    def __len__(self) -> int:
        return 1

    def close(self) -> None:
        self.closed.set()


BODY = Body()


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return BODY


@pytest.fixture
def plain() -> Iterator[Plain]:
    BODY.closed.clear()
    made = Plain(hello)
    yield made
    made.close()


GET = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"


def test_a_dispatcher_gets_the_channel_of_a_complete_request(plain: Plain) -> None:
    """Not before it is complete; the channel says what was asked for and what is left to do."""
    with closing(plain.connect(GET[:10])) as connection:
        plain.turn(lambda: plain.server.active_channels)
        (channel,) = plain.server.active_channels.values()
        plain.turn(lambda: channel.request is not None)
        assert not plain.dispatcher.given and not channel.requests
        connection.sendall(GET[10:])
        plain.turn(lambda: plain.dispatcher.given)
        assert plain.dispatcher.given == [channel]
        (request,) = channel.requests
        assert (request.command, request.content_length, request.error) == ("GET", 0, None)
        assert channel.total_outbufs_len == 0 and not plain.dispatcher.queue


def test_one_request_is_executed_at_a_time(plain: Plain) -> None:
    """`service` answers the first of pipelined requests, and asks for another turn."""
    with closing(plain.connect(GET % 1 + GET % 2)) as connection:
        plain.turn(lambda: plain.dispatcher.given)
        channel = plain.dispatcher.given.pop()
        channel.service()
        assert connection.recv(1000).count(b"HTTP/1.1 200") == 1
        assert plain.dispatcher.given == [channel] and len(channel.requests) == 1
        channel.service()
        assert connection.recv(1000).count(b"HTTP/1.1 200") == 1
        assert not channel.requests


def test_a_parser_may_take_what_it_leaves_for_later(plain: Plain) -> None:
    """It is asked once for each piece then; whatever `received` is given later waits behind, and
    the dispatcher is told of the first request only."""
    taken: list[bytes] = []

    class Greedy(HTTPRequestParser):
        def received(self, data: bytes) -> int:
            taken.append(data)
            super().received(data)
            return len(data)

    with closing(plain.connect(b"\r\n")):
        plain.turn(lambda: plain.server.active_channels)
        (channel,) = plain.server.active_channels.values()
        channel.parser_class, channel.request = Greedy, None
        for number in 1, 2:
            channel.received(GET % number + GET % 9)
        assert [each.path for each in channel.requests] == ["/1", "/2"] and len(taken) == 2
        assert plain.dispatcher.given == [channel] and not channel.readable()


def test_what_is_parsed_is_in_the_attributes_of_a_request(plain: Plain) -> None:
    """A copy of them is the same request; what its body is kept in can be made anew."""
    for header, receiver in (
        ("Content-Length: 5", FixedStreamReceiver(5, OverflowableBuffer(100))),
        ("Transfer-Encoding: chunked", ChunkedReceiver(OverflowableBuffer(100))),
    ):
        parser, request = (HTTPRequestParser(plain.server.adj) for _ in range(2))
        parser.parse_header(f"POST /a HTTP/1.1\r\n{header}\r\n".encode())
        vars(request).update(vars(parser), body_rcv=receiver)
        assert (request.path, request.chunked) == ("/a", "chunked" in header)
        request.received(b"hello" if "5" in header else b"5\r\nhello\r\n0\r\n\r\n")
        assert request.completed and request.get_body_stream().read() == b"hello"


def test_a_channel_can_send_by_itself(plain: Plain) -> None:
    """Under the lock that answers leave under, which it may hold already."""
    with closing(plain.connect(b"")) as connection:
        plain.turn(lambda: plain.server.active_channels)
        (channel,) = plain.server.active_channels.values()
        with channel.outbuf_lock, channel.outbuf_lock:
            assert channel.send(b"an", do_close=False) == 2
            assert channel.write_soon(b"swer") == 4
        assert channel.total_outbufs_len == 0
        assert connection.recv(6, socket.MSG_WAITALL) == b"answer"


def test_a_server_can_be_told_whom_to_accept() -> None:
    """These are asked, and asked in each turn, or called for each connection."""
    for name in ("readable", "handle_accept", "accept", "maintenance", "add_task"):
        assert callable(getattr(TcpWSGIServer, name)), name
    assert callable(HTTPChannel.handle_close) and HTTPChannel.last_activity == 0
    assert Adjustments().send_bytes < dispatch.UNREAD_BYTES < Adjustments().outbuf_high_watermark


def test_a_body_is_closed_after_it_was_sent(plain: Plain) -> None:
    """Whatever is left to do after an answer is done there."""
    with closing(plain.connect(GET % 1)) as connection:
        plain.turn(lambda: plain.dispatcher.given)
        plain.dispatcher.given.pop().service()
        assert BODY.closed.is_set()
        answer = b""
        while not answer.endswith(b"hello"):
            assert (part := connection.recv(1000))
            answer += part


def test_a_body_is_closed_where_the_client_has_gone(plain: Plain) -> None:
    """What was answered is followed, although nobody was there to read it."""
    with closing(plain.connect(GET % 1)):
        plain.turn(lambda: plain.dispatcher.given)
    channel = plain.dispatcher.given.pop()
    channel.requests[0].path = "/"
    plain.turn(lambda: channel.connected)
    channel.connected = True
    channel.service()
    assert BODY.closed.is_set()


def test_a_task_writes_its_header_with_the_first_data() -> None:
    """`Task.write` puts header and body together on the strength of these names."""
    for name in ("build_response_header", "write", "execute", "set_close_on_finish"):
        assert callable(getattr(WSGITask, name))
    for name in ("wrote_header", "content_length", "content_bytes_written"):
        assert hasattr(WSGITask, name), name
    assert WSGITask.wrote_header is False and WSGITask.content_length is None


def test_what_is_refused_says_how(plain: Plain) -> None:
    """A request that cannot be parsed has an error with a code and a sentence."""
    with closing(plain.connect(b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n")):
        plain.turn(lambda: plain.dispatcher.given)
        (request,) = plain.dispatcher.given[0].requests
        assert request.error.code == 400 and isinstance(request.error.body, str)
    assert HTTPChannel.error_task_class is ErrorTask
    assert HTTPChannel.task_class is WSGITask


def test_a_channel_says_what_it_wants(plain: Plain) -> None:
    """To read while it waits for a request, nothing while one is answered, to write while an answer
    is left; whoever is closed has no number any more."""
    told: list[str] = []

    class Telling(HTTPChannel):
        def add_channel(self, map: dict[int, Any] | None = None) -> None:
            super().add_channel(map)
            told.append(f"add {self._fileno}")

        def del_channel(self, map: dict[int, Any] | None = None) -> None:
            told.append(f"del {self._fileno}")
            super().del_channel(map)

    plain.server.channel_class = Telling
    with closing(plain.connect(b"")) as connection:
        plain.turn(lambda: plain.server.active_channels)
        ((number, channel),) = plain.server.active_channels.items()
        assert (channel.readable(), bool(channel.writable())) == (True, False)
        connection.sendall(GET % 1)
        plain.turn(lambda: plain.dispatcher.given)
        assert (channel.readable(), bool(channel.writable())) == (False, False)
        plain.dispatcher.given.pop().service()
        assert (channel.readable(), bool(channel.writable())) == (True, False)
        channel.total_outbufs_len = 1
        assert (channel.readable(), bool(channel.writable())) == (False, True)
        channel.total_outbufs_len = 0
        channel.will_close = True
        assert (channel.readable(), bool(channel.writable())) == (False, True)
    plain.turn(lambda: channel._fileno is None)
    assert told[:2] == [f"add {number}", f"del {number}"]


def test_a_dispatcher_says_how_many_are_at_work() -> None:
    """A worker counts from when it takes a request until it waits for the next."""
    dispatcher, begun, go = ThreadedTaskDispatcher(), threading.Event(), threading.Event()

    class Work:
        def service(self) -> None:
            begun.set()
            go.wait(10)

    dispatcher.set_thread_count(2)
    wait_until(lambda: dispatcher.active_count == 0)
    dispatcher.add_task(Work())
    assert begun.wait(10) and dispatcher.active_count == 1
    go.set()
    wait_until(lambda: dispatcher.active_count == 0)
    dispatcher.shutdown()


def test_the_loop_can_be_woken(plain: Plain) -> None:
    """`pull_trigger` ends a wait of the main loop from another thread."""
    timer = threading.Timer(0.1, plain.server.pull_trigger)
    timer.start()
    wasyncore.loop(timeout=30, use_poll=True, map=plain.server._map, count=1)
    timer.join()
