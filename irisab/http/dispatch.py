"""waitress, with a short way for short work, and fair turns. Start at `create()`.

waitress reads requests in its main thread and hands each to a worker. For a forest's answer that
costs more than the answer: two threads wake each other, and fight for the interpreter. So a request
that takes microseconds and waits for nothing is answered by the main thread, where it was read.
Labels that wait for the disk, reports, batches, and models that compute for milliseconds go to the
workers, and hold nobody up.

Whoever sends many requests in one go gets an answer, and then waits for those who came meanwhile;
whoever does not read gets no more; and of too many connections the idle ones are closed.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep, thread_time, time
from typing import Any
from wsgiref.types import WSGIApplication

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import build_http_date

from irisab.http import crowd
from irisab.http.channel import Channel
from irisab.http.lines import Lines
from irisab.http.sockets import Sockets
from irisab.turns import give_way, main_thread

log = logging.getLogger(__name__)

# What answers may take of the main thread at once: meanwhile it reads nothing.
TURN_SECONDS = 0.01
# Of that, what answers may take whose clients had others in the same go: whoever comes meanwhile is
# read, and then answered, in the next turns.
FURTHER_SECONDS = 0.0005
# After two in a row that take more it leaves everything to the workers for so many times as long.
REST = 100
# Who has so many bytes of answers left to read gets no further one; more than waitress holds back
# by itself (its send_bytes), or nothing would ever be sent of them.
UNREAD_BYTES = 65_536
# Between two looks: while the service stops, and while all places for connections are taken.
POLL_SECONDS = 0.05
# Between two idle connections that are closed at the end, and for all of them.
APART_SECONDS, LONGEST_APART = 0.005, 1.0
# Who reads nothing for so long is not waited for.
UNREAD_SECONDS = 30.0
# No file for another connection, and no connection to spare: nobody is accepted for so long.
FULL_SECONDS = 0.1

# Method, path, and bytes of the body -> whether the main thread may answer.
IsQuick = Callable[[str, str, int], bool]


def create(
    app: WSGIApplication, listener: socket.socket, *, is_quick: IsQuick, **adjustments: Any
) -> HttpServer:
    """Return a server that listens on a bound socket; the calling thread must run it."""
    adjusted = Adjustments(sockets=[listener], **adjustments)
    dispatcher = Dispatcher(is_quick)
    dispatcher.set_thread_count(adjusted.threads)
    where = (listener.family, listener.type, listener.proto, listener.getsockname())
    return HttpServer(
        app,
        {},
        True,
        listener,
        dispatcher=dispatcher,
        adj=adjusted,
        sockinfo=where,
        bind_socket=False,
    )


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Sorts requests between the main thread and the workers."""

    def __init__(self, is_quick: IsQuick) -> None:
        super().__init__()
        self.main_thread = main_thread.ident = threading.get_ident()
        self.queue = Lines(self.main_thread)
        self._is_quick = is_quick
        self._here: deque[Channel] = deque()
        self._further: deque[Channel] = deque()
        self._answering = False
        self._slow = 0
        self._not_before = 0.0

    def is_main_thread(self) -> bool:
        """Tell whether the main thread calls."""
        return threading.get_ident() == self.main_thread

    def add_task(self, channel: Channel) -> None:
        """Take a channel whose first request is complete."""
        request = channel.requests[0]
        if (
            request.error is None
            and self.is_main_thread()
            and monotonic() >= self._not_before
            and self._is_quick(request.command, request.path, request.content_length)
        ):
            (self._further if self._answering else self._here).append(channel)
        else:
            super().add_task(channel)

    def answer_here(self) -> bool:
        """Answer quick requests for `TURN_SECONDS`; tells whether some are left.

        The caller holds no lock of theirs. Who sent many in one go gets the next answer after those
        that others wait for. If two in a row take longer than they should, the workers get the
        rest, and all that comes for a while: a model may turn slow on some rows. Not after one,
        which may have met a look for garbage: beside a crowd, workers make the main thread slow.
        """
        if not (self._here or self._further):
            return False
        # Of this thread's own work: what other programs take must not count.
        started = before = thread_time()
        self._answering = True
        while waiting := self._here or self._further:
            try:
                waiting.popleft().service()
            except Exception:
                log.exception("a request was not answered")
            now = thread_time()
            self._slow = self._slow + 1 if now - before > TURN_SECONDS else 0
            if self._slow > 1:
                self._rest(now - before)
            elif now - started > (TURN_SECONDS if self._here else FURTHER_SECONDS):
                break
            before = now
        self._answering = False
        return bool(self._here or self._further)

    def _rest(self, spent: float) -> None:
        self._not_before = monotonic() + spent * REST
        for waiting in self._here, self._further:
            while waiting:
                super().add_task(waiting.popleft())


