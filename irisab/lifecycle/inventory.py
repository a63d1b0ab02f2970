"""What is kept, is rolled out and has happened: most of GET /versions. See `Inventory`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from pathlib import Path
from typing import Any

from irisab.config import Config
from irisab.errors import HistoryError
from irisab.lifecycle import due, kept_models
from irisab.lifecycle.kept_models import Kept
from irisab.model import bundle, candidate
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

    def candidate(self, served: Snapshot) -> str | None:
        """Return the version that waits to be tried, or is tried now; raises `HistoryError`."""
        models: list[Json] = self.told(served)["models"]
        waiting = [each for each in models if each["candidate"] == "open"]
        newest = max(waiting, key=lambda each: str(each["trained_at"]), default=None)
        return str(newest["version"]) if newest else None

    def _read(self, served: Snapshot) -> Json:
        path = served.written.data.history
        newest = [each.as_json() for each in EventLog(path).list(most=MOST)]
        return {
            "models": self._kept(served.config),
            "rollout": _rollout(served, path),
            "events": newest[::-1],
        }

    def _kept(self, options: Config) -> list[Json]:
        # What became of a candidate depends on what has served, too.
        revisions = tuple(self._history.revisions())
        stamp = _names(options), tuple(options.split.items()), options.control, revisions
        known, listed = self._models
        if known != stamp:
            listed = models(options, self._history, most=MOST)
            self._models = (stamp, listed)
        return listed


def models(options: Config, history: History, *, most: int | None = None) -> list[Json]:
    """Describe the bundles that are kept, as `irisab models --json` does, where `options` serve."""
    kept = [*kept_models.listed(options.data.models, most=most)]
    state = _state(options, history, kept)
    return [
        kept_models.describe(each, split=options.split, control=options.control, state=state(each))
        for each in kept
    ]


def _state(
    options: Config, history: History, kept: Iterable[Kept]
) -> Callable[[Kept], candidate.State | None]:
    """Return what says of a bundle how it stands as a candidate, None where it is not one."""
    current = {each.version: each.manifest or {} for each in kept if each.is_current}
    hashes = {version: str(manifest.get("sha256")) for version, manifest in current.items()}
    tried = _tried(history, {hashes[name] for name in options.split if name in hashes})

    def state(each: Kept) -> candidate.State | None:
        made = candidate.of(each.version, each.manifest or {}) if each.is_current else None
        if made is None:
            return None
        return made.state(control=hashes.get(options.control, ""), tried=tried)

    return state


def _tried(history: History, serving: Collection[str]) -> set[str]:
    try:
        return due.tried(history, serving=serving)
    except HistoryError:
        return set()


def _names(options: Config) -> Hashable:
    """Return what differs once a bundle came, went, or was made current: they never change."""
    return tuple(
        (each, each.resolve().name if each.name == CURRENT else "")
        for each in bundle.entries(options.data.models)
    )


def _rollout(served: Snapshot, history: Path) -> Json | None:
    told = rollouts.told(history)
    if not told:
        return None
    return {
        **settings.of_rollout(told[-1], served.written, served.config),
        "history": settings.of_past(told[-MOST:]),
    }
