"""A service as tests use it: in process behind wsgiref's validator, or as a real process."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from random import SystemRandom
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from irisab import invocation
from irisab.http.app import App
from irisab.serving import snapshot
from irisab.serving.metrics import Metrics
from irisab.serving.service import Service
from irisab.store.history import History
from irisab.store.recorder import Recorder

ROW = [5.1, 3.5, 1.4, 0.2]


class Answer:
    """What the app answered."""

    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = int(status.split()[0])
        self.headers = dict(headers)
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Calls a WSGI application as a server would, and checks both sides of PEP 3333."""

    def __init__(self, app: Any) -> None:
        self._app = validator(app)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        content_type: str | None = "application/json",
        headers: Mapping[str, str] | None = None,
        environ: Mapping[str, Any] | None = None,
    ) -> Answer:
        request: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SCRIPT_NAME": "",
        }
        setup_testing_defaults(request)
        request["wsgi.input"] = io.BytesIO(body or b"")
        if body is not None:
            request["CONTENT_LENGTH"] = str(len(body))
            if content_type is not None:
                request["CONTENT_TYPE"] = content_type
        for name, value in (headers or {}).items():
            request[f"HTTP_{name.upper().replace('-', '_')}"] = value
        return self._call(request | dict(environ or {}))

    def _call(self, environ: dict[str, Any]) -> Answer:
        started: list[Any] = []

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[..., Any]:
            started.append((status, headers))
            return lambda data: None

        result = self._app(environ, start_response)
        body = b"".join(result)
        result.close()
        (status, headers) = started[0]
        return Answer(status, headers, body)

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, value: Any, **options: Any) -> Answer:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.request("POST", path, body, **options)


