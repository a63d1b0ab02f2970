"""Candidates that were rejected: the newest are kept to be read, the older ones go. See `prune()`.

Nothing else of what was trained is ever removed here: a rejected candidate has answered nobody, and
its rows are its parent's and the history's.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from irisab.config import Config
from irisab.model import bundle, candidate, publish
from irisab.store import rollouts
from irisab.store.history import History

# Of those made from one version: with a retraining each day one would fill the disk.
KEEP = 3
_GONE = ".gone-"

Manifests = Mapping[str, Mapping[str, Any]]


def prune(settings: Config, history: History) -> list[str]:
    """Remove the rejected candidates beyond the newest; return the versions that went.

    One that anything names stays: the INI file, a rollout, what has served, or a later candidate
    that was made from it. Raises `OSError` where the folder cannot be written, and `HistoryError`.
    """
    models = settings.data.models
    for left in models.glob(f"{_GONE}*"):  # by a kill
        shutil.rmtree(left)
    manifests = _manifests(models)
    gone = _too_many(models, manifests, named=_named(settings, history, manifests))
    for version in gone:
        hidden = models / f"{_GONE}{version}"
        (models / version).rename(hidden)  # whole or not at all: half a model would look damaged
        shutil.rmtree(hidden)
    return gone


def _manifests(models: Path) -> Manifests:
    read = {name: bundle.read_manifest(models, name) for name in bundle.versions(models)}
    return {name: each for name, each in read.items() if each is not None}


def _too_many(models: Path, manifests: Manifests, *, named: Collection[str]) -> list[str]:
    by_origin = defaultdict(list)
    for version, manifest in manifests.items():
        made = candidate.of(version, manifest)
        if made and made.decision == "reject" and _is_alone(models / version):
            by_origin[manifest[candidate.KEY]["from"]].append(version)

    def age(version: str) -> tuple[str, int]:
        # Several may have been made within a second.
        written = (models / version / bundle.CURRENT).stat().st_mtime_ns
        return manifests[version]["trained_at"], written

    return [
        version
        for versions in by_origin.values()
        for version in sorted(versions, key=age)[:-KEEP]
        if version not in named
    ]


def _is_alone(home: Path) -> bool:
    """Tell whether a version has one bundle: of several a person may go back to another."""
    return sum(map(publish.is_bundle, home.iterdir())) == 1


def _named(settings: Config, history: History, manifests: Manifests) -> set[str]:
    served = [name for each in history.revisions().values() for name in each.models]
    rolled = [name for each in rollouts.told(settings.data.history) for name in each.models]
    stories = [each[candidate.KEY] for each in manifests.values() if candidate.KEY in each]
    origins = [name for each in stories for name in (each["from"], each["control"])]
    return {settings.control, *settings.split, *settings.models, *served, *rolled, *origins}
