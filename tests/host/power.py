"""Losing power for real: what had not reached the disk is gone, not only what ran."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from pathlib import Path

from bed import Host, sh

# linux/fs/ext4/ext4.h: stop all writing at once, and do not even finish the journal.
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


class Disk:
    """An ext4 disk of its own for the layers of a host."""

    def __init__(self, folder: Path, *, gigabytes: int = 8) -> None:
        self.image, self.folder = folder / "disk.ext4", folder / "disk"
        self.folder.mkdir(parents=True)
        with self.image.open("wb") as file:
            file.truncate(gigabytes << 30)  # holes: it takes what is written
        sh("mkfs.ext4", "-q", "-F", self.image)
        self.mount()

    def mount(self) -> None:
        sh("mount", "-o", "loop", self.image, self.folder)

    def settle(self) -> None:
        """Write what waits, as a disk has long done with what is not of now."""
        sh("sync", "-f", self.folder)

    def lose_power(self, host: Host) -> None:
        """Stop the disk, then the host on it; switch both on again."""
        assert host.nspawn
        handle = os.open(self.folder, os.O_RDONLY)
        fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(handle)
        os.kill(host.pid, signal.SIGKILL)  # its first process, and with it all
        host.nspawn.wait()
        host.nspawn, host.pid = None, 0
        self.unmount(host.root)
        self.unmount(self.folder)
        # What still dies keeps the dead disk alive, and mounting it now would find that one.
        Host.wait(lambda: sh("losetup", "-j", self.image) == "")
        self.mount()
        host.mount()
        host.boot()

    @staticmethod
    def unmount(folder: Path) -> None:
        Host.wait(lambda: os.system(f"umount -R {folder} 2>/dev/null") == 0)
