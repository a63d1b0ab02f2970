"""Who is ready is told at once; who is idle is left alone."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from irisab.http import sockets
from irisab.http.sockets import Sockets


class Connection:
    """One end of a pair of sockets; `done` is what it was told to do, `asked` how often."""

    accepting = False

    def __init__(self, others: Sockets) -> None:
        self.socket, self.far = socket.socketpair()
        self._fileno: int | None = self.socket.fileno()
        self.reads, self.writes = True, False
        self.asked = 0
        self.done: list[str] = []
        self.then: Callable[[], None] = lambda: None
        self._others = others
        others.add(self)

    def readable(self) -> bool:
        self.asked += 1
        return self.reads

    def writable(self) -> bool:
        return self.writes

    def handle_read_event(self) -> None:
        self.done.append(f"read {self.socket.recv(100)!r}")
        self.then()

    def handle_write_event(self) -> None:
        self.done.append("write")

    def handle_close(self) -> None:
        self._others.forget(self)
        self._fileno = None
        self.socket.close()
        self.far.close()


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sockets]:
    monkeypatch.setattr(sockets, "LOOK_SECONDS", 3600)
    made = Sockets()
    made.turn(0)  # the look that comes once a while
    yield made
    for each in [*made._connections]:
        each.handle_close()  # type: ignore[attr-defined]


def test_the_idle_are_asked_once(others: Sockets) -> None:
    """However long they wait, and whatever others do."""
    idle, busy = Connection(others), Connection(others)
    for _ in range(100):
        busy.far.send(b"a")
        others.turn(0)
    assert idle.asked == 1 and busy.asked == 100
    assert busy.done == ["read b'a'"] * 100


def test_who_is_touched_is_asked_again(others: Sockets) -> None:
    """And may write from then on, until there is nothing to write."""
    connection = Connection(others)
    others.turn(0)
    connection.writes = True
    others.turn(0)
    assert connection.done == []
    others.touch(connection)
    others.turn(0)
    others.turn(0)
    assert connection.done == ["write", "write"]
    connection.writes = False
    others.turn(0)
    assert connection.done == ["write", "write"]


def test_who_wants_nothing_gets_nothing(others: Sockets) -> None:
    """Not even that the other end has gone; it is asked in each turn whether it wants again."""
    connection = Connection(others)
    connection.reads = False
    connection.far.send(b"a")
    connection.far.shutdown(socket.SHUT_RDWR)
    for _ in range(3):
        others.turn(0)
    assert connection.done == []
    connection.reads = True
    others.turn(0)
    assert connection.done == ["read b'a'"]


def test_who_was_closed_by_another_is_not_read(others: Sockets) -> None:
    """Both were ready in the same turn."""
    one, two = Connection(others), Connection(others)
    one.then, two.then = two.handle_close, one.handle_close
    for each in one, two:
        each.far.send(b"a")
    others.turn(0)
    assert sorted(map(len, (one.done, two.done))) == [0, 1]


def test_a_number_that_comes_again_is_another_connection(others: Sockets) -> None:
    """The kernel gives the file of a closed connection to the next one."""
    first = Connection(others)
    others.turn(0)
    number = first._fileno
    first.handle_close()
    second = Connection(others)
    assert second._fileno == number
    second.far.send(b"b")
    others.turn(0)
    assert (first.done, second.done) == ([], ["read b'b'"])


def test_what_nobody_told_is_seen_later(others: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a second all are asked."""
    connection = Connection(others)
    others.turn(0)
    connection.writes = True
    monkeypatch.setattr(others, "_next_look", 0.0)
    others.turn(0)
    assert connection.done == ["write"]


def test_what_the_kernel_refuses_ends_no_turn(others: Sockets) -> None:
    """Others are served on."""
    connection = Connection(others)
    others.turn(0)
    connection.writes = True
    others.touch(connection)
    others._kernel.unregister(connection.socket)
    others.turn(0)
    assert connection.done == []
