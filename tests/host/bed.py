"""Throw-away hosts: a real systemd as PID 1, on a clean disk, in a network of their own.

`prepare()` makes what every host shares, once, outside the repository: a base tree
(debootstrap), the Debian packages and the wheels that an install asks for. `Host` boots a
machine from it in a second. Hosts have no internet: apt and pip find the packages in folders
that are mounted read-only, so a run is quick and nobody else's server can fail it.

Everything needs root and Debian. Mounts and networks live in namespaces of this process and
go away with it.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "/var/tmp")) / "irisab-host"
SUITE = os.environ.get("IRISAB_SUITE", "bookworm")

# A small cloud image, no more: what bootstrap.sh needs beyond this it must install itself.
IMAGE = "systemd,systemd-sysv,dbus,ca-certificates,iproute2,sudo"
# What an install may ask apt for, what the Amazon stand-in is made of, and what a deploy comes by.
PACKAGES = (
    "python3-venv nginx prometheus prometheus-alertmanager openssl curl "
    "dnf rpm createrepo-c selinux-utils policycoreutils xfsprogs openssh-server"
)
LIBRARIES = "requirements.txt", "requirements-ui.txt"
# What Amazon Linux gets. Where pyenv is, it must be told which version the name is to mean.
NEWEST = "python3.13"
ENV = {
    "HOME": "/root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
METADATA_ADDRESS = "169.254.169.254"

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_PRIVATE, MS_REC = 1 << 18, 1 << 14


def sh(*command: str | Path, **options: object) -> str:
    """Run a command of this machine and return what it printed; CalledProcessError if it fails."""
    done = subprocess.run(
        [str(part) for part in command], check=True, text=True, stdout=subprocess.PIPE, **options
    )  # type: ignore[call-overload]
    return str(done.stdout)


def digest(*parts: str | bytes) -> str:
    joined = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(joined).hexdigest()[:12]


def base() -> Path:
    return CACHE / f"base-{SUITE}-{digest(IMAGE, PACKAGES)}"


def debs() -> Path:
    return base().with_name(base().name.replace("base", "debs"))


def wheels() -> Path:
    pins = ((TREE / name).read_bytes() for name in LIBRARIES)
    return CACHE / f"wheels-{SUITE}-{digest(newest(), *pins)}"


@cache
def newest() -> str:
    """The folder of this machine's Python 3.13; '' where none runs."""
    line = [NEWEST, "-c", "import sys; print(sys.base_prefix)"]
    with suppress(OSError, subprocess.CalledProcessError):
        return sh(
            *line, env=os.environ | {"PYENV_VERSION": "3.13"}, stderr=subprocess.DEVNULL
        ).strip()
    return ""


def prepare() -> None:
    """Make the base tree, the packages and the wheels, unless an earlier run has."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep()
        if not (base() / "ready").exists():
            make_base()
        if not (wheels() / "ready").exists():
            make_wheels()


def make_base() -> None:
    tree, found = base(), debs()
    for path in tree, found:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    sh("debootstrap", "--variant=minbase", f"--include={IMAGE}", SUITE, tree)
    borrow(tree, "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
    chroot(tree, "apt-get update -q")
    chroot(tree, f"apt-get install -yq --no-install-recommends --download-only {PACKAGES}")
    for deb in (tree / "var/cache/apt/archives").glob("*.deb"):
        shutil.move(deb, found)
    (found / "Packages").write_text("".join(stanza(deb) for deb in sorted(found.glob("*.deb"))))
    chroot(tree, "apt-get clean")
    shutil.rmtree(tree / "var/lib/apt/lists")
    (tree / "var/lib/apt/lists/partial").mkdir(parents=True)
    for leftover in (tree / "etc/apt/sources.list.d").iterdir():
        leftover.unlink()
    (tree / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/srv/debs ./\n")
    (tree / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /srv/wheels\n")
    (tree / "ready").touch()


def stanza(deb: Path) -> str:
    """A package's entry in the index of a flat apt repository."""
    fields = sh("dpkg-deb", "-f", deb).strip()
    data = deb.read_bytes()
    return (
        f"{fields}\nFilename: ./{deb.name}\nSize: {len(data)}\n"
        f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    )


