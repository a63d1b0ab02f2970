"""Every bundle that is kept, and going back to one. Start at `listed()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irisab.errors import BundleError, DataError
from irisab.model import bundle, candidate, publish
from irisab.model.bundle import CURRENT

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One bundle on the disk; `manifest` is None where it cannot be read, and `why` says so."""

    version: str
    hash: str
    is_current: bool
    manifest: Mapping[str, Any] | None
    why: str | None = None


def listed(models: Path, *, most: int | None = None) -> Iterator[Kept]:
    """Yield the bundles of each version, the newest first; of all, the `most` newest only."""
    folders = [each for each in bundle.entries(models) if publish.is_bundle(each)]
    folders.sort(key=_made, reverse=True)
    for folder in sorted(folders[:most], key=lambda each: each.parent.name):
        current = (folder.parent / CURRENT).resolve().name
        yield _kept(folder.parent.name, folder, folder.name == current)


def _made(folder: Path) -> float:
    """Return when a bundle was made; one that a training removes just now is the oldest."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _kept(version: str, folder: Path, is_current: bool) -> Kept:
    try:
        manifest, why = bundle.manifest_of(folder), None
    except (OSError, ValueError, LookupError, BundleError) as error:
        manifest, why = None, str(error)
    return Kept(
        version=version, hash=folder.name, is_current=is_current, manifest=manifest, why=why
    )


def use(models: Path, version: str, digest: str) -> str:
    """Make an older bundle of a version the current one; return its whole hash.

    `digest` is as in `find`, which raises `DataError`. The bundle is loaded and its golden rows are
    replayed first. Raises `BundleError` where it cannot be served; nothing is changed then.
    """
    whole = find(models, version, digest)
    bundle.load_folder(models / version / whole, version)
    publish.make_current(models / version, whole)
    return whole


def find(models: Path, version: str, digest: str) -> str:
    """Return the whole hash of a bundle that is kept.

    `digest` may be cut short, as long as one bundle only begins with it. Raises `DataError` where
    there is no such bundle.
    """
    kept = [each.hash for each in listed(models) if each.version == version]
    if not kept:
        raise DataError(f"{models}: no model of version {version} is kept")
    matching = [each for each in kept if each.startswith(digest)]
    if len(matching) != 1:
        raise DataError(
            f"version {version} has {'no model' if not matching else 'several models'} "
            f"{digest!r}; there are {', '.join(kept)}"
        )
    return matching[0]


def describe(
    kept: Kept, *, split: Mapping[str, float], control: str, state: str | None = None
) -> Json:
    """Return what `irisab models --json` has of a bundle; `state` is that of a candidate."""
    manifest = kept.manifest or {}
    role = "none"
    if kept.version in split:
        role = "control" if kept.version == control else "challenger"
    return {
        "version": kept.version,
        "bundle": kept.hash,
        "current": kept.is_current,
        "role": role if kept.is_current else "none",
        "share": split.get(kept.version) if kept.is_current else None,
        "task": manifest.get("task", "classification") if manifest else None,
        "estimator": manifest.get("estimator"),
        "form": _form(manifest) if manifest else None,
        "dataset": manifest.get("dataset"),
        "rows": manifest.get("rows"),
        "exam": manifest.get("exam"),
        "accuracy": manifest.get("accuracy"),
        "mae": manifest.get("mae"),
        "trained_at": manifest.get("trained_at"),
        "candidate": state,
        "reason": manifest.get(candidate.KEY, {}).get("reason"),
        "error": kept.why,
    }


def _form(manifest: Mapping[str, Any]) -> str:
    return "pickle" if bundle.form_of(manifest) == bundle.PICKLE else "plain"
