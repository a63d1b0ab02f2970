"""Bounded load on one host until SIGTERM; then prints what was sent and what failed, as JSON.

    python3 load.py ADDRESS PORT

A request fails if it gets no answer, or another status than 200. Nothing is tried again.
"""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import sys
import threading
import time
from collections import Counter

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3], [6.9, 3.1, 5.4, 2.1]]
PAUSE = 0.01  # seconds between two requests of a client: the machine is not the subject


class Client(threading.Thread):
    """One client with a connection of its own; without `keep`, one connection per request."""

    def __init__(self, where: tuple[str, int], *, paths: list[str], keep: bool) -> None:
        super().__init__()
        self.where, self.paths, self.keep = where, paths, keep
        self.sent = 0
        self.failures: list[str] = []
        self.versions: Counter[str] = Counter()
        self.slowest = 0.0
        self.request_id = ""

    def run(self) -> None:
        line = http.client.HTTPConnection(*self.where, timeout=30)
        for path in itertools.cycle(self.paths):
            if stopping.is_set():
                return
            self.sent += 1
            start = time.monotonic()
            try:
                self.ask(line, path)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(f"{time.strftime('%X')} {path}: {error!r}")
                line.close()
            self.slowest = max(self.slowest, time.monotonic() - start)
            if not self.keep:
                line.close()
            time.sleep(PAUSE)

    def ask(self, line: http.client.HTTPConnection, path: str) -> None:
        if path == "/predict":
            fields = {"features": ROWS[self.sent % len(ROWS)]}
        elif path == "/feedback":
            fields = {"request_id": self.request_id, "label": 0}
        else:
            fields = {}
        body = json.dumps(fields) if fields else None
        headers = {"Content-Type": "application/json"} if fields else {}
        line.request("POST" if fields else "GET", path, body, headers)
        answer = line.getresponse()
        data = answer.read()
        if answer.status != http.client.OK:
            raise ValueError(f"{answer.status} {data[:200]!r}")
        if path == "/predict":
            found = json.loads(data)
            self.versions[found["model_version"]] += 1
            self.request_id = found["request_id"]


def main() -> None:
    where = (sys.argv[1], int(sys.argv[2]))
    clients = [
        Client(where, paths=["/predict"], keep=True),
        Client(where, paths=["/predict", "/feedback"], keep=True),
        Client(where, paths=["/health", "/config"], keep=True),
        Client(where, paths=["/predict", "/health"], keep=False),
    ]
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    versions = sum((client.versions for client in clients), Counter[str]())
    found = {
        "sent": sum(client.sent for client in clients),
        "failures": [failure for client in clients for failure in client.failures],
        "versions": versions,
        "slowest": max(client.slowest for client in clients),
    }
    print(json.dumps(found))


stopping = threading.Event()

if __name__ == "__main__":
    main()
