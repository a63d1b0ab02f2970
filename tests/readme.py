"""The commands of README.md, for the tests that run them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def chapter(title: str) -> str:
    """Return the text below a heading, up to the next one of its level."""
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"^(#+) {re.escape(title)}\n", text, re.MULTILINE)
    assert found, title
    end = re.search(rf"^#{{2,{len(found[1])}}} ", text[found.end() :], re.MULTILINE)
    return text[found.end() : found.end() + end.start()] if end else text[found.end() :]


def commands(title: str) -> Iterator[tuple[str, str]]:
    """Yield (command, printed output) of each console block in a chapter."""
    for block in re.findall(r"```console\n(.*?)```", chapter(title), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output
