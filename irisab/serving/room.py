"""Memory that is left for models: of a unit, or of the machine. Start at `rooms()`.

Source: the kernel's cgroup-v2.rst (memory.max, memory.current, memory.stat) and proc(5).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from irisab.errors import BundleError
from irisab.model.footprint import MEGABYTE, Footprint, together

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# For requests and the history, beside the models.
BESIDE = 48 * MEGABYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Bytes that are free, of those that may be used; `unit` is None where it is the machine's."""

    free: int
    limit: int
    unit: str | None


def rooms(process: int | str, *, proc: Path = PROC, cgroups: Path = CGROUPS) -> Iterator[Room]:
    """Yield what limits a process: each cgroup that it is in, then the memory of the machine.

    What cannot be read, such as cgroups of the first version, limits nothing.
    """
    with suppress(OSError, ValueError, StopIteration):
        lines = (proc / str(process) / "cgroup").read_text().splitlines()
        # The one line of version 2 is "0::/system.slice/irisab.service".
        path = next(line for line in lines if line.startswith("0::"))[3:].strip("/")
        inside = cgroups / path
        for folder in [inside, *inside.parents]:
            if folder == cgroups.parent:
                break
            with suppress(OSError, ValueError, LookupError):
                yield _of_cgroup(folder)
    with suppress(OSError, ValueError, LookupError):
        words = (line.split() for line in (proc / "meminfo").read_text().splitlines())
        sizes = {word[0]: int(word[1]) << 10 for word in words}
        yield Room(free=sizes["MemAvailable:"], limit=sizes["MemTotal:"], unit=None)


def _of_cgroup(folder: Path) -> Room:
    """Read the limit of a cgroup; raises `ValueError` where it is "max"."""
    limit = int((folder / "memory.max").read_text())
    used = int((folder / "memory.current").read_text())
    statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    # Files that were read stay in memory until it is wanted.
    files = int(statistics["inactive_file"]) + int(statistics["active_file"])
    unit = folder.name if folder.suffix in (".service", ".slice", ".scope") else None
    return Room(free=max(0, limit - used + files), limit=limit, unit=unit)


def refuse_too_large(
    footprints: Mapping[str, Footprint], there: Iterable[Room], *, where: str
) -> None:
    """Raise `BundleError` where versions do not fit that are loaded one after the other.

    What serves meanwhile is in memory already. The kernel would end it, with what is loaded.
    """
    need = together(footprints.values()) + BESIDE
    small = [each for each in there if need > each.free]
    if not small or not footprints:
        return
    # More for the unit is of no use where the machine itself has no more.
    room = min(small, key=lambda each: (each.unit is not None, each.free))
    largest = max(footprints, key=lambda name: footprints[name].loading)
    raise BundleError(
        f"{where}: needs about {_megabytes(need)} MB of memory to be loaded beside what is in "
        f"memory already, and {room.unit or 'this machine'} has {_megabytes(room.free)} MB left of "
        f"its {_megabytes(room.limit)} MB: {_advice(room, need)}, or train {largest} with fewer "
        "trees or a max_depth"
    )


def _advice(room: Room, need: int) -> str:
    if room.unit is None:
        return "stop what else runs, or take a larger machine"
    more = _megabytes(room.limit - room.free + need)
    advice = f"let it have more with 'sudo systemctl set-property {room.unit} MemoryMax={more}M'"
    if need + BESIDE <= room.limit:
        advice += f", leave out what serves now with 'sudo systemctl restart {room.unit}'"
    return advice


def _megabytes(size: int) -> int:
    return math.ceil(size / MEGABYTE)
