"""The heap: the service's threads share one."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# malloc_info(3) says what heaps there are. PyMem_RawMalloc is malloc itself.
THREADS = """
import ctypes, threading
from irisab.http import heap
{share}
allocate = ctypes.pythonapi.PyMem_RawMalloc
allocate.argtypes, allocate.restype = [ctypes.c_size_t], ctypes.c_void_p
meet = threading.Barrier(6)
def work():
    meet.wait()
    allocate(1000)
    meet.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
for each in threads: each.start()
for each in threads: each.join()
library = ctypes.CDLL(None)
stdout = ctypes.c_void_p.in_dll(library, "stdout")
library.malloc_info(0, stdout)
library.fflush(stdout)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="speaks of glibc's heaps")
def test_threads_share_one_heap() -> None:
    """Left to itself, glibc gives threads heaps of their own; after share() there is one."""
    assert heaps("heap.share()") == 1 < heaps("")


def heaps(share: str) -> int:
    program = THREADS.format(share=share)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.count("<heap nr=")
