"""What a command prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def print_all(write: Callable[[], object]) -> None:
    """Write to stdout, as far as the reader wants it: the exit code is the command's all the same.

    Raises `OSError` where it cannot be written otherwise.
    """
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def say(text: str) -> None:
    print_all(lambda: print(text))
