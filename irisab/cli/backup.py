"""irisab backup, restore: history, models and settings in one file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from irisab import config
from irisab.cli.arguments import add
from irisab.cli.noting import note
from irisab.cli.output import say
from irisab.cli.typed import typed
from irisab.errors import DataError
from irisab.http.handshake import Handshake
from irisab.lifecycle import backup

_STOP = (
    "the service runs, and would write into what comes back: stop it first "
    "(on a host: sudo systemctl stop irisab.socket irisab)"
)


def add_to(commands: Any) -> None:
    save = add(commands, "backup", _backup, "copy history, models and settings into one file")
    save.add_argument("file", type=Path, metavar="FILE", help="a new .tar.gz; the service may run")
    bring = add(commands, "restore", _restore, "bring back what a backup holds")
    bring.add_argument("file", type=Path, metavar="FILE", help="what irisab backup has written")


def _backup(options: argparse.Namespace) -> int:
    settings = config.load(options.config)
    bundles, rows = backup.backup(settings, options.file)
    note(settings.data.history, "backup", f"{rows} predictions and {bundles} models are kept")
    size = options.file.stat().st_size / 1e6
    say(f"{options.file}: {rows} predictions, {bundles} models and the settings, {size:.1f} MB")
    say(f"to bring it back: {typed(options.config, f'restore {options.file}')}")
    return 0


def _restore(options: argparse.Namespace) -> int:
    settings = config.load(options.config)
    handshake = Handshake(settings.data.history.parent)
    try:
        with handshake.running():
            restored = backup.restore(options.file, settings, options.config)
    except BlockingIOError:
        raise DataError(_STOP) from None
    say(f"{options.file}: {restored.rows} predictions and {restored.models} models are back")
    for path in restored.aside:
        say(f"what was there before is kept: {path}")
    if restored.ini is not None:
        say(f"the settings in force stay; those of the backup: {restored.ini}")
    say(f"see what would serve now: {typed(options.config, 'check')}")
    return 0
