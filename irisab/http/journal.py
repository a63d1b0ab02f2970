"""What the service logs: one line is one line, and no flood of requests is a flood of lines.

Start at `begin()`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from time import monotonic
from typing import TextIO

# Control characters of ASCII and Latin-1, and Unicode's own ends of a line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A kind of line is said once in so many seconds; whoever can cause one can cause thousands.
EACH_SECONDS = 1.0
# Characters of one line: a client's path may have a quarter of a million.
LONGEST = 4000
# What an operator asked for, and no client: nothing of that is left out.
_ALL_OF_IT = "irisab.http.server"

# Where in the program a line comes from.
_Kind = tuple[str, int]


class Lines(logging.Formatter):
    """Writes control characters as escapes, and indents a traceback below its line.

    A client's path or text may be part of either; none of it can begin a line, and so none can
    look like another entry.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        return _escaped(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        text = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join(f"  {_escaped(line)}" for line in text.split("\n"))


class Sparing(logging.StreamHandler[TextIO]):
    """Writes one line of a kind a second, and later how many it did not write."""

    def __init__(
        self, stream: TextIO | None = None, *, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(stream)
        self._clock = clock
        self._said: dict[_Kind, float] = {}
        self._unsaid: dict[_Kind, logging.LogRecord] = {}
        self._counts: dict[_Kind, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it; the handler's lock is held."""
        now = self._clock()
        self._count_out(now)
        kind = (record.pathname, record.lineno)
        if record.name != _ALL_OF_IT and now - self._said.get(kind, -EACH_SECONDS) < EACH_SECONDS:
            self._unsaid[kind] = record
            self._counts[kind] = self._counts.get(kind, 0) + 1
            return
        self._said[kind] = now
        super().emit(record)

    def close(self) -> None:
        """Say what was not said."""
        self._count_out(float("inf"))
        super().close()

    def _count_out(self, now: float) -> None:
        due = [kind for kind in self._counts if now - self._said[kind] >= EACH_SECONDS]
        for kind in due:
            last, count = self._unsaid.pop(kind), self._counts.pop(kind)
            last.msg = f"{count} more like this one, the last of them: {last.msg}"
            self._said[kind] = now
            super().emit(last)


def begin() -> None:
    """Log to stderr, which is the journal's under systemd."""
    handler = Sparing()
    handler.setFormatter(Lines("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _escaped(text: str) -> str:
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
    return _CONTROL.sub(lambda each: each[0].encode("unicode_escape").decode(), shown)
