"""One model version on disk, read and verified. Start at `load()`.

    models/<version>/<sha12>/manifest.json   what it is; <sha12> begins the sha256 of this file
                             forest.npz      the plain form of a forest of numbers
                             plain.npz       any other plain form, with "plain" in the manifest
                             model.joblib    the fitted estimator
                             training.csv.gz the labelled rows it was made from, if kept
    models/<version>/current -> <sha12>

Nothing is trusted unread: the folder's name vouches for the manifest, the manifest for the files,
and golden rows for the answers. For a pickle, which is a program, a person does: see `vouched`.
"""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from irisab.errors import BundleError, MissingPackage, Unvouched
from irisab.files import open_regular
from irisab.model import vouched
from irisab.model.answer import Model
from irisab.model.estimator import Estimator
from irisab.model.forest import Forest
from irisab.model.outline import as_json
from irisab.model.plain import PlainModel, restore
from irisab.model.schema import Feature, Task, row_from_json
from irisab.model.unchanged import PIECE, Unchanged
from irisab.model.vouched import Origin, Vouchers
from irisab.stats.drift import Reference

MANIFEST, FOREST, PLAIN, PICKLE = "manifest.json", "forest.npz", "plain.npz", "model.joblib"
CURRENT = "current"
# 2 is what an irisab of format 1 cannot serve: text, gaps, values instead of classes.
FORMATS = (1, 2)
FOLDER_DIGITS = 12
# Another library or processor may round the last digits otherwise; what only adds may not.
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A loaded version. `sha256` identifies the model: the hash of its plain form, else pickle.

    A regression has no classes.
    """

    version: str
    folder: Path
    sha256: str
    task: Task
    features: tuple[Feature, ...]
    class_names: tuple[str, ...]
    class_numbers: tuple[int, ...]
    reference: Reference
    model: Model
    manifest: Mapping[str, Any]

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def tree(self) -> dict[str, Any] | None:
        """The top of the first tree as JSON values, None where there is none to look at."""
        asked = self.model.outline if isinstance(self.model, Forest | PlainModel) else None
        return None if asked is None else as_json(asked, self.features, self.class_names)


def exists(models: Path, version: str) -> bool:
    """Tell whether `version` has a current bundle, whatever its state."""
    return os.path.exists(models / version / CURRENT / MANIFEST)


def entries(models: Path) -> list[Path]:
    """Return what lies in the folders of versions: bundles, and links to the current ones.

    Hidden is what a training writes and what is being removed; neither is listed.
    """
    return [models / name for name in sorted(glob.glob("*/*", root_dir=models))]


def versions(models: Path) -> list[str]:
    """Return the versions that have a current bundle, whatever its state."""
    try:
        return sorted(each.name for each in models.iterdir() if exists(models, each.name))
    except OSError:
        return []


def read_manifest(models: Path, version: str) -> Mapping[str, Any] | None:
    """Return the manifest of a version's current bundle; None where there is none to be read."""
    try:
        return manifest_of((models / version / CURRENT).resolve(strict=True))
    except (OSError, ValueError, LookupError, BundleError):
        return None


