"""Whether irisab-retrain.timer has something to do. Start at `why_not()`."""

from __future__ import annotations

from collections.abc import Iterable

from irisab.rfc3339 import seconds
from irisab.serving import candidates, report
from irisab.serving.snapshot import Snapshot
from irisab.store.events import Event
from irisab.store.history import History

DAY = 86_400.0
# What was refused is not tried again at once: the labels would be the same.
REST = {"drift": DAY, "labels": DAY, "weekly": 7 * DAY}


def why_not(
    served: Snapshot, history: History, events: Iterable[Event], *, now: float
) -> str | None:
    """Say why no candidate is made now; None where it is time. `now` is in seconds since 1970."""
    when = served.config.retrain.when
    if when == "never":
        return "[retrain] when = never"
    if waiting := candidates.under_way(served, history):
        return f"{waiting.version} is a candidate already, and waits to be tried"
    last = max((each.at for each in events if each.kind == "retrain"), default=0.0)
    if when == "weekly":
        last = max(last, seconds(served.control.manifest["trained_at"]))
    if now < last + REST[when]:
        return f"the last training was less than {REST[when] / DAY:g} day(s) ago"
    if when == "drift" and report.drift_report(history, served)["status"] != report.WARNING:
        return "no drift"
    return None
