"""Pins move when two sources agree, and not before."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pins
import pytest
import wheels
from checkout import ROOT

VERSION = "3.99.1"
AMD, ARM = (f"prometheus-{VERSION}.linux-{machine}.tar.gz" for machine in ("amd64", "arm64"))


def sum_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for program in pins.PROGRAMS:
        (tmp_path / program).mkdir()
        shutil.copy(ROOT / pins.pins_of(program), tmp_path / pins.pins_of(program))
    return tmp_path


def source(folder: Path, name: str, **sums: str) -> str:
    """A file as upstream's sha256sums.txt, or a list in another form."""
    form = "{1}  {0}\n" if name == "upstream" else '  "https://example.org/v1/{0}": "{1}",\n'
    lines = [form.format({"amd": AMD, "arm": ARM}[machine], sum_) for machine, sum_ in sums.items()]
    (folder / name).write_text("".join(lines))
    return str(folder / name)


def line_of(tree: Path, machine: str, program: str = "prometheus") -> str:
    [line] = re.findall(rf"(?m)^{machine} .*$", (tree / pins.pins_of(program)).read_text())
    return line


def test_two_sources_that_agree_move_a_pin(tree: Path) -> None:
    """Both architectures get their sum and address; the comments stay."""
    sums = {"amd": sum_of("amd"), "arm": sum_of("arm")}
    one, other = source(tree, "upstream", **sums), source(tree, "others", **sums)
    assert pins.main(["prometheus", VERSION, one, other], tree) == 0
    for machine, archive, sum_ in ("x86_64", AMD, sums["amd"]), ("aarch64", ARM, sums["arm"]):
        _, version, pinned, address = line_of(tree, machine).split()
        assert (version, pinned) == (VERSION, sum_)
        assert address.endswith(f"/v{VERSION}/{archive}")
    assert (tree / "prometheus/release").read_text().startswith("# The Prometheus that")


def test_alertmanager_moves_alone(tree: Path) -> None:
    """Its own file, by a sum in upstream's list and in a formula of Homebrew's form."""
    archive, sum_ = f"alertmanager-{VERSION}.linux-amd64.tar.gz", sum_of("amd")
    (tree / "upstream").write_text(f"{sum_}  {archive}\n")
    (tree / "formula").write_text(f'url "https://example.org/{archive}"\n      sha256 "{sum_}"\n')
    before = (tree / "prometheus/release").read_text()
    told = ["alertmanager", VERSION, str(tree / "upstream"), str(tree / "formula")]
    assert pins.main(told, tree) == 0
    assert line_of(tree, "x86_64", "alertmanager").split()[1:3] == [VERSION, sum_]
    assert (tree / "prometheus/release").read_text() == before


