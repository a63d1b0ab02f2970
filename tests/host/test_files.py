"""What can be said of the files without a host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bed import TREE

AMAZON = "make-image", "make-packages"
SCRIPTS = ["bootstrap.sh", "bin/irisab", "delivery/host", "delivery/on-host", ".ci/run",
           *(f"tests/host/amazon/{name}" for name in AMAZON)]  # fmt: skip


def needs(tool: str) -> str:
    """The path of a tool; without it the test is skipped, loudly."""
    if not (found := shutil.which(tool)):
        pytest.skip(f"THE FILES WERE NOT CHECKED: need {tool}")
    return found


def test_shell_scripts_are_sound() -> None:
    """shellcheck finds nothing."""
    subprocess.run([needs("shellcheck"), *SCRIPTS], cwd=TREE, check=True)


def test_nginx_has_no_known_weakness(tmp_path: Path) -> None:
    """gixy finds nothing, with HTTPS and without."""
    text = (TREE / "nginx/nginx.conf").read_text()
    for name in "none", TREE / "nginx/tls.conf":
        config = tmp_path / "nginx.conf"
        config.write_text(text.replace("/etc/irisab/tls*.conf", str(name)))
        done = subprocess.run(
            [Path(sys.executable).with_name("gixy"), config], text=True, capture_output=True
        )
        assert "No issues found" in done.stdout


def test_units_share_one_sandbox() -> None:
    """What locks one unit down locks down all; only the network differs."""
    found = {
        unit.name: set(
            re.findall(r"(?m)^(?!IPAddress)\w+=.*", unit.read_text().split("Sandbox")[1])
        )
        for unit in TREE.glob("systemd/*.service")
    }
    sandboxes = {name: lines - {"WantedBy=multi-user.target"} for name, lines in found.items()}
    assert len(sandboxes) == 7
    assert all(lines == sandboxes["irisab.service"] for lines in sandboxes.values()), sandboxes


def test_every_failure_raises_the_alert() -> None:
    """All units but the alert itself say what happens when they fail."""
    for unit in filter(Path.is_file, TREE.glob("systemd/**/*")):
        expected = "alert@" not in unit.name
        assert ("OnFailure=irisab-alert@%n.service" in unit.read_text()) == expected, unit
