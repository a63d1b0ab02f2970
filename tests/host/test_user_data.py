"""The script that Terraform gives a new EC2 instance, on the stand-in for Amazon Linux.

The volume is a real block device with a real XFS, under the name that EBS volumes have on Nitro.
Not covered, because these hosts have neither cloud-init nor udev: that cloud-init runs the script,
that udev names the volume, and that systemd mounts it by itself at the next boot and grows it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from subprocess import DEVNULL

import pages
import pytest
from actions import ask, pin_local_archives, state
from bed import ENV, Host, sh
from test_interrupted import nothing_runs
from user_data import render

VOLUME = "vol0123456789abcdef0"
DEVICE = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{VOLUME}"
# As cloud-init starts it: root, no HOME, no terminal.
RUN = "env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin /root/user_data </dev/null"
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
MODELS = "cd /var/lib/irisab/models && find . -type f -printf '%p %T@\\n' | sort"


@pytest.fixture(scope="module")
def volume(work: Path) -> Iterator[Path]:
    """An empty disk that hosts can have, one after the other."""
    file = work / "volume"
    with file.open("wb") as disk:
        disk.truncate(512 << 20)
    device = Path(sh("losetup", "--find", "--show", file).strip())
    yield device
    sh("losetup", "--detach", device)


@pytest.fixture(scope="module")
def host(amazon: Callable[[str], Host]) -> Iterator[Host]:
    """A new instance without anything of ours, and without the programs of SELinux."""
    with amazon("instance") as host:
        host.run("dnf -y -q remove libselinux-utils")
        yield host


@pytest.fixture(scope="module")
def releases(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive of this tree, laid out as a release."""
    folder = tmp_path_factory.mktemp("releases")
    host.copy_tree("/root/src")
    pin_local_archives(host)
    options = ["--transform", "s:^src:irisab-1.0:", "--owner=1000", "--group=1000"]
    sh("tar", "-czf", folder / "irisab-1.0.tar.gz", "-C", host.root / "root", *options, "src")
    host.run("rm -rf /root/src")
    return folder


def attach(host: Host, device: Path) -> None:
    """Plug the volume in: the device, and the names that udev gives it."""
    number = device.name.removeprefix("loop")
    host.run(f"mkdir -p /dev/disk/by-id /dev/disk/by-uuid && mknod /dev/nvme1n1 b 7 {number}")
    host.run(f"ln -s ../../nvme1n1 {DEVICE}")
    host.run(f"ln -sf ../../nvme1n1 /dev/disk/by-uuid/$(blkid -p -s UUID -o value {DEVICE})")


