"""Tables of figures to Markdown, and what irisab promises of them. Start at `results()`.

A figure that misses its promise is shown as it is, and said so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.growth import EDITED, USERS
from bench.kinds import BOOSTING
from bench.servers import CONSTANT, FASTAPI, FLASK_WAITRESS, IRISAB, ROOT

RESULTS = ROOT / "bench/RESULTS.md"
# The page for people, which shows the first table, too, between two marks.
PAGE = ROOT / "docs/performance.md"
BEGIN, END = "<!-- from bench/RESULTS.md -->", "<!-- end -->"
# Row of a table by the titles of its columns; the first one names it. A spread is a tuple: median,
# lowest, highest.
Row = Mapping[str, Any]
# By title.
Tables = Mapping[str, Sequence[Row]]

FIRST = "Beside others"
LEAST, MOST = "at least", "at most"
ONE, MANY = f"1 connection: {CONSTANT}", f"32 connections: {CONSTANT}"
BATCH, SCRAPES = "A thousand rows in one request", "Beside scrapes and reports"
EACH, MISSED = "each", "**no**"
# Table, row or each of them, figure, and its bound.
PROMISES = (
    ("irisab / other", ONE, "requests/s", LEAST, 0.85),
    ("irisab / other", ONE, "CPU", MOST, 1.2),
    ("irisab / other", MANY, "requests/s", LEAST, 0.85),
    ("irisab / other", MANY, "CPU", MOST, 1.2),
    ("irisab / other", MANY, "p99", MOST, 1.5),
    ("irisab / other", f"32 connections: {FLASK_WAITRESS}", "requests/s", LEAST, 20),
    ("irisab / other", f"32 connections: {FASTAPI}", "requests/s", LEAST, 6),
    (FIRST, f"32 connections: {IRISAB}", "failed", MOST, 0),
    (FIRST, f"32 connections: {IRISAB}", "memory, MB", MOST, 60),
    (FIRST, f"32 connections: {IRISAB}", "first answer, s", MOST, 0.5),
    ("Alone in a loop", "both forests", "µs", MOST, 2),
    (BATCH, EACH, "ratio", MOST, 1),
    (BATCH, EACH, "memory, MB", MOST, 60),
    ("As the history grows", EACH, "/report, ms", MOST, 1000),
    (SCRAPES, EACH, "failed", MOST, 0),
    (SCRAPES, EACH, "memory, MB", MOST, 60),
    ("Scraped / quiet", "/metrics and /report each second", "p99", MOST, 1.1),
    ("Scraped / quiet", "/metrics and /report each second", "requests/s", LEAST, 0.9),
    (USERS, EACH, "failed", MOST, 0),
    (USERS, EACH, "rows dropped", MOST, 0),
    (EDITED, EACH, "/metrics, ms", MOST, 50),
    (EDITED, EACH, "a label beside it, ms", MOST, 50),
    ("Kinds of models", BOOSTING, "requests/s", LEAST, 5000),
)


def write(about: str, tables: Tables) -> None:
    """Write RESULTS.md, and the page's table between its two marks."""
    RESULTS.write_text(results(about, tables))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{markdown(tables[FIRST])}\n{END}{after}")


def results(about: str, tables: Tables) -> str:
    """Return the whole report."""
    text = f"# Measured by `make bench`\n\n{about}\n"
    for title, rows in {"Promises": promises(tables), **tables}.items():
        text += f"\n## {title}\n\n{markdown(rows)}\n"
    return text


def promises(tables: Tables) -> list[Row]:
    """Return what is promised beside what was measured; of several rows the worst."""
    return [
        {
            "": f"{table}, {row}",
            "figure": figure,
            "promised": f"{kind} {bound:g}",
            "measured": (worst := _worst(tables[table], row, figure, kind)),
            "kept": "yes" if _is_kept(worst, kind, bound) else MISSED,
        }
        for table, row, figure, kind, bound in PROMISES
    ]


def _worst(rows: Sequence[Row], row: str, figure: str, kind: str) -> float:
    found = (each[figure] for each in rows if row in (EACH, each[""]))
    middles = [each[0] if isinstance(each, tuple) else each for each in found]
    return min(middles) if kind == LEAST else max(middles)


def _is_kept(figure: float, kind: str, bound: float) -> bool:
    return figure >= bound if kind == LEAST else figure <= bound


def markdown(rows: Sequence[Row]) -> str:
    """Return a table with a column for each key, in the order in which they appear."""
    head = list(dict.fromkeys(key for row in rows for key in row))
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    lines += [[_cell(row.get(key, "")) for key in head] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    """Return text as it is, a number with three digits that count, a spread as three numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        digits = 2 - math.floor(math.log10(abs(value))) if value else 0
        return f"{value:,.{max(digits, 0)}f}"
    middle, low, high = map(_cell, value)
    return f"{middle} ({low} to {high})"
