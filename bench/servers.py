"""Who is measured. Start at `Bench`, which knows how to start each of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.process import Process, free_port
from irisab import config
from irisab.http.listener import adjustments

ROOT = Path(__file__).parent.parent
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
# An answer of irisab to a single row: the constant has this size.
ANSWER = (
    '{"prediction":0,"model_version":"v1","timestamp":"2026-11-23T10:30:45.123Z",'
    '"latency_ms":0.012,"class_name":"setosa","probabilities":[1.0,0.0,0.0],'
    '"request_id":"01a20933e52c73d19388046c9a70908b"}'
)
VERSIONS = ("v1", "v2")
IRISAB = "irisab"
CONSTANT = "waitress, constant"
CONSTANT_1 = "waitress, constant, 1 thread"
FLASK = "Flask"
FLASK_WAITRESS = "Flask on waitress"
FASTAPI = "FastAPI on uvicorn, 2 workers"
PROGRAMS = (IRISAB, CONSTANT, CONSTANT_1, FLASK, FLASK_WAITRESS, FASTAPI)


class Bench:
    """A folder with two trained versions, and the servers that serve them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.models = folder / "models"
        # The unit's environment (threads of numpy) for everybody alike.
        self._environ = _unit_environment() | {"MODELS": str(self.models), "PYTHONPATH": str(ROOT)}
        ini = str(self.write_ini(self.home(), 5000))
        command = [sys.executable, "-m", "irisab", "--config", ini, "train"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    def home(self) -> Path:
        """Make a folder: for one server's history, and the pid and INI that it keeps beside it."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    def write_ini(self, home: Path, port: int, models: Path | None = None) -> Path:
        """Write an INI with nothing but paths and port."""
        ini = home / "irisab.ini"
        ini.write_text(
            f"[server]\nlisten = 127.0.0.1:{port}\n"
            f"[data]\nmodels = {models or self.models}\nhistory = {home}/history.sqlite3\n"
        )
        return ini

    def start(
        self, program: str = IRISAB, *, home: Path | None = None, models: Path | None = None
    ) -> Process:
        """Start one of the programs; it need not answer yet. `home` may have a history."""
        home, port = home or self.home(), free_port()
        command = _commands(port, self.write_ini(home, port, models))[program]
        return Process(command, port, home=home, environ=self._environ)

    def nginx(self, port: int) -> Process:
        """Start nginx before `port`, configured as on a host."""
        home, listen = self.home(), free_port()
        conf = home / "nginx.conf"
        conf.write_text(_for_bench((ROOT / "nginx/nginx.conf").read_text(), home, listen, port))
        command = [str(NGINX), "-p", str(home), "-c", str(conf), "-g", "daemon off;"]
        return Process(command, listen, home=home, environ={})


def _commands(port: int, ini: Path) -> dict[str, list[str]]:
    python = [sys.executable, "-m"]
    # What waitress has for many connections; irisab waits in its own way.
    settings = adjustments(config.ServerOptions()) | {"asyncore_use_poll": True}
    constant = [*python, "bench.peers.constant", str(port), ANSWER]
    flask_app = "bench.peers.flask_app"
    return {
        IRISAB: [str(Path(sys.executable).with_name("irisab")), "--config", str(ini), "serve"],
        CONSTANT: [*constant, json.dumps(settings)],
        CONSTANT_1: [*constant, json.dumps(settings | {"threads": 1})],
        FLASK: [*python, "flask", "--app", flask_app, "run", "--port", str(port)],
        FLASK_WAITRESS: [*python, "waitress", f"--listen=127.0.0.1:{port}", f"{flask_app}:app"],
        FASTAPI: [*python, "uvicorn", "bench.peers.fastapi_app:app", "--port", str(port)]
        + ["--workers", "2", "--log-level", "warning", "--no-access-log"],
    }


def _for_bench(text: str, home: Path, listen: int, port: int) -> str:
    """Turn the host's nginx.conf into one that touches nothing of the host but its programs."""
    for pattern, replacement in (
        (r"^user .*;\n", ""),
        (r"^ *listen \[::\].*;\n", ""),
        (r"^ *include /etc/irisab/.*;\n", ""),
        (r"listen 80\b[^;]*;", f"listen 127.0.0.1:{listen};"),
        (r"127\.0\.0\.1:5000", f"127.0.0.1:{port}"),
        (r"pid [^;]*;", f"pid {home}/pid;"),
        (r"/var/log/nginx/", f"{home}/"),
    ):
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def _unit_environment() -> dict[str, str]:
    unit = ROOT / "systemd/irisab.service"
    lines = re.findall(r"^Environment=(.*)$", unit.read_text(), re.MULTILINE)
    return dict(each.split("=", 1) for line in lines for each in line.split())
