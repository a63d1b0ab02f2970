"""CSV files, read as they are: what is learned from, what is left out, what a person must mend."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from irisab.config import TrainingOptions
from irisab.errors import DataError
from irisab.lifecycle.dataset import load_csv, load_iris

PENGUINS = Path(str(distribution("palmerpenguins").locate_file("palmerpenguins/data/penguins.csv")))


def write_csv(folder: Path, rows: Sequence[Sequence[object]]) -> Path:
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def write_text(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_iris_is_fishers() -> None:
    """150 flowers, four measures in cm, three species."""
    iris = load_iris()
    assert iris.rows.shape == (150, 4)
    assert dict(iris.features) == dict.fromkeys(
        ["sepal_length", "sepal_width", "petal_length", "petal_width"], "cm"
    )
    assert iris.class_names == ("setosa", "versicolor", "virginica")


def test_penguins_are_read_as_they_are() -> None:
    """Palmer penguins have columns of text and gaps, and nothing is left out."""
    dataset, notes = load_csv(PENGUINS, target="species")
    assert notes == [] and dataset.rows.shape == (344, 7)
    assert dict(zip(dataset.feature_names, dataset.types, strict=True)) == {
        "island": "category",
        "bill_length_mm": "number",
        "bill_depth_mm": "number",
        "flipper_length_mm": "number",
        "body_mass_g": "number",
        "sex": "category",
        "year": "number",
    }
    assert dataset.rows[0].tolist() == ["Torgersen", 39.1, 18.7, 181.0, 3750.0, "male", 2007.0]
    island, *numbers, sex, year = dataset.rows[3].tolist()
    assert (island, sex, year) == ("Torgersen", None, 2007.0) and np.isnan(numbers).all()
    assert dataset.class_names == ("Adelie", "Chinstrap", "Gentoo")


def test_gaps_can_be_left_out() -> None:
    """With --drop the rows with a gap go, and it says which; columns of text stay."""
    dataset, notes = load_csv(PENGUINS, target="species", drop=True)
    assert notes == [
        "Left out: 11 of 344 rows, which have a missing or unreadable cell "
        "(line 5, 10, 11, 12, 13, ...)"
    ]
    assert dataset.rows.shape == (333, 7)


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
    path = write_csv(tmp_path, with_targets(["10", "7.0", "-1", "7", " 7"] * 5))
    dataset, notes = load_csv(path, target="class")
    assert dataset.class_numbers == (-1, 7, 10)
    assert dataset.class_names == ("-1", "7", "10")
    assert dataset.labels.tolist() == [2, 1, 0, 1, 1] * 5
    assert notes == [
        "The target has 3 different whole numbers: they are taken as classes. "
        "If they are a quantity: [training] task = regression"
    ]


def test_codes_stay_what_they_are(tmp_path: Path) -> None:
    """7, 007 and 70 are three classes: a leading zero makes all of them text."""
    path = write_csv(tmp_path, with_targets(["7", "007", "70"] * 5))
    dataset, _ = load_csv(path, target="class")
    assert dataset.class_names == ("007", "7", "70")
    assert dataset.class_numbers == (0, 1, 2)


def test_a_target_is_missing_only_where_it_is_empty(tmp_path: Path) -> None:
    """None, NA and ? are classes like others; rows without a label are left out, and named."""
    path = write_csv(tmp_path, with_targets([*["None", "NA", "?"] * 5, "", " "]))
    dataset, notes = load_csv(path, target="class")
    assert dataset.class_names == ("?", "NA", "None")
    assert len(dataset.rows) == 15
    assert notes == ["Left out: 2 of 17 rows, which have no label (line 17, 18)"]


@pytest.mark.parametrize("targets", [["1.5", "2"], ["1", "x"], ["1e3", "5"], ["9" * 16, "5"]])
def test_other_targets_are_names(targets: list[str], tmp_path: Path) -> None:
    """One class that is no whole number makes all of them names, numbered in their order."""
    dataset, _ = load_csv(write_csv(tmp_path, with_targets(targets * 5)), target="class")
    assert dataset.class_names == tuple(sorted(targets))
    assert dataset.class_numbers == (0, 1)


def test_titles_give_names_and_units(tmp_path: Path) -> None:
    """As in 'sepal length (cm)': names go into JSON and metrics, units beside the sliders."""
    table = [["sepal length (cm)", " mass ", "rate (1/s) x", "weight (kg) (dry)", "(odd)", "class"]]
    table += [[*map(str, range(5)), f"c{n % 2}"] for n in range(10)]
    dataset, _ = load_csv(write_csv(tmp_path, table), target="class")
    assert dataset.features == (
        ("sepal_length", "cm"),
        ("mass", None),
        ("rate_(1/s)_x", None),
        ("weight_(kg)_(dry)", None),
        ("(odd)", None),
    )


@pytest.mark.parametrize("cell", ["", " ", "NA", "nan", "?", "None", "<NA>"])
def test_a_gap_is_a_gap(cell: str, tmp_path: Path) -> None:
    """Whatever a file writes for nothing is a value that is missing."""
    dataset, _ = load_csv(write_csv(tmp_path, changed(3, 1, cell)), target="class")
    assert np.isnan(dataset.rows[2, 1]) and np.isnan(dataset.rows).sum() == 1


@pytest.mark.parametrize("cell", ["inf", "-1e39", "1,5", "five", "1_0", "１"])
def test_a_cell_without_a_number_is_found(cell: str, tmp_path: Path) -> None:
    """What is neither a number nor missing is a person's to mend: column, line, and what to do."""
    path = write_csv(tmp_path, changed(3, 1, cell))
    with pytest.raises(DataError) as caught:
        load_csv(path, target="class")
    assert str(caught.value) == (
        f"{path}: column 'b' has 1 of 10 cells that are neither a number nor missing, the first in "
        f"line 4: {cell!r}. Mend the file, add --drop to leave out such rows, or leave out the "
        "column: [training] ignore = b"
    )
    dataset, notes = load_csv(write_csv(tmp_path, [*changed(3, 1, cell), *TABLE[1:]]),
                              target="class", drop=True)  # fmt: skip
    assert dataset.rows.shape == (19, 2)
    assert notes == ["Left out: 1 of 20 rows, which have a missing or unreadable cell (line 4)"]


