"""What the pages have for a host is typed on one, and their queries are asked there."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import sys
import time
from pathlib import Path

import pages
from actions import INSTALL, Installed, query
from bed import TREE, Host, sh
from sklearn.datasets import load_iris

# Not a sentence about a program, but what can be typed. An editor wants a person.
TYPED = re.compile(r"(?!.* edit )(sudo|systemctl|journalctl|curl|df|/opt/\S+) \S")
EXITS = {"drift": {0, 1, 3}, "verdict": {0, 1, 3, 4}, "status": {0, 1, 3, 4}}


def test_every_block_for_a_host_does_its_work(debian: Installed, tmp_path: Path) -> None:
    """From the copy of a newer tree to the way back, as the pages have it from top to bottom."""
    host = debian.host
    newer = newer_tree(tmp_path / "irisab")
    sh(sys.executable, "delivery/release.py", cwd=newer)
    for file in newer.glob("build/irisab-*.tar.gz*"):
        shutil.copy(file, host.root / "root")
    give_flowers(host, "root/new.csv")
    blocks = [block for page in pages.pages() for block in pages.blocks(page, "sh")]
    assert len(blocks) >= 6
    for block in blocks:
        if "ADDRESS" in block.text:
            on_my_own_machine(host, newer, block.text)
        else:
            host.run(f"set -euo pipefail\n{block.text}")
    host.run("printf '[split]\\nv1 = 50\\nv2 = 50\\n' >/etc/irisab.ini; systemctl reload irisab")


def newer_tree(folder: Path) -> Path:
    """A clone with a commit more than the release that runs."""
    sh("git", "clone", "--quiet", TREE, folder)
    with (folder / "irisab/__init__.py").open("a") as file:
        file.write("# a newer release\n")
    somebody = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    sh("git", "-C", folder, *somebody, "commit", "--quiet", "--all", "--message=newer")
    return folder


def give_flowers(host: Host, path: str) -> None:
    """Labelled data of one's own, with the columns and classes of what serves."""
    iris = load_iris()
    with (host.root / path).open("w") as file:
        write = csv.writer(file).writerow
        write([*iris.feature_names, "species"])
        for row, target in zip(iris.data, iris.target, strict=True):
            write([*row, iris.target_names[target]])


def on_my_own_machine(host: Host, tree: Path, text: str) -> None:
    """Type it in the tree; what ssh does, a shell on the host does, with the same words."""
    there = shlex.join(host.command("")[:-1])
    ssh = f'ssh() {{ shift; [[ ! $* ]] || {there} "$*"; }}'
    text = text.replace("ADDRESS", host.address)
    sh("bash", "-c", f"set -euo pipefail\n{ssh}\n{text}", cwd=tree)


def test_every_command_in_a_sentence_runs(debian: Installed) -> None:
    """Those of the daily table, of troubleshooting and of each alert exit 0 on a healthy host."""
    host = debian.host
    host.run(INSTALL)
    commands = {
        span
        for page in ("docs/operate.md", "docs/alerts.md")
        for span in pages.spans(page)
        if TYPED.match(span)
    }
    assert len(commands) >= 25
    for command in sorted(commands):
        codes = EXITS.get(command.rpartition(" ")[2], {0})
        deadline = time.monotonic() + 30
        while host.code(f"cd /tmp && {command}") not in codes:
            assert time.monotonic() < deadline, command


def test_every_query_of_the_pages_runs(debian: Installed) -> None:
    """Each is understood by the real server; those without labels in play have an answer."""
    text = "\n".join(block.text for page in pages.pages() for block in pages.blocks(page, "promql"))
    queries = re.findall(r"(?m)^(?!#)(.+)$", text)
    assert len(queries) >= 8
    for expression in queries:
        assert query(debian.host, expression) != [], expression
