"""Whether a candidate of `retrain` waits, where a snapshot serves. Start at `waiting()`."""

from __future__ import annotations

from collections.abc import Collection

from irisab.model import candidate
from irisab.serving.snapshot import Snapshot
from irisab.store.history import History


def waiting(served: Snapshot, history: History) -> candidate.Candidate | None:
    """Return the candidate that nobody tries yet; raises `HistoryError`."""
    newest = under_way(served, history)
    trying = {each.sha256 for each in served.bundles.values()}
    return None if newest is None or newest.sha256 in trying else newest


def under_way(served: Snapshot, history: History) -> candidate.Candidate | None:
    """Return the candidate that waits to be tried, or is tried now; raises `HistoryError`."""
    serving = {each.sha256 for each in served.bundles.values()}
    return candidate.under_way(
        served.config.data.models,
        control=served.control.sha256,
        tried=tried(history, serving=serving),
    )


def tried(history: History, *, serving: Collection[str]) -> set[str]:
    """Return the hashes of models that have served, and do no more; raises `HistoryError`."""
    revisions = history.revisions().values()
    return {sha256 for each in revisions for sha256 in each.models.values()} - {*serving}