def make_wheels() -> None:
    """Download the pinned wheels with the very Pythons the hosts will install them with."""
    found = wheels()
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True)
    scratch = CACHE / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    sh("cp", "-a", "--reflink=auto", base(), scratch)
    borrow(scratch, "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
    (scratch / "etc/pip.conf").unlink()
    shutil.copytree(debs(), scratch / "srv/debs")
    for name in LIBRARIES:
        shutil.copy(TREE / name, scratch / "srv" / name)
    chroot(scratch, "apt-get update -q")
    chroot(scratch, "apt-get install -yq --no-install-recommends python3-venv")
    chroot(scratch, "python3 -m venv /srv/venv")
    download = "download -q --require-hashes --only-binary=:all: --no-deps"
    for name in LIBRARIES:
        chroot(scratch, f"/srv/venv/bin/pip {download} -d /srv/wheels -r /srv/{name}")
        if python := newest():
            pip = f"{python}/bin/{NEWEST} -m pip {download} -d {scratch}/srv/wheels".split()
            sh(*pip, "-r", TREE / name)
    for wheel in (scratch / "srv/wheels").iterdir():
        shutil.move(wheel, found)
    shutil.rmtree(scratch)
    (found / "ready").touch()


def borrow(tree: Path, *paths: str) -> None:
    """Give a tree this machine's own files: its resolver and the authorities it trusts."""
    for path in paths:
        target = tree / path[1:]
        target.unlink(missing_ok=True)
        shutil.copy(path, target)


def chroot(tree: Path, line: str) -> None:
    cert = "/etc/ssl/certs/ca-certificates.crt"
    sh("chroot", tree, *line.split(), env=ENV | {"PIP_CERT": cert}, stderr=subprocess.STDOUT)


def enter_namespaces() -> None:
    """Give this process mounts and a network of its own; both vanish when it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "mount")
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "address", "add", f"{METADATA_ADDRESS}/32", "dev", "lo")
    Path("/run/systemd").mkdir(exist_ok=True)
    # systemd-nspawn wants a mount point there, and finds one only where systemd is PID 1.
    sh("mount", "-t", "tmpfs", "tmpfs", "/run/systemd")


def cgroup_roots() -> list[Path]:
    """Where systemd keeps its control groups: one hierarchy, or two on older kernels."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [
        Path(where)
        for _, where, kind, options, *_ in mounts
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options)
    ]


def sweep() -> None:
    """Switch off what a run that was killed has left running, and remove its disks."""
    dead = [group for root in cgroup_roots() for group in orphans(root, "irisab-*-*")]
    for group in dead:
        with suppress(OSError):  # the older hierarchy has no such file, and no need of it
            (group / "cgroup.kill").write_text("1")
    remove = ["find", *dead, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]
    for _ in range(100):
        if not any(group.exists() for group in dead):
            break
        subprocess.run(remove, stderr=subprocess.DEVNULL)
        time.sleep(0.1)
    for disks in orphans(CACHE, "run-*-*"):
        shutil.rmtree(disks, ignore_errors=True)


def orphans(folder: Path, pattern: str) -> list[Path]:
    """What is named after a process (the second word) that is no more."""
    found = folder.glob(pattern)
    return [path for path in found if not Path("/proc", path.name.split("-")[1]).exists()]


