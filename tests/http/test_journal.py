"""One log line is one line."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from irisab.http.journal import Lines

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
