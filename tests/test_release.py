"""A release: the same bytes wherever it is made, and refused once it was changed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest
import release
import sbom
from checkout import git, new_repository
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit: the files of this tree as they are now."""
    return new_repository(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def clone(checkout: Path, tmp_path: Path) -> Path:
    """A checkout of one's own, to change."""
    git(tmp_path, "clone", "-q", str(checkout), "clone")
    return tmp_path / "clone"


@pytest.fixture(scope="module")
def made(checkout: Path) -> dict[str, bytes]:
    return release.release(checkout)


@pytest.fixture
def unpacked(made: dict[str, bytes], tmp_path: Path) -> Path:
    """The folder that the archive unpacks to, by the host's own tar."""
    [name] = (name for name in made if name.endswith(".tar.gz"))
    (tmp_path / name).write_bytes(made[name])
    subprocess.run(["tar", "-xzf", name], cwd=tmp_path, check=True)
    return tmp_path / name.removesuffix(".tar.gz")


def test_the_same_commit_is_the_same_bytes(
    checkout: Path, made: dict[str, bytes], tmp_path: Path
) -> None:
    """In another folder, under another umask and time zone, with other times on the files."""
    old = os.umask(0o077)
    try:
        git(tmp_path, "clone", "-q", str(checkout), "elsewhere")
    finally:
        os.umask(old)
    elsewhere = tmp_path / "elsewhere"
    for path in elsewhere.rglob("*.py"):
        os.utime(path, (1, 1))
    subprocess.run(
        ["bash", "-c", 'umask 077; "$@"', "bash", sys.executable, "delivery/release.py"],
        cwd=elsewhere,
        env=os.environ | {"TZ": "Asia/Tokyo", "LANG": "C", "PYTHONHASHSEED": "7"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert {path.name: path.read_bytes() for path in (elsewhere / "build").iterdir()} == made


def test_nothing_but_files_counts(checkout: Path, made: dict[str, bytes], clone: Path) -> None:
    """Another commit with the same files is the same release; another file is another one."""
    git(clone, "commit", "-q", "--allow-empty", "-m", "the same files")
    assert release.release(clone) == made
    (clone / "smoke.py").write_text("print('another')\n")
    git(clone, "commit", "-qam", "another file")
    assert release.release(clone).keys() == made.keys()
    assert release.release(clone) != made


def test_it_unpacks_to_what_was_committed(unpacked: Path, checkout: Path) -> None:
    """Every file that bootstrap.sh installs, byte for byte, programs as programs."""
    names = git(checkout, "ls-files", "-z", "--", *release.installed_files(checkout)).split("\0")
    found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert found == {*filter(None, names), "MANIFEST", "sbom.cdx.json"}
    for name in filter(None, names):
        assert (unpacked / name).read_bytes() == (checkout / name).read_bytes()
    assert os.access(unpacked / "bootstrap.sh", os.X_OK)
    assert not os.access(unpacked / "irisab.ini.sample", os.X_OK)


def test_its_sums_are_those_of_the_usual_tools(made: dict[str, bytes], tmp_path: Path) -> None:
    """gzip finds the archive sound, and sha256sum finds it to be what the file beside it says."""
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    [archive] = tmp_path.glob("*.tar.gz")
    subprocess.run(["gzip", "--test", archive], check=True)
    subprocess.run(["sha256sum", "--check", f"{archive}.sha256"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("size", [1, release.BLOCK - 1, release.BLOCK, release.BLOCK + 1, 200_000])
def test_any_length_can_be_read_by_gzip(size: int) -> None:
    """Blocks end where deflate lets them end."""
    data = random.Random(size).randbytes(size)
    done = subprocess.run(
        ["gzip", "-dc"], input=release.gzip(data), check=True, capture_output=True
    )
    assert done.stdout == data


def test_what_is_not_committed_is_no_release(clone: Path) -> None:
    """An edit and a file that git does not know are named; what git ignores does no harm."""
    (clone / "irisab/__pycache__").mkdir()
    (clone / "irisab/__pycache__/x.pyc").write_bytes(b"")
    (clone / "tests/notes").write_text("not part of a release")
    release.release(clone)
    for name in "irisab/__init__.py", "ui/new.py":
        with (clone / name).open("a") as file:
            file.write("\n")
        with pytest.raises(release.ReleaseError, match=f"commit this first(.|\n)*{name}"):
            release.release(clone)


def test_without_git_there_is_no_release(unpacked: Path) -> None:
    """A folder that was unpacked has no commit to make one of."""
    with pytest.raises(release.ReleaseError, match="a release is made from a git checkout"):
        release.release(unpacked)


@pytest.fixture
def refusal(unpacked: Path) -> Callable[[], str]:
    """What bootstrap.sh says of the folder; nothing if it is as it was released."""

    def ask() -> str:
        line = "source ./bootstrap.sh; check_release"
        done = subprocess.run(["bash", "-c", line], cwd=unpacked, capture_output=True, text=True)
        assert done.returncode == bool(done.stderr)
        return done.stderr

    return ask


def test_a_flipped_bit_anywhere_is_refused_by_name(
    unpacked: Path, refusal: Callable[[], str]
) -> None:
    """In any file, at any place: the sentence names the file, and none that is as it was."""
    assert refusal() == ""
    draw = random.Random(14)
    found = list(files_of(unpacked))
    for first in range(8):
        kept = {path: path.read_bytes() for path in found[first::8]}
        for path, data in kept.items():
            changed = bytearray(data)
            changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            path.write_bytes(changed)
        names = " ".join(sorted(str(path.relative_to(unpacked)) for path in kept))
        assert f"not what was released: {names}. " in refusal()
        for path, data in kept.items():
            path.write_bytes(data)


# Who does the checking can't be checked by it; the sum of the archive vouches for these.
VOUCHED_FOR = "bootstrap.sh", "MANIFEST"


def files_of(folder: Path) -> Iterator[Path]:
    """All that have a bit to flip, but for those two."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size and path.name not in VOUCHED_FOR:
            yield path


@pytest.mark.slow
def test_a_manifest_that_was_changed_accepts_nothing(
    unpacked: Path, refusal: Callable[[], str]
) -> None:
    """A flipped bit in the sums, the names or the line ends makes it disagree with the files."""
    manifest = unpacked / "MANIFEST"
    data = manifest.read_bytes()
    for place, bit in zip(range(0, len(data), 97), cycle([0, 5])):
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        manifest.write_bytes(changed)
        assert "not what was released" in refusal(), (place, bit)


def test_what_is_missing_or_too_much_is_refused(unpacked: Path, refusal: Callable[[], str]) -> None:
    """A file that went, one that came, and a link; what Python writes beside them is none."""
    (unpacked / "irisab/__pycache__").mkdir()
    (unpacked / "irisab/__pycache__/app.pyc").write_bytes(b"")
    assert refusal() == ""
    (unpacked / "smoke.py").unlink()
    (unpacked / "ui/extra.py").write_text("import os\n")
    (unpacked / "ui/link.py").symlink_to("app.py")
    for name in "smoke.py", "ui/extra.py", "ui/link.py":
        assert name in refusal()


def test_a_source_tree_vouches_for_nothing(checkout: Path) -> None:
    """Without a manifest, bootstrap.sh runs from a tree as ever."""
    line = "source ./bootstrap.sh; check_release"
    subprocess.run(["bash", "-c", line], cwd=checkout, check=True)


def test_the_bill_lists_every_pin(made: dict[str, bytes], checkout: Path) -> None:
    """Valid CycloneDX, with each library, its version and hashes, and each program."""
    [text] = (data.decode() for name, data in made.items() if name.endswith(".cdx.json"))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    found = {(part["name"], part["version"]) for part in components}
    for source in sbom.LIBRARIES:
        lines = (checkout / source).read_text()
        assert set(re.findall(r"(?m)^([\w.-]+)==(\S+)", lines)) <= found
    joblib = next(part for part in components if part["name"] == "joblib")
    pinned = (checkout / "requirements.txt").read_text().partition("\njoblib==")[2]
    sums = re.findall(r"--hash=sha256:(\w+)", re.split(r"\n(?=\w)", pinned)[0])
    assert {entry["content"] for entry in joblib["hashes"]} == set(sums)
    for program in "prometheus", "alertmanager":
        assert len({part["purl"] for part in components if part["name"] == program}) == 2


def test_the_archive_holds_the_bill_that_lies_beside_it(
    unpacked: Path, made: dict[str, bytes]
) -> None:
    """They are one file, and the manifest knows its sum."""
    [bill] = (data for name, data in made.items() if name.endswith(".cdx.json"))
    assert (unpacked / "sbom.cdx.json").read_bytes() == bill
    assert hashlib.sha256(bill).hexdigest() in (unpacked / "MANIFEST").read_text()