def test_one_source_is_not_enough(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An architecture that only one of them knows stays where it is, and is named."""
    one = source(tree, "upstream", amd=sum_of("amd"), arm=sum_of("arm"))
    other = source(tree, "others", amd=sum_of("amd"))
    before = line_of(tree, "aarch64")
    assert pins.main(["prometheus", VERSION, one, other], tree) == 0
    assert VERSION in line_of(tree, "x86_64") and line_of(tree, "aarch64") == before
    assert "aarch64: not moved: fewer than 2 sources" in capsys.readouterr().out
    assert pins.main(["prometheus", "3.98.0", one, other], tree) == 1


def test_the_same_source_twice_is_one(tree: Path) -> None:
    """Neither the same file nor two pages of one owner vouch for each other."""
    one = source(tree, "upstream", amd=sum_of("amd"))
    assert pins.main(["prometheus", VERSION, one, one], tree) == 1
    pages = {f"https://github.com/{name}": f"{sum_of('amd')} {AMD}" for name in ("one/a", "one/b")}
    assert pins.agreed(AMD, pages) is None
    raw = {"https://raw.githubusercontent.com/other/c/main/x": f"{sum_of('amd')} {AMD}"}
    assert pins.agreed(AMD, pages | raw) == sum_of("amd")


def test_sources_that_disagree_move_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then one of them is wrong: exit 1, and the file is as it was."""
    same = sum_of("arm")
    one = source(tree, "upstream", arm=same, amd=sum_of("amd"))
    other = source(tree, "others", arm=same, amd=sum_of("another"))
    before = (tree / "prometheus/release").read_text()
    assert pins.main(["prometheus", VERSION, one, other], tree) == 1
    assert "the sources do not agree" in capsys.readouterr().err
    assert (tree / "prometheus/release").read_text() == before


@pytest.mark.parametrize(
    "text",
    [
        f"{sum_of('a')} x{AMD}",
        f"{AMD}",
        f"{AMD} {sum_of('a')} {sum_of('b')}",
        f"{sum_of('a')[:-1]} {AMD}",
        f"{sum_of('a')} {AMD.replace('.', '-')}",
    ],
)
def test_a_line_that_could_mean_something_else_means_nothing(text: str) -> None:
    """Another archive, no sum, two sums, half a sum: none of these vouches."""
    assert pins.sums_of(AMD, {"source": text}) == {}


def test_a_source_that_is_not_there_is_named(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 with its address."""
    assert pins.main(["prometheus", VERSION, str(tree / "none")], tree) == 1
    assert f"{tree}/none" in capsys.readouterr().err


def test_every_machine_bootstrap_may_meet_has_a_line() -> None:
    """The pins in this tree: an address that fits architecture and version, and a whole sum."""
    for program in pins.PROGRAMS:
        for machine, upstream in pins.MACHINES.items():
            _, version, sum_, address = line_of(ROOT, machine, program).split()
            assert re.fullmatch(r"[0-9a-f]{64}", sum_)
            archive = f"{program}-{version}.linux-{upstream}.tar.gz"
            assert address == f"{pins.releases(program)}/download/v{version}/{archive}"


@pytest.mark.parametrize("program", pins.PROGRAMS)
@pytest.mark.parametrize("machine", pins.MACHINES)
def test_bootstrap_takes_the_line_of_its_machine(machine: str, program: str) -> None:
    """Only what asks for the machine is replaced, and nothing is downloaded."""
    line = f"""source ./bootstrap.sh; TREE=$PWD scratch=/tmp dry_run=yes
    uname() {{ echo {machine}; }}; fetch {program}; echo "$from" """
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
    _, version, _, address = line_of(ROOT, machine, program).split()
    assert done.stdout.endswith(f"/opt/irisab/{program}-{version}\n"), done.stderr
    assert f" {address}\n" in done.stdout


def test_every_library_is_watched() -> None:
    """What pip may install from a file of pins is among what is looked up."""
    found = pins.pinned(ROOT)
    assert found["numpy"] == ["requirements-dev.txt", "requirements-ui.txt", "requirements.txt"]
    assert found["streamlit"] == ["requirements-ui.txt"]


def test_nothing_is_installed_without_a_pin() -> None:
    """Wherever pip is called it asks for hashes, or installs irisab itself and nothing else; what
    people name in /etc/irisab/requirements.txt has those that they give."""
    files = [ROOT / "Makefile", ROOT / "bootstrap.sh", ROOT / "tox.ini", *ROOT.glob(".ci/*")]
    text = "\n".join(each.read_text() for each in files).replace("\\\n", " ")
    called = re.findall(r"(?m)^.*\bpip\"? install\b.*$", text)
    assert sum('"$1/bin/pip"' in line for line in called) == 2 and len(called) >= 9
    for line in called:
        own = "--no-deps" in line and line.split()[-2:] == ["--editable", "."]
        assert (
            own or "--require-hashes" in line or '--constraint "$scratch/pinned" -r "$2"' in line
        ), line


def test_conditions_are_judged_for_the_host_and_not_for_us() -> None:
    """Of two pins of numpy each Python gets its own, with its hashes."""
    text = (ROOT / "requirements.txt").read_text()
    chosen = {
        python: wheels.pins(text, python=python, architecture="aarch64")
        for python in wheels.PYTHONS
    }
    for python, kept in chosen.items():
        [version] = re.findall(r"(?m)^numpy==(\S+) \\\n", kept)
        condition = f"numpy=={version} ; python_full_version"
        assert (f"{condition} < '3.12'" in text) == (python == "3.11")
        assert " ; " not in kept
        assert kept.count("--hash") > kept.count("==")
