"""What the versions learn from, and that it stays the same. Start at `refuse_other()`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from irisab.errors import DataError
from irisab.files import read_regular, replace_for_all
from irisab.lifecycle.rows import IRIS, source_of
from irisab.versions import DEFAULT_ESTIMATORS

# Hidden, as no version can be; one for each, so that two trainings lose nothing of each other.
_WANTED = ".wanted-"


def refuse_other(
    version: str,
    data: Path | None,
    *,
    is_named: bool,
    manifests: Mapping[str, Mapping[str, Any]],
    served: Collection[str],
    wanted: Mapping[str, str],
    typed: Callable[[str], str],
) -> None:
    """Raise `DataError` where a version would be made from other data than it was, or than others.

    So that a model of somebody's own data never comes back as one of Iris.

    Parameters
    ----------
    data : what [training] says, None for Iris
    is_named : whether it says so, or nobody did
    manifests : those on the disk
    served : versions that the history has seen
    wanted : see `wanted()`
    typed : from a command to what has to be typed here
    """
    again = "--force " if version in manifests else ""
    remedy = (
        f"Say what it learns from: {typed(f'train {again}{version} --data FILE --target COLUMN')}, "
        f"or --data {IRIS} for the example"
    )
    if version in manifests:
        made = origin(manifests[version])
        if not _is_same(made, data):
            raise DataError(
                f"version {version} was made from {made}, [training] is about {_name(data)}. "
                f"{remedy}"
            )
        return
    if version in wanted and data is None:
        raise DataError(
            f"version {version} was to be made from {wanted[version]}, and never was: type that "
            f"command again. {remedy}"
        )
    if version in served:
        raise DataError(
            f"version {version} has served before, and its model is gone; what it was made from "
            f"is not known any more. {remedy}"
        )
    origins = {name: origin(manifest) for name, manifest in manifests.items()}
    if origins and not any(_is_same(each, data) for each in origins.values()):
        others = ", ".join(f"{name} from {made}" for name, made in origins.items())
        raise DataError(
            f"the other versions were made from other data ({others}), "
            f"[training] is about {_name(data)}. {remedy}"
        )
    if not origins and not is_named and version not in DEFAULT_ESTIMATORS:
        raise DataError(
            f"nobody has said what version {version} learns from; only the examples "
            f"{' and '.join(DEFAULT_ESTIMATORS)} take Iris by themselves. Write [training] data = "
            f"FILE and target = COLUMN into the INI file, or data = {IRIS}"
        )


def want(models: Path, version: str, source: str) -> None:
    """Remember what a version without a model is to be made from, until it is; see `made()`."""
    # Where nothing can be written, the training says so.
    with suppress(OSError):
        models.mkdir(parents=True, exist_ok=True)
        replace_for_all(models / f"{_WANTED}{version}", source)


def made(models: Path, version: str) -> None:
    """Forget what a version was to be made from: its manifest says what it was."""
    with suppress(OSError):
        (models / f"{_WANTED}{version}").unlink(missing_ok=True)


def wanted(models: Path) -> dict[str, str]:
    """Return the `source` by version, of what `train --data` or `import` has not made yet."""
    sources = {}
    for note in sorted(models.glob(f"{_WANTED}*")):
        with suppress(OSError):
            sources[note.name.removeprefix(_WANTED)] = read_regular(note).decode(errors="replace")
    return sources


def origin(manifest: Mapping[str, Any]) -> str:
    """Return the `source` of the data that a model was made from, as far as it is known.

    A model of an older irisab knows the name of the data only.
    """
    training = manifest.get("training") or {}
    name = str(manifest.get("dataset"))
    return training.get("source") or (IRIS if name == "Iris" else name)


def _is_same(made: str, data: Path | None) -> bool:
    if data is None:
        return made == IRIS
    return made in (source_of(data), data.name)


def _name(data: Path | None) -> str:
    return IRIS if data is None else str(data)