def test_columns_become_what_they_say(tmp_path: Path) -> None:
    """Truth values, categories, codes and numbers; what cannot teach anything is left out."""
    titles = ["flag", "yes", "r", "zip", "colour", "size", "name", "empty", "class"]
    rows = [
        [
            *("True" if n % 2 else "False", "yes" if n % 3 else "no", "TF"[n % 2]),
            *(f"0{n % 4}9", ["red", "blue", ""][n % 3], n / 4, f"person {n}", "NA"),
            "xy"[n % 2],
        ]
        for n in range(20)
    ]
    dataset, notes = load_csv(write_csv(tmp_path, [titles, *rows]), target="class")
    assert dict(zip(dataset.feature_names, dataset.types, strict=True)) == {
        "flag": "boolean",
        "yes": "boolean",
        "r": "boolean",
        "zip": "category",
        "colour": "category",
        "size": "number",
    }
    assert dataset.rows[1].tolist() == [1.0, 1.0, 0.0, "019", "blue", 0.25]
    assert dataset.rows[2].tolist() == [0.0, 1.0, 1.0, "029", None, 0.5]
    assert notes == [
        "Left out: column 'name', which has 20 different texts in 20 rows",
        "Left out: column 'empty', which is empty",
    ]


@pytest.mark.parametrize("words", [("no", "maybe"), ("yes", "yes"), ("t", "u")])
def test_two_words_are_not_always_true_and_false(words: tuple[str, str], tmp_path: Path) -> None:
    """Only both words of a pair are truth values; others are categories."""
    table = [["a", "class"], *([words[n % 2], "xy"[n % 2]] for n in range(20))]
    dataset, _ = load_csv(write_csv(tmp_path, table), target="class")
    assert dataset.types == ("category",)


@pytest.mark.parametrize("date", ["2026-01-0{}", "0{}.02.2026", "{}/1/26", "2026-01-0{}T10:00:00Z"])
def test_dates_are_explained(date: str, tmp_path: Path) -> None:
    """No model can take them, and no number stands for them by itself."""
    table = [["a", "when", "class"], *([n, date.format(n % 9), "xy"[n % 2]] for n in range(20))]
    with pytest.raises(DataError) as caught:
        load_csv(write_csv(tmp_path, table), target="class")
    assert (
        f"column 'when' has dates, such as '{date.format(0)}' in line 2: make numbers of what "
        "matters in them" in str(caught.value)
    )
    assert "[training] ignore = when" in str(caught.value)
    options = TrainingOptions(ignore=("when",))
    dataset, _ = load_csv(write_csv(tmp_path, table), target="class", options=options)
    assert dataset.feature_names == ("a",)


