"""A connection of waitress, as the server wants it. See `Channel`."""

from __future__ import annotations

from contextlib import suppress
from time import time
from typing import Any

from waitress.channel import HTTPChannel

from irisab.http.exchange import Refusal, Request, Task
from irisab.turns import give_way


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection; `answered` tells whether anything has ever been written to it."""

    parser_class = Request
    task_class = Task
    error_task_class = Refusal
    answered = False

    def service(self) -> None:
        """Answer the first request; of what came in one go with it, one more is parsed.

        Before, so that this connection counts as busy, and is read no further, until nothing is
        left.
        """
        request = self.requests[0]
        if request.left:
            left, request.left = request.left, b""
            self.received(left)
        super().service()
        if not self.server.task_dispatcher.is_main_thread():
            give_way()

    def write_soon(self, data: Any) -> int:
        """Send what the kernel takes, where nothing waits before it; the rest as waitress does.

        It would take each answer through a buffer of its own. Return the bytes of `data`, which
        have gone or will go; raises `ClientDisconnected`.
        """
        self.answered = True
        sent = 0
        with self.outbuf_lock:
            if self.connected and not self.total_outbufs_len and isinstance(data, bytes):
                # waitress tries the rest again, and deals with what happens then.
                with suppress(OSError):
                    sent = self.send(data, do_close=False)
            if sent:
                self.last_activity = time()
            if sent < len(data):
                super().write_soon(data[sent:] if sent else data)
        return len(data)

    def _flush_some(self, do_close: bool = True) -> bool:
        """Send what waits. The main thread may do so while a worker ends, and tells the client to
        go on: without the lock both would send the same."""
        with self.outbuf_lock:
            return bool(super()._flush_some(do_close))

    def handle_close(self) -> None:
        """Close it, or let the main thread do so, which may be looking through all of them."""
        if self.server.task_dispatcher.is_main_thread():
            super().handle_close()
        else:
            self.will_close = True
            self.server.sockets.touch(self)

    def send_continue(self) -> None:
        """Let the client send its body; what the kernel does not take at once, later."""
        super().send_continue()
        self.server.sockets.touch(self)

    def add_channel(self, map: dict[int, Any] | None = None) -> None:
        super().add_channel(map)
        self.server.sockets.add(self)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:
        self.server.sockets.forget(self)
        super().del_channel(map)
