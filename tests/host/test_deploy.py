"""`make deploy` from elsewhere, through a real sshd: to the end, cut off, and without power."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pages
import pytest
from actions import ask, state, version_served
from bed import TREE, Host, sh
from checkout import commit, git
from newcomer import lend_libraries
from power import Disk
from remote import Remote, picture, running_release


@dataclass
class Deployed:
    """A host that was installed and then upgraded by make deploy, both times undisturbed."""

    remote: Remote
    disk: Disk
    said: str
    installed: list[str]
    upgraded: list[str]


@pytest.fixture(scope="module")
def deployed(reachable: Callable[..., Host], repository: Path, work: Path) -> Iterator[Deployed]:
    disk = Disk(work / "deployed")
    with reachable("remote", work=disk.folder) as host:
        remote = Remote(host, work / "key", repository)
        remote.release()
        said, installed = remote.make("deploy"), picture(host)
        remote.another_release("The second release.")
        remote.make("deploy")
        yield Deployed(remote, disk, said, installed, picture(host))


def test_a_deploy_installs_checks_and_tells(deployed: Deployed) -> None:
    """On a host that has nothing: no cross, its addresses, its release, and nothing left over."""
    host = deployed.remote.host
    assert "✘" not in deployed.said and f"{host.url}/predict" in deployed.said
    assert "current is as it was released" in deployed.said
    assert f"{deployed.remote.name} runs " in deployed.said
    assert host.run("find /var/tmp -name 'irisab*'") == ""
    assert ask(f"{host.url}/health").json["status"] == "healthy"


def test_a_second_deploy_changes_nothing(deployed: Deployed) -> None:
    """No file is touched, no unit restarted; it says so, and a rollback has nothing to do."""
    remote = deployed.remote
    before = state(remote.host)
    assert remote.make("deploy").endswith("as before\n")
    assert "nothing to go back from" in remote.make("rollback")
    assert state(remote.host) == before


def test_smoke_reads_the_password_itself(deployed: Deployed) -> None:
    """HOST=user@host is enough for all ten checks, from outside."""
    assert deployed.remote.make("smoke").count("✔") == 10


def test_what_the_page_has_for_a_checkout_works(deployed: Deployed) -> None:
    """From a release to the way back; where that release runs already, nothing is changed."""
    remote = deployed.remote
    lend_libraries(remote.tree)
    blocks = pages.blocks("docs/release.md", "sh deploy")
    assert [block.text.split()[1] for block in blocks] == ["release", "deploy", "rollback"]
    before = state(remote.host)
    for block in blocks:
        sh("bash", "-ec", spoken_of(remote, block), cwd=remote.tree,
           env=os.environ | {"SSH": remote.ssh})  # fmt: skip
    assert state(remote.host) == before


def spoken_of(remote: Remote, block: pages.Block) -> str:
    """A block with the host that is meant."""
    return block.text.replace("models.example.org", remote.host.address)


def test_what_the_page_has_for_an_agent_lets_it_in(deployed: Deployed, tmp_path: Path) -> None:
    """It has a key of its own on the host afterwards, and the host's key in its known_hosts."""
    remote = deployed.remote
    (tmp_path / ".ssh").mkdir()
    # Somebody who may get in already lets it in.
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/{remote.ssh} "$@"\n')
    (programs / "ssh").chmod(0o755)
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{programs}:{os.environ['PATH']}"}
    blocks = pages.blocks("docs/jenkins.md", "sh agent")
    assert len(blocks) == 2
    for block in blocks:
        line = f"set -euo pipefail\n{spoken_of(remote, block)}"
        sh("bash", "-c", line, cwd=tmp_path, env=environment)
    key = f"/usr/bin/ssh -i {tmp_path}/irisab-host -o IdentitiesOnly=yes"
    known = f"-o UserKnownHostsFile={tmp_path}/.ssh/known_hosts -o StrictHostKeyChecking=yes"
    sh("bash", "-c", f"{key} {known} -o BatchMode=yes {remote.name} sudo -n true")


def test_a_rollback_undoes_what_was_deployed_from_here(deployed: Deployed) -> None:
    """The release before serves again; where somebody else was at work, nothing is done."""
    remote, host = deployed.remote, deployed.remote.host
    before = version_served(host)
    remote.another_release("To be undone.")
    remote.make("deploy")
    assert running_release(host) == version_served(host) != before
    remote.make("rollback")
    assert running_release(host) == version_served(host) == before
    remote.make("deploy")
    host.run("/opt/irisab/current/bootstrap.sh --rollback")
    assert "someone else is at work" in remote.make("rollback", code=1)
    assert running_release(host) == before


@pytest.fixture
def broken(deployed: Deployed) -> Iterator[Remote]:
    """A checkout that may be spoilt; afterwards it is as before."""
    yield deployed.remote
    git(deployed.remote.tree, "reset", "-q", "--hard", "HEAD~1")


def test_a_release_that_does_not_start_makes_room(broken: Remote) -> None:
    """The host goes back by itself to what served before, and make deploy fails and says so."""
    host, before = broken.host, version_served(broken.host)
    commit(broken.tree, "systemd/irisab.service", "\nExecStart=", "\nExecStart=/bin/false ")
    broken.release()
    seen = broken.make("deploy", code=1)
    assert f"does not work on this host, back to {before}" in seen
    assert f"was not upgraded; it runs {before}" in seen
    assert running_release(host) == version_served(host) == before
    assert ask(f"{host.url}/health").status == 200


