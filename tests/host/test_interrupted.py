"""An install that was killed or fed with tampered files."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from actions import INSTALL, UNITS, ask, version_served
from bed import Host

# Where a step is one long command, as soon as this is there; else after so many commands.
BEGUN = {
    2: "var/lib/dpkg/info/nginx*.list",
    4: "opt/irisab/venvs/ui-*/tmp",
    5: "var/lib/irisab/models/v1",
}
COMMANDS = {1: 6, 3: 4, 6: 10, 7: 10, 8: 5}


def kill_at(host: Host, step: int) -> str:
    """Run bootstrap.sh and kill all of it in the middle of a step; return what it had printed."""
    # bash reads this file first; its trap runs before each command of the script.
    (host.root / "root/kill").write_text(
        f"set -T; count=0; trap '[[ ${{steps-}} == {step} ]] &&"
        f" ((++count > {COMMANDS.get(step, 10**9)})) && kill -9 0' DEBUG\n"
    )
    with host.start("cd /root/src && BASH_ENV=/root/kill ./bootstrap.sh") as run:
        assert run.stdout
        seen = ""
        for line in run.stdout:
            seen += line
            if line.startswith(f"[{step}/8]") and step in BEGUN:
                host.wait(lambda: next(host.root.glob(BEGUN[step]), None), seconds=600)
                os.killpg(run.pid, signal.SIGKILL)
    assert f"[{step}/8]" in seen and f"[{step + 1}/8]" not in seen, f"not killed in {step}: {seen}"
    # What a killed one had started dies a moment later, and until then has the lock.
    host.wait(lambda: host.code("flock -n /run/irisab-bootstrap true") == 0)
    return seen


def test_a_killed_install_is_finished_by_running_it_again(clean: Callable[[str], Host]) -> None:
    """Killed at each of its steps in turn; a tampered wheel in between stops it, too."""
    with clean("killed") as host:
        host.copy_tree()
        for step in range(1, 4):
            kill_at(host, step)
        refuse_tampered_wheel(host)
        for step in range(4, 9):
            kill_at(host, step)
        host.run(INSTALL)
        assert ask(f"{host.url}/health").status == 200
        assert host.run("find /opt /etc -name '*.part'") == ""
        no_way_back = host.run("/root/src/bootstrap.sh --rollback", check=False)
        assert "there is no earlier release" in no_way_back
        for step in 6, 7:
            with (host.root / "root/src/irisab/__init__.py").open("a") as file:
                file.write(f"# killed at step {step}\n")
            kill_at(host, step)
            host.run(INSTALL)
            assert release_that_runs(host) == version_served(host)


def release_that_runs(host: Host) -> str:
    """The release that the API's process was started from."""
    pid = host.run("systemctl show -P MainPID irisab")
    return host.run(f"sed -z -n 's,^PYTHONPATH=.*/,,p' /proc/{pid}/environ").strip("\0")


def refuse_tampered_wheel(host: Host) -> None:
    """A wheel with one byte more stops the install before anything of irisab runs."""
    host.run(
        "cp -r /srv/wheels /root/wheels && echo >>/root/wheels/waitress-*.whl &&"
        "sed -i.kept s,/srv/wheels,/root/wheels, /etc/pip.conf"
    )
    seen = host.run(INSTALL, check=False)
    assert "DO NOT MATCH THE HASHES" in seen
    assert "stopped at step 4" in seen
    assert nothing_runs(host)
    host.run("mv /etc/pip.conf.kept /etc/pip.conf; rm -r /root/wheels")


def nothing_runs(host: Host) -> bool:
    """True if no unit of ours is active and nothing listens on port 80."""
    active = host.run(f"systemctl is-active {' '.join(UNITS)}", check=False).split()
    return "active" not in active and host.run("ss -Hltn 'sport = :80'") == ""


def test_two_at_once_are_one_too_many(clean: Callable[[str], Host]) -> None:
    """The second of two runs at the same time says so and leaves the first alone."""
    with clean("twice") as host:
        host.copy_tree()
        lock = "/run/irisab-bootstrap"
        with host.start(f"flock {lock} sleep 30") as first:
            host.wait(lambda: host.code(f"[[ ! -e {lock} ]] || flock -n {lock} true") == 1)
            seen = host.run(INSTALL, check=False)
            assert "another bootstrap.sh is running" in seen
            os.killpg(first.pid, signal.SIGKILL)
