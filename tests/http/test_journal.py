"""One log line is one line, and a flood is a few of them."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest

from irisab.http.journal import LONGEST, Lines, Sparing

FORGED = "/x\nERROR irisab.http.server: reload refused\r\x1b[2J\u2028\x85\x9b2J"


def formatted(message: str, *arguments: object, error: BaseException | None = None) -> str:
    about = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("irisab", logging.ERROR, "", 0, message, arguments, about)
    return Lines("%(levelname)s %(name)s: %(message)s").format(record)


def test_a_path_forges_no_line() -> None:
    """What %0a and its like were is written as an escape."""
    line = formatted("%s %s failed", "GET", FORGED)
    assert len(line.splitlines()) == 1 and line.isprintable()
    assert line.startswith(
        "ERROR irisab: GET /x\\nERROR irisab.http.server: reload refused\\r\\x1b"
    )


@pytest.mark.parametrize("chained", [False, True])
def test_a_traceback_forges_no_line(chained: bool) -> None:
    """Its lines are indented, also those that the text of an error would begin."""
    try:
        try:
            raise ValueError(FORGED)
        except ValueError as cause:
            if not chained:
                raise
            raise RuntimeError("an answer failed") from cause
    except (ValueError, RuntimeError) as error:
        lines = formatted("a request failed", error=error).split("\n")
    assert lines[0] == "ERROR irisab: a request failed" and len(lines) > 3
    assert all(line.startswith("  ") and line.isprintable() for line in lines[1:])


def test_the_service_logs_like_this() -> None:
    """Every logger of the process does, waitress's too."""
    code = (
        "import logging; from irisab.http import journal; journal.begin(); "
        "logging.getLogger('waitress').error('Exception while serving %s', '/\\nERROR forged')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "ERROR waitress: Exception while serving /\\nERROR forged\n"


class Journal:
    """What a service would write, at a time that the test tells."""

    def __init__(self) -> None:
        self.now = 100.0
        self._stream = io.StringIO()
        self.handler = Sparing(self._stream, clock=lambda: self.now)
        self.handler.setFormatter(Lines("%(message)s"))

    def log(self, text: str, *, line: int = 1, name: str = "irisab.http.app") -> None:
        self.handler.handle(
            logging.LogRecord(name, logging.ERROR, "app.py", line, "%s", (text,), None)
        )

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()


def test_a_flood_of_requests_is_no_flood_of_lines() -> None:
    """One line of a kind a second; then one more, with a count of what was not said."""
    journal = Journal()
    for number in range(66_000):
        journal.log(f"the history is locked ({number})")
    journal.log("something else", line=2)
    assert journal.lines == ["the history is locked (0)", "something else"]
    journal.now += 1
    journal.log("something else", line=2)
    assert journal.lines[2:] == [
        "65999 more like this one, the last of them: the history is locked (65999)",
        "something else",
    ]


def test_what_was_not_said_is_said_at_the_end() -> None:
    """A service that stops after a flood has told how large it was."""
    journal = Journal()
    for number in range(3):
        journal.log(f"refused {number}")
    journal.handler.close()
    assert journal.lines == ["refused 0", "2 more like this one, the last of them: refused 2"]


def test_all_that_an_operator_did_is_said() -> None:
    """Two reloads within a second are two lines."""
    journal = Journal()
    for number in range(3):
        journal.log(f"reload refused: reason {number}", name="irisab.http.server")
    assert len(journal.lines) == 3


def test_a_line_has_an_end() -> None:
    """A path of a quarter of a million characters is cut."""
    assert len(formatted("%s failed", "/" + 250_000 * "x")) < LONGEST + 100
