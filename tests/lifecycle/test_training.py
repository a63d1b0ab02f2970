"""Training: any numeric table, the same bytes each time, the accuracy that scikit-learn gives."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Sequence
from importlib.metadata import distribution
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

from irisab import config
from irisab.errors import DataError
from irisab.lifecycle import training
from irisab.lifecycle.dataset import load_csv, load_iris
from irisab.model import bundle
from irisab.stats import drift

IRIS = load_iris()
PENGUINS = Path(str(distribution("palmerpenguins").locate_file("palmerpenguins/data/penguins.csv")))


def manifest(models: Path, version: str) -> Any:
    return json.loads((models / version / "current" / bundle.MANIFEST).read_text())


def write_csv(folder: Path, rows: Sequence[Sequence[object]]) -> Path:
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


# -- fitting --------------------------------------------------------------------------------


def test_iris_is_fishers() -> None:
    """150 flowers, four measures in cm, three species."""
    assert IRIS.rows.shape == (150, 4)
    assert dict(IRIS.features) == dict.fromkeys(
        ["sepal_length", "sepal_width", "petal_length", "petal_width"], "cm"
    )
    assert IRIS.class_names == ("setosa", "versicolor", "virginica")


@pytest.mark.parametrize(("version", "trees"), [("v1", 50), ("v2", 100)])
def test_accuracy_is_scikit_learns_own(version: str, trees: int, iris_models: Path) -> None:
    """What is printed is the accuracy of the same forest on the same held-out fifth, and beside it
    is that of five folds with its standard error."""
    rows, held_out, labels, truth = train_test_split(
        IRIS.rows, IRIS.labels, test_size=0.2, stratify=IRIS.labels, random_state=42
    )
    forest = RandomForestClassifier(trees, random_state=42).fit(rows, labels)
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    scores = cross_val_score(
        RandomForestClassifier(trees, random_state=42), IRIS.rows, IRIS.labels, cv=folds
    )
    found = manifest(iris_models, version)
    assert found["accuracy"] == forest.score(held_out, truth)
    assert found["cv_accuracy"] == scores.mean()
    assert found["cv_standard_error"] == pytest.approx(scores.std(ddof=1) / 5**0.5)
    assert (found["estimator"], found["n_estimators"]) == ("RandomForestClassifier", trees)
    answers = bundle.load(iris_models, version).model.score_rows(held_out.tolist())
    assert np.mean([index for index, _ in answers] == truth) == found["accuracy"]


def test_the_same_seed_gives_the_same_bytes(iris_models: Path, tmp_path: Path) -> None:
    """A model trained again elsewhere is the same model, by its hash."""
    estimator = training.forest(config.ModelOptions(n_estimators=50))
    accuracy = training.fit(tmp_path, "again", IRIS, estimator=estimator)
    ours, theirs = manifest(tmp_path, "again"), manifest(iris_models, "v1")
    plain = [
        (models / version / "current" / bundle.PLAIN).read_bytes()
        for models, version in ((tmp_path, "again"), (iris_models, "v1"))
    ]
    assert plain[0] == plain[1]
    assert ours["sha256"] == theirs["sha256"] != manifest(iris_models, "v2")["sha256"]
    assert accuracy == ours["accuracy"]
    different = {name for name in ours if ours[name] != theirs[name]}
    assert different <= {"trained_at", "files"}


def test_another_seed_gives_another_model(iris_models: Path, tmp_path: Path) -> None:
    """The seed decides, for the split as well as for the forest."""
    estimator = training.forest(config.ModelOptions(n_estimators=50, random_state=7))
    training.fit(tmp_path, "v1", IRIS, estimator=estimator, seed=7)
    assert manifest(tmp_path, "v1")["sha256"] != manifest(iris_models, "v1")["sha256"]


def test_the_reference_is_of_the_rows_fitted_on(iris_models: Path) -> None:
    """Ranges, means and drift reference leave the held-out fifth out."""
    rows = train_test_split(
        IRIS.rows, IRIS.labels, test_size=0.2, stratify=IRIS.labels, random_state=42
    )[0]
    found = bundle.load(iris_models, "v1")
    assert found.reference.mean == pytest.approx(rows.mean(axis=0))
    assert found.reference.std == pytest.approx(rows.std(axis=0, ddof=0))
    for feature, stored, column in zip(
        found.features, found.reference.columns, rows.T, strict=True
    ):
        assert (feature.min, feature.max) == (column.min(), column.max())
        assert feature.mean == pytest.approx(column.mean())
        assert stored.tolist() == sorted(column)
    assert found.manifest["rows"] == 120
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.manifest["trained_at"])


def test_the_ini_describes_the_forest() -> None:
    """Each option of [model.*] reaches scikit-learn under its own name."""
    found = training.forest(
        config.ModelOptions(n_estimators=7, max_depth=3, min_samples_leaf=2, random_state=1)
    )
    assert type(found) is RandomForestClassifier
    expected = {"n_estimators": 7, "max_depth": 3, "min_samples_leaf": 2, "random_state": 1}
    assert expected.items() <= found.get_params().items()


def test_examples_sent_in_turn_are_no_drift(iris_models: Path) -> None:
    """Who clicks through the examples for 100 rows raises no alarm, and sees every class."""
    for version in ("v1", "v2"):
        found = bundle.load(iris_models, version)
        examples = found.manifest["examples"]
        assert {each["class_name"] for each in examples} == set(found.class_names)
        rows = np.array([each["features"] for each in islice(cycle(examples), 100)])
        assert max(drift.measure(rows, found.reference).features.values()) <= 0.3
        for each in examples:
            position = IRIS.rows.tolist().index(each["features"])
            assert each["class_name"] == IRIS.class_names[IRIS.labels[position]]


@pytest.mark.parametrize(("seconds", "said"), [(0.1, ""), (1.3, "\rfitting v1: 1 s \n")])
def test_progress_is_shown_from_the_first_second_on(
    seconds: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is quick says nothing, and the documented lines stay alone on stdout."""
    with training._progress("fitting v1"):
        time.sleep(seconds)
    assert capsys.readouterr() == ("", said)


