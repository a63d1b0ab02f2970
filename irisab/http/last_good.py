"""The last configuration that was accepted: what a restart serves where the INI is refused."""

from __future__ import annotations

import logging
from pathlib import Path

from irisab import config
from irisab.errors import BundleError
from irisab.files import read_regular, replace_durably
from irisab.http import systemd
from irisab.model import publish
from irisab.serving import snapshot
from irisab.serving.snapshot import Snapshot

log = logging.getLogger(__name__)

LAST_GOOD = "last-good.ini"


def keep(accepted: Snapshot) -> None:
    """Remember what was accepted: its INI, and links to its bundles."""
    path = accepted.config.data.history.parent / LAST_GOOD
    try:
        publish.link(models_of(path), accepted.bundles.values())
        replace_durably(path, accepted.config.text.encode())
        # Not before: until then the INI of before may ask for them.
        publish.unlink_others(models_of(path), accepted.bundles.keys())
    except OSError as error:
        log.error("%s cannot be written: %s", path, error)


def build(ini: Path, *, base: Path) -> Snapshot:
    """Load it with the bundles that it was accepted with; with the newest, if they are gone."""
    try:
        return snapshot.build(ini, base=base, models=models_of(ini))
    except BundleError as error:
        log.error("%s", error)
        return snapshot.build(ini, base=base)


def models_of(last_good: Path) -> Path:
    return last_good.with_suffix("")


def find(path: Path) -> Path | None:
    """Find the last good INI beside the history, wherever a mistake in the INI says that it is."""
    try:
        text = read_regular(path).decode(errors="replace")
    except OSError:
        text = ""
    folders = [config.history_path(text, base=path.absolute().parent).parent]
    folders += filter(None, [systemd.state_folder()])
    candidates = (each / LAST_GOOD for each in folders)
    return next((each for each in candidates if each.exists()), None)
