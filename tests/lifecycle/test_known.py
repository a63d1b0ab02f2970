"""`history --training | train` gives a version that fits, for any names, classes and orders."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import Served, write_config
from sklearn.tree import DecisionTreeClassifier

from irisab.__main__ import run
from irisab.errors import BundleError
from irisab.lifecycle import kept, known, prepare, training
from irisab.lifecycle.dataset import load_csv, load_iris
from irisab.lifecycle.rows import Dataset, checked
from irisab.model.schema import Type, row_to_json
from irisab.serving import snapshot
from irisab.store import export

names = st.text(
    st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=8
).filter(lambda name: name.isprintable() and name.strip()) | st.sampled_from(
    [
        "weight (kg) (dry)",
        "sepal length (cm)",
        "item rate",
        "item_rate",
        "label",
        "NA",
        "a;b;c",
        "1",
    ]
)
class_names = names | st.sampled_from(["None", "NA", "007", "7", "70", "1.0", "True", "x;y;z"])


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Any names, types and classes, in any order, of which some classes may have no label."""
    titles = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    classes = draw(st.lists(class_names, min_size=2, max_size=4, unique=True))
    numbers = draw(st.permutations(range(10, 10 + len(classes))))
    seen = draw(st.integers(2, len(classes)))
    # Of rows that are all alike none would be left to learn from.
    types = [KINDS[0], *(draw(st.sampled_from(KINDS)) for _ in titles[1:])]
    columns = [draw(column(kind)) for kind in types]
    return checked(
        Dataset(
            name="any",
            rows=np.array(list(zip(*columns, strict=True)), dtype=object),
            labels=np.arange(ROWS) % seen,
            features=[(title, draw(st.sampled_from([None, "cm"]))) for title in titles],
            class_names=classes,
            class_numbers=numbers,
            types=types,
        )
    )


ROWS = 60
KINDS: list[Type] = ["number", "category", "boolean"]


@st.composite
def column(draw: st.DrawFn, kind: Type) -> list[Any]:
    """A column, with or without gaps."""
    categories = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    values: list[Any] = {
        "number": [n / 3 for n in range(ROWS)],
        "boolean": [bool(n % 3) for n in range(ROWS)],
        "category": [categories[n % len(categories)] for n in range(ROWS)],
    }[kind]
    gaps = draw(st.booleans())
    return [None if gaps and n % 7 == 0 else value for n, value in enumerate(values)]


