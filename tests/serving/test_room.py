"""How much memory is left, and what is refused because of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from irisab.errors import BundleError
from irisab.model.footprint import MEGABYTE, Footprint
from irisab.serving.room import Room, refuse_too_large, rooms

SMALL, LARGE = (
    Footprint(loading=each * MEGABYTE, serving=each * MEGABYTE // 2) for each in (20, 300)
)


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """The files in which a kernel says what limits process 7, in a unit of 1,024 MB."""
    put(tmp_path / "proc/7/cgroup", "0::/system.slice/irisab.service\n")
    put(
        tmp_path / "proc/meminfo", "MemTotal: 4096000 kB\nMemFree: 9 kB\nMemAvailable: 2048000 kB\n"
    )
    put(tmp_path / "cgroup/memory.stat", "anon 1\n")  # of the root, which has no limit
    limit(tmp_path / "cgroup/system.slice", "max", used=900, files=100)
    limit(tmp_path / "cgroup/system.slice/irisab.service", 1024 * MEGABYTE, used=600, files=200)
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def limit(folder: Path, most: int | str, *, used: int, files: int) -> None:
    put(folder / "memory.max", f"{most}\n")
    put(folder / "memory.current", f"{used * MEGABYTE}\n")
    half = files * MEGABYTE // 2
    put(folder / "memory.stat", f"anon 1\ninactive_file {half}\nactive_file {half}\n")


def found(kernel: Path, process: int = 7) -> list[Room]:
    return list(rooms(process, proc=kernel / "proc", cgroups=kernel / "cgroup"))


def test_a_unit_has_what_it_does_not_use(kernel: Path) -> None:
    """Files that were read are given back when memory is wanted; the machine comes last."""
    assert found(kernel) == [
        Room(free=624 * MEGABYTE, limit=1024 * MEGABYTE, unit="irisab.service"),
        Room(free=2000 * MEGABYTE, limit=4000 * MEGABYTE, unit=None),
    ]


def test_a_slice_limits_what_is_in_it(kernel: Path) -> None:
    """Each folder on the way up counts."""
    limit(kernel / "cgroup/system.slice", 1000 * MEGABYTE, used=990, files=0)
    assert found(kernel)[1] == Room(free=10 * MEGABYTE, limit=1000 * MEGABYTE, unit="system.slice")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("cgroup/system.slice/irisab.service/memory.max", "max\n"),
        ("cgroup/system.slice/irisab.service/memory.stat", "anon 1\n"),
        ("proc/7/cgroup", "4:memory:/system.slice/irisab.service\n"),
        ("proc/7/cgroup", ""),
    ],
)
def test_what_is_not_said_limits_nothing(file: str, text: str, kernel: Path) -> None:
    """No limit, a kernel of another kind, cgroups of the first version: the machine's memory."""
    put(kernel / file, text)
    assert [each.unit for each in found(kernel)] == [None]


def test_a_process_that_has_gone_is_limited_by_the_machine(kernel: Path) -> None:
    """Nothing is raised for what cannot be read."""
    assert [each.unit for each in found(kernel, 8)] == [None]
    (kernel / "proc/meminfo").unlink()
    assert found(kernel, 8) == []


def test_this_machine_has_memory() -> None:
    """The real files are read."""
    *_, machine = rooms("self")
    assert machine.unit is None and 0 < machine.free < machine.limit


def refusal(footprints: dict[str, Footprint], *there: Room) -> str:
    with pytest.raises(BundleError) as raised:
        refuse_too_large(footprints, there, where="irisab.ini: [split] v1, v3")
    return str(raised.value)


UNIT = Room(free=260 * MEGABYTE, limit=1024 * MEGABYTE, unit="irisab.service")


def test_what_fits_is_taken() -> None:
    """Also where nothing is known of the versions, or nothing of the memory."""
    refuse_too_large({"v1": SMALL}, [UNIT], where="")
    refuse_too_large({}, [Room(free=0, limit=1, unit=None)], where="")
    refuse_too_large({"v3": LARGE}, [], where="")


def test_what_does_not_fit_is_refused_with_both_figures() -> None:
    """The sentence has what is needed, what is left, and a command that makes it fit."""
    said = refusal({"v1": SMALL, "v3": LARGE}, UNIT)
    assert said.startswith("irisab.ini: [split] v1, v3: needs about 358 MB")
    assert "irisab.service has 260 MB left of its 1024 MB" in said
    assert "train v3 with fewer trees or a max_depth" in said
    command = re.search(r"sudo systemctl set-property (\S+) MemoryMax=(\d+)M'", said)
    assert command is not None and command[1] == "irisab.service"
    more = int(command[2]) * MEGABYTE - UNIT.limit
    enough = Room(free=UNIT.free + more, limit=UNIT.limit + more, unit=UNIT.unit)
    refuse_too_large({"v1": SMALL, "v3": LARGE}, [enough], where="")


def test_a_restart_is_advised_only_where_it_helps() -> None:
    """It loads the new versions without the old ones beside them."""
    restart = "sudo systemctl restart irisab.service"
    assert restart in refusal({"v3": LARGE}, UNIT)
    small = Room(free=260 * MEGABYTE, limit=320 * MEGABYTE, unit="irisab.service")
    assert restart not in refusal({"v3": LARGE}, small)


def test_more_for_the_unit_is_no_help_where_the_machine_has_no_more() -> None:
    """Then the machine is named."""
    machine = Room(free=300 * MEGABYTE, limit=1900 * MEGABYTE, unit=None)
    said = refusal({"v3": LARGE}, UNIT, machine)
    assert "this machine has 300 MB left of its 1900 MB" in said
    assert "larger machine" in said and "MemoryMax" not in said
