"""Repositories to try things with: this tree as it is now, in commits of their own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
ME = "-c", "user.name=irisab", "-c", "user.email=irisab@example.org"


def git(folder: Path, *words: str) -> str:
    """Run git in a folder and return what it printed; CalledProcessError if it fails."""
    done = subprocess.run(["git", "-C", folder, *ME, *words], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def new_repository(folder: Path) -> Path:
    """Make a repository with one commit: the files of this tree, committed or not."""
    for name in git(ROOT, "ls-files", "-co", "--exclude-standard", "-z").split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "a commit")
    return folder


def commit(folder: Path, name: str, old: str, new: str) -> None:
    """Commit a change: the first `old` in a file becomes `new`."""
    path = folder / name
    text = path.read_text()
    assert old in text, f"{name} has no {old!r}"
    path.write_text(text.replace(old, new, 1))
    git(folder, "commit", "-qam", f"change {name}")