def test_a_release_that_was_changed_is_refused_by_name(deployed: Deployed, tmp_path: Path) -> None:
    """Here by the sum of the archive; on the host, once unpacked, file by file. Nothing changes."""
    remote, host = deployed.remote, deployed.remote.host
    before, archive = state(host), remote.release()
    changed, sum_ = tmp_path / archive.name, f"{archive.name}.sha256"
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    (tmp_path / sum_).write_bytes((archive.parent / sum_).read_bytes())
    assert "is not what" in remote.make("deploy", f"ARCHIVE={changed}", code=1)
    sh("tar", "-xzf", archive, "-C", host.root / "root", "--no-same-owner")
    [smoke] = (host.root / "root").glob("irisab-*/smoke.py")
    smoke.write_bytes(smoke.read_bytes().replace(b"PATIENCE = 45", b"PATIENCE = 44"))
    seen = host.run("bash /root/irisab-*/bootstrap.sh", check=False)
    assert seen == "bootstrap: this is not what was released: smoke.py. Unpack the archive again."
    assert state(host) == before


def test_without_the_right_to_become_root_nothing_is_tried(deployed: Deployed) -> None:
    """A host that can't be reached, and words that would be options of ssh, are refused at once."""
    remote = deployed.remote
    for name, sentence in {
        "nobody@127.0.0.1": "can't become root on nobody@127.0.0.1",
        "-oProxyCommand=true": "make deploy HOST=user@host",
        "": "make deploy HOST=user@host",
    }.items():
        seen = subprocess.run(
            ["make", "-s", "deploy", f"HOST={name}"], cwd=remote.tree, capture_output=True,
            env=os.environ | {"SSH": f"{remote.ssh} -p 9"}, text=True,
        )  # fmt: skip
        assert seen.returncode and sentence in seen.stderr


def test_a_connection_cut_while_copying_changes_nothing(deployed: Deployed) -> None:
    """Cut in our program or in the archive: the host stays as it is, and the next deploy works."""
    remote, host = deployed.remote, deployed.remote.host
    remote.another_release("Cut in copying.")
    program = (TREE / "delivery/on-host").stat().st_size
    before = state(host)
    for remote.cut in 1, program // 2, program, program + 1, program + 300_000:
        remote.make("deploy", code=1)
        assert state(host) == before
    remote.cut = 0
    remote.make("deploy")
    assert picture(host) == deployed.upgraded


def cut_at(remote: Remote, step: int) -> None:
    """Deploy another release, pull the cable when a step begins, and put it back later."""
    remote.another_release(f"Cut at step {step}.")
    with remote.start("deploy") as run:
        remote.follow(run, step)
        sh("ip", "link", "set", remote.host.cable, "down")
        os.killpg(run.pid, signal.SIGKILL)
    time.sleep(1)
    sh("ip", "link", "set", remote.host.cable, "up")


@pytest.mark.parametrize("step", [1, 4, 8])
def test_the_next_deploy_waits_for_one_that_was_cut_off(deployed: Deployed, step: int) -> None:
    """It says so, and ends as if there had been no cut."""
    remote, host = deployed.remote, deployed.remote.host
    cut_at(remote, step)
    assert "still at work on this host: waiting for it" in remote.make("deploy") or step == 8
    assert picture(host) == deployed.upgraded


def test_an_install_goes_on_without_its_connection(deployed: Deployed) -> None:
    """Nobody need come back: it ends by itself, and leaves nothing behind."""
    host, before = deployed.remote.host, version_served(deployed.remote.host)
    cut_at(deployed.remote, 6)
    host.run("flock /run/irisab-deploy true")
    assert running_release(host) == version_served(host) != before
    assert picture(host) == deployed.upgraded


def lose_power(remote: Remote, disk: Disk, *, step: int, after: float) -> None:
    """Deploy, and so many seconds into a step switch the host off and on."""
    with remote.start("deploy") as run:
        remote.follow(run, step)
        time.sleep(after)
        disk.lose_power(remote.host)
        os.killpg(run.pid, signal.SIGKILL)


def test_an_install_survives_the_loss_of_power_at_every_step(
    deployed: Deployed, reachable: Callable[..., Host], repository: Path, work: Path
) -> None:
    """A new host that lost power in each step in turn ends as one that never did."""
    disk = Disk(work / "installed")
    with reachable("power", work=disk.folder) as host:
        disk.settle()
        remote = Remote(host, work / "key", repository)
        remote.release()
        for step, after in {1: 0.0, 2: 4.0, 3: 0.0, 4: 8.0, 5: 2.0, 6: 0.2, 7: 0.5, 8: 1.0}.items():
            lose_power(remote, disk, step=step, after=after)
        remote.make("deploy")
        assert picture(host) == deployed.installed


@pytest.mark.parametrize(
    ("step", "after"), [(1, 0), (4, 0.3), (5, 0.5), (6, 0.1), (6, 0.4), (7, 0.3), (8, 1)]
)
def test_an_upgrade_survives_the_loss_of_power(deployed: Deployed, step: int, after: float) -> None:
    """The host serves as soon as it is on again; one more deploy, and it is as if nothing was."""
    remote, disk = deployed.remote, deployed.disk
    disk.settle()
    remote.another_release(f"Without power at step {step}, after {after} s.")
    lose_power(remote, disk, step=step, after=after)
    remote.host.wait(lambda: ask(f"{remote.host.url}/health").status == 200)
    remote.make("deploy")
    assert picture(remote.host) == deployed.upgraded
