"""Files in which people keep fitted models, and how each is opened. Start at `opened()`.

What a file is called says nothing; its first bytes do.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irisab.errors import DataError, MissingPackage

KNOWN = (
    "a joblib or pickle file, a skops file, an MLflow folder, an XGBoost model (JSON or UBJ) or a "
    "LightGBM model (text)"
)
MLFLOW = "MLmodel"
# How pickles begin, and what joblib compresses them with: zlib, gzip, bz2, xz, lzma, lz4.
_PICKLES = (
    b"\x80", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b", b"BZh", b"\xfd7zXZ",
    b"\x5d\x00", b"\x04\x22\x4d\x18",
)  # fmt: skip
# So many bytes tell the formats apart.
_BEGIN = 256
# Only of these is it known that XGBoost's own wrapper answers as the model was meant to.
_XGBOOST_CLASSES = ("binary:logistic", "multi:softprob", "multi:softmax")
_XGBOOST_VALUES = re.compile(r"reg:(?!logistic)\w+|count:poisson")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was in a file. `notes` are sentences for the person who brought it."""

    estimator: Any
    format: str
    sha256: str
    notes: tuple[str, ...] = ()


class Untrusted(DataError):
    """Opening the file would run code, and nobody has said that it is trusted."""


def opened(path: Path, *, trust: bool) -> Opened:
    """Open a file or an MLflow folder.

    Raises `DataError` for what is none of `KNOWN`, or is damaged, `Untrusted` where
    opening it runs code and `trust` is False, and `MissingPackage`.
    """
    file, mlflow = _file(path)
    try:
        with file.open("rb") as content:
            begin = content.read(_BEGIN)
            content.seek(0)
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    name, open_ = _format(file, begin)
    notes: list[str] = []
    with _explained(file, notes):
        estimator = _wrapped(open_(file, trust))
    return Opened(
        estimator=estimator,
        format=f"MLflow, {name}" if mlflow else name,
        sha256=sha256,
        notes=tuple(notes),
    )


def _file(path: Path) -> tuple[Path, bool]:
    """Return the file to open, and whether it is part of an MLflow folder."""
    if not path.is_dir():
        return path, False
    described = path / MLFLOW
    if not described.is_file():
        raise DataError(f"{path}: is a folder without a file {MLFLOW}; irisab takes {KNOWN}")
    return path / _of_mlflow(described), True


def _of_mlflow(described: Path) -> str:
    """Return the name of the file that an MLmodel names, which is YAML of two simple levels."""
    flavors: dict[str, dict[str, str]] = {}
    inside = flavor = ""
    for line in described.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"(\w+):.*", line):
            inside = match[1]
        elif inside == "flavors" and (match := re.fullmatch(r"  (\w+):", line)):
            flavor = match[1]
        elif inside == "flavors" and (match := re.fullmatch(r"    (\w+): (\S+)", line)):
            flavors.setdefault(flavor, {})[match[1]] = match[2].strip("'\"")
    for flavor, key in (("sklearn", "pickled_model"), ("xgboost", "data"), ("lightgbm", "data")):
        name = flavors.get(flavor, {}).get(key, "")
        if name and Path(name).name == name:
            return name
    raise DataError(
        f"{described}: has the flavors {', '.join(sorted(flavors)) or 'none'}; "
        "irisab takes sklearn, xgboost and lightgbm"
    )


Open = Callable[[Path, bool], Any]


def _format(file: Path, begin: bytes) -> tuple[str, Open]:
    if begin.startswith(b"PK") and zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if "schema.json" in archive.namelist():
                return "skops", _skops
    if begin.startswith(b"tree\n"):
        return "LightGBM", _lightgbm
    if re.match(rb'\{(L\x00|\s*"learner")', begin):
        return "XGBoost", _xgboost
    if begin.startswith(_PICKLES):
        return "pickle", _pickle
    raise DataError(f"{file}: is none of the formats that irisab takes: {KNOWN}")


def _pickle(file: Path, trust: bool) -> Any:
    if not trust:
        raise Untrusted(
            f"{file}: is a pickle, and opening one runs whatever code its maker put into it: add "
            "--trust if you know who made it"
        )
    import joblib

    # By its path: joblib tells by itself how the file is compressed.
    return joblib.load(file)


def _skops(file: Path, trust: bool) -> Any:
    from skops import io

    unknown = io.get_untrusted_types(file=file)
    if unknown and not trust:
        raise Untrusted(
            f"{file}: has types that skops does not know to be harmless: {', '.join(unknown)}: "
            "add --trust if you know who made it"
        )
    return io.load(file, trusted=unknown)


def _xgboost(file: Path, trust: bool) -> Any:
    import xgboost

    return _of_booster(xgboost.Booster(model_file=bytearray(file.read_bytes())))


def _of_booster(booster: Any) -> Any:
    """Return XGBoost's own wrapper around a model; its objective says which."""
    import xgboost

    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    wrapper: Any
    if objective in _XGBOOST_CLASSES:
        wrapper = xgboost.XGBClassifier()
    elif _XGBOOST_VALUES.fullmatch(objective):
        wrapper = xgboost.XGBRegressor()
    else:
        raise DataError(
            f"an XGBoost model for {objective} cannot be served; "
            f"irisab serves {', '.join(_XGBOOST_CLASSES)}, count:poisson and regressions"
        )
    wrapper.load_model(booster.save_raw("ubj"))
    return wrapper


def _lightgbm(file: Path, trust: bool) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=file.read_text(encoding="utf-8"))


def _wrapped(model: Any) -> Any:
    """Return the estimator of what was opened: what it learns with, wrapped, is a model too."""
    kind = (type(model).__module__.partition(".")[0], type(model).__name__)
    if kind == ("xgboost", "Booster"):
        return _of_booster(model)
    if kind == ("lightgbm", "Booster"):
        from irisab.model import native

        return native.wrapped(model)
    return model


@contextmanager
def _explained(file: Path, notes: list[str]) -> Iterator[None]:
    """Turn whatever a library says of a file into one sentence."""
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            yield
    except DataError:
        raise
    except ModuleNotFoundError as error:
        package = str(error.name or error).partition(".")[0]
        raise MissingPackage(f"{file}: the model", package) from error
    except AttributeError as error:
        raise DataError(
            f"{file}: cannot be opened: {reason_of(error)}; a class or function of a notebook or "
            "script belongs into a module that is installed with pip"
        ) from error
    except Exception as error:  # damaged files, and strange pickles, raise anything
        raise DataError(f"{file}: cannot be opened: {reason_of(error)}") from error
    notes += sorted({_note(each.message) for each in heard} - {""})


def reason_of(error: Exception) -> str:
    """Return the first line of what a library says."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _note(warning: Any) -> str:
    """Return what is worth saying of a warning."""
    if type(warning).__name__ != "InconsistentVersionWarning":
        return ""
    about: Mapping[str, str] = vars(warning)
    return (
        f"WARNING: it was made by scikit-learn {about['original_sklearn_version']}, and "
        f"{about['current_sklearn_version']} is here, which may answer otherwise or not at all"
    )
