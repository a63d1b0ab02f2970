"""What the service says to systemd. Nothing here needs systemd to run.

Protocols: sd_notify(3), sd_listen_fds(3).
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from irisab.errors import ConfigError

LISTEN_FD = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START


def notify(state: str) -> None:
    """Send one datagram such as READY=1; without a service manager do nothing."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace, unix(7)
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        # A manager that has gone is no reason to stop serving.
        try:
            sender.sendto(state.encode(), address)
        except OSError:
            return


def notify_reloading() -> None:
    """Say that a reload begins; READY=1 says that it is over."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


class Watchdog:
    """Tells systemd that the service still turns (sd_watchdog_enabled(3)).

    To be fed by the main loop, so that it is fed by nobody once that hangs; and not fed either
    where one of `loops` says that it has ended or hangs. systemd then starts the service anew.
    """

    def __init__(self, loops: Sequence[Callable[[], bool]]) -> None:
        self._loops = loops
        # Half of what systemd waits, as it recommends.
        self._interval = int(os.environ.get("WATCHDOG_USEC", 0)) / 2e6
        self._next = 0.0

    def feed(self) -> None:
        """Say so where it is time to, and true."""
        now = time.monotonic()
        if not self._interval or now < self._next:
            return
        self._next = now + self._interval
        if all(is_turning() for is_turning in self._loops):
            notify("WATCHDOG=1")


def state_folder() -> Path | None:
    """Return the folder that the unit's StateDirectory= gives the service (systemd.exec(5))."""
    folder = os.environ.get("STATE_DIRECTORY")
    return Path(folder) if folder else None


def memory_limit(unit: str) -> int | None:
    """Return the bytes of MemoryMax= that systemd has read for a unit, None where there are none.

    With its drop-ins (systemctl(1), systemd.resource-control(5)).
    """
    asked = ["systemctl", "show", "--property=MemoryMax", "--value", unit]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout
        return int(said)
    except (OSError, ValueError, subprocess.SubprocessError):  # "infinity" is no limit
        return None


def inherited_socket() -> socket.socket | None:
    """Return the listening socket that systemd passed to this process, if it did.

    Raises `ConfigError` where it passed several.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    if os.environ.get("LISTEN_FDS") != "1":
        raise ConfigError(f"irisab.socket must pass 1 socket, not {os.environ.get('LISTEN_FDS')}")
    os.set_inheritable(LISTEN_FD, False)
    return socket.socket(fileno=LISTEN_FD)
