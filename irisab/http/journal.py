"""What the service logs: one line is one line, whoever has a say in what stands on it."""

from __future__ import annotations

import logging
import re

# Control characters of ASCII and Latin-1, and Unicode's own ends of a line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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


def begin() -> None:
    """Log to stderr, which is the journal's under systemd."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda each: each[0].encode("unicode_escape").decode(), text)
