"""Read a Jenkinsfile, and judge it by the rules that Jenkins has for one.

`read()` asks Groovy 2.4, the version inside Jenkins, for the tree of the file. `faults()` goes
through the tree with the rules of declarative pipelines restated here, as far as a pipeline like
ours needs them: its steps come from plugins, so only those are known that docs/jenkins.md installs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent

# What may, and with ! must, stand in a section.
PIPELINE = "agent! stages! options parameters environment triggers tools post"
STAGE = "agent steps stages parallel when options environment post"
OPTIONS = (
    "buildDiscarder disableConcurrentBuilds disableResume preserveStashes quietPeriod retry"
    " skipDefaultCheckout skipStagesAfterUnstable timeout timestamps"
)
STAGE_OPTIONS = "retry skipDefaultCheckout timeout timestamps"
POST = (
    "always changed fixed regression aborted failure success unsuccessful unstable notBuilt cleanup"
)
WHEN = "allOf anyOf beforeAgent branch buildingTag changeRequest environment expression not tag"
PARAMETERS = "booleanParam choice password string text"
AGENT = "label node"


@dataclass(frozen=True)
class Step:
    """How a step is called: arguments it must and may have, of which `first` needs no name."""

    required: Collection[str] = ()
    allowed: Collection[str] = ()
    first: str = ""
    block: bool = False


STEPS = {
    "archiveArtifacts": Step(
        ["artifacts"], ["allowEmptyArchive", "excludes", "fingerprint"], first="artifacts"
    ),
    "checkout": Step(["scm"], first="scm"),
    "deleteDir": Step(),
    "junit": Step(["testResults"], ["allowEmptyResults"], first="testResults"),
    "mail": Step(["subject", "body"], ["to", "cc", "bcc", "from", "replyTo"]),
    "sh": Step(["script"], ["label", "returnStatus", "returnStdout"], first="script"),
    "sshagent": Step(["credentials"], ["ignoreMissing"], first="credentials", block=True),
}


class JenkinsfileError(Exception):
    """Groovy's own sentence about a file that is no Groovy."""


@dataclass(frozen=True)
class Node:
    """A call, an assignment or any other code of the file."""

    line: int
    name: str = ""
    positional: tuple[Any, ...] = ()
    named: dict[str, Any] | None = None
    body: tuple[Node, ...] | None = None
    assigned: Any = None
    code: str = ""

    @classmethod
    def of(cls, found: dict[str, Any]) -> Node:
        body = found.get("body")
        parts = body if body is None else tuple(cls.of(part) for part in body)
        return cls(**found | {"body": parts, "positional": tuple(found.get("positional", ()))})

    def section(self, name: str) -> Node | None:
        return next((part for part in self.body or () if part.name == name), None)

    def parts(self, name: str) -> tuple[Node, ...]:
        """What stands in a section, nothing where there is none."""
        found = self.section(name)
        return found.body or () if found else ()

    def argument(self, name: str) -> Any:
        """An argument by its name, or the first where the step lets it go without one."""
        if self.positional and STEPS[self.name].first == name:
            return self.positional[0]
        return (self.named or {}).get(name)


def read(path: Path) -> Node:
    """Return the one block of a file; raises JenkinsfileError where Groovy or we can't."""
    return judge_syntax(parse([path])[0])