# -- any table ------------------------------------------------------------------------------


def test_penguins_with_gaps_stop_with_columns_and_counts() -> None:
    """Palmer penguins have text columns and missing values: it says where, and what to do."""
    with pytest.raises(DataError) as caught:
        load_csv(PENGUINS, target="species")
    assert str(caught.value) == (
        f"{PENGUINS}: "
        "column 'island' has 344 of 344 cells that are missing or not a number; "
        "column 'bill_length_mm' has 2 of 344 cells that are missing or not a number; "
        "column 'bill_depth_mm' has 2 of 344 cells that are missing or not a number; "
        "column 'flipper_length_mm' has 2 of 344 cells that are missing or not a number; "
        "column 'body_mass_g' has 2 of 344 cells that are missing or not a number; "
        "column 'sex' has 344 of 344 cells that are missing or not a number. "
        "Mend the file, or add --drop to leave out the columns without any number "
        "and the rows with such a cell."
    )


def test_penguins_train_without_their_gaps(tmp_path: Path) -> None:
    """With --drop it says what was left out, and the model that comes out is good."""
    dataset, notes = load_csv(PENGUINS, target="species", drop=True)
    assert notes == ["column 'island'", "column 'sex'", "2 of 344 rows"]
    assert dataset.rows.shape == (342, 5)
    assert dataset.class_names == ("Adelie", "Chinstrap", "Gentoo")
    assert [name for name, _ in dataset.features] == [
        *("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year")
    ]
    estimator = training.forest(config.ModelOptions(n_estimators=20))
    assert training.fit(tmp_path, "v1", dataset, estimator=estimator) > 0.9
    found = bundle.load(tmp_path, "v1")
    rows = np.array([each["features"] for each in islice(cycle(found.manifest["examples"]), 100)])
    assert max(drift.measure(rows, found.reference).features.values()) <= 0.3


