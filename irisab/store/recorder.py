"""Writes predictions to the history in the background. Start at `Recorder.record`.

The request does no more than append to a queue. Twenty times a second, at full traffic five times,
the writer takes what is there and commits it together with the counts it changes. What cannot be
written waits in the bounded queue; what does not fit is dropped and counted, and the answers go on.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from irisab.store.history import History
from irisab.store.revision import Revision
from irisab.store.timeline import Drift
from irisab.store.writer import QUEUE_ROWS, Failure, Item, Record, Writer

log = logging.getLogger(__name__)

# What is asked now is wanted soon, in a report or to be labelled.
INTERVAL_SECONDS = 0.05
# A write has a dozen statements however few requests there are, each of which waits for the
# interpreter and keeps others waiting: where so many requests came since the last one, less often,
# unless their rows would fill the queue.
BUSY_REQUESTS, BUSY_SECONDS = 100, 0.2
# A write that takes longer hangs: SQLite itself gives up a locked file after two seconds.
HANGING_SECONDS = 60.0
# The shortest step of the timeline.
LOOK_SECONDS = 60.0
# What SQLite says of a value, and not of its file.
_BAD_VALUE = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


class Recorder:
    """The only writer of predictions.

    `dropped` counts rows that were lost, `failing` tells that others wait for the disk.
    """

    def __init__(self, path: Path, *, keep_rows: int) -> None:
        self.keep_rows = keep_rows
        self.dropped = 0
        self.failing = False
        self._path = path
        self._writer = Writer(path)
        self._queue: deque[Item] = deque()
        self._queued_rows = 0
        self._writing = threading.Lock()
        # Held for a few additions only, never across I/O.
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._turned = monotonic()
        self._look: Callable[[], None] | None = None
        self._next_look = self._turned + LOOK_SECONDS
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def record(self, item: Record) -> None:
        """Queue a prediction; never blocks and never raises.

        Batches, and rows of a version that was asked for by name, leave about half of the queue to
        requests of one row: it is rows that fill it.
        """
        yields = item.forced or len(item.rows) > 1
        with self._counting:
            queued = self._queued_rows
            if queued + len(item.rows) > QUEUE_ROWS or (yields and queued > QUEUE_ROWS // 2):
                self.dropped += len(item.rows)
                return
            self._queued_rows += len(item.rows)
            self._queue.append(item)

    def fail(self, item: Failure) -> None:
        """Queue a failed request."""
        if len(self._queue) < QUEUE_ROWS:
            self._queue.append(item)

    def drift(self, item: Drift) -> None:
        """Queue how far the input has drifted."""
        if len(self._queue) < QUEUE_ROWS:
            self._queue.append(item)

    def announce(self, revision: Revision) -> None:
        """Queue what a revision is; comes before the first prediction of it."""
        self._queue.append(revision)

    def watch(self, look: Callable[[], None]) -> None:
        """Let `look` be called once a minute, between two writes; it may queue something."""
        self._look = look

    def share(self, history: History) -> None:
        """Be the one who writes what `history` adds labels to."""
        self._writer.apart = history.apart
        history.heed(self._writer.is_kept)

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()
        if self._queued_rows:
            self.dropped += self._queued_rows
            log.error("%s history rows could not be written and are lost", self._queued_rows)
        self._writer.close()

    def is_turning(self) -> bool:
        """Tell whether the thread runs and has looked at the queue lately."""
        return self._thread.is_alive() and monotonic() - self._turned < HANGING_SECONDS

    def _run(self) -> None:
        pause = INTERVAL_SECONDS
        while not self._stop.wait(pause):
            self._turned = monotonic()
            is_busy = len(self._queue) >= BUSY_REQUESTS and self._queued_rows < QUEUE_ROWS // 8
            pause = BUSY_SECONDS if is_busy else INTERVAL_SECONDS
            self.flush()
            if self._look is not None and self._turned > self._next_look:
                self._next_look = self._turned + LOOK_SECONDS
                self._look()

    def flush(self) -> bool:
        """Write what is queued now, in the calling thread.

        What cannot be written at the moment goes back to the queue, which is told by False. What
        never can is found by halving, so that it is lost alone.
        """
        with self._writing:
            return self._flush()

    def settle(self) -> bool:
        """Flush for somebody who waits for it; False at once while writing fails."""
        if self.failing:
            return False
        with self._writing:
            # It may have failed in the meantime.
            return not self.failing and self._flush()

    def _flush(self) -> bool:
        todo: list[Sequence[Item]] = [[self._queue.popleft() for _ in range(len(self._queue))]]
        if not todo[0] and not self._writer.has_work(self.keep_rows):
            return True
        while todo:
            items = todo.pop()
            try:
                self._writer.write(items, keep_rows=self.keep_rows)
            except Exception as error:
                if _passes(error):
                    for each in [*todo, items]:
                        self._queue.extendleft(reversed(each))
                    self._report(error)
                    return False
                todo += self._halves(items, error)
            else:
                self.failing = False
                self._forget(items)
        return True

    def _halves(self, items: Sequence[Item], error: Exception) -> list[Sequence[Item]]:
        """Return the two halves, the first one last; of a single item nothing is left."""
        if len(items) > 1:
            middle = len(items) // 2
            return [items[middle:], items[:middle]]
        rows = self._forget(items)
        with self._counting:
            self.dropped += rows
        log.error("%s history rows cannot be written and are lost: %r", rows, error)
        return []

    def _forget(self, items: Sequence[Item]) -> int:
        rows = sum(len(each.rows) for each in items if isinstance(each, Record))
        with self._counting:
            self._queued_rows -= rows
        return rows

    def _report(self, error: Exception) -> None:
        # Once, not twenty times a second.
        if not self.failing:
            log.error("%s: predictions wait to be written: %s", self._path, error)
        self.failing = True


def _passes(error: Exception) -> bool:
    """Tell whether it may work later: a locked or full disk passes, a bad value does not."""
    return isinstance(error, sqlite3.Error) and not isinstance(error, _BAD_VALUE)
