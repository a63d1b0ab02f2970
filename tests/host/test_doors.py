"""What nginx lets through, and how much of it: the real one with our nginx.conf, on loopback.

Its limits forgive so much a second. Here they forgive next to nothing, so that a machine that is
slow today counts as a quick one does.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from bed import Host
from front import Front, front

CLOSED = b'"status":429'
TAB = "GET /_stcore/stream HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The door as `bootstrap.sh --keys` leaves it, and open to one other site."""
    with front(tmp_path_factory.mktemp("locked"), keys=True, origin="https://app.example") as found:
        yield found


def statuses(door: Front, count: int, path: str, **options: object) -> Counter[int]:
    return Counter(door.status(path, **options) for _ in range(count))


def first_answer(door: Front, by: str) -> bytes:
    """The status with which a tab is let in or not; it is closed again."""
    with door.open(by, *TAB) as tab:
        return tab.recv(4096)[9:12]


def test_a_network_of_ipv6_is_one_client(front_door: Front) -> None:
    """Whoever has a /64 has 18 trillion million addresses; the next /64 is somebody else."""
    seen = Counter(front_door.status("/predict", by=f"2001:db8:a:b::{i:x}") for i in range(260))
    assert seen[200] >= 201 and seen[429] > 0
    assert front_door.status("/predict", by="2001:db8:a:c::1") == 200


def test_no_path_is_without_a_limit(front_door: Front) -> None:
    """What one has used up is used up for the others; predictions have a limit of their own."""
    by = "198.51.100.1"
    seen = statuses(front_door, 1060, "/config", by=by)
    assert seen[200] >= 1001 and seen[429] > 0
    for path in "/health", "/openapi.json", "/config", "/", "/_stcore/health":
        # A second forgives one.
        assert 429 in statuses(front_door, 5, path, by=by), path
    assert front_door.status("/predict", by=by) == 200


def test_rows_count_and_not_only_requests(front_door: Front) -> None:
    """Bodies of 4 kB, or of no length that is said, are refused before small ones are: the shortest
    way to write 400 rows of four features counts as many rows."""
    large, small = json.dumps({"features": [[1] * 4] * 399}, separators=(",", ":")).encode(), b"x"
    assert 4_000 <= len(large) < 4_010
    small *= 3_999
    for headers in {}, {"Transfer_Encoding": "chunked"}:
        by = f"198.51.100.{20 + len(headers)}"
        body = b"0\r\n\r\n" if headers else large
        seen = statuses(front_door, 60, "/predict", by=by, method="POST", body=body, **headers)
        assert seen[200] >= 41 and seen[429] > 0
        seen = statuses(front_door, 60, "/predict", by=by, method="POST", body=small)
        assert seen == {200: 60}


def test_a_get_with_a_body_is_refused(front_door: Front) -> None:
    """Before it is stored, whether or not it says how long it is; one of no length is none."""
    for method in "GET", "HEAD":
        assert front_door.status("/config", method=method, body=b"{}") == 400
        assert front_door.status("/config", method=method, Transfer_Encoding="chunked") == 400
        assert front_door.status("/config", method=method, Content_Length="0") == 200
    status, headers, body = front_door.ask("/config", body=b"{}")
    assert headers["Content-Type"] == "application/problem+json"
    assert b'"detail":"A GET has no body here. Send it with POST."' in body


def test_bodies_that_trickle_are_bounded(front_door: Front) -> None:
    """A hundred requests of one client are under way at a time, and other clients' beside them."""
    by, begun = "198.51.100.3", b"x" * 3_000
    with ExitStack() as lines:
        # More than there is room for: a request in between may have a place for a moment.
        for _ in range(120):
            line = front_door.open(by, "POST /feedback HTTP/1.1", "Content-Length: 3999")
            lines.enter_context(line).sendall(begun)
        Host.wait(lambda: front_door.status("/config", by=by) == 429)
        assert CLOSED in front_door.ask("/predict", by=by)[2]
        assert front_door.status("/predict", by="198.51.100.4") == 200
    Host.wait(lambda: front_door.status("/predict", by=by) == 200)


def test_bodies_that_the_api_takes_are_not_written_to_the_disk(front_door: Front) -> None:
    """nginx says when it writes one: none of up to 65,536 bytes, the most that the API takes."""
    for size, written in (65_536, False), (100_000, True):
        by = f"198.51.100.{40 + written}"
        assert front_door.status("/predict", by=by, method="POST", body=b"x" * size) == 200
        told = f"buffered to a temporary file {front_door.log.parent}/bodies/"
        lines = front_door.log.read_text().splitlines()
        assert any(told in line and f"client: {by}," in line for line in lines) == written


