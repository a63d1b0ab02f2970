"""A host as someone has it who is elsewhere: make and ssh, and nothing else of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from actions import UNITS
from bed import Host, sh
from checkout import commit

LOGIN = "admin"  # as on a cloud image: may use sudo without a password
INSTALL_SSH = f"""
set -e
apt-get update -qq && apt-get install -qq --no-install-recommends openssh-server >/dev/null
useradd --create-home --shell /bin/bash {LOGIN}
echo '{LOGIN} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/{LOGIN}
echo 'Defaults use_pty' >>/etc/sudoers.d/{LOGIN}  # as newer ones have it, who end what they started
"""


def install_ssh(host: Host, key: Path) -> None:
    """Let the host be reached with this key, which is made if it is not there."""
    if not key.exists():
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    host.run(INSTALL_SSH)
    folder = host.root / f"home/{LOGIN}/.ssh"
    folder.mkdir()
    (folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    host.run(f"chown -R {LOGIN}: ~{LOGIN}/.ssh && chmod 700 ~{LOGIN}/.ssh")


@dataclass
class Remote:
    """A host, and the checkout from which it is looked after."""

    host: Host
    key: Path
    tree: Path
    cut: int = 0  # bytes after which whatever is sent through ssh ends

    @property
    def name(self) -> str:
        return f"{LOGIN}@{self.host.address}"

    # Hosts come and go, and their addresses with them: no key of a host is remembered.
    unknown_hosts = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"

    @property
    def ssh(self) -> str:
        return f"ssh -i {self.key} {self.unknown_hosts} -o BatchMode=yes -o ConnectTimeout=20"

    def release(self) -> Path:
        """Make the release of the commit, by the Python of this run."""
        sh(sys.executable, "delivery/release.py", cwd=self.tree)
        [archive] = (self.tree / "build").glob("*.tar.gz")
        return archive

    def another_release(self, word: str) -> None:
        """Commit something of no consequence, and make the release of it."""
        commit(self.tree, "README.md", "# irisab\n", f"# irisab\n\n{word}\n")
        self.release()

    def start(self, target: str, *words: str) -> subprocess.Popen[str]:
        """Start make; stdout and stderr are one stream."""
        ssh = f"{self.cutter()} {self.ssh}" if self.cut else self.ssh
        return subprocess.Popen(
            ["make", "-s", target, f"HOST={self.name}", *words],
            cwd=self.tree, env=os.environ | {"SSH": ssh}, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def cutter(self) -> Path:
        """A command that runs ssh, and lets no more than `cut` bytes through to it."""
        path = self.key.with_name("cut-ssh")
        path.write_text(f'#!/bin/sh\nhead -c {self.cut} | "$@"\n')
        path.chmod(0o755)
        return path

    def make(self, target: str, *words: str, code: int = 0) -> str:
        """Run make and return what it said; AssertionError unless it exits with `code`."""
        with self.start(target, *words) as run:
            seen, _ = run.communicate(timeout=1800)
        assert (run.returncode != 0) == (code != 0), seen
        return seen

    def follow(self, run: subprocess.Popen[str], step: int) -> str:
        """Read what `make deploy` says until a step of bootstrap.sh begins."""
        assert run.stdout
        seen = ""
        for line in run.stdout:
            seen += line
            if line.startswith(f"[{step}/8]"):
                return seen
        raise AssertionError(f"ended before step {step}:\n{seen}")


def picture(host: Host) -> list[str]:
    """What an install leaves on a host, without what differs from one to the next.

    Names, kinds, modes, owners and links of all files; the contents of those that are ours; and
    which units are enabled, run, and from which release.
    """
    places = "/opt /etc /usr/local /var/lib/irisab/models /var/tmp"
    # What a timer has started may take its folder away meanwhile.
    look = f"find {places} -ignore_readdir_race -xdev"
    lines = host.run(f"{look} -printf '%p %y %m %u %l\\n'").splitlines()
    sums = "-type f ! -name '*.pyc' ! -path '*/venvs/*' -print0 | xargs -0 sha256sum"
    lines += host.run(f"find /opt/irisab /etc/irisab /etc/nginx {sums}").splitlines()
    states = [host.run(f"systemctl is-enabled {unit}; systemctl is-active {unit}; true")
              for unit in UNITS]  # fmt: skip
    lines += [f"{unit} {state.split()}" for unit, state in zip(UNITS, states, strict=True)]
    lines.append(f"runs {running_release(host)}")
    current, *previous = host.run(
        "cat /opt/irisab/current/RELEASE; cat /opt/irisab/current/previous/RELEASE 2>&-; true"
    ).split()
    text = "\n".join(sorted(line for line in lines if not re.search(OWN, line)))
    for name, word in zip([current, *previous], ["NEW", "OLD"], strict=False):
        text = text.replace(name, word)
    text = re.sub(r"/models/(v\d+)/(current .*)?\b[0-9a-f]{12}\b", r"/models/\1/\2#", text)
    # Where the one before came from is no longer on this host.
    return sorted(line for line in text.splitlines() if "/OLD/previous " not in line)


# What each host, release or start has of its own: contents that differ, and private folders.
OWN = (
    r"^\w{64}  .*/(README.md|MANIFEST|RELEASE|good|address|irisab[.-][a-z.-]+|password|htpasswd)$"
    r"|/systemd-private-|^/etc/(machine-id|hostname|ssh)|^/etc/(group|passwd|gshadow|shadow)-"
    r"|^/opt \w|/ld.so.cache"
    # What a System V init would start or not: a package's script links it without a sync, so that
    # power can take it from a package that dpkg knows as whole. systemd does not read it.
    r"|^/etc/rc\d\.d/"
    # What a training that was cut has written: the next one removes it a day later.
    r"|^/var/lib/irisab/models/v\d+/\.new-"
)


def running_release(host: Host) -> str:
    """The release that the API's process was started from."""
    pid = host.run("systemctl show -P MainPID irisab")
    return host.run(f"sed -z -n 's,^PYTHONPATH=.*/,,p' /proc/{pid}/environ").strip("\0")
