"""Real processes and sockets: reload under load, drain, last-good.ini, crash."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import re
import resource
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse, NotConnected
from pathlib import Path
from typing import Any

import pytest
from processes import (
    ROW,
    Process,
    free_port,
    irisab,
    recorded,
    replace_in,
    running,
    write_config,
)
from sklearn.tree import DecisionTreeClassifier
from slow import Slow
from traffic import wait_until

from irisab.errors import ReloadRefused
from irisab.http.handshake import Handshake
from irisab.lifecycle import training
from irisab.lifecycle.dataset import load_iris
from irisab.model import publish
from irisab.model.bundle import FOREST, MANIFEST, PICKLE

# The pickle of a slow model is of a class that stands in tests/.
FIND_SLOW = ("env", f"PYTHONPATH={Path(__file__).parents[1]}")
BODY = json.dumps({"features": ROW}).encode()
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def models(tmp_path: Path, iris_models: Path) -> Path:
    """A copy of the bundles, to be damaged."""
    return Path(shutil.copytree(iris_models, tmp_path / "models", symlinks=True))


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def config(tmp_path: Path, models: Path, port: int) -> Path:
    split = "[split]\nv1 = 50\nv2 = 50\n"
    return write_config(tmp_path, models, split, listen=f"127.0.0.1:{port}")


def get(connection: HTTPConnection) -> int:
    connection.request("GET", "/health")
    response = connection.getresponse()
    response.read()
    return response.status


class Load:
    """Keep-alive clients that predict until they are told to stop."""

    def __init__(self, process: Process, *, connections: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self._process = process
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(connections)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = self._process.connect()
        deadline = time.monotonic() + 300
        while not self._stop.is_set() and time.monotonic() < deadline:
            try:
                connection.request("POST", "/predict", BODY, JSON)
                response = connection.getresponse()
                response.read()
                self.statuses[response.status] += 1
            except OSError as error:
                self.failures.append(repr(error))
            time.sleep(0.002)
        connection.close()


def counters(process: Process) -> dict[str, float]:
    lines = process.get("/metrics").body.decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {
        name: float(value)
        for name, value in pairs
        if "_total" in name or "_count" in name or "_bucket" in name
    }


def versions_of_users(process: Process) -> list[str]:
    rows = ({"features": ROW, "user_id": f"user-{number}"} for number in range(50))
    return [process.post("/predict", row).json["model_version"] for row in rows]


@pytest.mark.slow
def test_reloads_under_load_lose_nothing(config: Path, port: int, models: Path) -> None:
    """40 reloads under 8 connections, a quarter of them refused: every answer is a 200."""
    good = (50, 50)
    spoilt = models / "v2" / "current" / "forest.npz"
    intact = spoilt.read_bytes()
    with running(config, port) as process, Load(process, connections=8) as load:
        before = counters(process)
        for number in range(40):
            share = random.Random(number).randrange(101)
            text = config.read_text()
            line = f"v1 = {good[0]}\nv2 = {good[1]}\n"
            if number % 8 == 3:
                config.write_text(text.replace(line, "v1 = 60\nv2 = 50\n"))
            elif number % 8 == 7:
                spoilt.write_bytes(intact[:-100] + bytes(100))
            else:
                config.write_text(text.replace(line, f"v1 = {share}\nv2 = {100 - share}\n"))
                good = (share, 100 - share)
            refused = number % 4 == 3
            if refused:
                users, answered = versions_of_users(process), load.statuses[200]
                outcome = process.run("reload")
                assert load.statuses[200] > answered
                assert outcome.returncode == 2, outcome.stderr
            else:
                Handshake(config.parent).reload()
            assert process.get("/config").json["split"] == {"v1": good[0], "v2": good[1]}
            health = process.get("/health")
            assert health.status == 200 and health.json["reload"]["ok"] is not refused
            now = counters(process)
            assert all(now[name] >= value for name, value in before.items())
            before = now
            gauge = f"config_last_reload_successful {float(not refused)}"
            assert gauge in process.get("/metrics").body.decode()
            if refused:
                assert health.json["reload"]["error"].startswith("[split] was refused; ")
                reason = outcome.stderr.removeprefix("irisab: ").partition(" (the old")[0]
                assert "[split] v" in reason and reason in process.log.read_text()
                assert versions_of_users(process) == users
                config.write_text(text)
                spoilt.write_bytes(intact)
    assert load.failures == []
    assert set(load.statuses) == {200} and load.statuses[200] > 1000


def test_a_restart_on_a_broken_ini_serves_the_last_good_one(config: Path, port: int) -> None:
    """A typo must not become an outage: last-good.ini serves, and /health says so."""
    with running(config, port) as process:
        revision = process.get("/health").json["revision"]
    replace_in(config, "v1 = 50", "v1 = 51")
    with running(config, port) as process:
        health = process.get("/health")
        assert health.status == 200 and health.json["revision"] == revision
        assert health.json["reload"]["ok"] is False
        assert health.json["reload"]["error"].startswith("[split] was refused; ")
        assert "[split] v1 = 51, v2 = 50" in process.log.read_text()
        assert "config_last_reload_successful 0.0" in process.get("/metrics").body.decode()
        assert "last good configuration" in process.log.read_text()
        replace_in(config, "v1 = 51", "v1 = 50")
        assert process.run("reload").returncode == 0
        assert process.get("/health").json["reload"]["ok"] is True


def test_a_restart_on_a_damaged_bundle_serves_the_last_good_one(
    config: Path, port: int, models: Path
) -> None:
    """A training that went wrong is no outage either: the bundles that were accepted serve on."""
    with running(config, port) as process:
        revision = process.get("/health").json["revision"]
    current = models / "v2" / "current"
    shutil.copytree(current, models / "v2" / "0123456789ab")
    current.unlink()
    current.symlink_to("0123456789ab")
    with running(config, port) as process:
        health = process.get("/health").json
        assert health["revision"] == revision
        assert health["reload"]["error"].startswith("[split] was refused; ")
        assert "is not the manifest" in process.log.read_text()
        assert process.run("reload").returncode == 2
        assert process.get("/health").json["revision"] == revision


def test_a_version_that_has_left_leaves_no_link(config: Path, port: int) -> None:
    """The folder of what was accepted last has that, and no more."""
    with running(config, port) as process:
        folder = config.parent / "last-good"
        assert {each.name for each in folder.iterdir()} == {"v1", "v2"}
        replace_in(config, "v1 = 50\nv2 = 50\n", "v2 = 100\n")
        assert process.run("reload").returncode == 0
        assert [each.name for each in folder.iterdir()] == ["v2"]


def changed(models: Path, version: str, pickled: bytes | None = None, **says: object) -> None:
    """Make a bundle current that differs in its manifest, and is served from this pickle."""
    folder = models / version / "current"
    files = {each.name: each.read_bytes() for each in folder.iterdir()}
    manifest = json.loads(files[MANIFEST]) | says
    if pickled is not None:
        del files[FOREST], manifest["files"][FOREST], manifest["memory"]
        files[PICKLE] = pickled
        manifest["files"][PICKLE] = hashlib.sha256(pickled).hexdigest()
    publish.put(models, version, {**files, MANIFEST: json.dumps(manifest).encode()})


def test_what_does_not_fit_into_memory_is_refused_and_changes_nothing(
    config: Path, port: int, models: Path
) -> None:
    """By check and reload, before it is loaded; a restart then serves the last good one."""
    with running(config, port) as process:
        revision = process.get("/health").json["revision"]
        changed(models, "v2", memory={"loading": 3 << 50, "serving": 2 << 50})
        for command in ("check", "reload"):
            done = process.run(command)
            assert done.returncode == 2, done.stdout
            assert re.search(r"\[split\] v1, v2: needs about 32212\d+ MB of memory", done.stderr)
            assert re.search(r"has \d+ MB left of its \d+ MB", done.stderr)
        assert process.get("/health").json["revision"] == revision
    with running(config, port) as process:
        health = process.get("/health").json
        assert health["revision"] == revision and not health["reload"]["ok"]
        assert "needs about" in process.log.read_text()


def test_a_start_that_does_not_fit_is_refused(config: Path, port: int, models: Path) -> None:
    """Without an earlier configuration the exit code tells systemd that trying again is no use."""
    changed(models, "v2", memory={"loading": 3 << 50, "serving": 2 << 50})
    process = Process(config, port)
    assert process.wait() == 2
    assert "needs about" in process.log.read_text()


@pytest.mark.slow
def test_a_start_that_is_killed_again_and_again_serves_the_last_good_one(
    config: Path, port: int, models: Path
) -> None:
    """The kernel gives no reason when it ends a process for its memory: three times is enough."""
    with running(config, port) as process:
        revision = process.get("/health").json["revision"]
    # Unpickled, it is os.kill(os.getpid(), 9).
    changed(models, "v2", b"cposix\nkill\n(cposix\ngetpid\n(tRI9\ntR.")
    for _ in range(3):
        assert Process(config, port).wait() == -signal.SIGKILL
    with running(config, port) as process:
        health = process.get("/health").json
        assert health["revision"] == revision and not health["reload"]["ok"]
        assert "the last 3 starts were killed" in process.log.read_text()
        tree = DecisionTreeClassifier(random_state=0)
        training.fit(models, "v2", load_iris(), estimator=tree, force=True)
    with running(config, port) as process:
        assert process.get("/health").json["reload"]["ok"] is True
    assert not (config.parent / "irisab.starting").exists()


def test_the_last_good_ini_takes_the_newest_bundles_where_its_own_are_gone(
    config: Path, port: int, tmp_path: Path
) -> None:
    """Bundles are kept for three trainings; an older model is no reason for an outage."""
    with running(config, port) as process:
        revision = process.get("/health").json["revision"]
    shutil.rmtree(tmp_path / "last-good")
    replace_in(config, "v1 = 50", "v1 = 51")
    with running(config, port) as process:
        health = process.get("/health").json
        assert health["revision"] == revision and health["reload"]["ok"] is False


def test_an_unreadable_ini_finds_the_last_good_one(config: Path, port: int) -> None:
    """Even where the INI does not parse, its history line leads to last-good.ini."""
    with running(config, port):
        pass
    config.write_text("v1 = 50\n" + config.read_text())
    with running(config, port) as process:
        error = process.get("/health").json["reload"]["error"]
        assert error.startswith("the configuration, or a model of it, was refused; ")
        assert "stands before any [section]" in process.log.read_text()


def test_a_secret_in_the_wrong_line_is_not_published(config: Path, port: int) -> None:
    """/health and the page say where; the journal and `irisab reload` say what, to the operator."""
    with running(config, port) as process:
        with config.open("a") as file:
            file.write("[training]\ntask = hunter2\n")
        refused = process.run("reload")
        assert refused.returncode == 2 and "hunter2" in refused.stderr
        assert "hunter2" in process.log.read_text()
        paths = ("/health", "/config", "/report", "/versions", "/metrics", "/openapi.json")
        assert not [path for path in paths if b"hunter2" in process.get(path).body]
        assert b"[training] task was refused" in process.get("/versions").body
        error = process.get("/health").json["reload"]["error"]
        assert error.startswith("[training] task was refused; ")


def test_a_first_start_on_a_broken_ini_exits_2(config: Path, port: int) -> None:
    """Without an accepted INI before, serve exits 2 with one sentence."""
    replace_in(config, "v1 = 50", "v1 = fifty")
    process = Process(config, port)
    assert process.wait() == 2
    lines = process.log.read_text().splitlines()
    assert lines == [
        f"irisab: {config}: [split] v1 = fifty: must be a percentage such as 50 or 33.3"
    ]


def test_a_port_in_use_is_explained(config: Path, port: int) -> None:
    """A second service on the port says which option and what to do."""
    with socket.create_server(("127.0.0.1", port)):
        process = Process(config, port)
        assert process.wait() == 2
    assert "another program has the port" in process.log.read_text()


def test_two_services_do_not_share_a_history(config: Path, port: int, tmp_path: Path) -> None:
    """A second service on the same history is refused, and the first serves on."""
    other = tmp_path / "other.ini"
    other_port = free_port()
    other.write_text(config.read_text().replace(str(port), str(other_port)))
    with running(config, port) as process:
        second = Process(other, other_port)
        assert second.wait() == 2
        assert "another irisab serves from there" in second.log.read_text()
        assert process.post("/predict", {"features": ROW}).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_was_accepted(number: signal.Signals, config: Path, port: int) -> None:
    """After SIGTERM or Ctrl-C what was accepted is answered, however long it is; exit 0."""
    rows = json.dumps({"features": [ROW] * 1000}).encode()
    with running(config, port) as process, process.accepted(30) as connections:
        with process.held():
            for connection in connections:
                connection.request("POST", "/predict", rows, JSON)
            process.signal(number)
        answers = [connection.getresponse() for connection in connections]
        assert [answer.status for answer in answers] == [200] * 30
        assert all(len(json.loads(each.read())["predictions"]) == 1000 for each in answers)
        assert process.wait() == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert "not all requests" not in process.log.read_text()


@pytest.fixture(scope="module")
def slow_models(tmp_path_factory: pytest.TempPathFactory, iris_models: Path) -> Path:
    """v1 and v2 of Iris, and v3 that takes 0.3 s for each request."""
    models = tmp_path_factory.mktemp("slow") / "models"
    shutil.copytree(iris_models, models, symlinks=True)
    training.fit(models, "v3", load_iris(), estimator=Slow())
    bundle = models / "v3" / "current"
    slow = Slow(0.3).fit([[0.0] * 4] * 3, [0, 1, 2])
    publish.write(
        models,
        "v3",
        estimator=slow,
        golden_rows=load_iris().rows[:20],
        about=_about(json.loads((bundle / "manifest.json").read_text())),
    )
    return models


def _about(manifest: dict[str, Any]) -> dict[str, Any]:
    made = ("format", "sha256", "files", "libraries", "golden")
    return {key: value for key, value in manifest.items() if key not in made}


@pytest.fixture
def slow_config(tmp_path: Path, slow_models: Path, port: int) -> Path:
    split = "[split]\nv1 = 0\nv3 = 100\n[experiment]\nshadow = no\n"
    # As long as a busy machine may need.
    listen = f"127.0.0.1:{port}"
    return write_config(tmp_path, slow_models, split, listen=listen, drain_seconds=60)


def wait_for_log(process: Process, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in process.log.read_text():
        assert time.monotonic() < deadline, process.log.read_text()
        time.sleep(0.01)


def test_a_reload_during_a_stop_is_refused_and_costs_no_answer(
    slow_config: Path, port: int
) -> None:
    """A SIGHUP, or `irisab reload`, while the service stops: what was accepted is answered.

    With Connection: close, so that no client sends a further request there.
    """
    with (
        running(slow_config, port, before=FIND_SLOW) as process,
        process.accepted(80) as connections,
    ):
        with process.held():
            for connection in connections:  # four threads need six seconds for these
                connection.request("POST", "/predict", BODY, JSON)
            process.signal(signal.SIGTERM)
        wait_for_log(process, "stopping: answering what was accepted")
        process.signal(signal.SIGHUP)
        with pytest.raises(ReloadRefused, match="the service is stopping"):
            Handshake(slow_config.parent).reload()
        answers = [connection.getresponse() for connection in connections]
        assert [answer.status for answer in answers] == [200] * 80
        assert answers[-1].getheader("Connection") == "close"
        assert process.wait() == 0
    assert "not all requests" not in process.log.read_text()


@pytest.mark.slow
def test_a_second_stop_ends_at_once(slow_config: Path, port: int) -> None:
    """Whoever presses Ctrl-C twice does not want to wait for the answers."""
    with (
        running(slow_config, port, before=FIND_SLOW) as process,
        process.accepted(80) as connections,
    ):
        with process.held():
            for connection in connections:  # four threads need six seconds for these
                connection.request("POST", "/predict", BODY, JSON)
            process.signal(signal.SIGINT)
        wait_for_log(process, "stopping: answering what was accepted")
        process.signal(signal.SIGINT)
        code = process.wait()
    assert code == 0
    assert "not all requests were answered in time" in process.log.read_text()


def test_a_fault_of_the_service_is_no_refusal(config: Path, port: int) -> None:
    """Exit 2 would tell systemd not to start it again: it is kept for a refused INI."""
    program = (
        "from irisab.http import server; server.App = None; "
        "from irisab.__main__ import main; main()"
    )
    command = [sys.executable, "-c", program, "--config", str(config), "serve"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == os.EX_SOFTWARE and "Traceback" in done.stderr


def test_the_service_hears_a_stop_after_a_reload_that_broke(config: Path, port: int) -> None:
    """Whatever a reload runs into, such as no descriptor left, the next stop and reload work."""
    limit = ("env", "NOTIFY_SOCKET=/nowhere", "prlimit", "--nofile=64:64")
    with running(config, port, before=limit) as process:
        idle = []
        try:
            for _ in range(60):
                idle.append(socket.create_connection(("127.0.0.1", port), timeout=5))
                time.sleep(0.01)
            process.signal(signal.SIGHUP)
            time.sleep(1)
        finally:
            for connection in idle:
                connection.close()
        time.sleep(0.5)
        assert process.run("reload").returncode == 0
        process.signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_stop_writes_the_history(config: Path, port: int) -> None:
    """What was answered before a stop is in the history after it."""
    with running(config, port) as process:
        found = [process.post("/predict", {"features": ROW}).json for _ in range(50)]
    lines = process.run("history").stdout.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [each["request_id"] for each in found]


@pytest.mark.slow
def test_connections_wait_while_the_service_restarts(config: Path, port: int) -> None:
    """With an inherited socket, restarts under requests refuse no connection."""
    statuses: list[int] = []

    def ask() -> None:
        for _ in range(200):
            connection = HTTPConnection("127.0.0.1", port, timeout=90)
            connection.request("POST", "/predict", BODY, JSON)
            statuses.append(connection.getresponse().status)
            connection.close()
            time.sleep(0.005)

    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        thread = threading.Thread(target=ask)
        with running(config, port, listener):
            thread.start()
            time.sleep(0.3)
        for _ in range(2):
            with running(config, port, listener):
                time.sleep(0.3)
        with running(config, port, listener):
            thread.join(timeout=60)
    assert statuses == [200] * 200


def test_whoever_hears_of_the_stop_reaches_the_next_process(config: Path, port: int) -> None:
    """A connection made after "draining" was said is the next process's, as nginx relies on.

    However long the log holds the stop up, here as long as nobody reads it.
    """
    log = config.with_suffix(".log")
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)

    def ask_anew() -> int:
        with closing(HTTPConnection("127.0.0.1", port, timeout=90)) as connection:
            return get(connection)

    with (
        socket.create_server(("127.0.0.1", port), backlog=128) as listener,
        ThreadPoolExecutor(8) as pool,
    ):
        with running(config, port, listener) as process, process.accepted(8) as connections:
            fill(log)
            process.signal(signal.SIGTERM)
            for connection in connections:
                connection.auto_open = False
                with suppress(NotConnected):  # the last answer with 200 closes it, too
                    wait_until(lambda: get(connection) != HTTPStatus.OK)  # noqa: B023
            asking = [pool.submit(ask_anew) for _ in connections]
            time.sleep(0.2)
            os.read(reader, 1 << 20)
            assert process.wait() == 0
        with running(config, port, listener):
            assert [each.result(timeout=90) for each in asking] == [HTTPStatus.OK] * 8
    os.close(reader)


def fill(pipe: Path) -> None:
    """Write into a pipe until nothing more fits."""
    writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b".")
    os.close(writer)


def test_an_inherited_socket_must_agree_with_the_ini(config: Path, port: int) -> None:
    """A socket on another port than [server] listen is refused, with both named."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = Process(config, port, listener)
        assert process.wait() == 2
        assert f"irisab.socket listens on 127.0.0.1:{listener.getsockname()[1]}" in (
            process.log.read_text()
        )


