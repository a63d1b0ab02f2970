"""What can be said of the files without a host."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bed import TREE
from processes import free_port

AMAZON = "make-image", "make-packages"
SCRIPTS = ["bootstrap.sh", "bin/irisab", "bin/irisab-failed", "delivery/host", "delivery/on-host",
           ".ci/run", *(f"tests/host/amazon/{name}" for name in AMAZON)]  # fmt: skip


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


class Page(BaseHTTPRequestHandler):
    """Stands behind nginx where Streamlit does, and has every path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def front_door(tmp_path: Path) -> Iterator[int]:
    """The port of a real nginx with our nginx.conf, on loopback, before a page that has all."""
    port = free_port()
    page = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    config, text = tmp_path / "nginx.conf", (TREE / "nginx/nginx.conf").read_text()
    for old, new in (
        ("user nginx;", "user root; daemon off;"),
        ("/run/nginx.pid", f"{tmp_path}/pid"),
        ("/var/log/nginx", str(tmp_path)),
        ("listen 80 default_server;", f"listen 127.0.0.1:{port};"),
        ("listen [::]:80 default_server;", ""),
        ("/etc/irisab/tls*.conf", f"{tmp_path}/tls*.conf"),
        ("127.0.0.1:8501", f"127.0.0.1:{page.server_port}"),
    ):
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
    started = [needs("nginx"), "-e", tmp_path / "early.log", "-c", config]
    with subprocess.Popen(started) as nginx:
        try:
            yield wait_for(port, nginx)
        finally:
            nginx.terminate()
            page.shutdown()
            page.server_close()


def wait_for(port: int, nginx: subprocess.Popen[bytes]) -> int:
    """Return the port once somebody listens there."""
    while nginx.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
        time.sleep(0.02)
    raise AssertionError(f"nginx ended with {nginx.returncode}")


def status_of(port: int, path: str) -> int:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def test_outsiders_reach_of_the_page_what_a_browser_asks_for(front_door: int) -> None:
    """Streamlit's metrics, uploads and interface for programs are closed, however spelled."""
    opened = ["/", "/drift", "/static/js/index.js", "/_stcore/stream", "/_stcore/health",
              "/_stcore/host-config", "/_stcore/bidi-components/pulse/index.js"]  # fmt: skip
    closed = ["/_stcore/metrics", "/_stcore/metrics/", "/_stcore//metrics", "/%5Fstcore/metrics",
              "/_stcore/health/../metrics", "/drift/_stcore/metrics", "/_stcore/healthy",
              "/_stcore/upload_file/a/b", "/_stcore/agent/interact", "/_stcore/agent/mcp",
              "/_stcore/message", "/_stcore", "/_stcore/"]  # fmt: skip
    assert {path: status_of(front_door, path) for path in opened} == dict.fromkeys(opened, 200)
    assert {path: status_of(front_door, path) for path in closed} == dict.fromkeys(closed, 404)


def test_units_share_one_sandbox() -> None:
    """What locks one unit down locks down all; only the network differs."""
    found = {
        unit.name: set(
            re.findall(r"(?m)^(?!IPAddress)\w+=.*", unit.read_text().split("Sandbox")[1])
        )
        for unit in TREE.glob("systemd/*.service")
    }
    sandboxes = {name: lines - {"WantedBy=multi-user.target"} for name, lines in found.items()}
    assert len(sandboxes) == 9
    assert all(lines == sandboxes["irisab.service"] for lines in sandboxes.values()), sandboxes


def test_every_failure_raises_the_alert() -> None:
    """All units but those of the alert itself say what happens when they fail."""
    for unit in filter(Path.is_file, TREE.glob("systemd/**/*")):
        expected = "alert@" not in unit.name and "failed@" not in unit.name
        assert ("OnFailure=irisab-alert@%n.service" in unit.read_text()) == expected, unit