class Host:
    """One machine: its disk is `layers` (lower ones last) under a layer of its own.

    It reaches us, and we it, by a cable of its own; it takes us for the world outside.
    """

    count = 0

    def __init__(self, name: str, *, layers: list[Path], work: Path) -> None:
        self.name, self.layers, self.work = name, layers, work / name
        self.root = self.work / "root"
        Host.count += 1
        self.cable = f"cable{Host.count}"
        self.address, self.outside = f"10.99.{Host.count}.1", f"10.99.{Host.count}.2"
        self.url = f"http://{self.address}"
        self.cgroup = f"irisab-{os.getpid()}-{Host.count}"
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def __enter__(self) -> Host:
        for part in "upper", "overlay", "root":
            (self.work / part).mkdir(parents=True)
        self.mount()
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        # There is no DNS, and sudo and Prometheus would wait for it.
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        try:
            self.boot()
        except BaseException:
            self.freeze()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.freeze()
        shutil.rmtree(self.work, ignore_errors=True)

    def mount(self) -> None:
        lower = ":".join(map(str, self.layers))
        parts = f"lowerdir={lower},upperdir={self.work}/upper,workdir={self.work}/overlay"
        sh("mount", "-t", "overlay", "overlay", "-o", parts, self.root)

    def freeze(self) -> Path:
        """Switch the host off; its own layer can then carry other hosts."""
        if self.nspawn:
            self.halt()
            sh("umount", "-R", self.root)
        return self.work / "upper"

    def boot(self) -> None:
        """Switch the host on and return when systemd says that it has started everything."""
        # In the same control group, two systemds would kill each other's services.
        groups = [root / self.cgroup for root in cgroup_roots()]
        for group in groups:
            group.mkdir(exist_ok=True)
        enter = "".join(f"echo $$ >{group}/cgroup.procs; " for group in groups)
        command = "setpriv --pdeathsig KILL systemd-nspawn -q --boot --register=no --keep-unit"
        command += " --resolv-conf=off --console=pipe --private-network"
        with (self.work / "console.log").open("ab") as console:
            self.nspawn = subprocess.Popen(
                ["sh", "-c", f"{enter} exec \"$@\"", "sh", *command.split(),
                 f"--machine={self.name}", f"--directory={self.root}",
                 f"--bind-ro={debs()}:/srv/debs", f"--bind-ro={wheels()}:/srv/wheels"],
                env=ENV | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
        self.wait(self.find_init)
        self.connect()
        self.wait(lambda: self.run("systemctl is-system-running", check=False) in STARTED)

    def find_init(self) -> bool:
        """True once the host's own systemd runs; before that its process is still nspawn's."""
        assert self.nspawn
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children")
        for pid in children.read_text().split():
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                    self.pid = int(pid)
                    return True
        return False

    def connect(self) -> None:
        """Lay the cable; a reboot cuts it."""
        inside = f"nsenter -t {self.pid} -n ip"
        cable = f"ip link add name {self.cable} type veth peer name eth0 netns {self.pid}"
        self.wait(lambda: subprocess.run(cable.split(), capture_output=True).returncode == 0)
        for line in (
            f"ip address add {self.outside}/24 dev {self.cable}",
            f"ip link set {self.cable} up",
            f"{inside} link set lo up",
            f"{inside} address add {self.address}/24 dev eth0",
            f"{inside} link set eth0 up",
            f"{inside} route add default via {self.outside}",
        ):
            sh(*line.split())

    def halt(self) -> None:
        """Ask systemd to power the host off, as a person would; after a minute pull the plug."""
        assert self.nspawn
        if self.pid:
            os.kill(self.pid, SIGRTMIN_POWEROFF)
            with suppress(subprocess.TimeoutExpired):
                self.nspawn.wait(timeout=60)
        self.nspawn.kill()
        self.nspawn.wait()
        self.nspawn, self.pid = None, 0

    def reboot(self) -> None:
        self.halt()
        self.boot()

    def command(self, line: str) -> list[str]:
        where = ["nsenter", "-t", str(self.pid), "-a", "--wdns=/root"]
        return [*where, "env", "-i", *(f"{k}={v}" for k, v in ENV.items()), "bash", "-c", line]

    def run(self, line: str, *, check: bool = True, timeout: float = 1800) -> str:
        """Run a line of bash on the host and return what it printed, errors included."""
        done = subprocess.run(
            self.command(line), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{line!r} exits {done.returncode}:\n{done.stdout}")
        return done.stdout.strip()

    def code(self, line: str) -> int:
        """The exit code of a line of bash on the host."""
        return subprocess.run(self.command(line), capture_output=True, timeout=300).returncode

    def start(self, line: str) -> subprocess.Popen[str]:
        """Start a line of bash on the host, in a process group of its own."""
        return subprocess.Popen(
            self.command(line), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def copy_tree(self, destination: str = "/root/src") -> None:
        """Put the source tree there, as someone with a fresh checkout would have it."""
        target = self.root / destination[1:]
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        tracked = sh("git", "-C", TREE, "ls-files", "-co", "--exclude-standard", "-z").split("\0")
        for name in filter(None, tracked):
            if (TREE / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TREE / name, target / name)

    @staticmethod
    def wait(happened: object, *, seconds: float = 60) -> None:
        """Wait until `happened()` is true; AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not happened():  # type: ignore[operator]
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.1)


STARTED = "running", "degraded"
SIGRTMIN_POWEROFF = 34 + 4  # systemd(1): SIGRTMIN+4 powers off
