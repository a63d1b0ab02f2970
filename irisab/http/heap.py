"""The heap of this process, as glibc keeps it: mallopt(3), malloc_trim(3)."""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8


def share() -> None:
    """Let all threads that come share one heap, and give back what is free in it now.

    glibc would give each thread its own, and each would keep some megabytes that the others cannot
    use. Threads that wait for the interpreter's lock hardly ever want memory at the same moment.
    Where the C library is another one, nothing is changed.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.mallopt(M_ARENA_MAX, 1)
        library.malloc_trim(0)