TABLE = [["a", "b", "class"], *([n, n * 0.5, "x" if n % 2 else "y"] for n in range(10))]


def changed(row: int, column: int, value: object) -> list[list[object]]:
    table = [list(each) for each in TABLE]
    table[row][column] = value
    return table


def with_targets(targets: Sequence[object]) -> list[list[object]]:
    return [["a", "class"], *([n, each] for n, each in enumerate(targets))]


def test_a_clean_table_is_read_as_it_is(tmp_path: Path) -> None:
    """Every column but the target is a feature, in order, and nothing is left out."""
    dataset, notes = load_csv(write_csv(tmp_path, TABLE), target="class")
    assert notes == []
    assert dataset.rows.tolist() == [[n, n * 0.5] for n in range(10)]
    assert dataset.labels.tolist() == [1, 0] * 5
    assert (dataset.class_names, dataset.class_numbers) == (("x", "y"), (0, 1))
    assert dataset.features == (("a", None), ("b", None))
    assert dataset.name == "table.csv"


def test_integer_targets_keep_their_numbers(tmp_path: Path) -> None:
    """A class that the data calls 7 is answered as 7; order and spelling are numeric."""
    path = write_csv(tmp_path, with_targets(["10", "7.0", "-1", "07", " 7"] * 5))
    dataset, _ = load_csv(path, target="class")
    assert dataset.class_numbers == (-1, 7, 10)
    assert dataset.class_names == ("-1", "7", "10")
    assert dataset.labels.tolist() == [2, 1, 0, 1, 1] * 5
    estimator = training.forest(config.ModelOptions(n_estimators=2))
    training.fit(tmp_path, "v1", dataset, estimator=estimator)
    assert bundle.load(tmp_path, "v1").class_numbers == (-1, 7, 10)


@pytest.mark.parametrize("targets", [["1.5", "2"], ["1", "x"], ["1e3", "5"], ["9" * 16, "5"]])
def test_other_targets_are_names(targets: list[str], tmp_path: Path) -> None:
    """One class that is no whole number makes all of them names, numbered in their order."""
    dataset, _ = load_csv(write_csv(tmp_path, with_targets(targets * 5)), target="class")
    assert dataset.class_names == tuple(sorted(targets))
    assert dataset.class_numbers == (0, 1)


def test_titles_give_names_and_units(tmp_path: Path) -> None:
    """As in 'sepal length (cm)': names go into JSON and metrics, units beside the sliders."""
    table = [["sepal length (cm)", " mass ", "rate (1/s) x", "(odd)", "class"]]
    table += [[*map(str, range(4)), f"c{n % 2}"] for n in range(10)]
    dataset, _ = load_csv(write_csv(tmp_path, table), target="class")
    assert dataset.features == (
        ("sepal_length", "cm"),
        ("mass", None),
        ("rate_(1/s)_x", None),
        ("(odd)", None),
    )


@pytest.mark.parametrize(
    "cell", ["", " ", "NA", "nan", "?", "inf", "-1e39", "1,5", "five", "None", "1_0", "１"]
)
def test_a_cell_without_a_number_is_found(cell: str, tmp_path: Path) -> None:
    """Whatever a file writes for nothing, or what no model can take, is not trained on."""
    path = write_csv(tmp_path, changed(3, 1, cell))
    with pytest.raises(DataError, match="column 'b' has 1 of 10 cells that are missing or not a n"):
        load_csv(path, target="class")


