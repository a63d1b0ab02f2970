"""Commands in messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from irisab.cli.typed import typed


def test_a_command_in_a_message_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the folder where the message is read, it runs irisab with the same INI file."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    command = typed(folder / "my irisab.ini", "check")
    answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert answer.returncode == 2 and "my irisab.ini: cannot be read" in answer.stderr


def test_paths_are_short_where_they_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After make run it is what the README types."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "irisab").touch()
    config = tmp_path / ".run" / "irisab.ini"
    assert typed(config, "train v3") == ".venv/bin/irisab --config .run/irisab.ini train v3"
