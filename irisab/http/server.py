"""waitress around the app: signals, reload and drain. Start at `serve()`.

The main thread does waitress's I/O. Signal handlers only queue a word; the thread of `control`
takes it and has this module reload or drain.
"""

from __future__ import annotations

import errno
import gc
import logging
import queue
import signal
import tempfile
import threading
import time
from pathlib import Path

from irisab import config, invocation
from irisab.errors import ConfigError, HistoryError, IrisabError
from irisab.http import auth, dispatch, heap, last_good, starts, systemd
from irisab.http.app import App
from irisab.http.control import Control
from irisab.http.handshake import Handshake
from irisab.http.listener import adjustments, listening_socket
from irisab.serving import snapshot
from irisab.serving.metrics import Metrics
from irisab.serving.service import Service
from irisab.serving.snapshot import ReloadOutcome, Snapshot
from irisab.store.events import EventLog, Kind
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.turns import main_thread

log = logging.getLogger(__name__)

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
    first, reload = _first_snapshot(path)
    heap.share()
    handshake = Handshake(first.config.data.history.parent)
    try:
        with handshake.running():
            Run(path, first, reload, handshake).run(commands)
    except BlockingIOError:
        raise ConfigError(
            f"{path}: [data] history = {first.config.data.history}: "
            "another irisab serves from there"
        ) from None


def _first_snapshot(path: Path) -> tuple[Snapshot, ReloadOutcome]:
    """Load the INI, or the last one that was accepted where it is refused."""
    now = time.time()
    try:
        options = config.load(path)
        _refuse_unwritable(options, path)
        with starts.counted(options, source=path):
            accepted = snapshot.assemble(options, source=path)
    except IrisabError as error:
        earlier = last_good.find(path)
        if earlier is None:
            raise
        log.error("%s", error)
        accepted = last_good.build(earlier, base=path.absolute().parent)
        log.error("serving the last good configuration instead: %s", earlier)
        reload = ReloadOutcome(ok=False, error=str(error), at=now, accepted=earlier.stat().st_mtime)
        return accepted, reload
    return accepted, ReloadOutcome(ok=True, error=None, at=now, accepted=now)


def _refuse_unwritable(options: config.Config, path: Path) -> None:
    """Refuse a history that could not be written from the start."""
    history = options.data.history
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


