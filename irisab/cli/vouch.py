"""irisab vouch: root says that a pickled model may be opened."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from irisab import config
from irisab.cli.arguments import add
from irisab.cli.output import say
from irisab.cli.typed import typed
from irisab.errors import DataError, Unvouched
from irisab.lifecycle import kept_models
from irisab.model import bundle, vouched
from irisab.model.bundle import CURRENT, PICKLE, form_of


def add_to(commands: Any) -> None:
    parser = add(commands, "vouch", _vouch, "on a host, as root: let a pickled model be opened")
    parser.add_argument("version", nargs="?", metavar="VERSION")
    parser.add_argument("hash", nargs="?", metavar="HASH", help="its first letters will do")
    parser.add_argument(
        "--all", action="store_true", help="every pickled model that is kept, as an upgrade does"
    )


def _vouch(options: argparse.Namespace) -> int:
    models = config.load(options.config).data.models
    if options.all and options.version is not None:
        raise DataError("--all goes without a version")
    if options.hash is None and not options.all:
        one = typed(options.config, "vouch VERSION HASH")
        raise DataError(f"name the version and the model: {one}")
    pickled = [*_pickled(models, options)]
    vouched.add(vouched.LIST, [(version, sha256) for version, sha256, _ in pickled])
    for version, sha256, manifest in pickled:
        say(f"root vouches for {version} {sha256[: bundle.FOLDER_DIGITS]}, {_about(manifest)}")
    if not pickled and not options.all:
        say("Nobody needs to vouch: what is served from numbers alone is never run.")
    return 0


def _pickled(
    models: Path, options: argparse.Namespace
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield version, sha256 of the manifest, and manifest of what is meant and is a pickle."""
    folders = (
        [models / each.version / each.hash for each in kept_models.listed(models) if each.manifest]
        if options.all
        else [models / options.version / kept_models.find(models, options.version, options.hash)]
    )
    for folder in folders:
        manifest, origin = bundle.read(folder)
        if form_of(manifest) == PICKLE:
            yield folder.parent.name, origin.sha256, manifest


def _about(manifest: Mapping[str, Any]) -> str:
    return f"a {manifest.get('estimator', 'model')} made {manifest.get('trained_at', 'long ago')}"


def missing(models: Path, version: str, options: argparse.Namespace) -> Iterator[str]:
    """Yield what to type where the current bundle of a version is a pickle that nobody vouches for,
    as the service's account makes them."""
    folder = (models / version / CURRENT).resolve()
    manifest, origin = bundle.read(folder)
    if form_of(manifest) != PICKLE:
        return
    try:
        vouched.here().refuse_unvouched(origin, folder, version)
    except Unvouched:
        yield "It is a pickle, which root has to vouch for before it is opened:"
        yield f"  {typed(options.config, f'vouch {version} {folder.name}')}"