def parse(paths: list[Path]) -> list[Any]:
    """Return what Groovy makes of each file; to start it once for all of them saves a minute."""
    groovy, java = shutil.which("groovy"), shutil.which("java")
    if not groovy or not java:
        pytest.fail("the Jenkinsfile can't be read without Groovy: apt-get install groovy")
    home = Path(java).resolve().parents[1]
    done = subprocess.run(
        [groovy, HERE / "tree.groovy", *paths],
        env=os.environ | {"JAVA_HOME": str(home)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge_syntax(found: Any) -> Node:
    if "error" in found:
        raise JenkinsfileError(found["error"])
    nodes = [Node.of(part) for part in found]
    if [node.name for node in nodes] != ["pipeline"]:
        raise JenkinsfileError("a declarative Jenkinsfile is one pipeline block")
    return nodes[0]


def faults(pipeline: Node) -> list[str]:
    """Return what Jenkins would refuse, each with its line."""
    return [f"line {node.line}: {text}" for node, text in judge_pipeline(pipeline)]


Faults = Iterator[tuple[Node, str]]


def judge_pipeline(pipeline: Node) -> Faults:
    yield from judge_parts(pipeline, PIPELINE)
    for agent in filter(None, [pipeline.section("agent")]):
        yield from judge_agent(agent)
    yield from judge_names(pipeline, "options", OPTIONS)
    yield from judge_names(pipeline, "parameters", PARAMETERS)
    yield from judge_common(pipeline)
    stages = pipeline.parts("stages")
    yield from judge_stages(pipeline.section("stages"), stages)


def judge_stages(section: Node | None, stages: tuple[Node, ...]) -> Faults:
    if section and not stages:
        yield section, "stages has no stage"
    names = [stage.positional[0].get("value") for stage in stages if stage.positional]
    for stage in stages:
        if stage.name != "stage" or len(stage.positional) != 1 or not stage.body:
            yield stage, f"expected stage('Name') {{ ... }}, found {stage.name or stage.code}"
            continue
        if names.count(stage.positional[0].get("value")) > 1:
            yield stage, "two stages have this name"
        yield from judge_stage(stage)


def judge_stage(stage: Node) -> Faults:
    yield from judge_parts(stage, STAGE)
    does = [part.name for part in stage.body or () if part.name in ("steps", "stages", "parallel")]
    if len(does) != 1:
        yield stage, "a stage has either steps, stages or parallel"
    for steps in filter(None, [stage.section("steps")]):
        yield from judge_steps(steps)
    for section in "stages", "parallel":
        yield from judge_stages(stage.section(section), stage.parts(section))
    yield from judge_names(stage, "options", STAGE_OPTIONS)
    yield from judge_names(stage, "when", WHEN)
    yield from judge_common(stage)


def judge_common(node: Node) -> Faults:
    """Judge what a pipeline and a stage may both have."""
    yield from judge_names(node, "post", POST)
    for condition in node.parts("post"):
        yield from judge_steps(condition)
    for entry in node.parts("environment"):
        if not entry.name.isidentifier() or not entry.assigned:
            yield entry, f"expected NAME = 'value', found {entry.name or entry.code}"


def judge_parts(node: Node, known: str) -> Faults:
    """Judge which sections a pipeline or stage has, and how often."""
    names = [part.name for part in node.body or ()]
    for part in node.body or ():
        if part.name not in known.replace("!", "").split():
            yield part, f"{node.name} has no section {part.name or part.code}"
        elif names.count(part.name) > 1:
            yield part, f"{part.name} stands there twice"
    for name in known.split():
        if name.endswith("!") and name[:-1] not in names:
            yield node, f"{node.name} needs {name[:-1]}"


def judge_names(node: Node, section: str, known: str) -> Faults:
    found = node.section(section)
    if found and not found.body:
        yield found, f"{section} is empty"
    for part in node.parts(section):
        if part.name not in known.split():
            yield part, f"{section} knows no {part.name or part.code}"


def judge_agent(agent: Node) -> Faults:
    words = [value.get("code") for value in agent.positional]
    names = [part.name for part in agent.body or ()]
    if words not in (["any"], ["none"]) and not set(names) & set(AGENT.split()):
        yield agent, "expected agent any, none or { label '...' }"


def judge_steps(section: Node) -> Faults:
    if not section.body:
        yield section, f"{section.name} has no step"
    for step in section.body or ():
        if step.name not in STEPS:
            yield step, f"no plugin of ours has a step {step.name or step.code}"
        else:
            yield from judge_step(step, STEPS[step.name])


def judge_step(step: Node, rule: Step) -> Faults:
    given = {*(step.named or {}), *([rule.first] if step.positional else [])}
    if len(step.positional) > (1 if rule.first else 0):
        yield step, f"{step.name} takes fewer arguments without a name"
    for name in sorted(given - {*rule.required, *rule.allowed}):
        yield step, f"{step.name} has no argument {name}"
    for name in sorted({*rule.required} - given):
        yield step, f"{step.name} needs {name}"
    if rule.block:
        yield from judge_steps(step)
    elif step.body is not None:
        yield step, f"{step.name} takes no block"
