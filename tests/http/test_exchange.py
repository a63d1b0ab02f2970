"""A request as it is read: what is too long is neither kept nor put into a file."""

from __future__ import annotations

import tracemalloc

import pytest
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser

from irisab.http import exchange
from irisab.http.exchange import Body, Request

LIMIT = 100


def received(*parts: bytes, headers: str) -> Request:
    """Return what has come of a request with a limit of 100 bytes."""
    request = Request(Adjustments(inbuf_overflow=LIMIT))
    head = f"POST /predict HTTP/1.1\r\n{headers}\r\n\r\n"
    for part in (head.encode(), *parts):
        assert request.received(part) == len(part)
    return request


@pytest.mark.parametrize("length", [1, LIMIT])
def test_a_body_is_kept(length: int) -> None:
    """To the last byte of the limit, whatever the pieces it comes in."""
    body = bytes(range(length))
    pieces = [body[:40], body[40:]] if length > 40 else [body]
    request = received(*pieces, headers=f"Content-Length: {length}")
    assert request.completed and request.get_body_stream().read() == body


def test_a_long_body_is_read_and_not_kept() -> None:
    """Its sender is told what the limit is; it takes neither memory nor a file."""
    request = received(*[bytes(90)] * 10, headers="Content-Length: 900")
    assert request.completed and request.error is None
    assert (request.content_length, request.get_body_stream().read()) == (900, b"")


def test_a_long_body_in_chunks_is_read_and_not_kept() -> None:
    """The app gets to know how long it was."""
    chunk = b"5a\r\n" + bytes(90) + b"\r\n"
    request = received(*[chunk] * 10, b"0\r\n\r\n", headers="Transfer-Encoding: chunked")
    assert request.completed and request.error is None
    assert request.headers["CONTENT_LENGTH"] == "900"
    assert request.get_body_stream().read() == b""


def test_what_is_forgotten_is_given_back() -> None:
    """What came before the limit was passed does not stay either."""
    body = Body(LIMIT)
    body.append(bytes(LIMIT))
    assert len(body.getfile().read()) == LIMIT
    body.append(b"x")
    assert (len(body), body.getfile().read()) == (LIMIT + 1, b"")
    body.close()


GET = b"GET /%b HTTP/1.1\r\n\r\n"


def test_what_comes_behind_a_request_is_left() -> None:
    """However much it is: it is taken, and not parsed."""
    behind = GET % b"2" + b"\r\n" + GET % b"3" * 300
    for sent in GET % b"1", b"POST /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\n":
        request = Request(Adjustments())
        taken = request.received(sent + b"body" + behind)
        if not request.completed:  # its header alone was taken
            taken += request.received((sent + b"body" + behind)[taken:])
            assert request.get_body_stream().read() == b"body"
            assert request.left == behind
        else:
            assert request.left == b"body" + behind
        assert taken == len(sent + b"body" + behind) and request.path == "/1"


def test_blank_lines_before_a_request_are_skipped_at_once() -> None:
    """Thousands of them are no more work than one, and what is nothing else is no request."""
    request = Request(Adjustments())
    blank = b"\r\n" * 2000
    whole = GET % b"1"
    assert request.received(blank + whole[:10]) == len(blank) + 10
    assert not request.completed
    request.received(whole[10:])
    assert request.completed and not request.empty and request.path == "/1"
    request = Request(Adjustments())
    assert request.received(blank) == len(blank)
    assert request.completed and request.empty and not request.left


@pytest.mark.parametrize(
    "header", ["Content-Length: 0", f"Content-Length: {2**40}", "Content-Length: many"]
)
def test_nobody_is_told_to_send_what_is_not_wanted(header: str) -> None:
    """Where no body comes, or the request is refused, there is no 100 to be sent."""
    request = received(headers=f"Expect: 100-continue\r\n{header}")
    assert request.completed and not request.expect_continue
    waiting = received(headers="Expect: 100-continue\r\nContent-Length: 4")
    assert waiting.expect_continue and not waiting.completed


def test_a_length_that_python_does_not_read_is_refused() -> None:
    """With a sentence, like any other that is not a number."""
    request = received(headers=f"Content-Length: {'1' * 5000}")
    assert request.completed and request.error.code == 400


# -- headers that come again ------------------------------------------------------------------

ADJUSTMENTS = Adjustments()
HEADS = [
    b"GET /report?hours=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD //a/%20b HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST http://a/predict HTTP/1.1\r\nContent-Length: 2\r\nX: 1\r\n 2\r\n\r\n",
]


def parsed(head: bytes) -> Request:
    request = Request(ADJUSTMENTS)
    assert request.received(head) == len(head)
    return request


@pytest.mark.parametrize("head", HEADS)
def test_a_header_says_the_same_as_waitress_reads(head: bytes) -> None:
    """The first time, and each time after."""
    theirs = HTTPRequestParser(ADJUSTMENTS)
    theirs.received(head)
    whole = theirs.completed
    for _ in range(3):
        ours = parsed(head)
        # What nobody sends any body for, nobody is told to send one for.
        expected = {**vars(theirs), "expect_continue": theirs.expect_continue and not whole}
        for name in {*expected} - {"body_rcv"}:
            assert getattr(ours, name) == expected[name], name
        assert type(ours.body_rcv) is type(theirs.body_rcv)


def test_two_requests_with_the_same_header_share_nothing() -> None:
    """Neither their bodies nor what is changed in their headers."""
    for head, first, second in (
        (HEADS[3], b"{}", b"[]"),
        (HEADS[4], b"2\r\n{}\r\n0\r\n\r\n", b"2\r\n[]\r\n0\r\n\r\n"),
    ):
        one, other = parsed(head), parsed(head)
        one.headers["X"] = "changed"
        one.received(first)
        assert other.body_bytes_received == 0 and not other.completed
        other.received(second)
        assert one.get_body_stream().read() == b"{}"
        assert other.get_body_stream().read() == b"[]"
        assert "X" not in other.headers


@pytest.mark.parametrize(
    "header",
    ["Authorization: Bearer secret", "authorization: secret", "X-API-Key: secret", "Cookie: a=b",
     "X-Request-Start: t=1.234", f"Accept: {'long' * 200}"],
)  # fmt: skip
def test_what_does_not_come_again_is_not_remembered(header: str) -> None:
    """A key is to stay nowhere; and a stamp is another one each time."""
    exchange._known.clear()
    request = parsed(f"GET / HTTP/1.1\r\n{header}\r\n\r\n".encode())
    name, _, value = header.partition(": ")
    assert request.headers[name.upper().replace("-", "_")] == value
    assert not exchange._known


@pytest.mark.parametrize(
    "head", [b"GET /health?key=a HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX_API_KEY: a\r\n\r\n"]
)
def test_a_key_in_a_wrong_place_is_not_remembered(head: bytes) -> None:
    """Neither in a query, nor in a header that waitress leaves out."""
    exchange._known.clear()
    assert "X_API_KEY" not in parsed(head).headers
    assert not exchange._known


def test_what_is_remembered_takes_little_memory() -> None:
    """However many headers come, each as large as is remembered."""
    exchange._known.clear()
    tracemalloc.start()
    try:
        for number in range(exchange.MOST_KNOWN):
            lines = f"Host: {number}\r\n" * (450 // len(f"Host: {number}\r\n"))
            parsed(f"GET / HTTP/1.1\r\n{lines}\r\n".encode())
        assert len(exchange._known) == exchange.MOST_KNOWN
        assert tracemalloc.get_traced_memory()[0] < 4 << 20
    finally:
        tracemalloc.stop()
    parsed(HEADS[3])
    assert len(exchange._known) == 1
