"""The labelled rows that a bundle keeps, so that a later version can learn from them, too."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from irisab.errors import DataError
from irisab.lifecycle import known, reading
from irisab.lifecycle.columns import read_known
from irisab.lifecycle.rows import Dataset, checked, to_array
from irisab.lifecycle.targets import read_target

FILE = "training.csv.gz"
MEGABYTE = 1_000_000


def pack(dataset: Dataset, *, keep_mb: int) -> tuple[bytes | None, dict[str, Any]]:
    """Return the file, None where it would be too large, and what the manifest says of it.

    All rows are in it, those of the exam among them. The same rows give the same bytes.
    """
    label = _free("label", dataset.feature_names)
    group = _free("group", dataset.feature_names) if dataset.groups is not None else None
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(_lines(dataset, label, group))
    content = text.getvalue().encode()
    packed = gzip.compress(content, compresslevel=6, mtime=0)
    kept = len(packed) <= keep_mb * MEGABYTE
    about = {
        "file": FILE if kept else None,
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": len(dataset.rows),
        "label": label,
        "group": group,
    }
    return packed if kept else None, about


def _free(title: str, names: tuple[str, ...]) -> str:
    while title in names:
        title += "_"
    return title


def _lines(dataset: Dataset, label: str, group: str | None) -> Iterator[list[Any]]:
    yield [*dataset.feature_names, *([group] if group else []), label]
    classes = dataset.task == "classification"
    labels = dataset.labels.tolist()
    plain = set(dataset.types) == {"number"} and not np.isnan(dataset.rows).any()
    for number, row in enumerate(dataset.rows.tolist()):
        cells = row if plain else list(map(_cell, row, dataset.types))
        groups = [dataset.groups[number]] if dataset.groups is not None else []
        yield [*cells, *groups, dataset.class_names[labels[number]] if classes else labels[number]]


def _cell(value: Any, kind: str) -> Any:
    if value is None or value != value:
        return ""
    if kind == "boolean":
        return "true" if value else "false"
    return value


def unpack(folder: Path, manifest: Mapping[str, Any]) -> Dataset:
    """Return the labelled rows of the bundle in `folder`, as its version takes them.

    Raises `DataError` where they are not kept, or not what they were.
    """
    about = manifest.get("training") or {}
    if about.get("file") is None:
        raise DataError(f"{folder}: the rows that this model was made from are not kept")
    path = folder / about["file"]
    return _dataset(path, unzipped(path, about["sha256"]), manifest, about)


def unzipped(path: Path, sha256: str) -> str:
    """Return the text of a file of a bundle; raises `DataError` where it is not what it was.

    `sha256` is that of the text, before it was compressed.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path}: was changed since training (sha256 differs)")
    return content.decode()


def _dataset(
    path: Path, text: str, manifest: Mapping[str, Any], about: Mapping[str, Any]
) -> Dataset:
    version = known.of_manifest("", manifest)
    table = reading.parse(path, text, separator=",")
    label, group = about["label"], about["group"]
    titles = [title for title in table.columns if title not in (label, group)]
    columns = read_known(table, titles, version, ".")
    if columns is None:
        raise DataError(f"{path}: has other columns than the model")
    answers = read_target(
        table.columns[label], where=str(path), task=version.task, decimal=".", known=version
    )
    return checked(
        Dataset(
            name=manifest["dataset"],
            rows=to_array([column.values for column in columns], version.types),
            labels=answers.labels,
            features=[(each.name, each.unit) for each in version.features],
            class_names=version.class_names,
            class_numbers=version.class_numbers,
            types=version.types,
            task=version.task,
            groups=table.columns[group] if group else None,
            source=about.get("source") or "",
            target=about.get("target"),
        )
    )