class Served:
    """A service in this process, with its own history."""

    def __init__(self, config: Path) -> None:
        found = snapshot.build(config)
        self.config = config
        self.history = History(found.config.data.history)
        self.recorder = Recorder(found.config.data.history, keep_rows=found.config.data.keep_rows)
        self.metrics = Metrics()
        self.service = Service(
            found, history=self.history, recorder=self.recorder, metrics=self.metrics
        )
        self.app = App(self.service, command=invocation.prefix(config))
        self.client = Client(self.app)

    def predict(self, features: Any = ROW, **options: Any) -> Any:
        """Predict and return the answer, which must be a 200."""
        answer = self.client.post("/predict", {"features": features, **options})
        assert answer.status == 200, answer.body
        return answer.json

    def flush(self) -> bool:
        """Write all that was answered, as the recorder's thread does twenty times a second.

        On a busy machine the shadow may have taken a request to its own thread.
        """
        deadline = time.monotonic() + 20
        while self.service.pending:
            assert time.monotonic() < deadline, "the shadow does not come to an end"
            time.sleep(0.001)
        return self.recorder.flush()

    def reload(self) -> None:
        self.service.swap(snapshot.build(self.config))
        self.app.lock()

    def sample(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(name, labels)
        assert value is not None, (name, labels)
        return value

    def close(self) -> None:
        self.service.close()
        self.recorder.close()
        self.history.close()


def replace_model(served: Served, version: str, model: Any) -> None:
    """Replace a served model, as a library at odds with it would."""
    found = served.service.snapshot.bundles[version]
    object.__setattr__(found, "model", model)
    served.service.swap(served.service.snapshot)


def write_config(folder: Path, models: Path, text: str = "", **server: object) -> Path:
    """Write an INI file that keeps everything in `folder`."""
    options = "\n".join(f"{name} = {value}" for name, value in server.items())
    path = folder / "irisab.ini"
    path.write_text(f"[server]\n{options}\n[data]\nmodels = {models}\nhistory = h.sqlite3\n{text}")
    return path


def free_port() -> int:
    """Return a port that nobody has, nor another run of the tests that is under way.

    Not one of those that the kernel deals out: it might deal it out again before it is used.
    """
    while True:
        port = SystemRandom().randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _claim(port)
            return port


def _claim(port: int) -> None:
    """Take a name that only one process can have: unix(7), abstract sockets; raises `OSError`."""
    with socket.socket(socket.AF_UNIX) as claim:
        claim.bind(f"\0irisab-port-{port}")
        _CLAIMS.append(claim.detach())
    if len(_CLAIMS) > 100:  # it is bound long since
        os.close(_CLAIMS.popleft())


# Descriptors, that nobody collects.
_CLAIMS: deque[int] = deque()


class Process:
    """`irisab serve` as a process of its own."""

    def __init__(
        self,
        config: Path,
        port: int,
        listener: socket.socket | None = None,
        *,
        before: Sequence[str] = (),
    ) -> None:
        self.config = config
        self.port = port
        self.log = config.with_suffix(".log")
        fds = [listener.fileno()] if listener else []
        launcher = [sys.executable, "-c", _ACTIVATE, str(fds[0])] if fds else before
        with self.log.open("ab") as log:
            # In a process group of its own: where a group with a stopped process is left by its
            # last parent outside, the kernel hangs up on all of it, and so on whoever runs tests.
            self._child = subprocess.Popen(
                [*launcher, *irisab(config, "serve")], stderr=log, stdout=log, pass_fds=fds,
                process_group=0,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 90  # seconds; with all processors busy 20 were too few
        while time.monotonic() < deadline:
            try:
                if self.get("/health").status == 200:
                    return
            except OSError:
                assert self._child.poll() is None, self.log.read_text()
                time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def connect(self, timeout: float = 20) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path: str) -> Answer:
        return self._request("GET", path, None)

    def post(self, path: str, value: Any) -> Answer:
        return self._request("POST", path, json.dumps(value).encode())

    def _request(self, method: str, path: str, body: bytes | None) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            data = response.read()
            return Answer(str(response.status), response.getheaders(), data)
        finally:
            connection.close()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another command with the same INI file."""
        return subprocess.run(
            irisab(self.config, *command), capture_output=True, text=True, timeout=90, check=False
        )

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the process: what is sent meanwhile comes to it at once, however busy we are."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    @contextmanager
    def accepted(self, count: int) -> Iterator[list[HTTPConnection]]:
        """Make connections that the service has accepted, and close them."""
        with ExitStack() as stack:
            connections = [stack.enter_context(closing(self.connect())) for _ in range(count)]
            for connection in connections:  # an answer shows that it was accepted
                connection.request("GET", "/health")
                connection.getresponse().read()
            yield connections

    def wait(self, timeout: float = 90) -> int:
        return self._child.wait(timeout)

    def stop(self) -> int:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        try:
            return self.wait()
        finally:
            if self._child.poll() is None:
                self._child.kill()
                self._child.wait()


# Start a program as systemd does: socket on descriptor 3, LISTEN_PID its own.
_ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def irisab(config: Path, *command: str) -> list[str]:
    return [sys.executable, "-m", "irisab", "--config", str(config), *command]


@contextmanager
def running(
    config: Path,
    port: int,
    listener: socket.socket | None = None,
    *,
    before: Sequence[str] = (),
) -> Iterator[Process]:
    """Start `irisab serve`, wait until it answers, and stop it at the end.

    `before` are words to start it with, such as env and a variable.
    """
    process = Process(config, port, listener, before=before)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()


def recorded(process: Process, count: int) -> list[str]:
    """Predict, and return the request ids but the last, which has a label: all are on the disk."""
    ids = [process.post("/predict", {"features": ROW}).json["request_id"] for _ in range(count)]
    label = {"request_id": ids[-1], "label": 0}
    assert process.post("/feedback", label).json == {"status": "matched"}
    return ids[:-1]


def replace_in(path: Path, old: str, new: str) -> None:
    """Edit a file the way an editor does: whole, and in one step."""
    text = path.read_text()
    assert old in text
    edited = path.with_name(path.name + ".new")
    edited.write_text(text.replace(old, new))
    os.replace(edited, path)
