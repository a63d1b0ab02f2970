"""What is kept, is rolled out and has happened: the body of GET /versions. See `Inventory`."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from irisab.config import Config
from irisab.lifecycle import kept_models
from irisab.model.bundle import CURRENT
from irisab.serving import settings
from irisab.serving.snapshot import Snapshot
from irisab.store import rollouts
from irisab.store.events import EventLog
from irisab.store.history import History

# Of bundles, of events and of a rollout's past, the newest: an answer stays below 100 kB.
MOST = 100
Json = dict[str, Any]


class Inventory:
    """Tells it, worked out anew only where it could differ. Safe to share between threads."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._models: tuple[Hashable, list[Json]] = (None, [])
        self._told: tuple[Snapshot | None, Hashable, Json] = (None, None, {})

    def told(self, served: Snapshot) -> Json:
        """Return JSON values; raises `HistoryError`."""
        # Before anything is read: what comes meanwhile is another stamp at the next look.
        stamp = self._history.stamp(), _names(served.written)
        known, known_stamp, latest = self._told
        if known is not served or known_stamp != stamp:
            latest = self._read(served)
            self._told = (served, stamp, latest)
        return latest

    def _read(self, served: Snapshot) -> Json:
        path = served.written.data.history
        newest = [each.as_json() for each in EventLog(path).list(most=MOST)]
        return {
            "models": self._kept(served.config),
            "rollout": _rollout(served, path),
            "events": newest[::-1],
        }

    def _kept(self, options: Config) -> list[Json]:
        stamp = _names(options), tuple(options.split.items()), options.control
        known, listed = self._models
        if known != stamp:
            listed = models(options, most=MOST)
            self._models = (stamp, listed)
        return listed


def models(options: Config, *, most: int | None = None) -> list[Json]:
    """Describe the bundles that are kept, as `irisab models --json` does, where `options` serve."""
    return [
        kept_models.describe(each, split=options.split, control=options.control)
        for each in kept_models.listed(options.data.models, most=most)
    ]


def _names(options: Config) -> Hashable:
    """Return what differs once a bundle came, went, or was made current: they never change."""
    homes = sorted(each for each in options.data.models.glob("*") if each.is_dir())
    return tuple((home.name, *sorted(os.listdir(home)), _current(home)) for home in homes)


def _current(home: Path) -> str:
    return (home / CURRENT).resolve().name


def _rollout(served: Snapshot, history: Path) -> Json | None:
    told = rollouts.told(history)
    if not told:
        return None
    return {
        **settings.of_rollout(told[-1], served.written, served.config),
        "history": settings.of_past(told[-MOST:]),
    }
