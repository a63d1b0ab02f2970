"""waitress around the app: sockets, signals, reload and drain. Start at `serve()`.

The main thread does waitress's I/O. Signal handlers only queue a word; a control thread takes it
and reloads or drains, so that no answer waits for either.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import queue
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from irisab import bundle, config, dispatch, snapshot, systemd
from irisab.app import App
from irisab.errors import BundleError, ConfigError, IrisabError
from irisab.history import History
from irisab.metrics import Metrics
from irisab.recorder import Recorder
from irisab.service import Service
from irisab.snapshot import Reload, Snapshot

log = logging.getLogger(__name__)

LAST_GOOD = "last-good.ini"
# Connections that may wait during a restart, as in irisab.socket.
BACKLOG = 1024
# Each connection is a file; systemd gives a service 1,024 of them.
CONNECTION_LIMIT = 900
POLL_SECONDS = 0.05
# To write the history after the last answer, at the most.
FLUSH_SECONDS = 15


def serve(path: Path) -> None:
    """Serve the INI at `path` until SIGTERM or SIGINT, and answer what was accepted.

    Raises `IrisabError` where there is nothing to serve: the INI is refused, and no earlier one
    was accepted.
    """
    commands: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number, word in (
        (signal.SIGHUP, "reload"),
        (signal.SIGTERM, "stop"),
        (signal.SIGINT, "stop"),
    ):
        signal.signal(number, lambda *_, word=word: commands.put(word))
    # waitress warns of nearly every request under load, and the histogram says it better.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # What the imports made is never garbage: looking through it took 7 ms each time, under load.
    gc.freeze()
    found, reload = _first_snapshot(path)
    handshake = systemd.Handshake(found.config.data.history.parent)
    try:
        with handshake.running():
            Server(path, found, reload, handshake).run(commands)
    except BlockingIOError:
        raise ConfigError(
            f"{path}: [data] history = {found.config.data.history}: "
            "another irisab serves from there"
        ) from None


def _first_snapshot(path: Path) -> tuple[Snapshot, Reload]:
    """Load the INI, or the last one that was accepted where it is refused."""
    now = time.time()
    try:
        found = snapshot.build(path)
        _refuse_unwritable(found.config, path)
    except IrisabError as error:
        last_good = _last_good_of(path)
        if last_good is None:
            raise
        log.error("%s", error)
        found = _build_last_good(last_good, base=path.absolute().parent)
        log.error("serving the last good configuration instead: %s", last_good)
        reload = Reload(ok=False, error=str(error), at=now, accepted=last_good.stat().st_mtime)
        return found, reload
    return found, Reload(ok=True, error=None, at=now, accepted=now)


def _build_last_good(ini: Path, *, base: Path) -> Snapshot:
    """Load it with the bundles that it was accepted with; with the newest, if they are gone."""
    try:
        return snapshot.build(ini, base=base, models=_models_of(ini))
    except BundleError as error:
        log.error("%s", error)
        return snapshot.build(ini, base=base)


def _models_of(last_good: Path) -> Path:
    return last_good.with_suffix("")


def _refuse_unwritable(found: config.Config, path: Path) -> None:
    """Refuse a history that could not be written from the start."""
    history = found.data.history
    try:
        history.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=history.parent):
            pass
    except OSError as error:
        # A full disk passes, and costs no prediction.
        if error.errno != errno.ENOSPC:
            raise ConfigError(
                f"{path}: [data] history = {history}: its folder cannot be written: "
                f"{error.strerror}"
            ) from error


def _last_good_of(path: Path) -> Path | None:
    """Find the last good INI beside the history, wherever a mistake in the INI says that it is."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    folders = [config.history_path(text, base=path.absolute().parent).parent]
    folders += filter(None, [systemd.state_folder()])
    found = (each / LAST_GOOD for each in folders)
    return next((each for each in found if each.exists()), None)


