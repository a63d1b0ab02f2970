"""The thread that reloads and drains, so that no answer waits for either. See `Control`."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

# Whoever typed `reload` has given up after a minute. Models that take this long to load would not
# come up after a restart either: systemd gives a start a minute and a half.
HANGING_SECONDS = 600.0


class Control:
    """Takes the words of signals from a queue: reloads at each, and drains at the first other."""

    def __init__(
        self,
        commands: queue.SimpleQueue[str],
        *,
        begin: Callable[[], None],
        reload: Callable[[], None],
        drain: Callable[[queue.SimpleQueue[str]], None],
    ) -> None:
        self._commands = commands
        self._begin, self._reload, self._drain = begin, reload, drain
        self._reloading: float | None = None
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_turning(self) -> bool:
        """Tell whether the thread runs, and no reload hangs in it: no stop would be heard then, nor
        could a rollout take its traffic back."""
        since = self._reloading
        if since is None or time.monotonic() - since <= HANGING_SECONDS:
            return self._thread.is_alive()
        log.error("a reload hangs for more than %g s: systemd is told no more", HANGING_SECONDS)
        return False

    def _run(self) -> None:
        self._begin()
        while self._commands.get() == "reload":
            self._reloading = time.monotonic()
            try:
                self._reload()
            except Exception:
                # Without this thread, nothing would hear the next reload, or the stop.
                log.exception("a reload was not completed")
            finally:
                self._reloading = None
        self._drain(self._commands)
