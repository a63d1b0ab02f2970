"""One prediction from body to answer: choose, score, encode. Start at `Service.predict`.

The serving path reads `self._serving` once and uses nothing else that a reload replaces.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter

from irisab.errors import Forbidden, HistoryError, IrisabError, RequestError
from irisab.model.answer import Answer, Row
from irisab.serving import gauges, payload, report
from irisab.serving.feedback import Feedback
from irisab.serving.ids import RequestIds
from irisab.serving.metrics import Metrics
from irisab.serving.prepared import Prepared, ServedVersion, answers, prepare
from irisab.serving.shadow import Answered, Shadow
from irisab.serving.snapshot import ReloadOutcome, Snapshot
from irisab.store import rollouts
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.store.rollouts import Rollout
from irisab.store.timeline import Drift
from irisab.store.writer import Failure, Record
from irisab.turns import between_steps

log = logging.getLogger(__name__)


class ModelFailure(IrisabError):
    """The chosen version raised an error of its own."""


class Service:
    """Answers requests from the current snapshot, and remembers them.

    Watching may fail, the answer may not fail because of it.
    """

    def __init__(
        self, snapshot: Snapshot, *, history: History, recorder: Recorder, metrics: Metrics
    ) -> None:
        now = time.time()
        self.history = history
        self.recorder = recorder
        self.metrics = metrics
        self.draining = False
        self.reload = ReloadOutcome(ok=True, error=None, at=now, accepted=now)
        self._second = (0, "")
        self._report: tuple[Prepared | None, tuple[int, int], report.Json] = (None, (0, 0), {})
        self._ids = RequestIds(_newest_id(history), now=now)
        # Answered, but not with the recorder yet. A set's own methods are one step to threads.
        self.pending: set[bytes] = set()
        self._known: set[str] = set()
        self._shadow = Shadow(metrics, self._record, self.recorder.fail)
        self._feedback = Feedback(history, recorder, metrics, self.pending)
        self.swap(snapshot)
        metrics.watch(lambda: gauges.collect(self))
        self._newest_seen: bytes | None = None
        recorder.watch(self.look_at_drift)
        recorder.share(history)

    @property
    def snapshot(self) -> Snapshot:
        return self._serving.snapshot

    @property
    def quick_bytes(self) -> int:
        """The length up to which a body of /predict is answered within `QUICK_SECONDS`."""
        return self._serving.quick_bytes

    def swap(self, snapshot: Snapshot) -> None:
        """Serve from `snapshot` from the next request on."""
        serving = prepare(snapshot, self.metrics)
        self._retire({*snapshot.config.models, *snapshot.bundles})
        self.recorder.announce(serving.revision)
        self.recorder.keep_rows = snapshot.config.data.keep_rows
        self._serving = serving

    def _retire(self, known: set[str]) -> None:
        """Forget the series of versions that neither this nor the last configuration knows: the
        last requests of the latter may not be counted yet."""
        for version in self.metrics.versions:
            if version not in known | self._known:
                self.metrics.retire(version)
        self._known = known

    def predict(self, body: bytes) -> bytes:
        """Answer the body of POST /predict with a body, and follow it: see `answer`."""
        answer, answered = self.answer(body)
        self.follow(answered)
        return answer

    def answer(self, body: bytes, *, may_force: bool = True) -> tuple[bytes, Answered]:
        """Answer the body of POST /predict; whoever has sent the answer must `follow` it.

        Raises `RequestError` for a bad request, also for one that chooses its version and may not,
        and `ModelFailure` where the version fails.
        """
        serving = self._serving
        started = perf_counter()
        request = serving.parser.prediction(body)
        parsed = perf_counter()
        between_steps(request.rows)
        # A pause is no work of the model's.
        started += perf_counter() - parsed
        arm, failed = self._choose(serving, request, may_force), None
        try:
            scored = answers(arm, request.rows)
        except Exception as error:
            failed, (arm, scored) = arm, self._fall_back(serving, arm, request, error)
        now = time.time()
        latency = perf_counter() - started
        request_id = self._ids.new(now)
        answer = self._encode(arm, request, scored, now, latency, request_id.hex(), failed)
        self.pending.add(request_id)
        said = [index for index, _ in scored]
        return answer, Answered(serving, arm, request, said, request_id, now, latency, failed)

    def follow(self, item: Answered) -> None:
        """Count an answered request, let the other versions score it, and remember it."""
        try:
            self._count(item)
            between_steps(item.predictions)
            self._shadow.follow(item)
        except Exception:
            self.pending.discard(item.request_id)
            log.exception("a prediction was answered but could not be recorded")

    def _choose(
        self, serving: Prepared, request: payload.PredictRequest, may_force: bool
    ) -> ServedVersion:
        if request.version is None:
            return serving.arms[serving.snapshot.split.choose(request.user_id)]
        if not may_force:
            raise Forbidden("force")
        try:
            return serving.arms[request.version]
        except KeyError:
            raise RequestError(
                f"'model_version' {payload.quoted(request.version)} is not served; "
                f"there are {', '.join(serving.arms)}"
            ) from None

    def _fall_back(
        self,
        serving: Prepared,
        arm: ServedVersion,
        request: payload.PredictRequest,
        error: Exception,
    ) -> tuple[ServedVersion, Sequence[Answer]]:
        """Let the control answer for a challenger that failed; raises `ModelFailure` elsewhere."""
        version = arm.bundle.version
        if request.version is None:  # who asks for a version wants no other, and is not counted
            control = serving.arms[serving.revision.control]
            others = [each for each in serving.arms.values() if each is not arm]
            with suppress(Exception):
                if arm is not control:
                    instead = answers(control, request.rows)
                    arm.fallbacks.inc()
                    log.warning(
                        "%s failed, %s answers: %r", version, serving.revision.control, error
                    )
                    return control, instead
            # A request on which all fail is a bad one, and speaks against none of them.
            scored = [each.bundle.version for each in others if _scores(each, request.rows)]
            self.recorder.fail(Failure(serving.revision.id, version, time.time(), scored))
        raise ModelFailure(f"model version {version} failed on this request") from error

    def _encode(
        self,
        arm: ServedVersion,
        request: payload.PredictRequest,
        answers: Sequence[Answer],
        now: float,
        latency: float,
        request_id: str,
        failed: ServedVersion | None,
    ) -> bytes:
        more = "" if request.id is None else f',"id":{json.dumps(request.id)}'
        if failed is not None:
            more += ',"fallback":true'
        stamps = self.timestamp(now), latency * 1000, request_id, more
        if request.single:
            return arm.encoder.one(answers[0], *stamps)
        return arm.encoder.many(answers, *stamps)

    def _count(self, item: Answered) -> None:
        self.metrics.requests.inc()
        item.arm.requests.inc()
        item.arm.latency.observe(item.latency)
        item.serving.count_unseen(item.request.rows)
        if item.arm.classes:
            for index in set(item.predictions):
                item.arm.classes[index].inc(item.predictions.count(index))

    def _record(self, item: Answered, votes: list[str]) -> None:
        revision = item.serving.revision
        between_steps(item.predictions)
        self.recorder.record(
            Record(
                item.request_id,
                item.at,
                revision.id,
                item.arm.bundle.version,
                item.request.version is not None,
                item.request.user_id,
                item.latency,
                item.serving.encode(item.request.rows),
                item.predictions,
                votes,
                item.request.id,
            )
        )
        self.pending.discard(item.request_id)

    def close(self) -> None:
        """Record all that was answered; the recorder may be closed afterwards."""
        self._shadow.close()

    def timestamp(self, now: float) -> str:
        """Return RFC 3339 in UTC, to the millisecond."""
        second, milliseconds = divmod(int(now * 1000), 1000)
        known, text = self._second
        if second != known:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{milliseconds:03d}Z"

    def feedback(self, body: bytes) -> str:
        """Keep the labels in the body of POST /feedback: see `Feedback.add`."""
        return self._feedback.add(body)

    def rollout(self) -> Rollout | None:
        """Return where the rollout is now; as it was at the reload, if the history cannot tell."""
        known = self.snapshot
        try:
            return rollouts.newest(known.config.data.history)
        except HistoryError:
            return known.rollout

    def look_at_drift(self) -> None:
        """Remember how far the input has drifted, if there was any since the last look."""
        try:
            newest = self.history.newest_id()
            if newest != self._newest_seen:
                self._newest_seen = newest
                drift = report.drift_report(self.history, self.snapshot)
                if drift["score"] is not None:
                    self.recorder.drift(Drift(time.time(), drift["score"], drift["features"]))
        except Exception:
            log.exception("the drift could not be looked at")

    def report(self) -> report.Json:
        """Return the report, worked out anew only if it could differ; raises `HistoryError`.

        Many who look at once cost the predictions no more than one does.
        """
        serving, stamp = self._serving, self.history.stamp()
        known, known_stamp, latest = self._report
        if known is not serving or known_stamp != stamp:
            latest = report.build(self.history, serving.snapshot)
            self._report = (serving, stamp, latest)
        return latest


def _scores(arm: ServedVersion, rows: Sequence[Row]) -> bool:
    try:
        answers(arm, rows)
    except Exception:
        return False
    return True


def _newest_id(history: History) -> bytes | None:
    try:
        return history.newest_id()
    except HistoryError:
        return None
