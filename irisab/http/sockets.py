"""Which sockets are ready, without a look at each of them in every turn. See `Sockets.turn`.

waitress asks each connection whether it wants to read or to write before it waits, and tells the
kernel all of them anew: of 900 that are idle, a request took two milliseconds. Here the kernel
keeps what it was told (epoll), and only connections that something happened to are asked again.
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from waitress import wasyncore

from irisab.turns import main_thread

READ, WRITE = select.POLLIN, select.POLLOUT
# What nothing has happened to may want something else all the same: waitress closes connections
# that have been idle for long.
LOOK_SECONDS = 1.0


class Socket(Protocol):
    """What waitress knows of a socket; `_fileno` is None once it is closed."""

    _fileno: int | None
    accepting: bool

    def readable(self) -> object: ...
    def writable(self) -> object: ...


class Sockets:
    """The connections of a server, and what belongs to it: `always` is asked in every turn.

    For the main thread, but for `touch`.
    """

    def __init__(self) -> None:
        self.always: tuple[Socket, ...] = ()
        self._connections: set[Socket] = set()
        # Those to be asked. A set's own methods are one step to threads.
        self._touched: set[Socket] = set()
        self._next_look = 0.0
        # By the number of a file: who it is, and what the kernel was told.
        self._known: dict[int, Socket] = {}
        self._told: dict[int, int] = {}
        # Both speak of the same flags, one of seconds and one of milliseconds.
        self._kernel: Any = select.epoll() if hasattr(select, "epoll") else select.poll()
        self._second = 1 if hasattr(select, "epoll") else 1000

    def add(self, connection: Socket) -> None:
        """Take a new connection."""
        self._connections.add(connection)
        self._touched.add(connection)

    def touch(self, connection: Socket) -> None:
        """Say that a connection may want something else than before."""
        self._touched.add(connection)

    def forget(self, connection: Socket) -> None:
        """Leave a connection before it is closed."""
        self._connections.discard(connection)
        self._touched.discard(connection)
        number = connection._fileno
        if number is not None and number in self._told:
            self._tell(connection, number, 0)

    def turn(self, timeout: float) -> None:
        """Wait for `timeout` seconds at most, then let all who are ready read and write."""
        self._ask(self.always)
        now = monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._touched.update(self._connections)
        self._touched.update(self._ask(self._taken()))
        main_thread.is_awake = not timeout
        ready = self._kernel.poll(timeout * self._second)
        main_thread.is_awake = True
        for number, flags in ready:
            # Another one may have made room by closing it.
            socket = self._known.get(number)
            if socket is not None:
                self._touched.add(socket)
                wasyncore.readwrite(socket, flags)

    def _taken(self) -> Iterator[Socket]:
        while self._touched:
            yield self._touched.pop()

    def _ask(self, connections: Iterable[Socket]) -> list[Socket]:
        """Tell the kernel what they want; return those who will want something else.

        Whoever waits for a request waits until it comes.
        """
        again = []
        for each in connections:
            number = each._fileno
            if number is None:
                continue
            wanted = READ if each.readable() else 0
            # Sockets that accept should not be writable.
            if not each.accepting and each.writable():
                wanted |= WRITE
            if wanted != self._told.get(number, 0):
                self._tell(each, number, wanted)
            if wanted != READ:
                again.append(each)
        return again

    def _tell(self, connection: Socket, number: int, wanted: int) -> None:
        known = self._told.pop(number, 0)
        self._known.pop(number, None)
        # What the kernel refuses is told again at the next look.
        with suppress(OSError):
            if not wanted:
                self._kernel.unregister(number)
                return
            if known:
                self._kernel.modify(number, wanted)
            else:
                self._kernel.register(number, wanted)
            self._told[number], self._known[number] = wanted, connection