class Server:
    """One run of the service."""

    def __init__(
        self, path: Path, found: Snapshot, reload: Reload, handshake: systemd.Handshake
    ) -> None:
        data = found.config.data
        self._path = path
        self._handshake = handshake
        self._last_good = data.history.parent / LAST_GOOD
        self._history = History(data.history)
        self._recorder = Recorder(data.history, keep_rows=data.keep_rows)
        self._service = Service(
            found, history=self._history, recorder=self._recorder, metrics=Metrics()
        )
        self._service.reload = reload
        app, options = App(self._service), found.config.server
        self._http = dispatch.create(
            app,
            _listening_socket(path, options),
            is_quick=app.is_quick,
            **adjustments(options),
        )
        self._stopped = threading.Event()

    def run(self, commands: queue.SimpleQueue[str]) -> None:
        """Serve until a stop has been drained."""
        if self._service.reload.ok:
            self._keep_last_good(self._service.snapshot)
        self._recorder.start()
        threading.Thread(target=self._control, args=(commands,), daemon=True).start()
        log.info("serving %s on %s", _summary(self._service.snapshot), self._address())
        systemd.notify("READY=1")
        while not self._stopped.is_set():
            self._http.turn()
        self._recorder.close()
        self._history.close()
        log.info("stopped")

    def _address(self) -> str:
        host, port = self._http.effective_host, self._http.effective_port
        return f"http://{host}:{port}"

    def _control(self, commands: queue.SimpleQueue[str]) -> None:
        while commands.get() == "reload":
            self._reload()
        self._drain(commands)

    # -- reload -----------------------------------------------------------------------------

    def _reload(self) -> None:
        request_id = self._handshake.request_id()
        systemd.notify_reloading()
        self._service.reload = self._load()
        systemd.notify("READY=1")
        outcome = self._service.reload
        revision = self._service.snapshot.revision
        self._handshake.answer(
            request_id, {"ok": outcome.ok, "error": outcome.error, "revision": revision}
        )

    def _load(self) -> Reload:
        now = time.time()
        try:
            found = snapshot.build(self._path)
            _refuse_fixed(self._service.snapshot.config, found.config, self._path)
            self._service.swap(found)
        except Exception as error:
            return self._refused(error, now)
        self._keep_last_good(found)
        log.info("reloaded: serving %s", _summary(found))
        return Reload(ok=True, error=None, at=now, accepted=now)

    def _refused(self, error: Exception, now: float) -> Reload:
        if isinstance(error, IrisabError):
            reason = str(error)
            log.error("reload refused: %s", reason)
        else:
            reason = f"the reload failed: {error!r}"
            log.exception("reload failed")
        log.error("the old configuration serves on: %s", _summary(self._service.snapshot))
        return Reload(ok=False, error=reason, at=now, accepted=self._service.reload.accepted)

    def _keep_last_good(self, found: Snapshot) -> None:
        try:
            bundle.link(_models_of(self._last_good), found.bundles.values())
            _write_durably(self._last_good, found.config.text)
        except OSError as error:
            log.error("%s cannot be written: %s", self._last_good, error)

    # -- drain ------------------------------------------------------------------------------

    def _drain(self, commands: queue.SimpleQueue[str]) -> None:
        """Accept no more, answer what was accepted, and end; a second stop ends at once."""
        seconds = self._service.snapshot.config.server.drain_seconds
        log.info("stopping: answering what was accepted, for up to %g s", seconds)
        # systemd would cut off a longer drain than its unit expects.
        systemd.notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int((seconds + FLUSH_SECONDS) * 1e6)}")
        self._service.draining = self._http.draining = True
        self._http.accepting = False
        self._http.pull_trigger()
        deadline = time.monotonic() + seconds
        while not (quiet := self._is_quiet()) and time.monotonic() < deadline and commands.empty():
            time.sleep(POLL_SECONDS)
        if not quiet:
            log.warning("not all requests were answered in time")
        self._stopped.set()
        self._http.pull_trigger()

    def _is_quiet(self) -> bool:
        """Tell whether nothing is left to do, after a whole turn in which what came was read."""
        begun = self._http.turns
        # The turn in which this is noticed may have looked before: it takes one more.
        while self._http.turns < begun + 2 and not self._stopped.is_set():
            self._http.pull_trigger()
            time.sleep(POLL_SECONDS)
        channels = list(self._http.active_channels.values())
        return not self._http.task_dispatcher.queue and not any(
            each.requests or each.request is not None or each.total_outbufs_len for each in channels
        )


def adjustments(options: config.Server) -> dict[str, Any]:
    """Return waitress's settings; the benchmark gives them to others, too."""
    return {
        "threads": options.threads,
        "backlog": BACKLOG,
        "connection_limit": CONNECTION_LIMIT,
        "max_request_body_size": config.HARD_BODY_LIMIT,
        # select() cannot see a file beyond the 1,024th.
        "asyncore_use_poll": True,
        # nginx passes no header that we use, and this saves a look at each request.
        "clear_untrusted_proxy_headers": False,
        "ident": "irisab",
    }


def _listening_socket(path: Path, options: config.Server) -> socket.socket:
    where = f"{path}: [server] listen = {options.listen}"
    inherited = systemd.inherited_socket()
    if inherited is not None:
        host, port = inherited.getsockname()[:2]
        if (host, port) != options.address:
            raise ConfigError(f"{where}: systemd's irisab.socket listens on {host}:{port}")
        return inherited
    try:
        return socket.create_server(
            options.address,
            family=socket.AF_INET6 if ":" in options.address[0] else socket.AF_INET,
            backlog=BACKLOG,
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            port = options.address[1]
            reason = f"another program has the port; find it with: ss -ltnp 'sport = :{port}'"
        else:
            reason = str(error.strerror)
        raise ConfigError(f"{where}: {reason}") from error


def _refuse_fixed(old: config.Config, new: config.Config, path: Path) -> None:
    """Refuse what a running process cannot change."""
    fixed = [
        ("server", name, getattr(old.server, name), getattr(new.server, name))
        for name in config.Server.__slots__
    ]
    fixed.append(("data", "history", old.data.history, new.data.history))
    for section, option, before, after in fixed:
        if before != after:
            raise ConfigError(
                f"{path}: [{section}] {option} = {after}: was {before}; "
                "this needs systemctl restart irisab"
            )


def _summary(found: Snapshot) -> str:
    shares = ", ".join(f"{name} {share:g} %" for name, share in found.config.split.items())
    return f"{shares} (revision {found.revision})"


def _write_durably(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
