"""A request as it is read, and an answer as it is written. Start at `Request`."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from io import BytesIO
from time import time
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver, FixedStreamReceiver
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest

from irisab.http.problem import CONTENT_TYPE, problem

# What the environ says: when the request's first byte came, in seconds since 1970.
ARRIVED = "irisab.arrived"
# The first byte of a TLS connection (RFC 8446, 5.1), and of no HTTP request.
TLS_HANDSHAKE = b"\x16"
# Of a GET, which should have none: bytes that cost nothing.
SHORT_BODY = 4096
# Headers that are remembered, and their bytes: a few megabytes of memory at the most.
MOST_KNOWN, KNOWN_BYTES = 128, 512
# Those that may be: any other may be a key, which is to stay nowhere, or differ each time.
_COMMON = {
    *("HOST", "USER_AGENT", "ACCEPT", "ACCEPT_ENCODING", "ACCEPT_LANGUAGE", "CONNECTION"),
    *("CONTENT_TYPE", "CONTENT_LENGTH", "EXPECT"),
}


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
        # What came in one go with it, and is not parsed yet.
        self.left = b""
        self._begun = False

    def received(self, data: bytes) -> int:
        """Take what came; all behind a whole request is left for later.

        A read may bring hundreds of requests: parsing them at once would keep everybody waiting.
        Who speaks TLS is told at once, instead of waiting for its answer.
        """
        # Blank lines before it (RFC 9112, 2.2), each of which would be parsed like a request.
        begun = data if self._begun else data.lstrip()
        if not begun:
            self.empty = self.completed = True
        elif not self._begun and begun.startswith(TLS_HANDSHAKE):
            self.error = BadRequest("this port speaks HTTP, not HTTPS: use http://")
            self.completed = True
        else:
            self._begun = True
            taken: int = super().received(begun)
            if not self.completed:
                return len(data) - len(begun) + taken
            # No body comes, or none is wanted: nobody need be told to send it (RFC 9110, 10.1.1).
            self.expect_continue = False
            self.left = begun[taken:]
        return len(data)

    def parse_header(self, header_plus: bytes) -> None:
        """Read the header; refuse a GET that announces a body, before any of it is stored.

        A short one is read and means nothing (RFC 9110, 9.3.1). Raises `ParsingError`, and for a
        transfer coding that waitress does not know `TransferEncodingNotImplemented`.
        """
        known = _known.get(header_plus)
        if known is None:
            before = {*self.__dict__}
            self._parse(header_plus)
            _remember(header_plus, self, self.__dict__.keys() - before)
        else:
            self.__dict__.update(known, headers={**known["headers"]})
        body = Body(self.adj.inbuf_overflow)
        if self.chunked:
            self.body_rcv = ChunkedReceiver(body)
        elif self.content_length:
            self.body_rcv = FixedStreamReceiver(self.content_length, body)

    def _parse(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError:  # a length of 5,000 digits, which Python does not read
            raise ParsingError("a header has a number that is none") from None
        long = self.chunked or self.content_length > SHORT_BODY
        if long and self.command in ("GET", "HEAD"):
            raise ParsingError(f"{self.command} takes no body")


# What was parsed of headers, to be copied: most clients send the same one again, and to parse it
# takes a third of what an answer does.
_known: dict[bytes, dict[str, Any]] = {}


def _remember(header_plus: bytes, request: Request, parsed: Iterable[str]) -> None:
    """Keep the attributes of a request named in `parsed`, where the header may be remembered."""
    # What waitress leaves out has a _ in its name, and what is in a query may be a key as well.
    if len(header_plus) > KNOWN_BYTES or b"_" in header_plus or b"?" in header_plus:
        return
    if not request.headers.keys() <= _COMMON:
        return
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    values = {name: getattr(request, name) for name in parsed}
    _known[header_plus] = {**values, "headers": {**request.headers}}


class Body:
    """What came of a body, up to `limit` bytes; of a longer one, only how long it was.

    Its sender gets to read why it is refused, and it takes neither memory nor a file.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._length = 0
        self._file = BytesIO()

    def __len__(self) -> int:
        return self._length

    def append(self, data: bytes) -> None:
        """Add what has come."""
        self._length += len(data)
        if self._length <= self._limit:
            self._file.write(data)
        elif self._file.tell():
            self._file = BytesIO()

    def getfile(self) -> BytesIO:
        """Return what there is, to be read from its beginning."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Forget it."""
        self._file.close()
