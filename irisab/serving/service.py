"""One prediction from body to answer: choose, score, encode. Start at `Service.predict`.

The serving path reads `self._serving` once and uses nothing else that a reload replaces.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from time import perf_counter

from irisab.errors import HistoryError, IrisabError, RequestError
from irisab.model.answer import Answer
from irisab.serving import gauges, payload, report
from irisab.serving.feedback import Feedback
from irisab.serving.ids import RequestIds
from irisab.serving.metrics import Metrics
from irisab.serving.prepared import Prepared, ServedVersion, answers, prepare
from irisab.serving.shadow import score_in_shadow
from irisab.serving.snapshot import ReloadOutcome, Snapshot
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.store.writer import Record

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
        self._feedback = Feedback(history, recorder, metrics)
        self.swap(snapshot)
        metrics.watch(lambda: gauges.collect(self))

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
        self.recorder.announce(serving.revision)
        self.recorder.keep_rows = snapshot.config.data.keep_rows
        self._serving = serving

    def predict(self, body: bytes) -> bytes:
        """Answer the body of POST /predict with a body.

        Raises `RequestError` for a bad request and `ModelFailure` where the version fails.
        """
        serving = self._serving
        started = perf_counter()
        request = serving.parser.prediction(body)
        arm = self._choose(serving, request)
        answers = self._score(serving, arm, request)
        now = time.time()
        latency = perf_counter() - started
        request_id = self._ids.new(now)
        answer = self._encode(arm, request, answers, now, latency, request_id.hex())
        try:
            self._shadow_and_record(serving, arm, request, answers, request_id, now, latency)
        except Exception:
            log.exception("a prediction was answered but could not be recorded")
        return answer

    def _choose(self, serving: Prepared, request: payload.PredictRequest) -> ServedVersion:
        if request.version is None:
            return serving.arms[serving.snapshot.split.choose(request.user_id)]
        try:
            return serving.arms[request.version]
        except KeyError:
            raise RequestError(
                f"'model_version' {payload.quoted(request.version)} is not served; "
                f"there are {', '.join(serving.arms)}"
            ) from None

    def _score(
        self, serving: Prepared, arm: ServedVersion, request: payload.PredictRequest
    ) -> Sequence[Answer]:
        try:
            return answers(arm, request.rows)
        except Exception as error:
            version = arm.bundle.version
            if request.version is None:  # as its answers, the failures of a forced one
                self.recorder.fail(revision=serving.revision.id, version=version)
            raise ModelFailure(f"model version {version} failed on this request") from error

    def _encode(
        self,
        arm: ServedVersion,
        request: payload.PredictRequest,
        answers: Sequence[Answer],
        now: float,
        latency: float,
        request_id: str,
    ) -> bytes:
        timestamp = self.timestamp(now)
        if request.single:
            return arm.encoder.one(
                answers[0],
                timestamp=timestamp,
                latency_ms=latency * 1000,
                request_id=request_id,
            )
        return arm.encoder.many(
            answers, timestamp=timestamp, latency_ms=latency * 1000, request_id=request_id
        )

    def _shadow_and_record(
        self,
        serving: Prepared,
        arm: ServedVersion,
        request: payload.PredictRequest,
        answers: Sequence[Answer],
        request_id: bytes,
        now: float,
        latency: float,
    ) -> None:
        forced = request.version is not None
        self.metrics.requests.inc()
        arm.requests.inc()
        arm.latency.observe(latency)
        predictions = [index for index, _ in answers]
        for index in set(predictions):
            arm.classes[index].inc(predictions.count(index))
        self.recorder.record(
            Record(
                request_id,
                now,
                serving.revision.id,
                arm.bundle.version,
                forced,
                request.user_id,
                latency,
                request.rows,
                predictions,
                score_in_shadow(serving, arm, request.rows, predictions, forced),
            )
        )

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


def _newest_id(history: History) -> bytes | None:
    try:
        return history.newest_id()
    except HistoryError:
        return None