@settings(max_examples=12)
@given(dataset=datasets())
def test_labels_of_the_history_train_a_version_that_fits(
    dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever a feature or class is called, the version that learned from labels can be served
    beside the one that collected them."""
    folder = tmp_path_factory.mktemp("host")
    models = folder / "models"
    tree = DecisionTreeClassifier(random_state=1)
    tree = prepare.prepared("decision_tree", tree, dataset)
    training.fit(models, "v1", dataset, estimator=tree)
    config = write_config(folder, models, "[split]\nv1 = 100\n")
    service = Served(config)
    rows = [row_to_json(row) for row in dataset.rows.tolist()]
    request_id = service.predict(rows)["request_id"]
    labels = {"request_id": request_id, "labels": [dataset.class_names[n] for n in dataset.labels]}
    assert service.client.post("/feedback", labels).status == 200
    table = folder / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines := list(export.training_rows(service.history)))
    service.close()
    assert len(lines) == 61
    config.write_text(config.read_text() + "[model.v2]\nkind = decision_tree\n")
    target = str(lines[0][-1])
    arguments = ("train", "v2", "--data", str(table), "--target", target, "--config", str(config))
    assert run(arguments) == 0
    config.write_text(config.read_text().replace("v1 = 100", "v1 = 50\nv2 = 50"))
    one, two = snapshot.build(config).bundles.values()
    assert [(each.name, each.unit, each.type, each.missing) for each in one.features] == [
        (each.name, each.unit, each.type, each.missing) for each in two.features
    ]
    assert (one.class_names, one.class_numbers) == (two.class_names, two.class_numbers)
    # What it learned from are the rows that were sent, value by value.
    learned = kept.unpack(two.folder, two.manifest)
    assert repr(learned.rows.tolist()) == repr(dataset.rows.tolist())
    assert learned.labels.tolist() == dataset.labels.tolist()


def write(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


IRIS = known.Known(
    version="v1",
    features=(),
    task="classification",
    class_names=("setosa", "versicolor", "virginica"),
    class_numbers=(0, 1, 2),
)


def test_a_version_on_the_disk_is_asked(iris_models: Path) -> None:
    """The one that serves first; never one that is about to be replaced."""
    assert getattr(known.find(iris_models, first=["v2"], without=[]), "version", None) == "v2"
    found = known.find(iris_models, first=["v2"], without=["v2"])
    assert found is not None and found.version == "v1"
    assert [each.name for each in found.features] == list(load_iris().feature_names)
    assert (found.class_names, found.class_numbers) == (IRIS.class_names, IRIS.class_numbers)
    assert known.find(iris_models, first=[], without=["v1", "v2"]) is None
    assert known.find(iris_models / "none", first=[], without=[]) is None


def test_columns_come_in_the_versions_order(iris_models: Path, tmp_path: Path) -> None:
    """Under their titles or names, with the version's units; the file's order is no matter."""
    version = known.find(iris_models, first=["v1"], without=[])
    header = "petal_width,species,sepal width,petal length (cm),sepal_length\n"
    path = write(tmp_path, header + "4,virginica,2,3,1\n4,setosa,2,3,1\n")
    dataset, _ = load_csv(path, target="species", known=version)
    assert dataset.rows.tolist() == [[1, 2, 3, 4]] * 2
    assert dict(dataset.features) == dict(load_iris().features)
    assert (dataset.class_names, dataset.labels.tolist()) == (IRIS.class_names, [2, 0])


@pytest.mark.parametrize(
    ("header", "species"),
    [
        ("petal_width,species,sepal_width,petal_length,sepal_length,more", "setosa"),
        ("petal_width,species,sepal_width,petal_length,other", "setosa"),
        ("petal_width,species,sepal_width,petal_length,sepal_length", "rose"),
    ],
)
def test_other_data_is_read_as_it_is(
    header: str, species: str, iris_models: Path, tmp_path: Path
) -> None:
    """Other columns or classes make a version of their own, of which it is said that it does not
    fit."""
    version = known.find(iris_models, first=["v1"], without=[])
    assert version is not None
    rows = [f"4,{name},2,3,1,5"[: 200 if "more" in header else -2] for name in (species, "b") * 5]
    path = write(tmp_path, "\n".join([header, *rows]))
    dataset, _ = load_csv(path, target="species", known=version)
    assert dataset.class_names == tuple(sorted([species, "b"]))
    said = version.why_not(dataset)
    assert said is not None and said.startswith("the data has other ")


def test_a_model_that_has_not_seen_a_class_fits(tmp_path: Path, iris_models: Path) -> None:
    """A class without labels has probability 0, as plain arrays and as a pickle."""
    models = Path(shutil.copytree(iris_models, tmp_path / "models", symlinks=True))
    dataset = load_iris()
    two = dataset.labels != 1
    without = checked(
        Dataset(
            name="two", rows=dataset.rows[two], labels=dataset.labels[two],
            features=dataset.features, class_names=dataset.class_names,
        )
    )  # fmt: skip
    from sklearn.linear_model import LogisticRegression

    for version, estimator in (
        ("v2", DecisionTreeClassifier()),
        ("v3", LogisticRegression(max_iter=1000)),
    ):
        training.fit(models, version, without, estimator=estimator, force=True)
        config = write_config(tmp_path, models, f"[split]\nv1 = 50\n{version} = 50\n")
        model = snapshot.build(config).bundles[version].model
        answers = model.score_rows(dataset.rows[[0, 149]].tolist())
        assert [index for index, _ in answers] == [0, 2]
        assert [each[1] for _, each in answers] == [0.0, 0.0]
        assert [sum(each) for _, each in answers] == pytest.approx([1, 1])


def test_a_task_that_differs_is_refused_together(tmp_path: Path, iris_models: Path) -> None:
    """A regression has no classes that it could share."""
    from dataclasses import replace

    from sklearn.linear_model import LinearRegression

    models = Path(shutil.copytree(iris_models, tmp_path / "models", symlinks=True))
    training.fit(
        models, "v3", replace(load_iris(), task="regression"), estimator=LinearRegression()
    )
    config = write_config(tmp_path, models, "[split]\nv1 = 50\nv3 = 50\n")
    with pytest.raises(
        BundleError, match="has other tasks than v1: regression, not classification"
    ):
        snapshot.build(config)