def test_systemd_is_told(config: Path, port: int, tmp_path: Path) -> None:
    """READY, RELOADING with its time, READY again and STOPPING arrive in this order."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        os.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        try:
            with running(config, port) as process:
                assert manager.recv(100) == b"READY=1"
                assert process.run("reload").returncode == 0
                assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
                assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=25000000"
        finally:
            del os.environ["NOTIFY_SOCKET"]


def test_systemd_is_told_that_it_turns(config: Path, port: int, tmp_path: Path) -> None:
    """A service that hangs, here as it is stopped from outside, feeds the watchdog no more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        os.environ.update(told)
        try:
            with running(config, port) as process:
                assert manager.recv(100) == b"READY=1"
                for _ in range(3):
                    assert manager.recv(100) == b"WATCHDOG=1"
                process.signal(signal.SIGSTOP)
                manager.settimeout(2)
                try:
                    with pytest.raises(TimeoutError):  # after what was on its way
                        for _ in range(20):
                            manager.recv(100)
                finally:
                    process.signal(signal.SIGCONT)
        finally:
            for name in told:
                del os.environ[name]


def test_systemd_is_told_no_more_once_a_reload_hangs(
    config: Path, port: int, models: Path, tmp_path: Path
) -> None:
    """Here on a pickle that never comes to an end. What serves answers on, until systemd starts the
    service anew: nothing would hear a stop, or a rollout that takes its traffic back."""

    class Endless:
        def __reduce__(self) -> Any:
            return time.sleep, (3600,)

    (tmp_path / "sitecustomize.py").write_text(
        "from irisab.http import control\ncontrol.HANGING_SECONDS = -1.0\n"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        told = f"NOTIFY_SOCKET={tmp_path / 'notify'}", "WATCHDOG_USEC=100000"
        with running(config, port, before=("env", f"PYTHONPATH={tmp_path}", *told)) as process:
            manager.settimeout(20)
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            changed(models, "v2", pickle.dumps(Endless()))
            process.signal(signal.SIGHUP)
            while not manager.recv(100).startswith(b"RELOADING=1"):
                pass
            for _ in range(4):  # each has the main loop turn
                time.sleep(0.06)
                assert process.get("/health").status == 200
            manager.setblocking(False)
            with pytest.raises(BlockingIOError):  # after what was on its way
                for _ in range(2):
                    manager.recv(100)
            process.signal(signal.SIGKILL)


def test_a_changed_server_option_needs_a_restart(config: Path, port: int) -> None:
    """What a running process cannot change is refused, and the split in the same file too."""
    with running(config, port) as process:
        replace_in(config, "[data]", "threads = 7\n[data]")
        replace_in(config, "v1 = 50\nv2 = 50", "v1 = 10\nv2 = 90")
        outcome = process.run("reload")
        assert outcome.returncode == 2
        assert "[server] threads = 7" in outcome.stderr
        assert "systemctl restart irisab" in outcome.stderr
        assert process.get("/config").json["split"] == {"v1": 50, "v2": 50}


def test_reload_without_a_service_exits_1(config: Path, port: int) -> None:
    """`irisab reload` says that nothing runs: before the first start, and after a crash."""
    process = Process(config, port)
    process.wait_until_ready()
    process.signal(signal.SIGKILL)
    process.wait()
    outcome = process.run("reload")
    assert outcome.returncode == 1 and "no irisab service runs" in outcome.stderr


def test_a_label_may_come_after_a_restart(config: Path, port: int) -> None:
    """What another process answered can be labelled, and counts in the report."""
    with running(config, port) as process:
        request_id = process.post("/predict", {"features": ROW}).json["request_id"]
    with running(config, port) as process:
        answer = process.post("/feedback", {"request_id": request_id, "label": 0})
        assert (answer.status, answer.json) == (200, {"status": "matched"})
        versions = process.get("/report").json["versions"].values()
        assert sum(version["labelled"] for version in versions) == 1


# Forks a service off itself for each line that it reads.
FORKING = """
import os, sys
from irisab.__main__ import main
from irisab.http import server
for _ in sys.stdin:
    child = os.fork()
    if not child:
        main(sys.argv[1:])
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Forked(Process):
    """A service in a fork of a process that has imported it: that is most of a start."""

    def __init__(self, config: Path, port: int, parent: subprocess.Popen[str]) -> None:
        self.config, self.port, self.log = config, port, config.with_suffix(".log")
        self._child = parent
        assert parent.stdin and parent.stdout
        print(file=parent.stdin, flush=True)
        self._pid = int(parent.stdout.readline())

    def kill(self) -> None:
        """Return once it is dead, of this."""
        os.kill(self._pid, signal.SIGKILL)
        assert self._child.stdout
        assert int(self._child.stdout.readline()) == signal.SIGKILL


@pytest.mark.slow
def test_acknowledged_labels_survive_a_crash(config: Path, port: int) -> None:
    """kill -9 right after an acknowledged label, 100 times, loses none of them."""
    acknowledged = []
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, "--config", config, "serve"], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as parent:  # fmt: skip
        for _ in range(100):
            process = Forked(config, port, parent)
            process.wait_until_ready()
            request_id = process.post("/predict", {"features": ROW}).json["request_id"]
            answer = process.post("/feedback", {"request_id": request_id, "label": 0})
            process.kill()
            assert answer.json == {"status": "matched"}
            acknowledged.append(request_id)
    lines = process.run("history").stdout.splitlines()
    labels = {line.split(",")[0]: line.rsplit(",", 1)[1] for line in lines[1:]}
    assert [labels[request_id] for request_id in acknowledged] == ["setosa"] * 100


def label_until_matched(process: Process, request_id: str) -> None:
    """Send a label until it is on the disk: what waits is written within a moment."""
    deadline = time.monotonic() + 20
    while process.post("/feedback", {"request_id": request_id, "label": 0}).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("deleted", ["-wal", "-shm", "-wal -shm", " -wal -shm"])
def test_labels_outlive_deleted_files_and_a_kill(
    deleted: str, config: Path, port: int, tmp_path: Path
) -> None:
    """Within a moment the service has files that are found again, and says so in one line."""
    history = tmp_path / "h.sqlite3"
    gone = [Path(f"{history}{each}") for each in deleted.split(" ")]
    with running(config, port) as process:
        ids = recorded(process, 3)
        with process.held():  # or it would notice them one by one
            for each in gone:
                each.unlink()
        wait_until(lambda: all(each.exists() for each in gone) and ERROR in process.log.read_text())
        if history in gone:
            ids = recorded(process, 3)
        for each in ids:
            label_until_matched(process, each)
        process.signal(signal.SIGKILL)
        process.wait()
        assert process.log.read_text().count(ERROR) == 1
    lines = process.run("history").stdout.splitlines()
    assert [line.rsplit(",", 1)[1] for line in lines[1:]] == ["setosa"] * 3


ERROR = "ERROR irisab."


def test_a_locked_history_holds_nobody_up(config: Path, port: int, tmp_path: Path) -> None:
    """Labels get a 503 and not, one after the other, every thread: the rest is answered."""
    with running(config, port) as process:
        ids = recorded(process, 31)
        with closing(sqlite3.connect(tmp_path / "h.sqlite3")) as other:
            other.execute("BEGIN IMMEDIATE")
            ids += [process.post("/predict", {"features": ROW}).json["request_id"]]
            # Two seconds each, in turn, they would take longer than the client waits.
            with ThreadPoolExecutor(len(ids)) as users:
                labels = [
                    users.submit(process.post, "/feedback", {"request_id": each, "label": 0})
                    for each in ids
                ]
                for path in "/health", "/metrics", "/report":
                    assert process.get(path).status == 200
                for rows in ROW, [ROW] * 1000:
                    assert process.post("/predict", {"features": rows}).status == 200
            assert {each.result().status for each in labels} == {503}
        for each in ids:
            label_until_matched(process, each)


def test_a_full_disk_costs_no_prediction(config: Path, port: int) -> None:
    """Nor a reload. Labels get a 503; with room again, nothing is lost."""
    with running(config, port) as process:
        ids = recorded(process, 2)
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, most))
        ids += [process.post("/predict", {"features": ROW}).json["request_id"] for _ in range(9)]
        for each in ids:
            assert process.post("/feedback", {"request_id": each, "label": 0}).status == 503
        for path in "/health", "/metrics", "/report":
            assert process.get(path).status == 200
        full = ["prlimit", "--fsize=0", *irisab(config, "reload")]
        done = subprocess.run(full, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout[:19]) == (0, "reloaded: revision "), done.stderr
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
        for each in ids:
            label_until_matched(process, each)
        assert process.run("reload").returncode == 0


def test_a_pipe_is_no_ini_file(config: Path, port: int) -> None:
    """It is refused, and not waited for: the service hears the stop after it."""
    with running(config, port) as process:
        config.unlink()
        os.mkfifo(config)
        process.signal(signal.SIGHUP)
        wait_until(lambda: not process.get("/health").json["reload"]["ok"])
        assert "irisab.ini: cannot be read: not a regular file" in process.log.read_text()
        assert process.stop() == 0


def test_a_full_disk_keeps_no_service_from_starting(config: Path, port: int) -> None:
    """Predictions are answered though neither pid nor history can be written."""
    with running(config, port, before=["prlimit", "--fsize=0"]) as process:
        assert process.post("/predict", {"features": ROW}).json["prediction"] == 0
        outcome = process.run("reload")
        assert outcome.returncode == 1 and "could not write its pid" in outcome.stderr


def test_a_history_that_cannot_be_written_is_refused(config: Path, port: int) -> None:
    """It is the INI's mistake: the last good one serves, found in the unit's StateDirectory=."""
    with running(config, port):
        pass
    replace_in(config, "history = h.sqlite3", f"history = {config}/h.sqlite3")
    process = Process(config, port)
    assert process.wait() == 2
    assert "its folder cannot be written: " in process.log.read_text()
    state = f"STATE_DIRECTORY={config.parent}"
    with running(config, port, before=["env", state]) as process:
        health = process.get("/health").json
        assert health["reload"]["error"].startswith("[data] history was refused; ")
        assert process.post("/predict", {"features": ROW}).status == 200


def test_a_moved_history_needs_a_restart(config: Path, port: int) -> None:
    """The unit's StateDirectory= finds the service that the edited INI no longer leads to."""
    with running(config, port):
        replace_in(config, "history = h.sqlite3", "history = elsewhere/h.sqlite3")
        command = ["env", f"STATE_DIRECTORY={config.parent}", *irisab(config, "reload")]
        refused = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        assert refused.returncode == 2
        assert "elsewhere/h.sqlite3: was " in refused.stderr
        assert "this needs systemctl restart irisab" in refused.stderr


RAW = {
    "not http": (b"hello\r\n\r\n", 400),
    "negative length": (b"POST /predict HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
    "length of text": (b"POST /predict HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
    "bad chunk": (
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        400,
    ),
    "unknown coding": (b"POST /predict HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    "huge header": (b"GET /health HTTP/1.1\r\nX: " + b"x" * 300_000 + b"\r\n\r\n", 431),
    "endless body": (b"POST /predict HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, iris_models: Path) -> Iterator[Process]:
    port = free_port()
    folder = tmp_path_factory.mktemp("shared")
    with running(write_config(folder, iris_models, listen=f"127.0.0.1:{port}"), port) as process:
        yield process


@pytest.mark.parametrize("name", RAW)
def test_malformed_http_is_refused_by_the_server(name: str, shared: Process) -> None:
    """What never reaches the app gets a sentence all the same, and the service lives on."""
    data, status = RAW[name]
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as connection:
        connection.sendall(data)
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.status == status
        assert answer.getheader("Content-Type") == "application/problem+json"
        detail = json.loads(answer.read())
        assert detail["status"] == status and detail["detail"].endswith(".")
    assert shared.get("/health").status == 200


def test_who_speaks_tls_is_told_at_once(shared: Process) -> None:
    """A client of https:// on this port fails in a moment, and not after two minutes."""
    context = ssl.create_default_context()
    started = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", shared.port), timeout=30) as connection,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(connection, server_hostname="localhost")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("content", [b"", "[split]\nv1 = 100\n".encode("utf-16")])
def test_an_ini_that_names_no_history_is_refused_by_the_service(
    content: bytes, config: Path, port: int
) -> None:
    """An empty or unreadable file does not make `irisab reload` look elsewhere."""
    with running(config, port) as process:
        config.write_bytes(content)
        reload = process.run("reload")
        assert reload.returncode == 2 and "no irisab service runs" not in reload.stderr
        assert "the old configuration serves on" in reload.stderr
        assert process.get("/health").json["reload"]["ok"] is False


def test_chunked_bodies_are_read(shared: Process) -> None:
    """A body without a length, in chunks, is a body."""
    with closing(shared.connect()) as connection:
        connection.request(
            "POST", "/predict", iter([BODY[:10], BODY[10:]]), JSON, encode_chunked=True
        )
        response = connection.getresponse()
        assert response.status == 200 and json.loads(response.read())["prediction"] == 0


def test_a_10_mb_body_is_a_413(shared: Process) -> None:
    """A body far above the limit is refused with a sentence, over HTTP too."""
    with closing(shared.connect()) as connection:
        connection.request("POST", "/predict", b" " * 10_000_000, JSON)
        response = connection.getresponse()
        assert response.status == 413
        assert "10000000 bytes" in json.loads(response.read())["detail"]


def test_head_answers_over_http(shared: Process) -> None:
    """HEAD has no body on the wire, and the connection's next answer is its own."""
    with closing(shared.connect()) as connection:
        connection.request("HEAD", "/health")
        response = connection.getresponse()
        assert response.status == 200 and response.read() == b""
        connection.request("GET", "/health")
        assert json.loads(connection.getresponse().read())["status"] == "healthy"


def test_serving_forests_does_not_import_scikit_learn(tmp_path: Path, iris_models: Path) -> None:
    """With plain forms only, neither scikit-learn nor scipy nor joblib is imported."""
    config = write_config(tmp_path, iris_models)
    code = (
        "import sys; from pathlib import Path; from irisab.http import server;"
        f"server.snapshot.build(Path({str(config)!r}));"
        "print([name for name in ('sklearn', 'scipy', 'joblib') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_the_log_is_quiet_under_load(config: Path, port: int) -> None:
    """Requests, good or bad, write no line each: a journal is for what matters."""
    with running(config, port) as process:
        before = len(process.log.read_text().splitlines())
        with Load(process, connections=8):
            time.sleep(1)
        process.post("/predict", {"features": "nonsense"})
        assert len(process.log.read_text().splitlines()) == before