@contextmanager
def serving(host: Host, folder: Path) -> Iterator[str]:
    """Yields the address under which the host finds the folder's files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer((host.outside, 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{host.outside}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def rows(host: Host) -> int:
    """How many predictions the history has; the newest come into it a moment later."""
    return int(host.run("/usr/local/bin/irisab history | wc -l"))


def put_script(host: Host, url: str, archive: Path) -> None:
    """Write the script as Terraform would, for this archive at this address."""
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    script = host.root / "root/user_data"
    script.write_text(
        render(release_url=f"{url}/{archive.name}", release_sha256=sha256, volume=VOLUME)
    )
    script.chmod(0o700)


def test_a_volume_that_holds_something_is_left_alone(
    host: Host, volume: Path, releases: Path
) -> None:
    """Whatever it is: without a file system of its own it is not ours, and not a byte changes."""
    put_script(host, "http://127.0.0.1:9", releases / "irisab-1.0.tar.gz")
    attach(host, volume)
    with volume.open("r+b") as disk:
        disk.seek(65536)
        disk.write(b"somebody's data")
    before = hashlib.sha256(volume.read_bytes()).digest()
    seen = host.run(RUN, check=False)
    assert f"{DEVICE} holds something that is no file system, and was left alone." in seen
    assert host.code(RUN) == 1
    assert hashlib.sha256(volume.read_bytes()).digest() == before
    assert host.code("grep /var/lib/irisab /etc/fstab") == 1
    sh("blkdiscard", "--zeroout", "--length", str(1 << 20), volume)


def test_another_archive_is_not_unpacked(host: Host, volume: Path, releases: Path) -> None:
    """Its sha256 differs: the sentence says so, and nothing of it is on the disk or runs."""
    forged = releases / "forged.tar.gz"
    forged.write_bytes((releases / "irisab-1.0.tar.gz").read_bytes() + b"\0")
    with serving(host, releases) as url:
        put_script(host, url, releases / "irisab-1.0.tar.gz")
        script = host.root / "root/user_data"
        script.write_text(script.read_text().replace("irisab-1.0.tar.gz", forged.name))
        seen = host.run(RUN, check=False)
    assert f"the archive at {url}/forged.tar.gz is not the one that release_sha256 names" in seen
    assert nothing_runs(host)
    assert host.run("find / -xdev -name bootstrap.sh -o -xdev -name 'release.tar.gz'") == ""


def test_a_new_instance_installs_itself(host: Host, volume: Path, releases: Path) -> None:
    """It waits for its volume, puts the data there, and answers its users."""
    host.run(f"umount /var/lib/irisab; wipefs -qa {DEVICE}; rm {DEVICE} /dev/nvme1n1")
    sh("blkdiscard", "--zeroout", "--length", str(1 << 20), volume)
    with serving(host, releases) as url:
        put_script(host, url, releases / "irisab-1.0.tar.gz")
        first = host.start(RUN)
        with pytest.raises(AssertionError, match="not within"):
            host.wait(lambda: first.poll() is not None, seconds=5)
        assert host.code("mountpoint -q /var/lib/irisab") != 0
        attach(host, volume)
        seen, _ = first.communicate(timeout=1800)
    assert first.returncode == 0, seen
    assert "✘" not in seen
    assert host.run("findmnt -no FSTYPE,OPTIONS /var/lib/irisab").startswith("xfs ")
    assert "nosuid,nodev" in host.run("findmnt -no OPTIONS /var/lib/irisab")
    assert host.run("stat -c %U%a /var/lib/irisab") == "irisab750"
    assert ask(f"{host.url}/predict", ROW).json["class_name"] == "setosa"
    assert host.run("find /var/tmp -name 'tmp.*'") == ""


def test_a_second_run_changes_nothing(host: Host, volume: Path, releases: Path) -> None:
    """The same file system, files and processes: an operator may run it whenever in doubt."""
    before = state(host), host.run(f"blkid -p {DEVICE}; cat /etc/fstab")
    with serving(host, releases) as url:
        put_script(host, url, releases / "irisab-1.0.tar.gz")
        host.run(RUN)
    assert (state(host), host.run(f"blkid -p {DEVICE}; cat /etc/fstab")) == before


def test_without_its_volume_the_service_does_not_start(host: Host, volume: Path) -> None:
    """After a reboot that finds no volume nothing is written in its place; with it, all goes on.

    systemd reads no fstab in a container. So its own generator, run outside, writes the unit that
    it would make at boot of an instance.
    """
    made = "/etc/systemd/made"
    (host.root / made[1:]).mkdir()
    generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
    sh("chroot", host.root, generator, made, made, made, env=ENV, stderr=DEVNULL)
    host.run(f"mv {made}/var-lib-irisab.mount /etc/systemd/system")
    before = rows(host)
    host.reboot()
    assert host.run("ls -A /var/lib/irisab") == ""
    assert host.code("systemctl start irisab.service irisab-drift.service") == 1
    assert host.run("ls -A /var/lib/irisab") == ""
    attach(host, volume)
    host.run("systemctl reset-failed; systemctl start irisab.socket irisab.service")
    assert host.run("findmnt -no FSTYPE /var/lib/irisab") == "xfs"
    assert ask(f"{host.url}/predict", ROW).json["class_name"] == "setosa"
    host.wait(lambda: rows(host) > before)


def test_the_next_instance_has_models_and_history(
    host: Host, volume: Path, releases: Path, amazon: Callable[[str], Host]
) -> None:
    """Nothing is formatted or trained; what was counted goes on, and settings come as README says.

    On the new host the user irisab has another number.
    """
    for _ in range(9):
        ask(f"{host.url}/predict", ROW)
    host.run("sed -i 's/^#v1 = 50/v1 = 70/; s/^#v2 = 50/v2 = 30/' /etc/irisab.ini")
    host.run("systemctl reload irisab")
    host.run(documented("sudo bash -c 'umask 077; tar"))
    password = host.run("cat /etc/irisab/password")
    host.wait(lambda: rows(host) >= 10)
    kept, counted = host.run(MODELS), rows(host)
    numbers = host.run("id -u irisab")
    host.freeze()  # as Terraform does before it detaches a volume
    with amazon("successor") as successor:
        successor.run("useradd --system somebody")
        attach(successor, volume)
        with serving(successor, releases) as url:
            put_script(successor, url, releases / "irisab-1.0.tar.gz")
            successor.run(RUN)
        assert successor.run("id -u irisab") != numbers
        assert successor.run(MODELS) == kept
        assert set(successor.run("find /var/lib/irisab -printf '%u\\n'").split()) == {"irisab"}
        assert rows(successor) >= counted
        assert ask(f"{successor.url}/config").json["split"] == {"v1": 50, "v2": 50}
        successor.run("set -e\n" + documented("sudo tar -xzf"))
        assert ask(f"{successor.url}/config").json["split"] == {"v1": 70, "v2": 30}
        assert successor.run("cat /etc/irisab/password") == password


def documented(command: str) -> str:
    """The block of commands of terraform/README.md that begins with this one."""
    blocks = pages.blocks("terraform/README.md", "sh instance")
    [found] = (block.text for block in blocks if block.text.startswith(command))
    return found
