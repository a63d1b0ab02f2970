"""A request as it is read: what is too long is neither kept nor put into a file."""

from __future__ import annotations

import pytest
from waitress.adjustments import Adjustments

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
