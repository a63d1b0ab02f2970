"""The project's Markdown pages, for the tests that do what they say.

What is written behind the fence of a block says who follows it, on whichever page it stands, so
that none can be forgotten. A block for somebody else gets a word more, such as ```sh agent, a line
in FOLLOWED_BY, and a test that takes all blocks with these words.
"""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLLOWED_BY = {
    # What a newcomer types in the source tree, and sees.
    "console": "tests/test_pages.py",
    # A file, which the first line names: `# FILE`.
    "ini": "tests/test_pages.py",
    "python": "tests/test_pages.py",
    # What is typed on a host, or asked of its Prometheus.
    "sh": "tests/host/test_written.py",
    "promql": "tests/host/test_written.py",
    # In a checkout, and on a machine that runs Jenkins; a host is in reach of ssh.
    "sh deploy": "tests/host/test_deploy.py",
    "sh agent": "tests/host/test_deploy.py",
    "groovy": "tests/jenkins/test_jenkinsfile.py",
    # Whom alerts go to, and that they arrive.
    "sh mail": "tests/host/test_told.py",
    "sh test": "tests/host/test_told.py",
    "sh webhook": "tests/host/test_told.py",
    # In terraform/, against a simulation of AWS; on an instance that it made.
    "console terraform": "tests/terraform/test_apply.py",
    "sh instance": "tests/host/test_user_data.py",
}
# What needs an account at AWS or servers of others; a page that has it says so.
UNTRIED = {"sh aws", "sh internet"}
# Pictures and forms; what GitHub draws.
FOR_NOBODY = {"text", "mermaid"}
FENCE = re.compile(r"^( *)(```+|~~~+)(.*)\n((?:.*\n)*?)\1\2$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The path that the first line names; relative to the source tree, or absolute."""
        found = re.match(r"# (\S+)\n", self.text)
        assert found, f"the first line names no file:\n{self.text}"
        return found[1]

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield each command of a console block with what it prints."""
        first, *parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        assert not first and parts, f"no command:\n{self.text}"
        for part in parts:
            command, _, output = part.partition("\n")
            yield command, output


def pages() -> list[str]:
    """Return every page that is, or is about to be, part of the project; README is the first."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    return sorted(found, key=lambda name: (name != "README.md", name))


def course() -> list[str]:
    """Return the chapters of the course, in their order."""
    return [page for page in pages() if re.match(r"docs/course/\d", page)]


def text(page: str) -> str:
    return (ROOT / page).read_text()


def prose(page: str) -> str:
    """Return a page with its fenced blocks blanked out; what is left stands where it stood."""
    return FENCE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text(page))


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the fenced blocks in their order: all, or those of some languages."""
    found = [
        Block(language, textwrap.dedent(body)) for _, _, language, body in FENCE.findall(text(page))
    ]
    return [block for block in found if not languages or block.language in languages]


def typed(page: str) -> list[str]:
    """Return what is typed in the blocks of a page, here or on a host."""
    console = [command for each in blocks(page, "console") for command, _ in each.commands()]
    return console + [line for each in blocks(page, "sh") for line in each.text.splitlines()]


def spans(page: str) -> list[str]:
    """Return what stands `like this` in the sentences and tables of a page."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def titles(page: str, *, level: str = "#+") -> list[str]:
    """Return the headings of a page, or those that begin with just so many `#`."""
    return re.findall(rf"^{level} (.+)$", prose(page), re.MULTILINE)


def chapter(page: str, title: str) -> str:
    """Return the text below a heading, up to the next one of its level or above."""
    (start,) = re.finditer(rf"^(#+) {re.escape(title)}$", prose(page), re.MULTILINE)
    higher = re.compile(rf"^#{{1,{len(start[1])}}} ", re.MULTILINE)
    end = higher.search(prose(page), start.end())
    return text(page)[start.end() : end.start() if end else None]


def anchors(page: str) -> list[str]:
    """Return what `#...` can lead to on a page, as GitHub makes it from the headings."""
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles(page)]


def links(page: str) -> list[str]:
    """Return where a page's links and pictures lead, those to other hosts left out."""
    found = re.findall(r'\]\(([^)\s]+)|(?:src|href)="([^"]+)"', prose(page))
    targets = (markdown or html for markdown, html in found)
    return [target for target in targets if not re.match(r"\w+:", target)]