class Run:
    """One run of the service."""

    def __init__(
        self, path: Path, first: Snapshot, reload: ReloadOutcome, handshake: Handshake
    ) -> None:
        data = first.config.data
        self._path = path
        self._handshake = handshake
        self._history = History(data.history)
        self._events = EventLog(data.history)
        self._recorder = Recorder(data.history, keep_rows=data.keep_rows)
        self._service = Service(
            first, history=self._history, recorder=self._recorder, metrics=Metrics()
        )
        self._service.reload = reload
        self._app = App(self._service, command=invocation.prefix(path))
        options = first.config.server
        self._http = dispatch.create(
            self._app,
            listening_socket(path, options),
            is_quick=self._app.is_quick,
            **adjustments(options),
        )
        self._stopped = threading.Event()

    def run(self, commands: queue.SimpleQueue[str]) -> None:
        """Serve until a stop has been drained."""
        if self._service.reload.ok:
            last_good.keep(self._service.snapshot)
        self._recorder.start()
        control = Control(commands, begin=self._note_start, reload=self._reload, drain=self._stop)
        control.start()
        watchdog = systemd.Watchdog([control.is_turning, self._recorder.is_turning])
        log.info("serving %s on %s", _summary(self._service.snapshot), self._address())
        systemd.notify("READY=1")
        while not self._stopped.is_set():
            self._http.turn()
            watchdog.feed()
        main_thread.is_awake = False
        self._service.close()
        self._recorder.close()
        self._history.close()
        log.info("stopped")

    def _address(self) -> str:
        host, port = self._http.effective_host, self._http.effective_port
        return f"http://{host}:{port}"

    # -- reload -----------------------------------------------------------------------------

    def _reload(self) -> None:
        request_id = self._handshake.request_id()
        systemd.notify_reloading()
        self._service.reload = self._load()
        systemd.notify("READY=1")
        outcome = self._service.reload
        if outcome.ok:
            self._note("reload", f"serving {_summary(self._service.snapshot)}")
        else:
            self._note("refused", config.refusal(str(outcome.error)))
        revision = self._service.snapshot.revision_id
        self._handshake.answer(
            request_id, {"ok": outcome.ok, "error": outcome.error, "revision": revision}
        )

    def _note_start(self) -> None:
        self._note("start", f"serving {_summary(self._service.snapshot)}")
        if self._service.reload.error is not None:
            self._note("refused", config.refusal(self._service.reload.error))

    def _note(self, kind: Kind, text: str) -> None:
        try:
            self._events.add(kind, text, by="irisab")
        except HistoryError as error:
            log.error("not among the events: %s", error)

    def _load(self) -> ReloadOutcome:
        now = time.time()
        self._deal_anew()
        try:
            candidate = snapshot.build(self._path, known=self._service.snapshot.rollout)
            _refuse_fixed(self._service.snapshot.config, candidate.config, self._path)
            if candidate.config.auth != self._service.snapshot.config.auth:
                auth.refuse_unusable(candidate.config.auth)
            self._service.swap(candidate)
            self._app.lock()
        except Exception as error:
            return self._refused(error, now)
        last_good.keep(candidate)
        starts.forget(candidate.config)
        log.info("reloaded: serving %s", _summary(candidate))
        return ReloadOutcome(ok=True, error=None, at=now, accepted=now)

    def _deal_anew(self) -> None:
        """Follow the rollout with what is loaded: neither a typing error nor large models hold up
        what takes traffic back."""
        try:
            candidate = snapshot.dealt_anew(self._service.snapshot)
        except Exception:
            log.exception("the split of the rollout could not be worked out")
            return
        if candidate is not None:
            self._service.swap(candidate)

    def _refused(self, error: Exception, now: float) -> ReloadOutcome:
        if isinstance(error, IrisabError):
            reason = str(error)
            log.error("reload refused: %s", reason)
        else:
            reason = f"the reload failed: {error!r}"
            log.exception("reload failed")
        log.error("the old configuration serves on: %s", _summary(self._service.snapshot))
        return ReloadOutcome(ok=False, error=reason, at=now, accepted=self._service.reload.accepted)

    # -- drain ------------------------------------------------------------------------------

    def _stop(self, commands: queue.SimpleQueue[str]) -> None:
        try:
            self._drain(commands)
        except Exception:
            log.exception("not all requests may have been answered")
        finally:
            self._stopped.set()
            self._http.pull_trigger()

    def _drain(self, commands: queue.SimpleQueue[str]) -> None:
        """Accept no more, answer what was accepted, and end; a second stop ends at once."""
        seconds = self._service.snapshot.config.server.drain_seconds
        # systemd would cut off a longer drain than its unit expects.
        systemd.notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int((seconds + FLUSH_SECONDS) * 1e6)}")
        deadline = time.monotonic() + seconds
        # First, and for a whole turn: whoever is told that this process drains connects once more,
        # and must reach the next one.
        self._http.accepting = False
        self._http.wait_a_turn(deadline + 1)
        # Before the log: each line of it is a turn in which clients are told to send on.
        self._service.draining = self._http.draining = True
        log.info("stopping: answering what was accepted, for up to %g s", seconds)
        quiet = self._falls_quiet(commands, deadline)
        if quiet:
            self._http.close_idle()
            # What came on them meanwhile.
            quiet = self._falls_quiet(commands, deadline)
        if not quiet:
            log.warning("not all requests were answered in time")

    def _falls_quiet(self, commands: queue.SimpleQueue[str], deadline: float) -> bool:
        while not (quiet := self._http.is_quiet(deadline)) and time.monotonic() < deadline:
            if self._told_to_stop_again(commands):
                break
            time.sleep(dispatch.POLL_SECONDS)
        return quiet

    def _told_to_stop_again(self, commands: queue.SimpleQueue[str]) -> bool:
        """Hear what came during the drain; who asks for a reload is told that it is too late."""
        while not commands.empty():
            if commands.get() == "stop":
                return True
            revision = self._service.snapshot.revision_id
            self._handshake.answer(
                self._handshake.request_id(),
                {"ok": False, "error": "the service is stopping", "revision": revision},
            )
        return False


def _refuse_fixed(old: config.Config, new: config.Config, path: Path) -> None:
    """Refuse what a running process cannot change."""
    fixed = [
        ("server", name, getattr(old.server, name), getattr(new.server, name))
        for name in config.ServerOptions.__slots__
    ]
    fixed.append(("data", "history", old.data.history, new.data.history))
    for section, option, before, after in fixed:
        if before != after:
            raise ConfigError(
                f"{path}: [{section}] {option} = {after}: was {before}; "
                "this needs systemctl restart irisab"
            )


def _summary(serving: Snapshot) -> str:
    shares = ", ".join(f"{name} {share:g} %" for name, share in serving.config.split.items())
    return f"{shares} (revision {serving.revision_id})"
