"""Turns of threads. Start at `step_aside()`.

CPython's lock goes to whoever takes it first. A thread that gives it up for a system call has it
back before one that waits for it has woken up, and the wait begins anew each time: beside a main
thread that answers without a pause, each statement of a label or a report waited for tens of
milliseconds, and beside workers the main thread did: a new connection gives the lock up ten times.
(https://github.com/python/cpython/blob/3.11/Python/ceval_gil.h, bpo-7946)
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import get_ident
from time import monotonic, sleep

# As short as a sleep can be: a waiting thread wakes up meanwhile.
BRIEFLY = 1e-5
# A step of a request with so many rows takes as long as answering others.
MANY = 50
# So long does a step wait for the main thread, at the most: about as long as it takes itself. At
# full traffic the main thread is always awake, and the others must go on.
SECONDS_A_ROW, LONGEST = 2e-6, 0.002
# Between two looks at it, each of which takes the lock.
NAP = 1e-4


class MainThread:
    """The one that reads requests, and answers those of few rows; without it `ident` is None."""

    ident: int | None = None
    # Not while it waits for requests.
    is_awake = False


main_thread = MainThread()


def give_way() -> None:
    """Let other threads go on that wait for the interpreter."""
    sleep(BRIEFLY)


def step_aside(rows: int) -> None:
    """Let the main thread do what it has to do, and others go on, before a step with many rows.

    For two microseconds a row, two milliseconds at the most.
    """
    if get_ident() == main_thread.ident:  # it would wait for itself
        return
    give_way()
    latest = monotonic() + min(rows * SECONDS_A_ROW, LONGEST)
    while main_thread.is_awake and monotonic() < latest:
        sleep(NAP)


def between_steps(rows: Sequence[object]) -> None:
    """Do so in the middle of a request with many rows."""
    if len(rows) >= MANY:
        step_aside(len(rows))