@pytest.mark.parametrize(
    ("cell", "plain"), [("1,250", "1250"), ("1.234.567", "1234567"), ("1 234 567", "1234567")]
)
def test_thousands_separators_are_explained(cell: str, plain: str, tmp_path: Path) -> None:
    """The column is not lost by the advice, and not read as what it may not mean."""
    table = [["a", "price", "class"], *([n, n % 15 and n or cell, "xy"[n % 2]] for n in range(20))]
    with pytest.raises(DataError) as caught:
        load_csv(write_csv(tmp_path, table), target="class")
    sentence = str(caught.value)
    assert f"column 'price' has thousands separators, such as '{cell}' in line 2" in sentence
    assert f"write such a number as {plain};" in sentence
    assert "--drop" not in sentence and "ignore" not in sentence
    assert "[training] decimal = ," in sentence


def test_semicolons_and_decimal_commas_are_read(tmp_path: Path) -> None:
    """As spreadsheets write them where the comma is the decimal sign."""
    lines = [f"{n},5;{n},125;{'xy'[n % 2]}" for n in range(10)]
    dataset, notes = load_csv(write_text(tmp_path, "\n".join(["a;b;y", *lines])), target="y")
    assert notes == [] and dataset.rows.tolist() == [[n + 0.5, n + 0.125] for n in range(10)]


@pytest.mark.parametrize(("separator", "name"), [("\t", "tab"), ("|", "|"), (";", ";")])
def test_other_separators_are_read(separator: str, name: str, tmp_path: Path) -> None:
    """By themselves, and where [training] names them."""
    text = "\n".join(separator.join(map(str, row)) for row in TABLE)
    for option in ("auto", name):
        dataset, _ = load_csv(
            write_text(tmp_path, text), target="class", options=TrainingOptions(separator=option)
        )
        assert dataset.rows.tolist() == [[n, n * 0.5] for n in range(10)]


def test_a_decimal_sign_can_be_named(tmp_path: Path) -> None:
    """1,250 is one and a quarter if [training] says so; 1.250 is then no number."""
    table = [["a", "class"], *([f"{n},250", "xy"[n % 2]] for n in range(10))]
    options = TrainingOptions(decimal=",")
    dataset, _ = load_csv(write_csv(tmp_path, table), target="class", options=options)
    assert dataset.rows[:, 0].tolist() == [n + 0.25 for n in range(10)]
    table[1][0] = "1.250"
    with pytest.raises(DataError, match="thousands separators, such as '1.250' in line 2"):
        load_csv(write_csv(tmp_path, table), target="class", options=options)


def test_pandas_index_is_left_out(tmp_path: Path) -> None:
    """A first column without a title that numbers the rows is no feature, and it says so."""
    table = [["", *TABLE[0]], *([n, *row] for n, row in enumerate(TABLE[1:]))]
    dataset, notes = load_csv(write_csv(tmp_path, table), target="class")
    assert dataset.feature_names == ("a", "b")
    assert notes == ["Left out: column 1, which has no title and numbers the rows"]
    table[5][0] = 0
    with pytest.raises(DataError, match="column 1 has no title"):
        load_csv(write_csv(tmp_path, table), target="class")


def test_a_group_is_no_feature(tmp_path: Path) -> None:
    """Neither is a column to ignore; both are kept in mind."""
    table = [["Id", "patient", "a", "class"]]
    table += [[n, f"p{n % 4}", n, "xy"[n % 2]] for n in range(20)]
    options = TrainingOptions(ignore=("Id",), group="patient")
    dataset, _ = load_csv(write_csv(tmp_path, table), target="class", options=options)
    assert dataset.feature_names == ("a",)
    assert dataset.groups == tuple(f"p{n % 4}" for n in range(20))
    assert (dataset.ignore, dataset.group, dataset.target) == (("Id",), "patient", "class")


@pytest.mark.parametrize("name", ["row number", "row_number", "weight (kg)", "weight"])
def test_a_column_is_ignored_by_title_or_name(name: str, tmp_path: Path) -> None:
    """As the file has it, or as the report before training calls it."""
    table = [["row number", "weight (kg)", "a", "class"]]
    table += [[n, n, n, "xy"[n % 2]] for n in range(20)]
    path, options = write_csv(tmp_path, table), TrainingOptions(ignore=(name,))
    dataset, _ = load_csv(path, target="class", options=options, strict=True)
    assert len(dataset.features) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (TrainingOptions(ignore=("a", "Idd")), "[training] ignore = Idd: there is no such column"),
        (TrainingOptions(group="g"), "[training] group = g: there is no such column; there are a,"),
    ],
)
def test_a_column_that_is_not_there_is_no_column_to_ignore(
    options: TrainingOptions, said: str, tmp_path: Path
) -> None:
    """A misspelt id would be learned; another file than that of [training] need not have it."""
    path = write_csv(tmp_path, TABLE)
    with pytest.raises(DataError) as caught:
        load_csv(path, target="class", options=options, strict=True)
    assert said in str(caught.value)
    load_csv(path, target="class", options=options)


