"""Who is next for waitress's workers. Start at `Lines`."""

from __future__ import annotations

import sys
import threading
from collections import deque
from itertools import count
from typing import Protocol

# Of bytes of a body: as in nginx's limits, where such count apart. A large body keeps the
# interpreter busy for milliseconds; several at once would keep the main thread waiting for each.
LARGE = 4_000
# So long may a thread keep the interpreter from others while a large body is worked on: with the
# usual five milliseconds, single rows wait for as long. Always, it would cost a sixth of the
# processor at full traffic.
SHORT_SECONDS = 2e-4


class Asked(Protocol):
    """What waitress knows of a request."""

    body_bytes_received: int


class Waiting(Protocol):
    """A connection whose first request is to be answered; `cancel` where the server stops."""

    requests: list[Asked]

    def service(self) -> None: ...
    def cancel(self) -> None: ...


class Large:
    """A channel whose first request has a large body; the next of them waits for its answer."""

    def __init__(self, channel: Waiting, lines: Lines) -> None:
        self.requests = channel.requests
        self.cancel = channel.cancel
        self._service = channel.service
        self._lines = lines

    def service(self) -> None:
        """Answer it, in a worker, which looks into the lines next."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(SHORT_SECONDS)
        try:
            self._service()
        finally:
            sys.setswitchinterval(usual)
            self._lines.finish()


class Lines:
    """Three lines of channels that take turns: in one the first request of each, in another what
    came in one go with it, in the third large bodies, of which one is worked on at a time.

    waitress's workers take from it what they do next, and it adds to it; it holds the lock then.
    Its length is how many of them a worker can begin with.
    """

    def __init__(self, main_thread: int) -> None:
        self._main_thread = main_thread
        self._first: deque[Waiting] = deque()
        self._further: deque[Waiting] = deque()
        self._large: deque[Waiting] = deque()
        self._is_working = False
        self._turns = count()

    def __len__(self) -> int:
        return sum(map(len, self._open()))

    def append(self, channel: Waiting) -> None:
        """Let a channel wait: the main thread has read its request, or a worker goes on with it."""
        if channel.requests and channel.requests[0].body_bytes_received >= LARGE:
            self._large.append(Large(channel, self))
        elif threading.get_ident() == self._main_thread:
            self._first.append(channel)
        else:
            self._further.append(channel)

    def popleft(self) -> Waiting:
        """Return whose turn it is."""
        lines = [each for each in self._open() if each]
        channel = lines[next(self._turns) % len(lines)].popleft()
        self._is_working |= isinstance(channel, Large)
        return channel

    def finish(self) -> None:
        """Let the next large body have its turn: the worker that calls looks here next."""
        self._is_working = False

    def _open(self) -> list[deque[Waiting]]:
        lines = [self._further, self._first]
        return lines if self._is_working else [*lines, self._large]