def test_guessing_passwords_is_limited_before_they_are_looked_at(front_door: Front) -> None:
    """After a hundred, 429 and not 401, whatever the password; another client may try its own."""
    paths = "/metrics", "/prometheus/graph", "/alertmanager/api/v2/alerts"
    for number, path in enumerate(paths):
        by = f"198.51.100.{50 + number}"
        seen = statuses(front_door, 140, path, by=by, password="wrong")
        assert seen[401] >= 101 and seen[429] > 0
        right = {"password": front_door.password}
        assert 429 in statuses(front_door, 5, path, by=by, **right)
        assert front_door.status(path, by="198.51.100.7", **right) == 200


def test_tabs_of_the_page_are_bounded(front_door: Front) -> None:
    """300 websockets at once: 50 of one client, 100 of all. After they end, others are let in."""
    with ExitStack() as tabs:

        def answer(by: str) -> bytes:
            return tabs.enter_context(front_door.open(by, *TAB)).recv(4096)[9:12]

        assert Counter(answer("198.51.100.8") for _ in range(60)) == {b"101": 50, b"429": 10}
        others = Counter(answer(f"203.0.113.{i}") for i in range(1, 241))
        assert others == {b"101": 50, b"429": 190}
        assert front_door.status("/", by="198.51.100.9") == 200
        assert front_door.status("/predict", by="198.51.100.9") == 200
    Host.wait(lambda: first_answer(front_door, "198.51.100.10") == b"101")


def test_a_flood_is_no_flood_of_lines(front_door: Front) -> None:
    """Of what nginx refuses by itself the log of requests has a few; each wrong password."""
    by, guesses = "198.51.100.60", 30
    seen = statuses(front_door, 800, "/predict", by=by)
    assert seen[429] > 500
    for options in {"body": b"{}"}, {"Content_Length": "9999999", "method": "POST"}:
        seen += statuses(front_door, 200, "/predict", by=by, **options)
    seen += statuses(front_door, 200, "/_stcore/metrics", by=by)
    assert seen[400] == seen[413] == seen[404] == 200
    guessed = statuses(front_door, guesses, "/metrics", by=by, password="wrong")
    assert guessed == {401: guesses}
    asked = statuses(front_door, 60, "/prometheus/", by="198.51.100.62")
    assert asked == {401: 60}
    logged = front_door.log.with_name("access.log")

    def lines(status: int) -> int:
        return len(re.findall(rf'(?m)^{re.escape(by)} .*" {status} ', logged.read_text()))

    # nginx writes in blocks, and after five seconds.
    few = 400, 404, 413, 429
    Host.wait(lambda: (lines(200), lines(401)) == (seen[200], guesses), seconds=20)
    Host.wait(lambda: all(lines(status) for status in few), seconds=20)
    assert all(lines(status) < seen[status] / 3 for status in few)
    assert logged.read_text().count("198.51.100.62 ") < 20
    assert "limiting requests, by zone" not in front_door.log.read_text()


def test_a_key_has_a_limit_wherever_it_comes_from(front_door: Front) -> None:
    """From many addresses together; another key, and who sends what is none, have their own."""
    key, other = "irisab_" + "k" * 43, "irisab_" + "o" * 43
    for headers in {"Authorization": f"Bearer {key}"}, {"X_API_Key": other}:
        seen = Counter(
            front_door.status("/report", by=f"203.0.113.{number % 250}", **headers)
            for number in range(260)
        )
        assert seen[200] >= 201 and seen[429] > 0
    assert front_door.status("/report", by="198.51.100.61") == 200
    assert front_door.status("/report", by="198.51.100.61", Authorization=f"Bearer {key}x") == 200


def test_a_page_with_a_key_asks_for_the_password(locked: Front) -> None:
    """Its websocket too, on which all that it does depends; the API has keys and no password."""
    by, right = "198.51.100.11", {"password": locked.password}
    for path in "/", "/drift", "/static/js/index.js", "/_stcore/health":
        assert locked.status(path, by=by) == 401
        assert locked.status(path, by=by, password="wrong") == 401
        assert locked.status(path, by=by, **right) == 200
        assert locked.status(path) == 200  # from the host itself, as through a tunnel
    assert first_answer(locked, by) == b"401"
    for path in "/predict", "/health", "/openapi.json":
        assert locked.status(path, by=by) == 200


def test_pages_of_one_other_site_may_ask(locked: Front, front_door: Front) -> None:
    """Once a line of nginx.conf names it, and no other; preflights are answered without a key."""
    for path in "/predict", "/config":
        for door, site, allowed in (
            (locked, "https://app.example", "https://app.example"),
            (locked, "https://app.example.evil", None),
            (front_door, "https://app.example", None),
        ):
            _, headers, _ = door.ask(path, Origin=site)
            assert headers["Access-Control-Allow-Origin"] == allowed
            assert headers["X-Content-Type-Options"] == "nosniff"
    status, headers, _ = locked.ask("/predict", method="OPTIONS", Origin="https://app.example")
    assert (status, "authorization" in headers["Access-Control-Allow-Headers"]) == (204, True)
