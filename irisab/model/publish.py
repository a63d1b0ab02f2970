"""A model version written to disk. Start at `write()`.

A bundle is written complete and then made current by renaming a symlink, so a reader never sees
half of one.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from irisab.errors import BundleError
from irisab.model.answer import Model
from irisab.model.bundle import CURRENT, FOLDER_DIGITS, MANIFEST, Bundle, features_of
from irisab.model.forms import formed
from irisab.model.schema import row_to_json
from irisab.model.sink import Folder, Memory, Sink

STAGING = ".new-"
FOLDER_NAME = f"[0-9a-f]{{{FOLDER_DIGITS}}}"
KEEP = 3
DAY = 86_400


def _libraries() -> dict[str, str]:
    from importlib.metadata import version

    versions = {name: version(name) for name in ("joblib", "numpy", "scikit-learn")}
    return {"python": platform.python_version(), **versions}


def write(
    models: Path,
    version: str,
    *,
    estimator: Any,
    golden_rows: Any,
    about: Mapping[str, Any],
    beside: Mapping[str, bytes] | None = None,
    proof_rows: Any = None,
) -> Path:
    """Write a bundle, make it current and return its folder.

    Parameters are those of `pack`, and more files, `beside`, which serving does not need. Raises
    `BundleError` where the folder cannot be written.
    """

    def fill(sink: Sink) -> None:
        _pack(sink, estimator, golden_rows, about, proof_rows)
        _add_all(sink, beside or {})

    return _put(models, version, fill)


def pack(
    estimator: Any, *, golden_rows: Any, about: Mapping[str, Any], proof_rows: Any = None
) -> dict[str, bytes]:
    """Return the files of a bundle, by name.

    Parameters
    ----------
    estimator : fitted classifier or regressor
        Its classes are among 0 to n_classes - 1.
    golden_rows : array of shape (n_rows, n_features)
        Their answers are kept, and must come out again at every load.
    about : mapping
        The rest of the manifest: see `training.fit`.
    proof_rows : array of shape (n_rows, n_features)
        On these and on rows around them a plain form must answer as the estimator does, or it is
        not used; by default the golden rows.
    """
    memory = Memory()
    _pack(memory, estimator, golden_rows, about, proof_rows)
    return memory.files


def _pack(
    sink: Sink, estimator: Any, golden_rows: Any, about: Mapping[str, Any], proof_rows: Any
) -> None:
    model = formed(estimator, about, golden_rows if proof_rows is None else proof_rows, sink)
    manifest = {
        "format": 2 if _needs_format_2(model.estimator, about) else 1,
        "sha256": model.sha256,
        "files": dict(model.files),
        "libraries": _libraries(),
        "golden": _golden(model.model, golden_rows.tolist()),
        **about,
        **model.about,
    }
    _add_all(sink, {MANIFEST: json.dumps(manifest, indent=1, allow_nan=False).encode()})


def _add_all(sink: Sink, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        sink.add(name, partial(_write, data))


def _write(data: bytes, file: IO[bytes]) -> None:
    file.write(data)


def put(models: Path, version: str, files: Mapping[str, bytes]) -> Path:
    """Write the files of a bundle, make it current and return its folder.

    Raises `BundleError` where it cannot be written.
    """
    return _put(models, version, lambda sink: _add_all(sink, files))


def _put(models: Path, version: str, fill: Callable[[Sink], None]) -> Path:
    home = models / version
    _sweep(models)
    try:
        home.mkdir(parents=True, exist_ok=True)
        folder = _complete(home, fill)
        _make_newest(folder)
        make_current(home, folder.name)
        _prune(home)
    except OSError as error:
        raise BundleError(f"{home}: the model cannot be written: {error}") from error
    finally:
        _remove_if_empty(home)
    return folder


def _sweep(models: Path) -> None:
    """Remove what a training that was killed has left half written, long ago."""
    for name in glob.glob(f"*/{STAGING}*", root_dir=models):
        staging = models / name
        with suppress(OSError):
            if time.time() - staging.stat().st_mtime > DAY:
                shutil.rmtree(staging)
                _remove_if_empty(staging.parent)


def _remove_if_empty(home: Path) -> None:
    """Leave no folder behind that would look like a version."""
    with suppress(OSError):
        home.rmdir()


def _complete(home: Path, fill: Callable[[Sink], None]) -> Path:
    staging = Path(tempfile.mkdtemp(dir=home, prefix=STAGING))
    try:
        fill(Folder(staging))
        return _named(staging, home)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _named(staging: Path, home: Path) -> Path:
    staging.chmod(0o755)
    manifest = (staging / MANIFEST).read_bytes()
    folder = home / hashlib.sha256(manifest).hexdigest()[:FOLDER_DIGITS]
    if folder.exists():  # trained twice within a second: the same bundle
        shutil.rmtree(staging)
    else:
        staging.rename(folder)
    return folder


def _golden(model: Model, rows: list[list[Any]]) -> dict[str, Any]:
    return {"rows": [row_to_json(row) for row in rows], "answers": model.score_rows(rows)}


def _needs_format_2(estimator: Any, about: Mapping[str, Any]) -> bool:
    """Tell whether an irisab that knows numbers and probabilities only could not serve this."""
    return not hasattr(estimator, "predict_proba") or any(
        feature.type != "number" or feature.missing for feature in features_of(about)
    )


def link(models: Path, bundles: Iterable[Bundle]) -> None:
    """Make `models` a folder from which these bundles are loaded; raises `OSError`."""
    for each in bundles:
        home = models / each.version
        home.mkdir(parents=True, exist_ok=True)
        make_current(home, each.folder)


def unlink_others(models: Path, versions: Collection[str]) -> None:
    """Remove from a folder that `link` has made the links of other versions; raises `OSError`."""
    for home in models.iterdir():
        if home.name not in versions:
            (home / CURRENT).unlink(missing_ok=True)
            home.rmdir()


def make_current(home: Path, target: Path | str) -> None:
    """Let a bundle of the version in `home` serve from the next reload on; raises `OSError`."""
    link = home / f".{CURRENT}-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    link.rename(home / CURRENT)


def is_bundle(folder: Path) -> bool:
    """Tell a complete bundle from what another training is writing, and what somebody put there."""
    return re.fullmatch(FOLDER_NAME, folder.name) is not None and folder.is_dir()


def _others(folder: Path) -> list[Path]:
    """Return the other bundles of the same version; raises `OSError`."""
    return [each for each in folder.parent.iterdir() if is_bundle(each) and each != folder]


def _make_newest(folder: Path) -> None:
    """Let nothing else of the version be newer.

    Where the clock was ahead once, the bundle that has just been replaced would go as the oldest.
    """
    with suppress(OSError):  # another training may remove one meanwhile
        latest = max((each.stat().st_mtime for each in _others(folder)), default=0.0)
        if folder.stat().st_mtime <= latest:
            os.utime(folder, (latest + 1, latest + 1))


def _prune(home: Path) -> None:
    """Keep the last `KEEP` bundles, the current one among them."""
    current = home / (home / CURRENT).readlink()
    others = _others(current)
    others.sort(key=lambda each: each.stat().st_mtime, reverse=True)
    for old in others[KEEP - 1 :]:
        shutil.rmtree(old)
