"""Who is next: lines take turns, and of large bodies there is one at a time."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import pytest

from irisab.http.lines import LARGE, SHORT_SECONDS, Lines


class Channel:
    """A connection with one request that waits."""

    def __init__(self, name: str, body: int = 0) -> None:
        self.name = name
        self.requests = [SimpleNamespace(body_bytes_received=body)]
        self.done: list[str] = []

    def service(self) -> None:
        self.done.append(self.name)

    def cancel(self) -> None:
        self.requests = []


def test_what_came_in_one_go_with_a_request_waits_in_a_line_of_its_own() -> None:
    """The lines take turns, however long one of them is."""
    lines = Lines(threading.get_ident())
    for number in range(3):
        lines.append(Channel(f"{number}"))
    pipelining = threading.Thread(
        target=lambda: [lines.append(Channel(f"more {n}")) for n in range(5)]
    )
    pipelining.start()
    pipelining.join()
    assert len(lines) == 8
    taken = [lines.popleft().name for _ in range(8)]
    assert taken == ["more 0", "0", "more 1", "1", "more 2", "2", "more 3", "more 4"]
    assert not lines


def test_a_large_body_waits_for_the_one_before() -> None:
    """There is nothing to begin with until that one is answered, even if by an error."""
    lines = Lines(threading.get_ident())
    first, second = Channel("first", LARGE), Channel("second", LARGE)
    first.service = lambda: 1 / 0
    for each in first, second, Channel("small", LARGE - 1):
        lines.append(each)
    assert len(lines) == 3
    taken = [lines.popleft(), lines.popleft()]
    assert not lines
    large = next(each for each in taken if not isinstance(each, Channel))
    with pytest.raises(ZeroDivisionError):
        large.service()
    assert len(lines) == 1
    lines.popleft().service()
    assert second.done == ["second"] and not lines


def test_beside_a_large_body_threads_take_shorter_turns() -> None:
    """Until it is answered, even if by an error."""
    usual, meanwhile = sys.getswitchinterval(), list[float]()
    channel, lines = Channel("large", LARGE), Lines(threading.get_ident())

    def failing() -> None:
        meanwhile.append(sys.getswitchinterval())
        raise ZeroDivisionError

    channel.service = failing
    lines.append(channel)
    with pytest.raises(ZeroDivisionError):
        lines.popleft().service()
    assert meanwhile == [pytest.approx(SHORT_SECONDS)]
    assert sys.getswitchinterval() == pytest.approx(usual)
