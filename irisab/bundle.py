"""One model version on disk. Start at `load()`.

    models/<version>/<sha12>/manifest.json   what it is; <sha12> begins the sha256 of this file
                             forest.npz      the plain form, where the model has one
                             model.joblib    the fitted estimator
    models/<version>/current -> <sha12>

A bundle is written complete and then made current by renaming a symlink, so a reader never sees
half of one. Nothing is trusted unread: the folder's name vouches for the manifest, the manifest
for the files, and golden rows for the answers.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from irisab.drift import Array, Reference
from irisab.errors import BundleError
from irisab.forest import Forest, flatten

MANIFEST, PLAIN, PICKLE = "manifest.json", "forest.npz", "model.joblib"
CURRENT, STAGING = "current", ".new-"
FORMAT = 1
FOLDER_DIGITS = 12
FOLDER_NAME = f"[0-9a-f]{{{FOLDER_DIGITS}}}"
KEEP = 3
# Another library or processor may round the last digits otherwise; a plain form may not.
TOLERANCE = 1e-6

Scored = tuple[int, tuple[float, ...]]


class Model(Protocol):
    """What a version does with rows that `payload` has checked.

    An answer is the index of the class and the probability of each class.
    """

    def score_row(self, row: Sequence[float]) -> Scored: ...

    def score_rows(self, rows: Sequence[Sequence[float]]) -> list[Scored]: ...


class Estimator:
    """Any fitted scikit-learn classifier with `predict_proba`, asked as it is."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def score_row(self, row: Sequence[float]) -> Scored:
        return self.score_rows([row])[0]

    def score_rows(self, rows: Sequence[Sequence[float]]) -> list[Scored]:
        array = np.array(rows, dtype=np.float64)
        # predict, not the largest probability: for some classifiers they differ.
        classes = self._estimator.predict(array).tolist()
        probabilities = self._estimator.predict_proba(array)
        if not np.isfinite(probabilities).all():
            raise ValueError("the estimator gave a probability that is not a number")
        pairs = zip(classes, probabilities.tolist(), strict=True)
        return [(int(index), tuple(each)) for index, each in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A column of the training data; `min`, `max` and `mean` are of the rows fitted on."""

    name: str
    unit: str | None
    min: float
    max: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A loaded version. `sha256` identifies the model: the hash of its plain form, else pickle."""

    version: str
    folder: Path
    sha256: str
    features: tuple[Feature, ...]
    class_names: tuple[str, ...]
    class_numbers: tuple[int, ...]
    reference: Reference
    model: Model
    manifest: Mapping[str, Any]

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)


def exists(models: Path, version: str) -> bool:
    """Tell whether `version` has a current bundle, whatever its state."""
    return os.path.exists(models / version / CURRENT / MANIFEST)


def load(models: Path, version: str) -> Bundle:
    """Read, verify and replay the current bundle of `version`.

    Raises `BundleError` where it is missing, damaged, or answers otherwise than when it was made.
    """
    folder = models / version / CURRENT
    try:
        return _load(folder.resolve(strict=True), version)
    except FileNotFoundError as error:
        again = "--force " if exists(models, version) else ""
        raise BundleError(
            f"{folder}: version {version} has no complete bundle ({error.filename} is missing): "
            f"run 'irisab train {again}{version}'"
        ) from error
    except OSError as error:
        raise BundleError(f"{folder}: the bundle cannot be read: {error}") from error
    except BundleError as error:
        raise BundleError(f"{error}; {_REMEDY}") from error
    except Exception as error:  # what a damaged archive or a strange pickle raises is anything
        raise BundleError(f"{folder}: the bundle cannot be read: {error!r}; {_REMEDY}") from error


_REMEDY = f"train it again, or let {CURRENT!r} point to an older bundle beside it"


def _load(folder: Path, version: str) -> Bundle:
    manifest = _manifest(folder)
    reference = manifest["reference"]
    bundle = Bundle(
        version=version,
        folder=folder,
        sha256=manifest["sha256"],
        features=tuple(Feature(**feature) for feature in manifest["features"]),
        class_names=tuple(manifest["class_names"]),
        class_numbers=tuple(manifest["class_numbers"]),
        reference=Reference(
            names=tuple(feature["name"] for feature in manifest["features"]),
            mean=np.array(reference["mean"]),
            std=np.array(reference["std"]),
            columns=tuple(np.array(column) for column in reference["columns"]),
        ),
        model=_model(folder, manifest),
        manifest=manifest,
    )
    _replay(bundle, folder, exact=PLAIN in manifest["files"])
    return bundle


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest()[:FOLDER_DIGITS] != folder.name:
        raise BundleError(f"{path}: is not the manifest this folder was made with")
    manifest: dict[str, Any] = json.loads(data)
    if manifest["format"] != FORMAT:
        raise BundleError(f"{path}: has format {manifest['format']}, this irisab reads {FORMAT}")
    return manifest


def _model(folder: Path, manifest: Mapping[str, Any]) -> Model:
    form = PLAIN if PLAIN in manifest["files"] else PICKLE
    for name in manifest["files"]:
        if name != form:
            _verified(folder, name, manifest)
    data = _verified(folder, form, manifest)
    if form == PLAIN:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Forest(dict(arrays))
    _refuse_other_libraries(folder, manifest["libraries"])
    import joblib  # only here: a plain form needs neither pickle nor scikit-learn

    return Estimator(joblib.load(io.BytesIO(data)))


def _verified(folder: Path, name: str, manifest: Mapping[str, Any]) -> bytes:
    data = (folder / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != manifest["files"][name]:
        raise BundleError(f"{folder / name}: was changed since training (sha256 differs)")
    return data


def _libraries() -> dict[str, str]:
    from importlib.metadata import version

    found = {name: version(name) for name in ("joblib", "numpy", "scikit-learn")}
    return {"python": platform.python_version(), **found}


def _refuse_other_libraries(folder: Path, trained: Mapping[str, str]) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not trained["python"].startswith(f"{here}."):
        raise BundleError(f"{folder}: was pickled by Python {trained['python']}, this is {here}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("scikit-learn")
    except PackageNotFoundError:
        installed = "missing"
    if installed != trained["scikit-learn"]:
        raise BundleError(
            f"{folder}: was pickled by scikit-learn {trained['scikit-learn']}, "
            f"which is {installed} here: install that one"
        )


def _replay(bundle: Bundle, folder: Path, *, exact: bool) -> None:
    golden = bundle.manifest["golden"]
    answers = bundle.model.score_rows(golden["rows"])
    for row, (index, probabilities), expected in zip(
        golden["rows"], answers, golden["answers"], strict=True
    ):
        same = (
            list(probabilities) == expected[1]
            if exact
            else np.allclose(probabilities, expected[1], rtol=0, atol=TOLERANCE)
        )
        if index != expected[0] or not same:
            raise BundleError(f"{folder}: answers {row} otherwise than when it was trained")


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
        _write_durably(staging / name, data)
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


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


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
