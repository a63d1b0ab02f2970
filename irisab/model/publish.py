"""A model version written to disk. Start at `write()`.

A bundle is written complete and then made current by renaming a symlink, so a reader never sees
half of one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from irisab.errors import BundleError
from irisab.files import write_durably
from irisab.model.arrays import flatten
from irisab.model.bundle import CURRENT, FOLDER_DIGITS, FORMAT, MANIFEST, PICKLE, PLAIN, Bundle
from irisab.model.estimator import Estimator
from irisab.stats.drift import Array

STAGING = ".new-"
FOLDER_NAME = f"[0-9a-f]{{{FOLDER_DIGITS}}}"
KEEP = 3


def _libraries() -> dict[str, str]:
    from importlib.metadata import version

    versions = {name: version(name) for name in ("joblib", "numpy", "scikit-learn")}
    return {"python": platform.python_version(), **versions}


def write(
    models: Path, version: str, *, estimator: Any, golden_rows: Array, about: Mapping[str, Any]
) -> Path:
    """Write a bundle, make it current and return its folder.

    Parameters
    ----------
    estimator : fitted classifier
        Its classes are 0 to n_classes - 1.
    golden_rows : array of shape (n_rows, n_features)
        Their answers are kept, and must come out again at every load.
    about : mapping
        The rest of the manifest: see `training.fit`.

    Raises `BundleError` where the folder cannot be written.
    """
    home = models / version
    try:
        home.mkdir(parents=True, exist_ok=True)
        folder = _complete(home, estimator, golden_rows, about)
        _make_current(home, folder.name)
        _prune(home)
    except OSError as error:
        raise BundleError(f"{home}: the bundle cannot be written: {error}") from error
    return folder


def _complete(home: Path, estimator: Any, golden_rows: Array, about: Mapping[str, Any]) -> Path:
    staging = Path(tempfile.mkdtemp(dir=home, prefix=STAGING))
    try:
        return _fill(staging, home, estimator, golden_rows, about)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _fill(
    staging: Path, home: Path, estimator: Any, golden_rows: Array, about: Mapping[str, Any]
) -> Path:
    import joblib

    files = {PICKLE: _bytes_of(lambda file: joblib.dump(estimator, file))}
    arrays: dict[str, Any] | None = flatten(estimator)
    if arrays is not None:
        files[PLAIN] = _bytes_of(lambda file: np.savez(file, **arrays))
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = {
        "format": FORMAT,
        "sha256": hashes.get(PLAIN, hashes[PICKLE]),
        "files": hashes,
        "libraries": _libraries(),
        "golden": {
            "rows": golden_rows.tolist(),
            "answers": Estimator(estimator).score_rows(golden_rows.tolist()),
        },
        **about,
    }
    files[MANIFEST] = json.dumps(manifest, indent=1, allow_nan=False).encode()
    for name, data in files.items():
        write_durably(staging / name, data)
    staging.chmod(0o755)
    folder = home / hashlib.sha256(files[MANIFEST]).hexdigest()[:FOLDER_DIGITS]
    if folder.exists():  # trained twice within a second: the same bundle
        shutil.rmtree(staging)
    else:
        staging.rename(folder)
    return folder


def _bytes_of(dump: Any) -> bytes:
    file = io.BytesIO()
    dump(file)
    return file.getvalue()


def link(models: Path, bundles: Iterable[Bundle]) -> None:
    """Make `models` a folder from which just these bundles are loaded; raises `OSError`."""
    for each in bundles:
        home = models / each.version
        home.mkdir(parents=True, exist_ok=True)
        _make_current(home, each.folder)


def _make_current(home: Path, target: Path | str) -> None:
    link = home / f".{CURRENT}-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    link.rename(home / CURRENT)


def _prune(home: Path) -> None:
    """Keep the last `KEEP` bundles, the current one among them."""
    current = home / (home / CURRENT).readlink()
    # Neither what another training is writing, nor what somebody has put there.
    bundles = [each for each in home.iterdir() if re.fullmatch(FOLDER_NAME, each.name)]
    others = [each for each in bundles if each != current and each.is_dir()]
    others.sort(key=lambda each: each.stat().st_mtime, reverse=True)
    for old in others[KEEP - 1 :]:
        shutil.rmtree(old)
