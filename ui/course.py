"""What happened over time, as rows for charts and tables. No drawing here.

`told` is what GET /timeline answers. A bucket of which something is not known has None for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import curves
import life
import scores
import words

Json = Mapping[str, Any]
# A table of the page: column -> row -> text.
Table = dict[str, dict[str, str]]

# What the page can show -> hours.
SPANS = {"Hour": 1, "Day": 24, "Week": 168, "Month": 744}
PATHS = tuple(f"/timeline?hours={hours}" for hours in SPANS.values())
STEPS = {60: "minute", 900: "quarter of an hour", 3600: "hour", 86_400: "day"}
# More lines in one chart would be a tangle; the table has all.
MOST_FEATURES = 5
# What stands on a chart where something happened.
LETTERS = {
    "start": "S",
    "reload": "R",
    "refused": "E",
    "train": "T",
    "retrain": "C",
    "rollout": "O",
    "rollback": "X",
    "drift": "D",
    "backup": "B",
}


def versions(told: Json) -> list[str]:
    return list(told["buckets"][0]["versions"])


def across(told: Json) -> dict[str, Any]:
    """Give the axis of all charts: from beginning to end, as Vega-Lite writes moments."""
    names = {"year": "year", "month": "month", "date": "day", "hours": "hour", "minutes": "minute"}
    moments = (datetime.fromisoformat(told[end]) for end in ("from", "to"))
    ends = [
        {"utc": True, **{name: getattr(each, of) for name, of in names.items()}} for each in moments
    ]
    return curves.time(ends, by_day=told["seconds"] >= 3600)


def series(
    told: Json, names: Sequence[str], value: Callable[[Json, str], float | None]
) -> list[dict[str, Any]]:
    """Give a row for each bucket and name, whose value may be None."""
    return [
        {"at": bucket["at"], "name": name, "value": value(bucket, name)}
        for name in names
        for bucket in told["buckets"]
    ]


def figure(key: str) -> Callable[[Json, str], float | None]:
    """Give the reader of a figure of a version."""
    return lambda bucket, version: bucket["versions"][version][key]


def share(bucket: Json, version: str) -> float | None:
    """Give the part of a bucket's requests that a version answered."""
    total = sum(each["requests"] for each in bucket["versions"].values())
    return bucket["versions"][version]["requests"] / total if total else None


def accuracy(bucket: Json, version: str) -> float | None:
    """Give the share of right answers among the labelled ones."""
    figures = bucket["versions"][version]
    return figures["correct"] / figures["labelled"] if figures["labelled"] else None


def accuracies(told: Json, version: str) -> list[dict[str, Any]]:
    """Give a version's share of right answers by bucket, with Wilson's interval."""
    rows = []
    for each in series(told, [version], accuracy):
        rows.append({**each, "low": None, "high": None})
    for row, bucket in zip(rows, told["buckets"], strict=True):
        if (figures := bucket["versions"][version])["labelled"]:
            row["low"], row["high"] = scores.wilson(figures["correct"], figures["labelled"])
    return rows


def drift(bucket: Json, feature: str) -> float | None:
    return bucket["drift"] and bucket["drift"]["features"].get(feature)


def features(told: Json) -> list[str]:
    """Name the features whose drift is known, the most changed first."""
    most: dict[str, float] = {}
    for bucket in told["buckets"]:
        for name, score in (bucket["drift"] or {"features": {}})["features"].items():
            most[name] = max(score, most.get(name, 0))
    return sorted(most, key=lambda name: -most[name])


def marks(told: Json) -> list[dict[str, Any]]:
    """Give a mark for each event."""
    return [
        {"at": each["at"], "letter": letter(each), "text": life.told_shortly(each)}
        for each in told["events"]
    ]


def letter(event: Json) -> str:
    return LETTERS.get(event["kind"], "?")


def table(
    told: Json, names: Sequence[str], value: Callable[[Json, str], str], *, any_of: Sequence[str]
) -> Table:
    """List, name by name, what each bucket has, the newest first; those with nothing are left out.

    `any_of` are the figures, or "drift", of which a bucket must have something.
    """
    kept = [each for each in reversed(told["buckets"]) if _has(each, any_of)]
    return {name: {when(each["at"]): value(each, name) for each in kept} for name in names}


def _has(bucket: Json, any_of: Sequence[str]) -> bool:
    figures = bucket["versions"].values()
    return any(bucket.get(name) or any(each.get(name) for each in figures) for name in any_of)


def when(text: str) -> str:
    """Write when a bucket begins, in UTC."""
    return f"{text[:10]} {text[11:16]}"


def requests(bucket: Json, version: str) -> str:
    figures = bucket["versions"][version]
    return f"{figures['requests']:,} ({words.percent(share(bucket, version))})"


def errors(bucket: Json, version: str) -> str:
    return f"{bucket['versions'][version]['errors']:,}"


def latency(bucket: Json, version: str) -> str:
    figures = bucket["versions"][version]
    return f"{words.milliseconds(figures['p50'])}; {words.milliseconds(figures['p95'])}"


def right(bucket: Json, version: str) -> str:
    figures = bucket["versions"][version]
    if not figures["labelled"]:
        return "–"
    low, high = scores.wilson(figures["correct"], figures["labelled"])
    found, least, most = (
        words.percent(each, digits=1) for each in (accuracy(bucket, version), low, high)
    )
    return f"{found} of {figures['labelled']:,} ({least} to {most})"


def wrong(bucket: Json, version: str) -> str:
    figures = bucket["versions"][version]
    if figures["mae"] is None:
        return "–"
    return f"{words.number(figures['mae'])} of {figures['labelled']:,}"


def drifted(bucket: Json, feature: str) -> str:
    score = drift(bucket, feature)
    return "–" if score is None else f"{score:.2f}"
