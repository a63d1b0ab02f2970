"""What bootstrap.sh makes of /etc/irisab/requirements.txt: real pip, wheels made here."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from checkout import ROOT

HARNESS = """
source ./bootstrap.sh
trap - ERR
TREE={0}/tree ETC={0}/etc OPT={0}/opt PACKAGES={0}/etc/requirements.txt
scratch={0}/scratch dry_run='' python={1}
need() {{ :; }}
"""


def wheel(folder: Path, name: str, version: str, *, needs: str = "") -> Path:
    """Write the smallest wheel that pip takes."""
    folder.mkdir(exist_ok=True)
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if needs:
        about += f"Requires-Dist: {needs}\n"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = '{version}'\n",
        f"{info}/METADATA": about,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in files.items():
            archive.writestr(each, text)
    return path


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def hash_of(path: Path) -> str:
    return f"--hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def made(folder: Path) -> Path:
    """A tree whose one library is `ours`, and an index with that and `deep`."""
    for name in ("tree", "etc", "opt", "scratch"):
        (folder / name).mkdir()
    ours = wheel(folder / "index", "ours", "1.0")
    wheel(folder / "index", "ours", "2.0")
    wheel(folder / "index", "deep", "0.5")
    (folder / "tree/requirements.txt").write_text(f"ours==1.0 {hash_of(ours)}\n")
    return folder


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return made(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host with an environment, and nothing of its own in it."""
    folder = made(tmp_path_factory.mktemp("built"))
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def bash(host: Path, line: str) -> subprocess.CompletedProcess[str]:
    told = HARNESS.format(host, sys.executable) + line
    environment = {
        "PATH": "/usr/bin:/bin",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(host / "index"),
        "PIP_CONFIG_FILE": "/dev/null",
    }
    command = ["bash", "-c", told]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def build(host: Path) -> subprocess.CompletedProcess[str]:
    return bash(host, f'build_venv {host}/venv "$TREE/requirements.txt" "$PACKAGES"')


def installed(host: Path) -> dict[str, str]:
    freeze = [host / "venv/bin/pip", "freeze", "--all"]
    done = subprocess.run(freeze, capture_output=True, text=True, check=True)
    lines = [line.replace(" @ ", "==").split("==") for line in done.stdout.splitlines()]
    return {name: version for name, version, *_ in lines}


def packages(host: Path, text: str) -> None:
    (host / "etc/requirements.txt").write_text(text)


def test_packages_of_the_host_come_into_the_environment(host: Path) -> None:
    """With what they need; and what the release pins stays as it is."""
    theirs = wheel(host / "wheels", "theirs", "3.1", needs="deep")
    packages(host, f"# our module\n{theirs}\n")
    done = build(host)
    assert done.returncode == 0, done.stderr
    found = installed(host)
    assert (found["ours"], found["deep"]) == ("1.0", "0.5") and "theirs" in found
    assert (host / "venv/complete").exists()


def test_without_the_file_nothing_is_added(built: Path) -> None:
    """The environment is that of the release."""
    assert set(installed(built)) - {"pip", "setuptools", "wheel"} == {"ours"}
    assert (built / "venv/complete").exists()


def add(host: Path) -> subprocess.CompletedProcess[str]:
    return bash(host, f'add_packages {host}/venv "$PACKAGES"; echo complete')


@pytest.mark.parametrize("text", ["ours==2.0\n", "deep==0.5 --hash=sha256:{zeros}\n", "none==1\n"])
def test_what_cannot_be_installed_stops(text: str, built: Path) -> None:
    """Another version of ours, another content than its hash, nothing at all."""
    packages(built, text.format(zeros=64 * "0"))
    done = add(built)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be installed, see above; what served before still does." in done.stderr
    assert {"ours", "pip"} <= set(installed(built)) and "deep" not in installed(built)


def test_a_hash_that_is_right_is_enough(built: Path) -> None:
    """Once one line has a hash, pip wants one of whatever it downloads, not of what is there."""
    theirs = wheel(built / "index", "more", "1.0", needs="ours")
    packages(built, f"more==1.0 {hash_of(theirs)}\n")
    done = add(built)
    assert (done.returncode, done.stdout) == (0, "complete\n"), done.stderr
    assert installed(built)["more"] == "1.0"


def names(host: Path) -> list[str]:
    for name in ("requirements-ui.txt", "irisab/__init__.py"):
        (host / "tree" / name).parent.mkdir(exist_ok=True)
        (host / "tree" / name).write_text("__version__ = '1'\n")
    line = 'FILES=(irisab requirements.txt); name_release; echo "$venv $venv_ui $release"'
    done = bash(host, line)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_another_file_is_another_release(host: Path) -> None:
    """Each has an environment of its own, so that --rollback goes back to both."""
    bare = names(host)
    packages(host, "deep==0.5\n")
    first = names(host)
    packages(host, "deep==0.6\n")
    second = names(host)
    (host / "etc/requirements.txt").unlink()
    assert names(host) == bare
    for one, two in ((bare, first), (first, second), (bare, second)):
        assert one[0] != two[0] and one[1] == two[1] and one[2] != two[2]


@pytest.mark.parametrize("line", ["deep", "deep>=0.5", "  deep  # newest"])
def test_a_package_without_its_version_is_refused(line: str, host: Path) -> None:
    """Before anything is touched, with the line."""
    packages(host, f"# ok\nours==1.0\n{line}\n")
    done = bash(host, "check_packages")
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"requirements.txt: {line}: say which version: NAME==VERSION, or the path of a .whl file.\n"
    )


def test_pins_paths_and_options_are_taken(host: Path) -> None:
    """Also hashes on a line of their own, and an index of one's own."""
    lines = (
        "--find-links /srv/wheels\nours==1.0 \\\n    --hash=sha256:0\n/etc/irisab/mine-1.whl\n\n"
    )
    packages(host, lines)
    assert bash(host, "check_packages").returncode == 0
