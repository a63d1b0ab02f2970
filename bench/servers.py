"""Who is measured. Start at `Bench`, which knows how to start each of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.process import Process, free_port
from irisab import config
from irisab.http import listener

ROOT = Path(__file__).parent.parent
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


class Bench:
    """A folder with models, and commands that serve them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = folder / "models"
        # The unit's environment (threads of numpy) for everybody alike.
        self._environ = {
            **_unit_environment(),
            "MODELS": str(self.models),
            "PYTHONPATH": str(ROOT),
        }
        self._started = 0

    def train(self) -> None:
        """Make the two versions that everybody serves."""
        ini = self.write_ini(port=5000, history="none.sqlite3")
        self._irisab(ini, "train")

    def write_ini(
        self, *, port: int, history: str, options: Mapping[str, int] | None = None
    ) -> Path:
        """Write an INI with nothing but paths and port, and [server] options where given."""
        ini = self.folder / f"{history}.ini"
        # A folder of its own: irisab keeps its pid and the last good INI beside the history.
        home = self.folder / Path(history).stem
        home.mkdir(exist_ok=True)
        lines = "".join(f"{name} = {value}\n" for name, value in (options or {}).items())
        ini.write_text(
            f"[server]\nlisten = 127.0.0.1:{port}\n{lines}"
            f"[data]\nmodels = {self.models}\nhistory = {home / history}\n"
        )
        return ini

    def history_of(self, history: str) -> Path:
        return self.folder / Path(history).stem / history

    def _irisab(self, ini: Path, command: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "irisab", "--config", str(ini), command],
            cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, name: str) -> Process:
        """Start one of the contestants; it need not answer yet."""
        port = free_port()
        if name == IRISAB:
            return self.start_irisab(port=port, history=f"history-{self._started}.sqlite3")
        return self._start(self._command(name, port), port)

    def start_irisab(
        self,
        *,
        port: int,
        history: str,
        options: Mapping[str, int] | None = None,
        variant: str = "",
    ) -> Process:
        """Start `irisab serve`; `variant` names a change in peers/variant.py."""
        ini = self.write_ini(port=port, history=history, options=options)
        program = [str(Path(sys.executable).with_name("irisab"))]
        if variant:
            program = [sys.executable, "-m", "bench.peers.variant", variant]
        return self._start([*program, "--config", str(ini), "serve"], port)

    def _start(self, command: list[str], port: int) -> Process:
        self._started += 1
        log = self.folder / f"server-{self._started}.log"
        return Process(command, port, log=log, environ=self._environ)

    def _command(self, name: str, port: int) -> list[str]:
        python = [sys.executable, "-m"]
        settings = listener.adjustments(config.ServerOptions())
        if name == CONSTANT_1:
            settings["threads"] = 1
        constant = [*python, "bench.peers.constant", str(port), ANSWER, json.dumps(settings)]
        return {
            CONSTANT: constant,
            CONSTANT_1: constant,
            FLASK: [*python, "bench.peers.flask_app", "flask", str(port)],
            FLASK_WAITRESS: [*python, "bench.peers.flask_app", "waitress", str(port)],
            FASTAPI: [*python, "uvicorn", "bench.peers.fastapi_app:app", "--port", str(port)]
            + ["--workers", "2", "--log-level", "warning", "--no-access-log"],
        }[name]

    @contextmanager
    def nginx(
        self, ports: Mapping[str, int], *, changes: Mapping[str, tuple[str, str]] | None = None
    ) -> Iterator[dict[str, int]]:
        """Run one nginx per name, configured as on a host; yield its ports. None: no nginx.

        `changes` are, by name, a pattern in nginx.conf and what replaces it.
        """
        found: dict[str, int] = {}
        children = []
        try:
            for name, port in ports.items():
                found[name] = free_port()
                change = (changes or {}).get(name)
                children.append(self._start_nginx(found[name], port, change))
            yield found if all(children) else {}
        finally:
            for child in filter(None, children):
                child.terminate()
                child.wait()

    def _start_nginx(
        self, listen: int, port: int, change: tuple[str, str] | None
    ) -> subprocess.Popen[bytes] | None:
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        if program is None:
            return None
        home = self.folder / f"nginx-{listen}"
        home.mkdir()
        conf = home / "nginx.conf"
        text = (ROOT / "nginx/nginx.conf").read_text()
        if change:
            text, times = re.subn(*change, text, flags=re.MULTILINE)
            assert times == 1, change
        conf.write_text(_for_bench(text, home, listen, port))
        child = subprocess.Popen(
            [program, "-p", str(home), "-c", str(conf), "-g", "daemon off;"],
            stdout=subprocess.DEVNULL, stderr=(home / "log").open("wb"),
        )  # fmt: skip
        time.sleep(0.5)
        if child.poll() is not None:
            raise RuntimeError((home / "log").read_text())
        return child


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
