"""A CSV file as columns of text. Start at `read()`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from irisab.errors import DataError

# In this order: a comma is what CSV means.
SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The cells of a file, by the titles of its columns, all as they stand there.

    `lines` says where in the file each row begins.
    """

    path: Path
    columns: Mapping[str, Sequence[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.lines)

    def title(self, name: str) -> str | None:
        """Return the title that is `name`, blanks around it aside; None where there is none."""
        if name in self.columns:
            return name
        return next((title for title in self.columns if title.strip() == name), None)


def read(path: Path, *, target: str | None, separator: str = "auto") -> Table:
    """Read a file with a header line; `separator` is a character, "tab" or "auto".

    Automatic is the first of `SEPARATORS` that gives the header a column called `target`, without
    a target the one that gives it most columns. Raises `DataError` for what is no table with that
    column.
    """
    text = _text(path)
    candidates = SEPARATORS if separator == "auto" else (separator.replace("tab", "\t"),)
    headers = {each: _header(text, each) for each in candidates}
    chosen = next((each for each, titles in headers.items() if target in titles), None)
    if target is None:
        chosen = max(headers, key=lambda each: len(headers[each]))
    if chosen is None:
        likely = max(headers.values(), key=len)
        if not likely:
            raise DataError(f"{path}: needs a header line and rows below it")
        raise DataError(f"{path}: has no column {target!r}; there are {', '.join(likely)}")
    return parse(path, text, separator=chosen)


def _text(path: Path) -> str:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error


def _header(text: str, separator: str) -> list[str]:
    try:
        _, cells = next(_rows(text, separator), (1, []))
    except csv.Error:
        return []
    return [cell.strip() for cell in cells]


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, with the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    begins = 1
    for cells in reader:
        if len(cells) > 1 or any(cell.strip() for cell in cells):
            yield begins, cells
        begins = reader.line_num + 1


def parse(path: Path, text: str, *, separator: str) -> Table:
    """Read a text with a header line; `path` is named in errors. Raises `DataError`."""
    try:
        (_, titles), *rows = _rows(text, separator)
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error
    if not rows:
        raise DataError(f"{path}: needs a header line and rows below it")
    for line, row in rows:
        if len(row) != len(titles):
            raise DataError(f"{path}: line {line} has {len(row)} cells, the header {len(titles)}")
    _refuse_twins(path, titles)
    cells = zip(*(row for _, row in rows), strict=True)
    return Table(
        path=path,
        columns=dict(zip(titles, cells, strict=True)),
        lines=[line for line, _ in rows],
    )


def _refuse_twins(path: Path, titles: Sequence[str]) -> None:
    for title in titles:
        if titles.count(title) > 1:
            raise DataError(
                f"{path}: two columns are called {title!r}; each column needs a title of its own"
            )


def refuse_titles(path: Path, titles: Sequence[str]) -> None:
    """Raise `DataError` for columns that have no name, or the same but for blanks around it."""
    for number, title in enumerate(titles, start=1):
        # pandas' own index stands first, and is left out where the columns are read.
        if not title.strip() and number > 1:
            raise DataError(
                f"{path}: column {number} has no title; each column needs a title of its own"
            )
    _refuse_twins(path, [title.strip() for title in titles])
