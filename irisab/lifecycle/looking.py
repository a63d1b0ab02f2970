"""A look at a rollout: evidence from the history and the service, and what follows. See `Looking`.

The decision itself is `rollout.look`; here is what it is told, and where its answer is kept.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irisab.lifecycle import rollout
from irisab.lifecycle.rollout import Evidence, Hold
from irisab.model import bundle
from irisab.serving import report
from irisab.serving.comparisons import comparisons
from irisab.serving.effective import edited, replaced, settings_of
from irisab.serving.snapshot import Snapshot, dealt
from irisab.store.history import History
from irisab.store.rollouts import Rollout

# Rows to look back for latencies, and the answers of each that a p95 takes.
LATENCY_ROWS = 50_000
LATENCY_ANSWERS = 100


class Looking:
    """The rollout of what serves, as its history has it.

    `trouble` says why nothing can be done at the moment. Methods raise `HistoryError`.
    """

    def __init__(self, served: Snapshot, history: History, *, trouble: Hold | None = None) -> None:
        self._served = served
        self._history = history
        self._trouble = trouble

    def in_trouble(self, trouble: Hold | None) -> Looking:
        """Return the same, where the service has this trouble, unless there was another."""
        return Looking(self._served, self._history, trouble=self._trouble or trouble)

    def look(self, at: Rollout, *, now: float) -> Rollout:
        """Return where the rollout is after a look; nothing is written."""
        if at.finished:
            return at
        options = self._served.written
        seen = self._edited(at) or self._seen(at)
        after = rollout.look(options.rollout, at, seen, now=now, alpha=self._alpha)
        if after.step == at.step:
            return after
        revision, requests = self._counters(after)  # a step counts its own only
        return replace(after, revision=revision, requests=requests)

    def failing(self, at: Rollout) -> str | None:
        """Say why the version would be rolled back at a look; None where it would not."""
        options = self._served.written
        return rollout.failure(options.rollout, at, self._seen(at), self._alpha)

    def resumed(self, at: Rollout, *, now: float) -> Rollout:
        """Return a paused rollout where it was; what has failed until now is forgiven."""
        return replace(rollout.resumed(at, now=now), failures=self._failures(at))

    @property
    def _alpha(self) -> float:
        return self._served.written.experiment.alpha

    def _edited(self, at: Rollout) -> Evidence | None:
        options, bundles = self._served.written, self._served.bundles
        if edited(options, at):
            permanent = options.control == at.version and options.split.get(at.version) == 100
            what = "[split], [experiment] or [rollout] was edited"
            return Evidence(edited=f"{what}: the INI file serves", permanent=permanent)
        if names := replaced(at, {name: each.sha256 for name, each in bundles.items()}):
            what = f"the model of {' and '.join(names)} was replaced"
            return Evidence(edited=f"{what}: the INI file serves")
        return None

    def _seen(self, at: Rollout) -> Evidence:
        judged = self._judged(at)
        return Evidence(
            verdict=judged["verdict"],
            why=judged["reason"],
            requests=self._requests(at),
            failures=self._failed_since(at),
            p95=self._p95(at),
            trouble=self._trouble or self._ratio(),
        )

    def _judged(self, at: Rollout) -> report.Json:
        """Compare the version with the control it began with, also once it is the control."""
        revision = replace(self._served.describe(), control=at.control)
        compared = comparisons(self._history, revision, self._served.config)
        return next(each for each in compared if each["challenger"] == at.version)

    def _requests(self, at: Rollout) -> int:
        revision, requests = self._counters(at)
        # In another revision, as after another version's training, counting begins anew.
        return max(requests - (at.requests if revision == at.revision else 0), 0)

    def _counters(self, at: Rollout) -> tuple[str, int]:
        """Return what the requests of a step are counted in, and how many there are."""
        if at.step == 0:
            return "", self._history.requests(*_pair(at))[0]
        served = dealt(self._served, at)
        assert served is not None  # what is rolled out is loaded
        counts = self._history.version_counts(served.revision_id).get(at.version, {})
        return served.revision_id, counts.get("requests", 0)

    def _failures(self, at: Rollout) -> tuple[int, int]:
        return self._history.requests(*_pair(at))[1:]

    def _failed_since(self, at: Rollout) -> tuple[int, int]:
        control, version = self._failures(at)
        return control - at.failures[0], version - at.failures[1]

    def _p95(self, at: Rollout) -> tuple[float, float] | None:
        seconds = self._history.latencies(self._served.revision_id, limit=LATENCY_ROWS)
        both = [seconds.get(name, []) for name in (at.control, at.version)]
        if min(map(len, both)) < LATENCY_ANSWERS:
            return None
        control, version = (float(np.quantile(each, 0.95)) for each in both)
        return control, version

    def _ratio(self) -> Hold | None:
        if report.sample_ratio(self._history, self._served.describe())["ok"]:
            return None
        return Hold("sample_ratio", "users are not spread over the versions as the split says")


def begin(served: Snapshot, history: History, version: str, *, now: float) -> Rollout:
    """Return the rollout of a version at its beginning.

    Raises `BundleError` where it cannot be served beside the others.
    """
    options = served.written
    loaded = bundle.load(options.data.models, version)
    at = Rollout(
        version=version,
        control=options.control,
        models={options.control: served.bundles[options.control].sha256, version: loaded.sha256},
        settings=settings_of(options),
        steps=options.rollout.steps,
        since=now,
        clock=now,
        reason="started",
    )
    scored, *failures = history.requests(*_pair(at))
    return replace(at, requests=scored, failures=failures)


def _pair(at: Rollout) -> tuple[str, str]:
    return at.models[at.control], at.models[at.version]
