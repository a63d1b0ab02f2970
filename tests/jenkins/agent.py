"""Run a Jenkinsfile as Jenkins would, as far as ours goes. Start at `Build.run()`.

It goes by the file's tree (`jenkinsfile.read`): stages in order until one fails, each if its `when`
holds; after a stage and after the pipeline what `post` says for the result. A section, condition or
step that it does not know is an error, never passed over.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jenkinsfile import Node

SECONDS = {"SECONDS": 1, "MINUTES": 60, "HOURS": 3600}
# In the order in which Jenkins looks at them.
CONDITIONS = {
    "always": lambda result, previous: True,
    "fixed": lambda result, previous: result == "SUCCESS" and previous not in (None, "SUCCESS"),
    "failure": lambda result, previous: result == "FAILURE",
    "success": lambda result, previous: result == "SUCCESS",
    "unsuccessful": lambda result, previous: result != "SUCCESS",
    "cleanup": lambda result, previous: True,
}


class Stop(Exception):
    """A step has failed, or run out of time; the result that its stage has then."""


@dataclass
class Build:
    """One build: what it is given, and what came of it."""

    pipeline: Node
    workspace: Path
    repository: Path
    parameters: dict[str, str] = field(default_factory=dict)
    branch: str = "main"
    # Private keys by the id under which Jenkins would keep them.
    keys: dict[str, Path] = field(default_factory=dict)
    # What the agent's own environment adds: on a real one nothing, here where to find libraries.
    environment: dict[str, str] = field(default_factory=dict)
    previous: str | None = None

    result: str = "SUCCESS"
    stages: list[str] = field(default_factory=list)
    mails: list[dict[str, str]] = field(default_factory=list)
    archived: dict[str, bytes] = field(default_factory=dict)
    tests: int = 0
    log: str = ""
    deadlines: list[float] = field(default_factory=list)

    def run(self) -> Build:
        self.workspace.mkdir(exist_ok=True)
        self.variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.workspace.parent),
            "JOB_NAME": "irisab/main",
            "BUILD_NUMBER": "7",
            "BUILD_URL": "http://jenkins.example.org/job/irisab/job/main/7/",
            "BRANCH_NAME": self.branch,
            **self.environment,
            **self._parameters(),
        }
        for entry in self.pipeline.parts("environment"):
            self.variables[entry.name] = self.text(entry.assigned)
        with self._time_limit(self.pipeline):
            for stage in self.pipeline.parts("stages"):
                self._run_stage(stage)
        self._post(self.pipeline, self.result)
        return self

    def _parameters(self) -> dict[str, str]:
        defaults = {
            self.text(part.named["name"]): self.text(part.named["defaultValue"])
            for part in self.pipeline.parts("parameters")
            if part.named
        }
        assert self.parameters.keys() <= defaults.keys()
        return defaults | self.parameters

    def _run_stage(self, stage: Node) -> None:
        if self.result != "SUCCESS" or not all(map(self._holds, stage.parts("when"))):
            return
        self.stages.append(self.text(stage.positional[0]))
        result = "SUCCESS"
        with self._time_limit(stage):
            try:
                self._steps(stage.section("steps"))
            except Stop as stop:
                result = str(stop)
        self.result = result
        self._post(stage, result)

    def _holds(self, condition: Node) -> bool:
        if condition.name == "branch":
            return self.branch == self.text(condition.positional[0])
        assert condition.name == "expression" and condition.body, condition
        [parameter] = re.findall(r"^params\.(\w+)$", condition.body[0].code)
        return bool(self.variables[parameter])  # '' is false in Groovy, too

    def _post(self, node: Node, result: str) -> None:
        """Run what is due after a stage or the pipeline; a failure there fails the build."""
        branches = {part.name: part for part in node.parts("post")}
        assert branches.keys() <= CONDITIONS.keys(), branches
        for name, due in CONDITIONS.items():
            if name in branches and due(result, self.previous):
                try:
                    self._steps(branches[name])
                except Stop as stop:
                    self.result = str(stop)

    @contextmanager
    def _time_limit(self, node: Node) -> Iterator[None]:
        limits = [part for part in node.parts("options") if part.name == "timeout"]
        seconds = [
            part.named["time"]["value"] * SECONDS[self.text(part.named["unit"])]
            for part in limits
            if part.named
        ]
        self.deadlines += [time.monotonic() + limit for limit in seconds]
        yield
        del self.deadlines[len(self.deadlines) - len(seconds) :]

    def _steps(self, section: Node | None) -> None:
        assert section and section.body
        for step in section.body:
            self.log += f"[Pipeline] {step.name}\n"
            getattr(self, f"step_{step.name}")(step)

    def text(self, value: Any) -> str:
        """Return a value as Groovy would work it out: literals, env.NAME, and both in a string."""
        if "value" in value:
            return str(value["value"])
        code = value["code"].strip('"')
        if found := re.fullmatch(r"env\.(\w+)", code):
            return self.variables[found[1]]
        return re.sub(r"\$\{env\.(\w+)\}", lambda found: self.variables[found[1]], code)

    def step_checkout(self, step: Node) -> None:
        assert step.argument("scm") == {"code": "scm"}
        for line in (
            "init -q",
            f"fetch -q {self.repository} {self.branch}",
            "checkout -qf FETCH_HEAD",
        ):
            self._run(["git", *line.split()])

    def step_sh(self, step: Node) -> None:
        # What Jenkins does on an agent with a Unix shell.
        self._run(["sh", "-xe", "-c", self.text(step.argument("script"))])

    def _run(self, command: list[str]) -> None:
        with subprocess.Popen(
            command, cwd=self.workspace, env=self.variables, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as run:  # fmt: skip
            try:
                said, _ = run.communicate(timeout=max(0, min(self.deadlines) - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, 15)
                raise Stop("ABORTED") from None
        self.log += said
        if run.returncode:
            raise Stop("FAILURE")

    def step_sshagent(self, step: Node) -> None:
        """Run the block with an agent that holds the keys."""
        ids = [self.text(value) for value in step.argument("credentials")["list"]]
        socket = self.workspace.parent / "agent.sock"
        with subprocess.Popen(
            ["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL
        ) as agent:
            while not socket.exists():
                time.sleep(0.01)
            before, self.variables["SSH_AUTH_SOCK"] = dict(self.variables), str(socket)
            try:
                for name in ids:
                    self._run(["ssh-add", "-q", str(self.keys[name])])
                self._steps(step)
            finally:
                self.variables = before
                agent.terminate()

    def step_junit(self, step: Node) -> None:
        """Count the tests of the reports; none at all is a failure, as in Jenkins."""
        pattern = self.text(step.argument("testResults"))
        reports = [xml.etree.ElementTree.parse(path) for path in self.workspace.glob(pattern)]
        self.tests = sum(len(report.findall(".//testcase")) for report in reports)
        if not self.tests:
            raise Stop("FAILURE")

    def step_archiveArtifacts(self, step: Node) -> None:  # noqa: N802
        pattern = self.text(step.argument("artifacts"))
        self.archived = {path.name: path.read_bytes() for path in self.workspace.glob(pattern)}
        if not self.archived:
            raise Stop("FAILURE")

    def step_mail(self, step: Node) -> None:
        self.mails.append({name: self.text(value) for name, value in (step.named or {}).items()})

    def step_deleteDir(self, step: Node) -> None:  # noqa: N802
        shutil.rmtree(self.workspace)
