"""What can be said of the files without a host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bed import TREE
from front import Front, needs

AMAZON = "make-image", "make-packages"
SCRIPTS = ["bootstrap.sh", "bin/irisab", "delivery/host", "delivery/on-host", ".ci/run",
           *(f"tests/host/amazon/{name}" for name in AMAZON)]  # fmt: skip


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


def test_outsiders_reach_of_the_page_what_a_browser_asks_for(front_door: Front) -> None:
    """Streamlit's metrics, uploads and interface for programs are closed, however spelled."""
    opened = ["/", "/drift", "/static/js/index.js", "/_stcore/stream", "/_stcore/health",
              "/_stcore/host-config", "/_stcore/bidi-components/pulse/index.js"]  # fmt: skip
    closed = ["/_stcore/metrics", "/_stcore/metrics/", "/_stcore//metrics", "/%5Fstcore/metrics",
              "/_stcore/health/../metrics", "/drift/_stcore/metrics", "/_stcore/healthy",
              "/_stcore/upload_file/a/b", "/_stcore/agent/interact", "/_stcore/agent/mcp",
              "/_stcore/message", "/_stcore", "/_stcore/"]  # fmt: skip
    assert {path: front_door.status(path) for path in opened} == dict.fromkeys(opened, 200)
    assert {path: front_door.status(path) for path in closed} == dict.fromkeys(closed, 404)


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
