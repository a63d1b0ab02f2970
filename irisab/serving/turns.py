"""Turns of threads. Start at `give_way()`.

CPython's lock goes to whoever takes it first. A thread that gives it up for a system call has it
back before one that waits for it has woken up, and the wait begins anew each time: beside a main
thread that answers without a pause, each statement of a label or a report waited for tens of
milliseconds, and beside workers the main thread did.
(https://github.com/python/cpython/blob/3.11/Python/ceval_gil.h, bpo-7946)
"""

from __future__ import annotations

from collections.abc import Sequence
from time import sleep

# As short as a sleep can be: a waiting thread wakes up meanwhile.
BRIEFLY = 1e-5
# A step of a request with so many rows takes as long as answering others.
MANY = 50


def give_way() -> None:
    """Let other threads go on that wait for the interpreter."""
    sleep(BRIEFLY)


def between_steps(rows: Sequence[object]) -> None:
    """Do so in the middle of a request with many rows."""
    if len(rows) >= MANY:
        give_way()
