"""A real nginx with our nginx.conf, on loopback, before a stand-in that has every path."""

from __future__ import annotations

import base64
import http.client
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bed import TREE
from processes import free_port


def needs(tool: str) -> str:
    """The path of a tool; without it the test is skipped, loudly."""
    if not (found := shutil.which(tool)):
        pytest.skip(f"THE FILES WERE NOT CHECKED: need {tool}")
    return found


class Behind(BaseHTTPRequestHandler):
    """Stands where Streamlit, Prometheus and the API do; opens whatever asks to be a websocket."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.close_connection = True
            while self.connection.recv(4096):
                pass  # until the browser leaves
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@dataclass
class Front:
    """The door, and how to knock at it as a client from any address."""

    port: int
    password: str
    log: Path  # of its errors and warnings

    def ask(
        self,
        path: str,
        *,
        by: str = "127.0.0.1",
        method: str = "GET",
        body: bytes | None = None,
        password: str = "",
        **headers: str,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, header and body of one answer; `X_Y=` is the header X-Y."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if password:
            login = base64.b64encode(f"irisab:{password}".encode()).decode()
            named["Authorization"] = f"Basic {login}"
        try:
            line.request(method, path, body, {"X-Test-Client": by} | named)
            answer = line.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            line.close()

    def status(self, path: str, **options: Any) -> int:
        return self.ask(path, **options)[0]

    def open(self, by: str, *lines: str) -> socket.socket:
        """A connection on which a request has begun: these lines, with the client's address."""
        line = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = [lines[0], "Host: localhost", f"X-Test-Client: {by}", *lines[1:]]
        line.sendall("\r\n".join([*head, "", ""]).encode())
        return line


@contextmanager
def front(folder: Path, *, keys: bool = False, origin: str = "") -> Iterator[Front]:
    """Run nginx, with the file that `bootstrap.sh --keys` puts there, and for pages of a site."""
    port, password = free_port(), "opensesame"
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Behind)
    behind.daemon_threads, behind.request_queue_size = True, 1024
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    (folder / "htpasswd").write_text(f"irisab:{{PLAIN}}{password}\n")
    if keys:
        text = (TREE / "nginx/page.conf").read_text()
        (folder / "page.conf").write_text(text.replace("/etc/irisab", str(folder)))
    config = folder / "nginx.conf"
    text = configured(folder, port, behind.server_port)
    config.write_text(text.replace("#https://app.example.org", origin) if origin else text)
    started = [needs("nginx"), "-e", folder / "early.log", "-c", config]
    with subprocess.Popen(started) as nginx:
        try:
            yield Front(wait_for(port, nginx), password, folder / "error.log")
        finally:
            nginx.terminate()
            nginx.wait()
            behind.shutdown()
            behind.server_close()


def configured(folder: Path, port: int, behind: int) -> str:
    """Our nginx.conf as it can run here.

    A client says in a header from which address it comes, and what limits forgive in a second they
    forgive in many, so that a slow machine counts as a quick one does; patience is as long.
    """
    text = re.sub(r"rate=\d+r/s", "rate=30r/m", (TREE / "nginx/nginx.conf").read_text())
    # Of a hundred none may be.
    text = text.replace("1% 1;", "10% 1;")
    whence = "set_real_ip_from 127.0.0.1; real_ip_header X-Test-Client;"
    for old, new in (
        ("user nginx;", "user root; daemon off;"),
        ("/run/nginx.pid", f"{folder}/pid"),
        ("client_body_timeout 10s", "client_body_timeout 10m"),
        ("/var/log/nginx", str(folder)),
        ("listen 80 default_server;", f"listen 127.0.0.1:{port}; {whence}"),
        ("listen [::]:80 default_server;", f"client_body_temp_path {folder}/bodies;"),
        ("/etc/irisab/", f"{folder}/"),
        ("127.0.0.1:5000", f"127.0.0.1:{behind}"),
        ("127.0.0.1:8501", f"127.0.0.1:{behind}"),
        ("127.0.0.1:9090", f"127.0.0.1:{behind}"),
        ("127.0.0.1:9093", f"127.0.0.1:{behind}"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


def wait_for(port: int, nginx: subprocess.Popen[bytes]) -> int:
    """Return the port once somebody listens there."""
    while nginx.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
        time.sleep(0.02)
    raise AssertionError(f"nginx ended with {nginx.returncode}")
