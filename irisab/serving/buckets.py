"""What happened in each stretch of time: the body of GET /timeline. See `told()`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from irisab.errors import RequestError
from irisab.rfc3339 import timestamp
from irisab.serving.snapshot import Snapshot
from irisab.stats import sketch
from irisab.store.events import EventLog
from irisab.store.history import History
from irisab.store.timeline import DAY, HOUR, Drift, Figures, start

# Seconds of a bucket -> the most hours that are told in such, at most 1,000 buckets.
SPANS: Mapping[int, int] = {60: 2, 900: 48, HOUR: 192, DAY: 24_000}
MOST_HOURS = SPANS[DAY]
# The newest; a chart with more marks would be one of marks.
MOST_EVENTS = 100
Json = dict[str, Any]


def hours(query: str) -> int:
    """Read the query of a request, such as hours=24, which is meant where there is none."""
    asked = parse_qsl(query, keep_blank_values=True) or [("hours", "24")]
    for name, text in asked:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if name != "hours" or len(asked) > 1 or not 1 <= number <= MOST_HOURS:
            raise RequestError(
                f"ask for a number of hours from 1 to {MOST_HOURS}, such as /timeline?hours=24"
            )
    return number


def told(history: History, served: Snapshot, hours: int, *, now: float) -> Json:
    """Return the last hours (up to now, in seconds since 1970) as JSON values.

    The last bucket is the one under way. Raises `HistoryError`.
    """
    seconds = next(each for each, most in SPANS.items() if hours <= most)
    end = start(now, seconds) + seconds
    begin = end - math.ceil(hours * HOUR / seconds) * seconds
    known = history.timeline(seconds, since=begin)
    names = sorted({*served.bundles, *(name for each in known.figures.values() for name in each)})
    regression, nothing = served.control.task == "regression", Figures()
    buckets = [
        {
            "at": timestamp(at),
            "versions": {
                name: _figures(known.figures.get(at, {}).get(name, nothing), regression)
                for name in names
            },
            "drift": _drift(known.drift.get(at)),
        }
        for at in range(begin, end, seconds)
    ]
    events = EventLog(served.written.data.history).list(since=begin, most=MOST_EVENTS)
    return {
        "from": timestamp(begin),
        "to": timestamp(end),
        "seconds": seconds,
        "buckets": buckets,
        "events": [each.as_json() for each in events],
    }


def _figures(figures: Figures, regression: bool) -> Json:
    labelled = max(figures.labelled, 0)
    wrong = {"mae": figures.absolute, "rmse": figures.squared} if regression and labelled else {}
    means = {name: max(total, 0.0) / labelled for name, total in wrong.items()}
    return {
        "requests": figures.requests,
        "rows": figures.rows,
        "errors": figures.errors,
        "p50": _milliseconds(figures.latencies, 0.5),
        "p95": _milliseconds(figures.latencies, 0.95),
        "labelled": labelled,
        "correct": min(max(figures.correct, 0), labelled),
        "mae": means.get("mae"),
        "rmse": math.sqrt(means["rmse"]) if means else None,
    }


def _milliseconds(latencies: Mapping[int, int], share: float) -> float | None:
    """Return a quantile with three digits: more are not known."""
    seconds = sketch.quantile(latencies, share)
    return None if seconds is None else float(f"{1000 * seconds:.3g}")


def _drift(drift: Drift | None) -> Json | None:
    return None if drift is None else {"score": drift.score, "features": drift.features}
