"""The rows that a bundle keeps come back as they were, or not at all."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from irisab.config import TrainingOptions
from irisab.errors import DataError
from irisab.lifecycle import kept, training
from irisab.lifecycle.dataset import load_iris
from irisab.lifecycle.rows import Dataset, checked
from irisab.model import bundle

IRIS = load_iris()
# Any line of text: with quotes, commas, blanks around it, or one that stands for nothing elsewhere.
ODD = ["NA", "none", "007", "7", " a", "a", "true", "label"]
LETTERS = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
names = st.text(LETTERS, min_size=1, max_size=6).filter(
    lambda name: name.isprintable() and name.strip()
) | st.sampled_from(ODD)
numbers = st.floats(width=32, allow_infinity=False) | st.sampled_from([np.nan, -0.0, 1e-45])


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Any table of any types, with classes in any order, or values."""
    types = draw(
        st.lists(st.sampled_from(["number", "boolean", "category"]), min_size=1, max_size=4)
    )
    titles = draw(st.lists(names, min_size=len(types), max_size=len(types), unique=True))
    classes = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    values = {
        "number": numbers,
        "boolean": st.sampled_from([0.0, 1.0, np.nan]),
        "category": st.none() | names,
    }
    rows = draw(st.lists(st.tuples(*(values[kind] for kind in types)), min_size=1, max_size=8))
    labels = draw(
        st.lists(st.integers(0, len(classes) - 1), min_size=len(rows), max_size=len(rows))
    )
    table = np.empty((len(rows), len(types)), dtype=object)
    table[:] = rows
    return checked(
        Dataset(
            name="any",
            rows=table,
            labels=labels,  # type: ignore[arg-type]
            features=[(title, None) for title in titles],
            class_names=classes,
            types=types,  # type: ignore[arg-type]
            groups=draw(st.none() | st.just([f"g,{n}" for n in range(len(rows))])),
        )
    )


def about(dataset: Dataset) -> dict[str, Any]:
    """Return what `training.fit` writes of features and classes."""
    features = [
        {"name": name, "unit": unit, "type": kind, "min": None, "max": None, "mean": None}
        | ({"categories": sorted({each for each in column if each is not None})}
           if kind == "category" else {})
        for (name, unit), kind, column in zip(
            dataset.features, dataset.types, dataset.rows.T, strict=True
        )
    ]  # fmt: skip
    return {
        "dataset": dataset.name,
        "task": dataset.task,
        "features": features,
        "class_names": list(dataset.class_names),
        "class_numbers": list(dataset.class_numbers),
    }


@given(dataset=datasets(), regression=st.booleans())
def test_any_table_comes_back(
    dataset: Dataset, regression: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Value by value, gap by gap, class by class, group by group."""
    if regression:
        dataset = checked(replace(dataset, task="regression"))
    packed, said = kept.pack(dataset, keep_mb=1)
    assert packed is not None
    folder = tmp_path_factory.mktemp("bundle")
    (folder / kept.FILE).write_bytes(packed)
    found = kept.unpack(folder, about(dataset) | {"training": said})
    # By their text, so that a gap equals a gap.
    assert repr(found.rows.tolist()) == repr(dataset.rows.tolist())
    assert np.array_equal(found.labels, dataset.labels)
    assert (found.features, found.types) == (dataset.features, dataset.types)
    assert (found.class_names, found.groups) == (dataset.class_names, dataset.groups)
    assert kept.pack(found, keep_mb=1)[0] == packed


def fit(models: Path, **options: Any) -> Path:
    training.fit(
        models, "v1", IRIS, estimator=DecisionTreeClassifier(), options=TrainingOptions(**options)
    )
    return (models / "v1" / bundle.CURRENT).resolve()


def manifest(folder: Path) -> Any:
    return json.loads((folder / bundle.MANIFEST).read_text())


def test_a_bundle_keeps_its_rows(tmp_path: Path) -> None:
    """All that are labelled, those of the exam among them, and where they came from."""
    folder = fit(tmp_path)
    found = kept.unpack(folder, manifest(folder))
    assert np.array_equal(found.rows, IRIS.rows) and np.array_equal(found.labels, IRIS.labels)
    assert (found.source, found.name) == ("iris", "Iris")
    assert manifest(folder)["training"]["rows"] == 150


def test_too_many_rows_are_not_kept(tmp_path: Path) -> None:
    """Above keep_mb only their hash is, and what needs them says so."""
    folder = fit(tmp_path, keep_mb=0)
    assert not (folder / kept.FILE).exists()
    said = manifest(folder)["training"]
    assert said["file"] is None and len(said["sha256"]) == 64 and said["rows"] == 150
    with pytest.raises(DataError, match="the rows that this model was made from are not kept"):
        kept.unpack(folder, manifest(folder))
    assert bundle.load(tmp_path, "v1").model.score_row([5.1, 3.5, 1.4, 0.2])[0] == 0


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"a,label\n1,setosa\n")])
def test_rows_that_were_changed_are_refused(content: bytes, tmp_path: Path) -> None:
    """Serving goes on without them."""
    folder = fit(tmp_path)
    (folder / kept.FILE).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read|was changed since training"):
        kept.unpack(folder, manifest(folder))
    bundle.load(tmp_path, "v1")
