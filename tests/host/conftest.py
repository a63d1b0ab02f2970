"""Hosts for the tests: clean ones, and ones on which bootstrap.sh has run once.

`make test-host` runs them: root, Debian, about twenty minutes, internet for the first run only.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import bed
import pytest
from actions import INSTALL, Installed
from bed import CACHE, HERE, Host
from checkout import new_repository
from front import Front, front
from remote import install_ssh

NEEDED = "debootstrap", "systemd-nspawn", "setpriv", "ip", "mkfs.ext4", "ssh", "groovy"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse to run where it cannot work: tests that were skipped would look like a success."""
    missing = [tool for tool in NEEDED if not shutil.which(tool)]
    reason = "root" if os.geteuid() else " and ".join(missing)
    if reason and any(HERE in item.path.parents for item in items):
        raise pytest.UsageError(f"the host tests need {reason}")


@pytest.fixture(scope="session")
def work() -> Iterator[Path]:
    """A folder for the disks of this run, on the disk that holds the base tree."""
    bed.prepare()
    bed.enter_namespaces()
    with tempfile.TemporaryDirectory(
        dir=CACHE, prefix=f"run-{os.getpid()}-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def clean(work: Path) -> Callable[[str], Host]:
    """Make a Debian host with the source tree and nothing else."""
    return lambda name: Host(name, layers=[bed.base()], work=work)


@pytest.fixture(scope="session")
def reachable(work: Path) -> Callable[..., Host]:
    """Make a Debian host with sshd and a key of ours, and nothing of irisab."""
    host = Host("sshd", layers=[bed.base()], work=work)
    host.__enter__()
    install_ssh(host, work / "key")
    layers = [host.freeze(), bed.base()]
    return lambda name, work=work: Host(name, layers=layers, work=work)


@pytest.fixture(scope="session")
def repository(work: Path) -> Path:
    """A checkout to deploy from, with one commit: this tree as it is."""
    (work / "checkout").mkdir()
    return new_repository(work / "checkout")


@pytest.fixture(scope="session")
def debian(work: Path) -> Iterator[Installed]:
    """A Debian host on which bootstrap.sh has run once."""
    with Host("debian", layers=[bed.base()], work=work) as host:
        host.copy_tree()
        yield Installed(host, host.run(INSTALL))


@pytest.fixture(scope="session")
def amazon_image(work: Path) -> Path:
    """The layer that turns a Debian host into the stand-in for Amazon Linux 2023."""
    if not bed.newest():
        pytest.skip(f"NOT TRIED ON THE STAND-IN FOR AMAZON LINUX: no {bed.NEWEST} runs here")
    host = Host("image", layers=[bed.base()], work=work)
    host.__enter__()
    shutil.copytree(HERE / "amazon", host.root / "usr/lib/amazon")
    bring_python(host.root / "srv/python")
    host.run("/usr/lib/amazon/make-image")
    archive(host.root / "srv/prometheus.tar.gz", prometheus="prometheus", promtool="promtool")
    archive(
        host.root / "srv/alertmanager.tar.gz",
        alertmanager="prometheus-alertmanager", amtool="amtool",
    )  # fmt: skip
    bring_templates(host.root)
    return host.freeze()


def bring_python(target: Path) -> None:
    """Copy this machine's newest Python, laid out as in /usr."""
    found, needless = Path(bed.newest()), ["test", "idlelib", "tkinter", "__pycache__", "config-*"]
    shutil.copytree(
        found / "lib" / bed.NEWEST, target / "lib" / bed.NEWEST,
        ignore=shutil.ignore_patterns(*needless),
    )  # fmt: skip
    for library in (found / "lib").glob(f"lib{bed.NEWEST}.so.*"):
        shutil.copy(library, target / "lib")
    (target / "bin").mkdir()
    shutil.copy(found / "bin" / bed.NEWEST, target / "bin")


def archive(target: Path, **programs: str) -> None:
    """An archive laid out as the Prometheus project's, around programs by their name in Debian."""
    package = next(iter(programs.values()))
    with tempfile.TemporaryDirectory() as folder:
        [deb] = bed.debs().glob(f"{package}_*.deb")
        bed.sh("dpkg-deb", "-x", deb, folder)
        with tarfile.open(target, "w:gz", compresslevel=1) as tar:
            for name, found in programs.items():
                tar.add(f"{folder}/usr/bin/{found}", f"some-version.linux-amd64/{name}")


def bring_templates(root: Path) -> None:
    """Debian's Alertmanager reads its own templates from files; upstream's has them inside."""
    [deb] = bed.debs().glob("prometheus-alertmanager_*.deb")
    with tempfile.TemporaryDirectory() as folder:
        bed.sh("dpkg-deb", "-x", deb, folder)
        templates = "usr/share/prometheus/alertmanager"
        shutil.copytree(f"{folder}/{templates}", root / templates, symlinks=True)


@pytest.fixture(scope="session")
def amazon(work: Path, amazon_image: Path) -> Callable[[str], Host]:
    """Make a host that looks like a fresh Amazon Linux 2023, with the source tree."""
    return lambda name: Host(name, layers=[amazon_image, bed.base()], work=work)


@pytest.fixture(scope="session")
def front_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Our nginx.conf on loopback; each test comes from addresses of its own."""
    with front(tmp_path_factory.mktemp("front")) as found:
        yield found
