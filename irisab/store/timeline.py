"""What each version did in each step of time, for charts. Start at `STEPS`.

The same is counted in steps of several lengths. Short ones are forgotten after a while, days never:
a year of a version takes some hundred kilobytes. A label counts where its prediction was made.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, Protocol

from irisab.stats import sketch
from irisab.stats.fall import Day
from irisab.store import bulk
from irisab.store.counters import Counts

HOUR, DAY = 3600, 86_400
# Seconds of a step, each a multiple of those before it -> seconds for which such are kept.
STEPS: Mapping[int, float] = {60: 3 * HOUR, 900: 3 * DAY, HOUR: 9 * DAY, DAY: float("inf")}
TABLE = "timeline"

# The length and the start of a step, in seconds, and the version.
Key = tuple[int, int, str]


class Answered(Protocol):
    """One answered request that asked for no version; `latency` and `time` are in seconds."""

    @property
    def version(self) -> str: ...
    @property
    def time(self) -> float: ...
    @property
    def latency(self) -> float: ...
    @property
    def rows(self) -> Sequence[Any]: ...


class Failed(Protocol):
    """One request that a version failed to score; `chosen` if it was the one to answer."""

    @property
    def version(self) -> str: ...
    @property
    def time(self) -> float: ...
    @property
    def chosen(self) -> bool: ...


class Drift(NamedTuple):
    """How far the input was from the training data at a moment (seconds since 1970)."""

    time: float
    score: float
    features: Mapping[str, float]


@dataclass(slots=True)
class Figures:
    """What a version did in a step; `absolute` and `squared` are sums of a regression's errors.

    `latencies` counts requests by the bin of their seconds: see sketch.py.
    """

    requests: int = 0
    rows: int = 0
    errors: int = 0
    labelled: int = 0
    correct: int = 0
    absolute: float = 0.0
    squared: float = 0.0
    latencies: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _New:
    requests: int = 0
    rows: int = 0
    errors: int = 0
    latencies: Counter[int] = field(default_factory=Counter)


COLUMNS = Figures.__slots__[:-1]


class Timeline(NamedTuple):
    """Figures by version, and the drift, by the start of the steps that have any."""

    figures: Mapping[int, Mapping[str, Figures]]
    drift: Mapping[int, Drift]


def start(at: float, seconds: int) -> int:
    """Return when the step began that a moment lies in."""
    return int(at // seconds) * seconds


def count(
    connection: sqlite3.Connection, answered: Sequence[Answered], failures: Sequence[Failed]
) -> None:
    """Count requests, in all steps that they lie in, and forget steps that have had their time."""
    shortest = next(iter(STEPS))
    news = defaultdict[int, defaultdict[str, _New]](lambda: defaultdict(_New))
    for each in answered:
        new = news[start(each.time, shortest)][each.version]
        new.requests += 1
        new.rows += len(each.rows)
        new.latencies[sketch.bin_of(each.latency)] += 1
    for failed in failures:
        if failed.chosen:
            news[start(failed.time, shortest)][failed.version].errors += 1
    begun = False
    for at, versions in news.items():
        steps = [(seconds, start(at, seconds)) for seconds in STEPS]
        keys = {(*step, name): versions[name] for name in versions for step in steps}
        begun |= _add(connection, keys)
    # Not at each write: each statement waits for the interpreter.
    if begun and answered:
        _forget(connection, max(each.time for each in answered))


def _add(connection: sqlite3.Connection, news: Mapping[Key, _New]) -> bool:
    """Add to what is there; tell whether a step has begun."""
    known = _latencies(connection, [*news])
    rows = [
        (*key, new.requests, new.rows, new.errors, _text(known.get(key, Counter()) + new.latencies))
        for key, new in news.items()
    ]
    bulk.execute(
        connection,
        "INSERT INTO timeline (seconds, at, version, requests, rows, errors, latencies)"
        " VALUES {} ON CONFLICT DO UPDATE SET"
        " requests = requests + excluded.requests, rows = rows + excluded.rows,"
        " errors = errors + excluded.errors, latencies = excluded.latencies",
        rows,
    )
    return len(known) < len(news)


def _latencies(connection: sqlite3.Connection, keys: Sequence[Key]) -> Mapping[Key, Counter[int]]:
    """Return what is there, as one row: to take a row costs as much as a statement does."""
    which = ", ".join(["(?, ?, ?)"] * len(keys))
    (text,) = connection.execute(
        "SELECT json_group_array(json_array(seconds, at, version, latencies))"
        f" FROM (VALUES {which}) CROSS JOIN timeline"
        " ON seconds = column1 AND at = column2 AND version = column3",
        [*chain.from_iterable(keys)],
    ).fetchone()
    return {(seconds, at, version): _bins(bins) for seconds, at, version, bins in json.loads(text)}


def _bins(text: str) -> Counter[int]:
    return Counter({int(number): count for number, count in json.loads(text).items()})


def _text(bins: Counter[int]) -> str:
    return json.dumps(bins, separators=(",", ":"))


def _forget(connection: sqlite3.Connection, now: float) -> None:
    over = " OR ".join(["seconds = ? AND at < ?"] * len(STEPS))
    kept = [*chain.from_iterable((seconds, now - kept) for seconds, kept in STEPS.items())]
    for table in ("timeline", "drift_timeline"):
        connection.execute(f"DELETE FROM {table} WHERE {over}", kept)


def label(counts: Counts, version: str, at: float, column: str, number: Any = 1) -> None:
    """Count something of a labelled row where its prediction was made."""
    for seconds in STEPS:
        counts[TABLE, (seconds, start(at, seconds), version), column] += number


def first_label(counts: Counts, model: str, at: float, right: bool) -> None:
    """Count the label by which a user (else request) counts, on the day of its prediction."""
    day = model, int(at // DAY)
    counts["model_days", day, "labelled"] += 1
    counts["model_days", day, "correct"] += right


def leave_out(counts: Counts) -> None:
    """Leave out what labels of an older irisab would have counted here: it knew no steps."""
    for key in [key for key in counts if key[0] in (TABLE, "model_days")]:
        del counts[key]


def note(connection: sqlite3.Connection, looks: Sequence[Drift]) -> None:
    """Keep how far the input has drifted: of each step the most."""
    for look in looks:
        for seconds in STEPS:
            key = seconds, start(look.time, seconds)
            row = connection.execute(
                "SELECT score, features FROM drift_timeline WHERE seconds = ? AND at = ?", key
            ).fetchone()
            known = json.loads(row[1]) if row else {}
            most = {name: max(known.get(name, 0), each) for name, each in look.features.items()}
            features = json.dumps({name: round(each, 4) for name, each in most.items()})
            score = round(max(look.score, row[0] if row else 0), 4)
            connection.execute(
                "INSERT OR REPLACE INTO drift_timeline (seconds, at, score, features)"
                " VALUES (?, ?, ?, ?)",
                (*key, score, features),
            )


def read_days(connection: sqlite3.Connection, model: str) -> list[Day]:
    """Return the days that a model has labels of, the oldest first."""
    rows = connection.execute(
        "SELECT day, labelled, correct FROM model_days WHERE model = ? AND labelled > 0"
        " ORDER BY day",
        (model,),
    )
    return [*map(Day._make, rows)]


def read(connection: sqlite3.Connection, seconds: int, since: float) -> Timeline:
    """Return what there is of steps of this length, from `since` on."""
    rows = connection.execute(
        f"SELECT at, version, latencies, {', '.join(COLUMNS)} FROM timeline"
        " WHERE seconds = ? AND at >= ? ORDER BY at, version",
        (seconds, since),
    )
    steps: defaultdict[int, dict[str, Figures]] = defaultdict(dict)
    for at, version, latencies, *values in rows:
        known = dict(zip(COLUMNS, values, strict=True))
        steps[at][version] = Figures(**known, latencies=_bins(latencies))
    looks = connection.execute(
        "SELECT at, score, features FROM drift_timeline WHERE seconds = ? AND at >= ?",
        (seconds, since),
    )
    return Timeline(dict(steps), {at: Drift(at, of, json.loads(text)) for at, of, text in looks})