def features_of(manifest: Mapping[str, Any]) -> tuple[Feature, ...]:
    """Return the features of a manifest; what a newer irisab says of them is passed over."""
    known = {each.name for each in fields(Feature)}
    return tuple(
        Feature(**{key: _frozen(value) for key, value in feature.items() if key in known})
        for feature in manifest["features"]
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def load(models: Path, version: str) -> Bundle:
    """Read, verify and replay the current bundle of `version`.

    Raises `BundleError` where it is missing, damaged, or answers otherwise than when it was made.
    """
    folder = models / version / CURRENT
    try:
        return load_folder(folder.resolve(strict=True), version)
    except FileNotFoundError as error:
        again = "--force " if exists(models, version) else ""
        raise BundleError(
            f"{folder}: version {version} has no complete model ({error.filename} is missing): "
            f"run 'irisab train {again}{version}'"
        ) from error
    except (OSError, RuntimeError) as error:  # a link that leads to itself is the latter
        raise BundleError(f"{folder}: the model cannot be read: {error}; {_REMEDY}") from error


def load_folder(folder: Path, version: str, *, vouchers: Vouchers | None = None) -> Bundle:
    """Do the same with any bundle of `version`; raises also `OSError`."""
    try:
        return _load(folder, version, vouchers or vouched.here())
    except (OSError, MissingPackage, Unvouched):
        raise
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise MissingPackage(f"{folder}: the model", package) from error
    except BundleError as error:
        raise BundleError(f"{error}; {_REMEDY}") from error
    except Exception as error:  # what a damaged archive or a strange pickle raises is anything
        raise BundleError(f"{folder}: the model cannot be read: {error!r}; {_REMEDY}") from error


_REMEDY = f"train it again, or let {CURRENT!r} point to an older model beside it"


def _load(folder: Path, version: str, vouchers: Vouchers) -> Bundle:
    manifest, origin = read(folder)
    if form_of(manifest) == PICKLE:
        vouchers.refuse_unvouched(origin, folder, version)
    reference = manifest["reference"]
    features = features_of(manifest)
    bundle = Bundle(
        version=version,
        folder=folder,
        sha256=manifest["sha256"],
        task=manifest.get("task", "classification"),
        features=features,
        class_names=tuple(manifest["class_names"]),
        class_numbers=tuple(manifest["class_numbers"]),
        reference=Reference(
            names=tuple(feature["name"] for feature in manifest["features"]),
            mean=_floats(reference["mean"]),
            std=_floats(reference["std"]),
            columns=tuple(np.array(column, dtype=float) for column in reference["columns"]),
            shares=tuple(reference.get("shares", ())),
            missing=tuple(reference.get("missing", ())),
            rows=manifest.get("reference_rows", manifest["rows"]),
        ),
        model=_model(folder, manifest, features),
        manifest=manifest,
    )
    _replay(bundle, folder, exact=_is_exact(bundle.model))
    return bundle


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the manifest of a bundle; raises `BundleError` where it is another than it was."""
    return read(folder)[0]


def read(folder: Path) -> tuple[dict[str, Any], Origin]:
    """Return the same, and where it comes from."""
    path = folder / MANIFEST
    with open_regular(path) as file:
        data = file.read()
        origin = Origin(hashlib.sha256(data).hexdigest(), os.fstat(file.fileno()))
    if origin.sha256[:FOLDER_DIGITS] != folder.name:
        raise BundleError(f"{path}: is not the manifest this folder was made with")
    manifest: dict[str, Any] = json.loads(data)
    if manifest["format"] not in FORMATS:
        read = " and ".join(map(str, FORMATS))
        raise BundleError(f"{path}: has format {manifest['format']}, this irisab reads {read}")
    return manifest, origin


def _floats(values: Sequence[float | None]) -> Any:
    """Return figures of columns; one of text has none."""
    return np.array([math.nan if value is None else value for value in values])


def _model(folder: Path, manifest: Mapping[str, Any], features: Sequence[Feature]) -> Model:
    form = form_of(manifest)
    for name in manifest["files"]:
        if name != form:
            _verified(folder, name, manifest).close()
    with _verified(folder, form, manifest) as file:
        if form != PICKLE:
            return plain_model(file, manifest.get("plain"))
        _refuse_other_libraries(folder, manifest["libraries"])
        import joblib  # only here: a plain form needs neither pickle nor scikit-learn

        return Estimator(
            joblib.load(file),
            n_classes=len(manifest["class_names"]),
            numeric=all(feature.is_numeric for feature in features),
        )


def plain_model(file: BufferedIOBase, about: Mapping[str, Any] | None) -> Model:
    """Read a plain form: of a forest of numbers, or of what `about` says.

    An array is read when it is asked for: all of a large forest at once would be too much.
    """
    with np.load(file, allow_pickle=False) as arrays:
        return Forest(arrays) if about is None else restore(about, arrays)


def form_of(manifest: Mapping[str, Any]) -> str:
    """Return the file that a bundle is served from."""
    return next((name for name in (FOREST, PLAIN) if name in manifest["files"]), PICKLE)


# In the folder itself: no path, and nothing that is hidden.
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def _verified(folder: Path, name: str, manifest: Mapping[str, Any]) -> BufferedReader:
    """Open a file of a bundle that is as it was written."""
    if not _FILE.fullmatch(name):
        raise BundleError(f"{folder / MANIFEST}: names no file of this folder: {name!r}")
    # Not read at once: a file may be larger than the memory that is left.
    file = Unchanged(open_regular(folder / name))
    if file.sha256 != manifest["files"][name]:
        file.close()
        raise BundleError(f"{folder / name}: was changed since training (sha256 differs)")
    return BufferedReader(file, PIECE)


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


def _is_exact(model: Model) -> bool:
    return isinstance(model, Forest) or (isinstance(model, PlainModel) and model.exact)


def _replay(bundle: Bundle, folder: Path, *, exact: bool) -> None:
    golden = bundle.manifest["golden"]
    rows = [row_from_json(row, bundle.features) for row in golden["rows"]]
    tolerance = 0 if exact else TOLERANCE
    answers = bundle.model.score_rows(rows)
    for row, (said, probabilities), expected in zip(rows, answers, golden["answers"], strict=True):
        # A class is the same or another; a value may be rounded, as probabilities may.
        same = said == expected[0] or (
            bundle.task == "regression" and math.isclose(said, expected[0], rel_tol=tolerance)
        )
        alike = len(probabilities) == len(expected[1]) and np.allclose(
            probabilities, expected[1], rtol=0, atol=tolerance
        )
        if not (same and alike):
            raise BundleError(f"{folder}: answers {row} otherwise than when it was trained")
