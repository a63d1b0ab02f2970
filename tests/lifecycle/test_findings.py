"""What is said of the data before a model learns from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from irisab.lifecycle import findings
from irisab.lifecycle.dataset import load_csv, load_iris
from irisab.lifecycle.rows import Dataset, checked


def read(folder: Path, header: str, lines: list[str]) -> Dataset:
    path = folder / "t.csv"
    path.write_text("\n".join([header, *lines]))
    dataset, _ = load_csv(path, target=header.rpartition(",")[2])
    return dataset


def test_a_good_table_is_described_and_no_more() -> None:
    """Two lines: its size, and how often each class is there."""
    assert findings.report(checked(load_iris())) == [
        "150 rows, 4 features: 4 numbers",
        "target: setosa 50, versicolor 50, virginica 50",
    ]


@pytest.mark.parametrize("number", ["{}", "1{:03}", "{}.0"])
def test_an_id_is_said_loudly(number: str, tmp_path: Path) -> None:
    """It explains everything in training, and nothing later."""
    lines = [f"{number.format(n)},{n * 7 % 5},{'pq'[n // 20]}" for n in range(40)]
    (said,) = findings.report(read(tmp_path, "Id,a,y", lines))[2:]
    assert said.startswith("WARNING: column 'Id' has another number in each row, in order")
    assert said.endswith("To leave it out: [training] ignore = Id")


def test_an_id_may_come_in_any_order(tmp_path: Path) -> None:
    """1 to n is an id, however the rows were mixed; a measurement that differs in each row is
    none."""
    lines = [f"{n * 7 % 40},{n * 7 % 40 + 0.5},{n * n * 7 % 641},{'pq'[n % 2]}" for n in range(40)]
    said = findings.report(read(tmp_path, "number,a,b,y", lines))[2:]
    assert [each.split("'")[1] for each in said] == ["number"]


def test_what_teaches_nothing_is_said(tmp_path: Path) -> None:
    """Constant and duplicate columns; codes that are taken as text."""
    lines = [f"7,{n % 9},{n % 9},0{n % 3}1,,{'pq'[n % 2]}" for n in range(40)]
    said = findings.report(read(tmp_path, "c,a,b,zip,empty,y", lines))
    assert said[0] == "40 rows, 4 features: 3 numbers, 1 category"
    assert said[2:] == [
        "Column 'c' is the same in each row. To leave it out: [training] ignore = c",
        "Column 'zip' has codes, such as 001: it is taken as text, not as numbers",
        "Columns 'a' and 'b' are the same. To leave it out: [training] ignore = b",
    ]


def test_classes_are_looked_at(tmp_path: Path) -> None:
    """Rare ones, and those that may be one."""
    classes = ["Adelie"] * 100 + ["ADELIE"] * 20 + ["A delie"] * 5
    said = findings.report(read(tmp_path, "a,y", [f"{n % 9},{c}" for n, c in enumerate(classes)]))
    assert said[1:] == [
        "y: A delie 5, ADELIE 20, Adelie 100",
        "Class 'A delie' is rare: 5 of 125 rows",
        "WARNING: classes 'A delie' and 'ADELIE' differ by case or blanks only: are they one?",
        "WARNING: classes 'A delie' and 'Adelie' differ by case or blanks only: are they one?",
    ]


def test_a_quantity_is_described(tmp_path: Path) -> None:
    """By its range and middle."""
    dataset = read(tmp_path, "a,y", [f"{n % 9},{n * n + 0.5}" for n in range(41)])
    assert findings.report(dataset)[1] == "y: from 0.5 to 1600.5, half of it below 400.5"


def test_classes_without_an_exam_are_named() -> None:
    """Nothing can be said of them; with rows of each there is nothing to say."""
    exam = {"per_class": {"a": {"rows": 0}, "b": {"rows": 3}, "c": {"rows": 0}}}
    assert findings.of_exam(exam) == ["No row of the exam is 'a', 'c'"]
    assert findings.of_exam({"per_class": {"a": {"rows": 1}}}) == findings.of_exam({}) == []
