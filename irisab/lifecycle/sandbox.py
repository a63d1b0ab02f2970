"""A process shuts itself in, before it opens what somebody else has made. Start at `shut()`.

Landlock (Linux 5.13) takes away every way to open a file for writing; a seccomp filter takes away
sockets, other processes and what Landlock does not know. Neither needs root, a package or a unit,
and neither can be undone, by whatever code runs in the process afterwards.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _PR_SET_NO_NEW_PRIVS = 22, 2, 38

# include/uapi/linux/landlock.h: the numbers of its calls are the same on every machine.
_CREATE_RULESET, _RESTRICT_SELF, _VERSION = 444, 446, 1
# Writing, removing and making files of any kind; then what later kernels tell apart.
_WRITING = (1 << 1) | (0b111111111 << 4)
_SINCE = {2: 1 << 13, 3: 1 << 14}

# A name, and its number on x86_64 and on aarch64 (None where that has no such call).
_FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "io_uring_setup": (425, 425),
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "truncate": (76, 45), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "chown": (92, None), "fchown": (93, 55), "lchown": (94, None),
    "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "utime": (132, None),
    "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "mq_open": (240, 180), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), 435
_CLONE_THREAD = 0x10000
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000  # x86_64 has each call a second time, from here on

# include/uapi/linux/bpf_common.h and seccomp.h
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _FAIL, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050000, 1, 38


def shut() -> list[str]:
    """Take from this process all it does not need, for good; return what the host would not take.

    To be called before there is a second thread, which would stay free. What remains is reading
    files, writing to what is open, and computing.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    left = []
    if not _no_writing():
        left.append("write files")
    if not _no_network():
        left.append("use the network and start programs")
    return left


def _no_writing() -> bool:
    """Tell whether Landlock, with no rule that would allow a path, is in force."""
    abi = _LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    if abi < 1:
        return False
    rights = _WRITING | sum(bit for since, bit in _SINCE.items() if abi >= since)
    rules = ctypes.create_string_buffer(struct.pack("=Q", rights), 8)
    ruleset = _LIBC.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(8), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        return bool(_LIBC.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(ruleset)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _no_network() -> bool:
    """Tell whether the filter is in force."""
    if platform.machine() not in _MACHINES:
        return False
    code = b"".join(_filter(*_MACHINES[platform.machine()]))
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(held, ctypes.c_void_p))
    done = _LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return bool(done == 0)


def _filter(column: int, architecture: int) -> Iterator[bytes]:
    """Yield the filter's instructions: what they find forbidden fails as if by permissions."""
    refuse = _step(_RETURN, _FAIL | _EPERM)
    yield _step(_LOAD, _ARCHITECTURE)
    yield _step(_EQUAL, architecture, yes=1)
    yield refuse
    yield _step(_LOAD, _NUMBER)
    yield _step(_AT_LEAST, _X32, no=1)
    yield refuse
    for numbers in _FORBIDDEN.values():
        if (number := numbers[column]) is not None:
            yield _step(_EQUAL, number, no=1)
            yield refuse
    # Its flags cannot be seen; without it, libraries fall back to clone.
    yield _step(_EQUAL, _CLONE3, no=1)
    yield _step(_RETURN, _FAIL | _ENOSYS)
    # A thread may be made, and no process.
    yield _step(_EQUAL, _CLONE[column], no=3)
    yield _step(_LOAD, _FIRST_ARGUMENT)
    yield _step(_ANY_BIT, _CLONE_THREAD, yes=1)
    yield refuse
    yield _step(_RETURN, _ALLOW)


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