class HttpServer(TcpWSGIServer):  # type: ignore[misc]
    """The listening socket. While `draining`, every answer closes its connection."""

    channel_class = Channel
    draining = False
    turns = 0
    _second = (0, "")
    _is_more_to_do = False
    _close_next = False
    _accept_from = 0.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Who has not read what they got. A set's own methods are one step to threads.
        self._unread: set[Channel] = set()
        self.sockets = Sockets()
        super().__init__(*arguments, **options)
        self.sockets.always = self, self.trigger

    def date(self, now: float) -> str:
        """Return the HTTP date of `now`, in seconds since 1970; worked out once a second."""
        known, text = self._second
        if int(now) != known:
            text = build_http_date(now)
            self._second = (int(now), text)
        return text

    def turn(self) -> None:
        """Wait for sockets, for a second at most; read what came; answer what is quick.

        All sockets that are ready are read before the first request is answered. Answering in
        between would poll again for every request.
        """
        most = self.adj.connection_limit
        was_full = len(self._map) >= most
        if self.task_dispatcher.active_count:
            give_way()
        self.sockets.turn(timeout=0 if self._is_more_to_do else POLL_SECONDS if was_full else 1)
        if was_full and len(self._map) >= most:  # after reading: the last who came may have asked
            self._make_room()
        if self._unread:
            self._go_on()
        self._is_more_to_do = self.task_dispatcher.answer_here()
        if self._close_next:
            self._close_next = False
            self._close_idle_one()
        self.turns += 1

    def pull_trigger(self) -> None:
        # It wakes the main thread, which is awake where it calls.
        if not self.task_dispatcher.is_main_thread():
            super().pull_trigger()

    # -- who does not read ------------------------------------------------------------------

    def add_task(self, channel: Channel) -> None:
        """Let a request be answered, once the answers before it have been read."""
        if channel.total_outbufs_len > UNREAD_BYTES:
            self._unread.add(channel)
        else:
            self.task_dispatcher.add_task(channel)

    def _go_on(self) -> None:
        """Answer those who have read meanwhile; the main thread alone sends what is left over."""
        for each in list(self._unread):
            if each.connected and each.total_outbufs_len > UNREAD_BYTES:
                continue
            self._unread.discard(each)
            if each.connected:
                self.task_dispatcher.add_task(each)

    def maintenance(self, now: float) -> None:
        """Close idle connections, and those whose answers nobody reads."""
        super().maintenance(now)
        for each in list(self.active_channels.values()):
            silent = now - each.last_activity > UNREAD_SECONDS
            # waitress would wait until it can be written to.
            if silent and each.total_outbufs_len and (not each.requests or each in self._unread):
                each.handle_close()
                self._unread.discard(each)

    # -- too many connections ---------------------------------------------------------------

    def readable(self) -> bool:
        """Tell whether somebody who waits may be accepted."""
        return monotonic() >= self._accept_from and bool(super().readable())

    def handle_accept(self) -> None:
        """Accept all who wait, as far as there is room.

        One in a turn, as waitress does, keeps the last of a crowd waiting for as many turns.
        """
        for _ in range(crowd.AT_ONCE):
            known = len(self._map)
            super().handle_accept()
            if not known < len(self._map) < self.adj.connection_limit:
                return

    def accept(self) -> Any:
        """Accept one; without a file for it, others make room, or it waits."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and not self._make_room():
                # It is there in the next turn, too: the main thread would do nothing else.
                self._accept_from = monotonic() + FULL_SECONDS
            raise

    def _make_room(self) -> int:
        channels = list(self.active_channels.values())
        idle = crowd.dispensable(channels, waiting=self._unread, now=time())
        for each in idle:
            each.handle_close()
        if idle:
            log.warning("too many connections: %s idle ones were closed", len(idle))
        return len(idle)

    # -- for the thread that lets it end ----------------------------------------------------

    def wait_a_turn(self, deadline: float) -> None:
        """Wait until the main thread has begun a turn from now on, and ended it."""
        begun = self.turns
        # The turn that is under way has looked at its sockets already.
        while self.turns < begun + 2 and monotonic() < deadline:
            self.pull_trigger()
            sleep(POLL_SECONDS)

    def is_quiet(self, deadline: float) -> bool:
        """Tell whether nothing is left to do, after a whole turn in which what came was read."""
        self.wait_a_turn(deadline)
        channels = list(self.active_channels.values())
        return not self.task_dispatcher.queue and all(map(_is_idle, channels))

    def close_idle(self) -> None:
        """Let the main thread close the connections that wait for a request, one after another.

        A proxy that keeps some sends a request on one that is closed at that moment, and then on
        another: if all were closed at once it would find none that answers, and give up.
        """
        connections, latest = len(self.active_channels), monotonic() + LONGEST_APART
        for _ in range(connections):
            self._close_next = True
            while self._close_next and monotonic() < latest:
                self.pull_trigger()
                sleep(min(APART_SECONDS, LONGEST_APART / connections / 2))

    def _close_idle_one(self) -> None:
        for each in list(self.active_channels.values()):
            if _is_idle(each):
                each.handle_close()
                return


def _is_idle(channel: Channel) -> bool:
    return not channel.requests and channel.request is None and not channel.total_outbufs_len
