"""irisab serve, check, reload: the service, from outside."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from os import EX_SOFTWARE
from pathlib import Path
from typing import Any

from irisab import config, invocation
from irisab.cli.arguments import add
from irisab.cli.output import say
from irisab.cli.typed import typed
from irisab.errors import ConfigError, IrisabError, NotRunning
from irisab.files import read_regular
from irisab.http import auth, journal, systemd
from irisab.http.handshake import Handshake
from irisab.model.footprint import MEGABYTE
from irisab.serving import snapshot
from irisab.serving.room import Room, rooms

log = logging.getLogger(__name__)

COMMANDS = "serve", "check", "reload"
UNIT = "irisab.service"
# What a service takes before it has loaded a model.
STARTED = 64 * MEGABYTE


def add_to(commands: Any) -> None:
    add(commands, "serve", _serve, "run the API until SIGTERM")
    add(commands, "check", _check, "validate the INI file and the models; exit 2 if refused")
    add(commands, "reload", _reload, "let the running service reload; exit 2 if refused")


def _serve(options: argparse.Namespace) -> int:
    from irisab.http import server

    journal.begin()
    try:
        server.serve(options.config)
    except IrisabError:
        raise
    except Exception:
        # Not 2, which means that the INI was refused and tells systemd not to try again.
        log.exception("the service ended")
        return EX_SOFTWARE
    return 0


def _check(options: argparse.Namespace) -> int:
    candidate = snapshot.build(options.config, beside=_service_rooms(options.config))
    auth.refuse_unusable(candidate.config.auth)
    say(f"{options.config} is good (revision {candidate.revision_id}). It would serve:")
    for version, share in candidate.config.split.items():
        about = candidate.bundles[version].manifest
        role = "control" if version == candidate.config.control else "challenger"
        say(
            f"  {version}  {share:g} %  {role}, {about['estimator']}, "
            f"{_score(about)}, trained {about['trained_at']}"
        )
    if candidate.config.split != candidate.written.split and candidate.rollout:
        said = ", ".join(f"{name} {share:g} %" for name, share in candidate.written.split.items())
        say(f"[split] says {said}; the rest is the rollout of {candidate.rollout.version}:")
        say(f"  {typed(options.config, 'rollout status')}")
    if candidate.config.auth.require == "no":
        say(auth.ANYBODY_VOTES)
    return 0


def _service_rooms(path: Path) -> list[Room]:
    """Return the memory that is left to the service, or would be if it ran."""
    try:
        pids = [Handshake(each).running_pid() for each in _state_folders(path)]
    except ConfigError:  # of an INI that cannot be read: to be said by who reads it
        return []
    for pid in filter(None, pids):
        return list(rooms(pid))
    limit = systemd.memory_limit(UNIT) if path == invocation.HOST_CONFIG else None
    return [] if limit is None else [Room(free=limit - STARTED, limit=limit, unit=UNIT)]


def _score(about: Mapping[str, Any]) -> str:
    if about["accuracy"] is not None:
        return f"accuracy {about['accuracy']:.4f}"
    error = about.get("mae")
    return "score unknown" if error is None else f"MAE {error:.4g}"


def _reload(options: argparse.Namespace) -> int:
    say(f"reloaded: revision {reload(options.config)} serves")
    return 0


def reload(path: Path) -> str:
    """Let the service that runs reload, and return the revision that serves.

    Raises `NotRunning` and `ReloadRefused`.
    """
    folder, *others = _state_folders(path)
    try:
        return Handshake(folder).reload()
    except NotRunning:
        # An edit of [data] history, or an INI that cannot be read, does not move the service: it
        # is the one to say what is wrong.
        running = [each for each in others if Handshake(each).running_pid()]
        if not running:
            raise
        return Handshake(running[0]).reload()


def _state_folders(path: Path) -> list[Path]:
    """Return where the service may keep its pid: as the INI says, then where it usually is."""
    usual = [systemd.state_folder(), path.absolute().parent]
    return list(dict.fromkeys([_history_path(path).parent, *filter(None, usual)]))


def _history_path(path: Path) -> Path:
    """Where the history is, also where the INI is refused: the service is to say why it is."""
    try:
        text = read_regular(path).decode(errors="replace")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return config.history_path(text, base=path.absolute().parent)
