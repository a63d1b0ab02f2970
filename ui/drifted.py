"""What is said of drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import words

# More names than this are no headline.
NAMED = 3
TOGETHER = "All together"


def drift(report: dict[str, Any]) -> words.Message:
    """Put the drift report into words."""
    if report["score"] is None:
        return _waiting(rows=report["rows"], window=report["window"])
    if report["status"] == "OK":
        return words.Message(
            "good",
            "The input still looks like the training data.",
            f"The score is {report['score']:.2f}; the alarm is at {report['limit']:.2f}.",
            "Nothing to do.",
        )
    headline, moved = "The input no longer looks like the training data.", _what_moved(report)
    if candidate := report["candidate"]:
        learned = f"A candidate is under way: {words.plain(candidate)} has learned from it."
        return words.Message("bad", headline, moved, learned)
    return words.Message(
        "bad",
        headline,
        moved,
        "First check that the input is right: a changed unit, a swapped column or one row sent "
        "again and again looks just like this. If the world itself has changed, train the model "
        "on recent data.",
    )


def _waiting(*, rows: int, window: int) -> words.Message:
    return words.Message(
        "open",
        f"Not enough data yet: {rows:,} of {words.count(window, 'row')}.",
        "Drift is judged over the latest rows the service was asked about. With fewer, chance "
        "alone would look like drift.",
        f"It takes {words.count(window - rows, 'more row')}.",
    )


def _what_moved(report: dict[str, Any]) -> str:
    alarm = f"the alarm is at {report['limit']:.2f}"
    moved = moved_features(report)
    names = ", ".join(
        f"{words.title(name)} ({report['features'][name]:.2f})" for name in moved[:NAMED]
    )
    if more := moved[NAMED:]:
        names += f" and {len(more):,} more"
    if report["score"] <= report["limit"]:
        return f"The averages are much the same, but not how the values spread: {names}."
    which = f" Most changed: {names}." if names else ""
    return f"The score is {report['score']:.2f}; {alarm}.{which}"


def moved_features(report: dict[str, Any]) -> list[str]:
    """Name the features that are above their limits, the most changed first."""
    return sorted(report["above"], key=lambda name: -report["features"][name])


def most_moved(report: dict[str, Any], features: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the feature that changed most; the first while none is known."""
    return max(features, key=lambda feature: report["features"].get(feature["name"]) or 0)


def in_numbers(report: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """List the score and the alarm of all, and of each feature, the most changed first."""
    score, alarm = {TOGETHER: f"{report['score']:.2f}"}, {TOGETHER: f"{report['limit']:.2f}"}
    for name in sorted(report["features"], key=lambda name: -report["features"][name]):
        score[words.title(name)] = f"{report['features'][name]:.2f}"
        alarm[words.title(name)] = f"{report['limits'][name]:.2f}"
    return {"Score": score, "Alarm": alarm}


def spread(
    report: Mapping[str, Any], features: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, str]]:
    """List which share of the values lies where, in training and now, for a table."""
    columns: dict[str, dict[str, str]] = {"In training": {}, "Now": {}}
    for feature in features:
        shares = report["distributions"][feature["name"]]
        rows = [f"{words.title(feature['name'])}: {where}" for where in _places(shares)]
        for column, part in zip(columns.values(), ("training", "window"), strict=True):
            known = shares[part] or [None] * len(rows)
            column |= {row: words.percent(each) for row, each in zip(rows, known, strict=True)}
    return columns


def _places(shares: Mapping[str, Any]) -> Iterator[str]:
    """Name what the shares are of: categories, or stretches of numbers."""
    if "categories" in shares:
        yield from shares["categories"]
    else:
        edges = [words.number(edge) for edge in shares["edges"]]
        yield from (f"{low} to {high}" for low, high in pairwise(edges))