@pytest.mark.parametrize(
    ("targets", "task", "said"),
    [
        ([n / 7 for n in range(40)], "regression", "40 different numbers: they are taken as a q"),
        (range(40), "regression", "40 different numbers: they are taken as a quantity"),
        ([n % 20 for n in range(200)], "classification", "20 different whole numbers: they are t"),
        ([n % 2 for n in range(40)], "classification", None),
        ([0.5, 1.5] * 20, "classification", None),
        (["a", "b"] * 20, "classification", None),
        ([f"{n:03}" for n in range(8)] * 5, "classification", None),
    ],
)
def test_the_task_is_what_the_target_looks_like(
    targets: Sequence[object], task: str, said: str | None, tmp_path: Path
) -> None:
    """Text, codes and few whole numbers are classes; where it could be either, it says so."""
    dataset, notes = load_csv(write_csv(tmp_path, with_targets(targets)), target="class")
    assert dataset.task == task
    assert [said in note for note in notes] == [True] if said else notes == []


def test_the_task_can_be_said(tmp_path: Path) -> None:
    """[training] task decides, whatever a column looks like."""
    path = write_csv(tmp_path, with_targets([n % 3 for n in range(30)]))
    regression = TrainingOptions(task="regression")
    dataset, notes = load_csv(path, target="class", options=regression)
    assert dataset.task == "regression" and notes == []
    assert dataset.labels.tolist() == [n % 3 for n in range(30)]
    path = write_csv(tmp_path, with_targets("xyz" * 10))
    with pytest.raises(DataError, match="the target has 'x', which is no number"):
        load_csv(path, target="class", options=regression)


BAD = {
    "no target": (TABLE, "Class", "has no column 'Class'; there are a, b, class"),
    "nothing": ([], "class", "needs a header line and rows below it"),
    "a header only": (TABLE[:1], "class", "needs a header line and rows below it"),
    "a short row": ([*TABLE, ["1"]], "class", "line 12 has 1 cells, the header 3"),
    "a title twice": (
        [["a", "a", "class"], *TABLE[1:]],
        "class",
        "two columns are called 'a'; each column needs a title of its own",
    ),
    "no title": (
        [["a", " ", "class"], *TABLE[1:]],
        "class",
        "column 2 has no title; each column needs a title of its own",
    ),
    "names that collide": (
        [["a (cm)", "a (in)", "class"], *TABLE[1:]],
        "class",
        "columns 'a (cm)' and 'a (in)' would both be the feature 'a', once their units are take",
    ),
    "names that blanks tell apart": (
        [["item rate", "item_rate", "class"], *TABLE[1:]],
        "class",
        "columns 'item rate' and 'item_rate' would both be the feature 'item_rate', once blanks are"
        " underscores: give one another title",
    ),
    "one class": (
        with_targets(["x"] * 9),
        "class",
        "the target has 1 class(es), it needs at least",
    ),
    "a rare class": (with_targets("xxxxxyyyy"), "class", "class 'y' has 4 row(s), each needs at l"),
    "no labels": (with_targets([""] * 9), "class", "column 'class' is empty: no row has a label"),
    "names only": (
        [["t", "class"], *([f"n {n}", "ab"[n % 2]] for n in range(20))],
        "class",
        "has no column besides the target that a model can learn from",
    ),
    "the target only": ([["class"], *"ababababab"], "class", "has no column besides the target"),
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


def test_dropping_everything_is_refused(tmp_path: Path) -> None:
    """Where each row has a gap, no row is left."""
    table = [["a", "b", "class"], *([["", 1, "x"], [1, "", "y"]] * 5)]
    with pytest.raises(DataError, match="each row has a missing or unreadable cell: none is left"):
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


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """Blank lines and cells of two lines count, as they do in an editor."""
    text = 'a,b,class\n\n1,2,x\n \n"1\n",2,x\n1,2\n'
    with pytest.raises(DataError, match="line 7 has 2 cells, the header 3"):
        load_csv(write_text(tmp_path, text), target="class")
