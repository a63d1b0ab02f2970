"""The Jenkinsfile, judged by Groovy and by the rules of declarative pipelines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pages
import pytest
from jenkinsfile import STEPS, JenkinsfileError, Node, faults, judge_syntax, parse, read

ROOT = Path(__file__).parents[2]
JENKINSFILE = ROOT / "Jenkinsfile"


@pytest.fixture(scope="module")
def pipeline() -> Node:
    return read(JENKINSFILE)


def test_jenkins_would_accept_it(pipeline: Node) -> None:
    """No rule of a declarative pipeline is broken."""
    assert faults(pipeline) == []


def test_the_stages_of_a_delivery(pipeline: Node) -> None:
    """From checkout to health check, in this order."""
    names = [stage.positional[0]["value"] for stage in pipeline.parts("stages")]
    assert names == ["Checkout", "Install", "Test", "Train", "Build", "Deploy", "Health"]


def test_everything_it_does_can_be_done_in_a_shell(pipeline: Node) -> None:
    """Each `sh` is one line of make, with targets that the Makefile has."""
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    lines = [step.positional[0]["value"] for step in every(pipeline, "sh")]
    assert len(lines) == 7
    for line in lines:
        make, *words = line.split()
        assert make == "make"
        assert {word for word in words if "=" not in word} <= targets, line


def test_what_keeps_two_builds_and_a_hanging_one_apart(pipeline: Node) -> None:
    """Builds do not overlap, and none runs for ever."""
    assert {"timeout", "disableConcurrentBuilds"} <= {p.name for p in pipeline.parts("options")}


def test_the_document_names_every_plugin(pipeline: Node) -> None:
    """docs/jenkins.md says for each step which plugin has it."""
    text = (ROOT / "docs/jenkins.md").read_text()
    for name in STEPS:
        if any(every(pipeline, name)):
            assert f"`{name}`" in text, name


def test_the_second_job_of_the_document_is_one(tmp_path: Path) -> None:
    """Groovy reads docs/jenkins.md's script, and what it runs is there."""
    (script,) = pages.blocks("docs/jenkins.md", "groovy")
    path = tmp_path / "Jenkinsfile"
    path.write_text(script.text)
    assert "make pins" in [step.positional[0]["value"] for step in every(read(path), "sh")]


def every(node: Node, name: str) -> list[Node]:
    """Every call of that name below a node."""
    below = [found for part in node.body or () for found in every(part, name)]
    return [*([node] if node.name == name else []), *below]


SLIPS = [
    ("    agent { label 'linux' }\n", "", "pipeline needs agent"),
    ("agent { label 'linux' }", "agent { lable 'linux' }", "expected agent any"),
    ("    stages {", "    stagess {", "pipeline has no section stagess"),
    ("            steps {", "            stepz {", "stage has no section stepz"),
    ("    options {\n        timeout", "    option {\n        timeout", "no section option"),
    ("sh 'make install'", "", "steps has no step"),
    ("sh 'make install'", "shell 'make install'", "no plugin of ours has a step shell"),
    ("sh 'make install'", "sh 'make install', 'twice'", "sh takes fewer arguments"),
    ("sh 'make install'", "sh()", "sh needs script"),
    ("sh 'make install'", "if (ok) { sh 'make install' }", "no plugin of ours has a step if"),
    ("fingerprint: true", "fingerprints: true", "archiveArtifacts has no argument fingerprint"),
    ("subject:", "subjects:", "mail needs subject"),
    ("unsuccessful {", "unsuccesful {", "post knows no unsuccesful"),
    ("disableConcurrentBuilds()", "disableConcurentBuilds()", "options knows no disableConcur"),
    ("timeout(time: 30", "disableConcurrentBuilds(time: 30", "options knows no disableConcurr"),
    ("branch 'main'", "brunch 'main'", "when knows no brunch"),
    ("string(name", "strong(name", "parameters knows no strong"),
    ("MAIL_TO = ", "MAIL_TO == ", "expected NAME = 'value'"),
    ("stage('Install')", "stage('Checkout')", "two stages have this name"),
    ("stage('Install')", "step('Install')", "expected stage('Name') { ... }, found step"),
    ("            steps {\n                checkout scm\n            }\n", "", "expected stage"),
]  # fmt: skip
NO_PIPELINES = [
    (JENKINSFILE.read_text().rstrip().removesuffix("}"), "expecting '}'"),
    (JENKINSFILE.read_text().replace("'make install'", "'make install", 1), "expecting '''"),
    ("node { sh 'make' }\n", "one pipeline block"),
]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Groovy makes of each text above."""
    folder = tmp_path_factory.mktemp("slips")
    texts = [slip(old, new) for old, new, _ in SLIPS] + [text for text, _ in NO_PIPELINES]
    paths = [folder / str(number) for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return dict(zip(texts, parse(paths), strict=True))


def slip(old: str, new: str) -> str:
    text = JENKINSFILE.read_text()
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(("old", "new", "fault"), SLIPS)
def test_a_slip_is_found(parsed: dict[str, Any], old: str, new: str, fault: str) -> None:
    """Each is named, with the line it is on."""
    found = faults(judge_syntax(parsed[slip(old, new)]))
    assert any(fault in each for each in found), found
    assert all(re.match(r"line \d+: ", each) for each in found)


@pytest.mark.parametrize(("text", "fault"), NO_PIPELINES)
def test_what_is_no_pipeline_is_refused(parsed: dict[str, Any], text: str, fault: str) -> None:
    """An unbalanced brace or quote, in Groovy's own words; a scripted pipeline."""
    with pytest.raises(JenkinsfileError, match=fault):
        judge_syntax(parsed[text])
