"""What local clients that mean harm cost others: `python -m bench.attacks`.

For each attack the 99th percentile of an honest client beside it, over that of the same client
without, the median of some rounds. Attackers are a process of their own, on the same processors,
which one from outside would leave alone: without them a process computes, and asks nothing. Start
at `main()`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import selectors
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from bench.fuzz_http import ROW, _request
from bench.process import Process
from bench.servers import Bench

PAUSE = 0.005
FORCED = _request(
    "/predict", json.dumps({"features": [ROW] * 1000, "model_version": "v2"}).encode()
)
BATCH = _request("/predict", json.dumps({"features": [ROW] * 1000}).encode())
REFUSED = _request("/predict", b'{"features": "no"}')
HEALTH = b"GET /health HTTP/1.1\r\n\r\n"
LARGE = b"POST /predict HTTP/1.1\r\nContent-Length: 600000\r\n\r\n" + bytes(599_000)


def busy(port: int) -> None:
    """Take a processor, as attackers here do, and ask nothing."""
    while True:
        sum(range(1000))


def pipelining(port: int, sent: bytes, *, connections: int, each: int, pause: float = 0) -> None:
    """Send many requests in one go over many connections, read, and again."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        connection.sendall(sent * each)
        selector.register(connection, selectors.EVENT_READ, [each])
    while True:
        for key, _ in selector.select():
            left = key.data
            left[0] -= key.fileobj.recv(1 << 20).count(b"HTTP/1.1 ")
            if left[0] <= 0:
                time.sleep(pause)
                key.fileobj.sendall(sent * each)
                left[0] = each


def holding(port: int, sent: bytes, *, connections: int) -> None:
    """Send, read nothing, and hold the connections open; five times a second one is made anew."""
    held: list[socket.socket] = []
    while True:
        with suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", port), timeout=1)
            connection.setblocking(False)
            held.append(connection)
            connection.send(sent)
        if len(held) > connections:
            held.pop(0).close()
            time.sleep(0.2)


ATTACKS: dict[str, Callable[[int], None]] = {
    "400 connections, 341 /health in one go": lambda port: pipelining(
        port, HEALTH, connections=400, each=341
    ),
    "6 readers that never read": lambda port: holding(
        port, b"GET /openapi.json HTTP/1.1\r\n\r\n" * 300, connections=6
    ),
    "600 bodies of 600 KB, never whole": lambda port: holding(port, LARGE, connections=600),
    "2,000 idle connections": lambda port: holding(port, b"", connections=2000),
    "96 forced batches of 1,000 rows a second": lambda port: pipelining(
        port, FORCED, connections=4, each=1, pause=0.01
    ),
    "96 batches of 1,000 rows a second": lambda port: pipelining(
        port, BATCH, connections=4, each=1, pause=0.01
    ),
    "refused requests": lambda port: pipelining(port, REFUSED, connections=20, each=50),
}


def honest(port: int, seconds: float) -> list[float]:
    """Return how long predictions took, in seconds; every tenth over a new connection."""
    headers, body = {"Content-Type": "application/json"}, json.dumps({"features": ROW})
    took: list[float] = []
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if len(took) % 10 == 0:
            connection.close()
        started = time.perf_counter()
        connection.request("POST", "/predict", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise AssertionError(f"an honest client was answered {answer.status}")
        took.append(time.perf_counter() - started)
        time.sleep(PAUSE)
    connection.close()
    return took


def label(port: int) -> float:
    """Return how long a label takes whose prediction has just been answered, in seconds."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/predict", json.dumps({"features": ROW}), headers)
        asked = json.loads(connection.getresponse().read())["request_id"]
        started = time.perf_counter()
        connection.request(
            "POST", "/feedback", json.dumps({"request_id": asked, "label": 0}), headers
        )
        answer = connection.getresponse()
        if answer.status != 200:
            raise AssertionError(f"an honest label was answered {answer.status} {answer.read()!r}")
        return time.perf_counter() - started


@contextmanager
def attacked(service: Process, attack: Callable[[int], None]) -> Iterator[None]:
    """Let an attack run for a second before the block, and to its end."""
    attacker = multiprocessing.get_context("fork").Process(target=attack, args=(service.port,))
    attacker.start()
    try:
        time.sleep(1)
        yield
    finally:
        attacker.kill()
        attacker.join()


def measured(service: Process, attack: Callable[[int], None], seconds: float) -> list[float]:
    """Return the 99th percentiles of predictions without, beside, and from a second after the
    attack on, and the longest of some labels beside it, in seconds."""
    with attacked(service, busy):
        without = p99(honest(service.port, seconds))
    with attacked(service, attack):
        beside = p99(honest(service.port, seconds))
        labelled = max(label(service.port) for _ in range(10))
    time.sleep(1)
    return [without, beside, p99(honest(service.port, seconds)), labelled]


def p99(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="bench.attacks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| p99, ms | without | beside | times | a second after | a label, at most |")
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="irisab-attacks-") as folder:
        bench = Bench(Path(folder))
        for name, attack in ATTACKS.items():
            rounds = []
            for _ in range(options.rounds):
                with bench.start() as service:
                    service.first_answer()
                    rounds.append(measured(service, attack, options.seconds))
            figures = [statistics.median(each) for each in zip(*rounds, strict=True)]
            without, beside, after, labelled = (1000 * each for each in figures)
            print(
                f"| {name} | {without:.1f} | {beside:.1f} | {beside / without:.1f} | {after:.1f} "
                f"| {labelled:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
