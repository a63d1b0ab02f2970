"""The Jenkinsfile, stage by stage on this machine, down to a host that is served from it.

`agent.Build` runs what the file says; commits that are bad in one way each must stop where they are
bad. What can't be had here is what Jenkins would bring: `make install` finds the libraries of this
very run, and of the project's tests it runs those of releases, which the bad commit breaks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from actions import ask, version_served
from agent import Build
from bed import Host
from checkout import commit, git, new_repository
from jenkinsfile import Node, read
from remote import Remote, running_release

ALL = ["Checkout", "Install", "Test", "Train", "Build", "Deploy", "Health"]


@dataclass
class Jenkins:
    """A repository, a workspace, and the host that both are for."""

    remote: Remote
    pipeline: Node
    folder: Path
    previous: str | None = None

    def build(self, *, branch: str = "main", host: str | None = None) -> Build:
        """Run the pipeline for the newest commit, as a webhook would have it run."""
        build = Build(
            self.pipeline,
            workspace=self._workspace(),
            repository=self.remote.tree,
            branch=branch,
            parameters={"HOST": self.remote.name if host is None else host},
            keys={"irisab-host": self.remote.key},
            environment={
                "ARGS": "tests/test_release.py",
                "PYTHONPATH": str(self.folder / "workspace"),
                "MYPY_CACHE_DIR": str(self.folder / "mypy"),
                "SSH": f"ssh {self.remote.unknown_hosts}",
            },
            previous=self.previous,
        ).run()
        self.previous = build.result
        return build

    def _workspace(self) -> Path:
        """An empty workspace, but for the libraries."""
        workspace = self.folder / "workspace"
        (workspace / ".venv").mkdir(parents=True)
        for part in Path(sys.prefix).iterdir():
            if part.name != "ready":
                (workspace / ".venv" / part.name).symlink_to(part)
        (workspace / ".venv/ready").touch()
        os.utime(workspace / ".venv/ready", (2**31, 2**31))  # newer than what is checked out
        return workspace


@pytest.fixture(scope="module")
def jenkins(reachable: Callable[..., Host], work: Path) -> Iterator[Jenkins]:
    """A fresh host, and on it the release of a build that was green from end to end."""
    folder = work / "jenkins"
    (folder / "repository").mkdir(parents=True)
    tree = new_repository(folder / "repository")
    with reachable("served") as host:
        yield Jenkins(Remote(host, work / "key", tree), read(tree / "Jenkinsfile"), folder)


@pytest.fixture
def serving(jenkins: Jenkins) -> Iterator[str]:
    """The release that serves before and after a bad commit, which is taken back at the end."""
    before = version_served(jenkins.remote.host)
    yield before
    assert running_release(jenkins.remote.host) == version_served(jenkins.remote.host) == before
    assert ask(f"{jenkins.remote.host.url}/health").status == 200
    git(jenkins.remote.tree, "reset", "-q", "--hard", "HEAD~1")


def stopped_in(build: Build, stage: str) -> bool:
    """True if it failed in that stage, ran none after it, and told somebody where to look."""
    assert build.stages == ALL[: ALL.index(stage) + 1], build.log
    [mail] = build.mails
    assert "failed" in mail["subject"] and mail["body"].endswith("/7/console")
    assert mail["to"] == "irisab@example.org"
    assert not build.workspace.exists()
    return build.result == "FAILURE"


def test_green_from_end_to_end(jenkins: Jenkins) -> None:
    """A fresh host serves the commit; the release is kept, the tests are counted, no mail."""
    build = jenkins.build()
    assert (build.result, build.stages) == ("SUCCESS", ALL), build.log
    host = jenkins.remote.host
    assert running_release(host) == version_served(host)
    assert ask(f"{host.url}/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).json["request_id"]
    assert build.tests > 10
    assert len(build.archived) == 3
    assert build.mails == []
    assert not build.workspace.exists()


def test_a_failing_test_stops_it(jenkins: Jenkins, serving: str) -> None:
    """Nothing is trained, packed or deployed; the report of the tests is read all the same."""
    commit(jenkins.remote.tree, "delivery/release.py", "BLOCK = 65535", "BLOCK = 65536")
    build = jenkins.build()
    assert stopped_in(build, "Test")
    assert build.tests > 10


def test_a_model_below_its_accuracy_stops_it(jenkins: Jenkins, serving: str) -> None:
    """A version that is too simple is named, and nothing is packed."""
    poor = "\\n[model.v2]\\nn_estimators = 1\\nmax_depth = 1\\n' >$@"
    commit(jenkins.remote.tree, "Makefile", "' >$@", poor)
    build = jenkins.build()
    assert stopped_in(build, "Train")
    assert "accuracy: below 0.9, so this stops here: v2" in build.log


def test_a_release_that_the_host_refuses_stops_it(jenkins: Jenkins, serving: str) -> None:
    """The host does not take what does not accept its settings, and health is not looked at."""
    host = jenkins.remote.host
    commit(jenkins.remote.tree, "README.md", "# irisab", "# irisab!")
    host.run("cp -p /etc/irisab.ini /root; echo 'no_such_option = 1' >>/etc/irisab.ini")
    build = jenkins.build()
    host.run("mv /root/irisab.ini /etc/irisab.ini")
    assert stopped_in(build, "Deploy")
    assert f"was not upgraded; it runs {serving}" in build.log


def test_a_failed_health_check_brings_the_old_release_back(jenkins: Jenkins, serving: str) -> None:
    """A release that is well on the host itself and can't be reached from outside is taken back."""
    commit(jenkins.remote.tree, "nginx/nginx.conf", "    server_tokens off;\n",
           "    server_tokens off;\n    allow 127.0.0.0/8;\n    deny all;\n")  # fmt: skip
    build = jenkins.build()
    assert stopped_in(build, "Health")
    assert f"back to {serving}" in build.log


def test_the_next_good_commit_tells_that_it_works_again(jenkins: Jenkins) -> None:
    """The host serves it, and a mail takes the alarm back."""
    before = version_served(jenkins.remote.host)
    commit(jenkins.remote.tree, "README.md", "# irisab", "# irisab, again")
    build = jenkins.build()
    assert (build.result, build.stages) == ("SUCCESS", ALL), build.log
    assert version_served(jenkins.remote.host) != before
    assert [mail["subject"] for mail in build.mails] == ["irisab: irisab/main #7 works again"]


@pytest.mark.parametrize(("branch", "host"), [("feature", None), ("main", "")])
def test_without_a_host_or_on_a_branch_nothing_is_deployed(
    jenkins: Jenkins, branch: str, host: str | None
) -> None:
    """It is built and tested like any other, and the host is not touched."""
    before = version_served(jenkins.remote.host)
    git(jenkins.remote.tree, "branch", "-f", "feature")
    build = jenkins.build(branch=branch, host=host)
    assert (build.result, build.stages) == ("SUCCESS", ALL[:5]), build.log
    assert version_served(jenkins.remote.host) == before