def test_dropping_leaves_out_what_has_gaps(tmp_path: Path) -> None:
    """The rows, and a column that has no number at all; the other rows stay as they are."""
    table = [["a", "text", "b", "class"], *([n, "t", n * 0.5, "xy"[n % 2]] for n in range(14))]
    table[3][2], table[8][3] = "n/a", "NA"
    dataset, notes = load_csv(write_csv(tmp_path, table), target="class", drop=True)
    assert notes == ["column 'text'", "2 of 14 rows"]
    assert dataset.rows.tolist() == [[n, n * 0.5] for n in range(14) if n not in (2, 7)]
    assert dataset.labels.tolist() == [n % 2 for n in range(14) if n not in (2, 7)]


BAD = {
    "no target": (TABLE, "Class", "has no column 'Class'; there are a, b, class"),
    "nothing": ([], "class", "needs a header line and rows below it"),
    "a header only": (TABLE[:1], "class", "needs a header line and rows below it"),
    "a short row": ([*TABLE, ["1"]], "class", "row 12 has 1 cells, the header 3"),
    "a title twice": (
        [["a", "a", "class"], *TABLE[1:]],
        "class",
        "a title of its own: a, a, class",
    ),
    "no title": (
        [["a", " ", "class"], *TABLE[1:]],
        "class",
        "each column needs a title of its own",
    ),
    "names that collide": (
        [["a (cm)", "a (in)", "class"], *TABLE[1:]],
        "class",
        "two columns have the same name once their units are taken off",
    ),
    "one class": (
        with_targets(["x"] * 9),
        "class",
        "the target has 1 class(es), it needs at least",
    ),
    "a measurement": (with_targets(range(50)), "class", "is the target a class at all, and not a"),
    "a rare class": (with_targets("xxxxxyyyy"), "class", "class 'y' has 4 row(s), each needs at l"),
    "missing labels": (
        with_targets("xxxxx?"),
        "class",
        "column 'class' has 1 of 6 cells that are m",
    ),
    "text only": (
        [["t", "class"], *[["a", "b"]] * 9],
        "class",
        "has no column with numbers besides",
    ),
    "the target only": ([["class"], *"ababababab"], "class", "has no column with numbers besides"),
}


@pytest.mark.parametrize(("table", "target", "reason"), BAD.values(), ids=BAD)
def test_a_table_that_cannot_be_used_is_refused(
    table: list[list[object]], target: str, reason: str, tmp_path: Path
) -> None:
    """With the file, and what is wrong with it."""
    path = write_csv(tmp_path, table)
    with pytest.raises(DataError) as caught:
        load_csv(path, target=target)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["one class", "a rare class", "text only", "the target only"])
def test_dropping_does_not_help_everywhere(name: str, tmp_path: Path) -> None:
    """What is left must still be a table of numbers with classes."""
    table, target, reason = BAD[name]
    with pytest.raises(DataError, match=re.escape(reason)):
        load_csv(write_csv(tmp_path, table), target=target, drop=True)


def test_dropping_everything_is_refused(tmp_path: Path) -> None:
    """Where each row has a gap, no row is left."""
    table = [["a", "b", "class"], *([["", 1, "x"], [1, "", "y"]] * 5)]
    with pytest.raises(DataError, match="the target has 0 class"):
        load_csv(write_csv(tmp_path, table), target="class", drop=True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read as CSV: .*No such file"),
        (b"a,class\n\xff,x\n", "cannot be read as CSV: .*utf-8"),
        (b'a,class\n"1,x\n', "cannot be read as CSV: unexpected end of data"),
    ],
)
def test_a_file_that_is_no_csv_is_refused(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    """A missing file, another encoding and a broken quote give a sentence as well."""
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        load_csv(path, target="class")


def test_a_file_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """Byte order mark, Windows line ends, quotes and empty lines at the end are common."""
    path = write_csv(tmp_path, TABLE)
    text = path.read_text().replace("a,b,class", '"a","b","class"')
    path.write_bytes(("\ufeff" + text.replace("\n", "\r\n") + "\r\n\r\n").encode())
    dataset, _ = load_csv(path, target="class")
    assert dataset.rows.shape == (10, 2)
