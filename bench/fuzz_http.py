"""Bodies and bytes that no client should send, against a running service: `make fuzz-http`.

No answer may be a 5xx, and none may belong to another request than the one it answers. Between any
two spoilt bodies stands a sound one with an id of its own, all sent in one go over one connection;
raw connections begin with one. Start at `Attack`.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

ROW = [5.1, 3.5, 1.4, 0.2]
SOUND: tuple[tuple[str, object], ...] = (
    ("/predict", {"features": ROW, "user_id": "u-17", "id": "order-17"}),
    ("/predict", {"features": [ROW, ROW], "model_version": "v2"}),
    ("/predict", {"features": [{"sepal_length": 5.1, "sepal_width": 3.5}]}),
    ("/feedback", {"request_id": "0" * 32, "label": 0, "correct": True}),
    ("/feedback", {"id": "order-17", "labels": [1, None, "setosa"]}),
)
# What parsers have stumbled over.
WORDS = (
    *(b"null", b"NaN", b"-Infinity", b"1e999", b"-0", b"1" * 400, b"0.1e-400", b"true", b'""'),
    *(b"[" * 500, b'{"a":' * 200, b"\\ud800", b"\\u0000", b"\x00", b"\xff\xfe", b"\xed\xa0\x80"),
    *(
        b'"features":',
        b'"model_version":',
        b"9" * 5000,
        b",",
        b"]",
        b"}",
        b"\r\n\r\n",
        b" " * 70_000,
    ),
)
HEADERS = (
    *(b"Content-Length: -1", b"Content-Length: 1e3", b"Content-Length: 99999999999999999999"),
    *(
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
    ),
    *(
        b"Transfer-Encoding: chunked\r\nContent-Length: 3",
        b"Connection: close",
        b"Connection: upgrade",
    ),
    *(
        b"Content-Type: text/plain",
        b"Content-Encoding: gzip",
        b"X: " + b"y" * 9000,
        b": ",
        b"A",
        b" x: y",
    ),
    *(b"X-Request-Start: t=nan", b"Authorization: Bearer " + b"\xff" * 50, b"Host:", b"\x00: \x00"),
)
# Bodies that are sent in one go.
TOGETHER = 10
# waitress does not know other codings than chunked, and says so (RFC 9112, 6.1).
NOT_IMPLEMENTED = 501


class Attack:
    """One client of a service; what it is answered is counted in `statuses`."""

    def __init__(self, port: int, *, seed: int) -> None:
        self.statuses: Counter[int] = Counter()
        self._port = port
        self._random = random.Random(seed)
        self._sent = 0

    def bodies(self, count: int) -> None:
        """Send so many spoilt bodies; raises `AssertionError` for an answer that must not be."""
        while count > 0:
            with self._connect() as connection, connection.makefile("rb") as answers:
                for _ in range(100):
                    together = min(TOGETHER, count)
                    self._converse(connection, answers, [self._body() for _ in range(together)])
                    count -= together

    def sockets(self, count: int) -> None:
        """Open so many connections and send bytes that are hardly HTTP."""
        for _ in range(count):
            own, sound = self._sound()
            with self._connect() as connection, connection.makefile("rb") as answers:
                # A service that has refused the rest may have closed before it was sent.
                with suppress(ConnectionError):
                    connection.sendall(sound + self._bytes())
                with suppress(ConnectionResetError):
                    self._expect(own, *next(_answers(answers)))
                    # Not before: to waitress, who will send no more has gone.
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_WR)
                    for status, body in _answers(answers):
                        self._count(status, body, allowed=(NOT_IMPLEMENTED,))

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=60)

    def _converse(
        self, connection: socket.socket, answers: BufferedReader, spoilt: Sequence[bytes]
    ) -> None:
        sound = [self._sound() for _ in spoilt]
        connection.sendall(
            b"".join(each + after for each, (_, after) in zip(spoilt, sound, strict=True))
        )
        each = _answers(answers)
        for own, _ in sound:
            self._count(*next(each))
            self._expect(own, *next(each))

    def _sound(self) -> tuple[str, bytes]:
        self._sent += 1
        own = f"sound-{self._sent}"
        return own, _request("/predict", json.dumps({"features": ROW, "id": own}).encode())

    def _expect(self, own: str, status: int, body: bytes) -> None:
        self._count(status, body)
        if status != 200 or json.loads(body).get("id") != own:
            raise AssertionError(f"{own} was answered with {status} {body[:300]!r}")

    def _count(self, status: int, body: bytes, *, allowed: Sequence[int] = ()) -> None:
        self.statuses[status] += 1
        if status >= 500 and status not in allowed:
            raise AssertionError(f"{status} {body[:300]!r}, after {self._sent} sound requests")

    def _body(self) -> bytes:
        path, value = self._random.choice(SOUND)
        return _request(path, self._spoilt(json.dumps(value).encode(), WORDS))

    def _bytes(self) -> bytes:
        """Return a request with a header too many, cut and spoilt."""
        head, _, body = self._body().partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        lines.insert(self._random.randrange(len(lines) + 1), self._random.choice(HEADERS))
        return self._spoilt(b"\r\n".join(lines) + b"\r\n\r\n" + body[:2000], HEADERS)

    def _spoilt(self, data: bytes, words: Sequence[bytes]) -> bytes:
        for _ in range(self._random.choice((1, 1, 2, 5))):
            start = self._random.randrange(len(data) + 1)
            end = min(len(data), start + self._random.choice((0, 1, 1, 4, 20)))
            middle = self._random.choice(
                (b"", self._random.randbytes(1), self._random.choice(words), data[start:end] * 2)
            )
            data = data[:start] + middle + data[end:]
        return data


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: irisab\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _answers(answers: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """Yield status and body of each answer until the connection ends; none is cut short."""
    while line := answers.readline():
        status, length = int(line.split()[1]), 0
        for header in iter(answers.readline, b"\r\n"):
            if header.lower().startswith(b"content-length:"):
                length = int(header.partition(b":")[2])
        body = answers.read(length)
        if len(body) < length:
            raise AssertionError(f"an answer of {length} bytes ended after {len(body)}")
        if status != 100:
            yield status, body


def main() -> None:
    """Start a service and attack it."""
    from bench.servers import Bench

    parser = argparse.ArgumentParser(prog="bench.fuzz_http", description=__doc__)
    parser.add_argument("bodies", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--sockets", type=int, help="a hundredth of the bodies unless given")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="irisab-fuzz-") as folder,
        Bench(Path(folder)).start() as service,
    ):
        service.first_answer()
        attack = Attack(service.port, seed=options.seed)
        attack.bodies(options.bodies)
        attack.sockets(options.bodies // 100 if options.sockets is None else options.sockets)
    counted = ", ".join(f"{status}: {count:,}" for status, count in sorted(attack.statuses.items()))
    print(f"answers by status: {counted}; each to its own request", file=sys.stderr)


if __name__ == "__main__":
    main()
