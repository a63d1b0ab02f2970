"""One prediction from body to answer: choose, predict, observe. Start at `Service.predict`.

The serving path reads `self._serving` once and uses nothing else that a reload replaces.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from struct import Struct
from time import perf_counter
from typing import NamedTuple

from prometheus_client import Counter, Histogram

from irisab import gauges, payload, report
from irisab.bundle import Bundle, Scored
from irisab.errors import Conflict, HistoryError, IrisabError, NotFound, RequestError
from irisab.history import Found, History
from irisab.metrics import Metrics
from irisab.recorder import Prediction, Recorder
from irisab.revision import Revision
from irisab.snapshot import Reload, Snapshot

log = logging.getLogger(__name__)

# Different combinations of what the versions said; few, unless there are many classes.
VOTES_MEMO = 4096
# A request may keep others waiting for so long; handing it to another thread takes a tenth of it.
QUICK_SECONDS = 0.001
# What a row costs beside the models: parsing, rendering, counting.
ROW_SECONDS = 5e-6
# The operating system is asked for randomness once for many requests.
RANDOM = Struct("512Q")
UUID = Struct(">QQ")
# What a UUIDv7 counts time in here: a millisecond has twelve bits of fraction.
TICKS_MILLISECOND = 1 << 12
TICKS = 1000 * TICKS_MILLISECOND
UUID_TIME = Struct(">QHQ")
# Clocks of one host differ by less from one start to the next.
CLOCK_SECONDS = 60


class ModelFailure(IrisabError):
    """The chosen version raised an error of its own."""


@dataclass(frozen=True, slots=True)
class _Arm:
    """One version with all that its answers need, made at load."""

    bundle: Bundle
    encoder: payload.Encoder
    requests: Counter
    latency: Histogram
    classes: Sequence[Counter]
    shadow_errors: Counter
    disagreements: Counter | None


class _Vote(NamedTuple):
    """What the versions said of a row, as JSON, and the counters of those who disagree."""

    text: str
    disagreements: tuple[Counter, ...]


@dataclass(frozen=True, slots=True)
class _Serving:
    """A snapshot, made ready to answer."""

    snapshot: Snapshot
    revision: Revision
    parser: payload.Parser
    arms: Mapping[str, _Arm]
    quick_bytes: int
    votes: dict[tuple[int | None, ...], _Vote] = field(default_factory=dict)


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
        self.reload = Reload(ok=True, error=None, at=now, accepted=now)
        self._second = (0, "")
        self._random: list[int] = []
        self._report: tuple[_Serving | None, tuple[int, int], report.Json] = (None, (0, 0), {})
        self._ticks = _newest_ticks(history, now)
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
        serving = self._prepare(snapshot)
        self.recorder.announce(serving.revision)
        self.recorder.keep_rows = snapshot.config.data.keep_rows
        self._serving = serving

    def _prepare(self, snapshot: Snapshot) -> _Serving:
        return _Serving(
            snapshot=snapshot,
            revision=snapshot.describe(),
            parser=payload.Parser(
                snapshot.control.feature_names, max_rows=snapshot.config.server.max_rows
            ),
            arms={name: self._arm(name, snapshot) for name in snapshot.bundles},
            quick_bytes=_quick_bytes(snapshot),
        )

    def _arm(self, version: str, snapshot: Snapshot) -> _Arm:
        bundle, metrics = snapshot.bundles[version], self.metrics
        challenger = version != snapshot.config.control
        metrics.prepare(version, class_names=bundle.class_names, challenger=challenger)
        return _Arm(
            bundle=bundle,
            encoder=payload.Encoder(
                version, class_names=bundle.class_names, class_numbers=bundle.class_numbers
            ),
            requests=metrics.version_requests.labels(version),
            latency=metrics.latency.labels(version),
            classes=[metrics.classes.labels(version, name) for name in bundle.class_names],
            shadow_errors=metrics.shadow_errors.labels(version),
            disagreements=metrics.disagreements.labels(version) if challenger else None,
        )

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
        request_id = self._new_request_id(now)
        answer = self._encode(arm, request, answers, now, latency, request_id.hex())
        try:
            self._observe(serving, arm, request, answers, request_id, now, latency)
        except Exception:
            log.exception("a prediction was answered but could not be recorded")
        return answer

    def _choose(self, serving: _Serving, request: payload.Prediction) -> _Arm:
        if request.version is None:
            return serving.arms[serving.snapshot.split.choose(request.user_id)]
        try:
            return serving.arms[request.version]
        except KeyError:
            raise RequestError(
                f"'model_version' {payload.quoted(request.version)} is not served; "
                f"there are {', '.join(serving.arms)}"
            ) from None

    def _score(self, serving: _Serving, arm: _Arm, request: payload.Prediction) -> Sequence[Scored]:
        try:
            return _answers(arm, request.rows)
        except Exception as error:
            version = arm.bundle.version
            if request.version is None:  # as its answers, the failures of a forced one
                self.recorder.fail(revision=serving.revision.revision, version=version)
            raise ModelFailure(f"model version {version} failed on this request") from error

    def _encode(
        self,
        arm: _Arm,
        request: payload.Prediction,
        answers: Sequence[Scored],
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

    def _observe(
        self,
        serving: _Serving,
        arm: _Arm,
        request: payload.Prediction,
        answers: Sequence[Scored],
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
            Prediction(
                request_id,
                now,
                serving.snapshot.revision,
                arm.bundle.version,
                forced,
                request.user_id,
                latency,
                request.rows,
                predictions,
                _votes(serving, arm, request.rows, predictions, forced),
            )
        )

    def _new_request_id(self, now: float) -> bytes:
        """Return a UUIDv7 (RFC 9562, 5.7, with a fraction of the millisecond in rand_a).

        Later than the one before, whatever the clock does (6.2): the history goes by this order.
        """
        self._ticks = max(int(now * TICKS), self._ticks + 1)
        milliseconds, fraction = divmod(self._ticks, TICKS_MILLISECOND)
        try:
            random = self._random.pop()
        except IndexError:
            random, *others = RANDOM.unpack(os.urandom(RANDOM.size))
            self._random += others
        return UUID.pack(milliseconds << 16 | 7 << 12 | fraction, 2 << 62 | random >> 2)

    def timestamp(self, now: float) -> str:
        """Return RFC 3339 in UTC, to the millisecond."""
        second, milliseconds = divmod(int(now * 1000), 1000)
        known, text = self._second
        if second != known:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{milliseconds:03d}Z"

    def report(self) -> report.Json:
        """Return the report, worked out anew only if it could differ; raises `HistoryError`.

        Many who look at once cost the predictions no more than one does.
        """
        serving, stamp = self._serving, self.history.stamp()
        known, known_stamp, found = self._report
        if known is not serving or known_stamp != stamp:
            found = report.build(self.history, serving.snapshot)
            self._report = (serving, stamp, found)
        return found

    # -- labels -----------------------------------------------------------------------------

    def feedback(self, body: bytes) -> str:
        """Keep the labels in the body of POST /feedback: "matched" or "duplicate".

        Returns only when they are on the disk. Raises `RequestError`, or `HistoryError` where they
        cannot be kept now.
        """
        request = payload.feedback(body)
        found = self._find(request.request_id)
        labels = _label_indices(found, request.labels)
        try:
            new = self.history.label(request.request_id, labels)
        except ValueError:
            raise Conflict("this request has another label already; the first one stays") from None
        except LookupError:
            raise NotFound(_UNKNOWN) from None
        self._count_labels(found, labels, new)
        return "matched" if new else "duplicate"

    def _count_labels(self, found: Found, labels: Sequence[int], new: bool) -> None:
        for said, label in zip(found.predictions, labels, strict=True):
            outcome = ("correct" if said == label else "wrong") if new else "duplicate"
            self.metrics.feedback.labels(found.version, outcome).inc()

    def _find(self, request_id: bytes) -> Found:
        found = self.history.find(request_id)
        if found is None:
            # It may be in the queue still.
            if not self.recorder.settle():
                raise HistoryError("predictions wait to be written, this one may be among them")
            found = self.history.find(request_id)
        if found is None:
            raise NotFound(_UNKNOWN)
        return found


_UNKNOWN = (
    "no prediction with this request_id is known; "
    "the history keeps the last [data] keep_rows predictions"
)


def _newest_ticks(history: History, now: float) -> int:
    """Return the time of the newest request id on record; 0 where none is known."""
    try:
        newest = history.newest_id()
    except HistoryError:
        return 0
    if newest is None:
        return 0
    milliseconds, rest, _ = UUID_TIME.unpack(b"\0\0" + newest)
    if milliseconds > 1000 * (now + CLOCK_SECONDS):
        log.warning(
            "the history ends %.0f s in the future: the clock was wrong then, or is now",
            milliseconds / 1000 - now,
        )
    return int(milliseconds * TICKS_MILLISECOND | rest & TICKS_MILLISECOND - 1)


def _quick_bytes(snapshot: Snapshot) -> int:
    rows = QUICK_SECONDS / (_seconds_a_row(snapshot) + ROW_SECONDS)
    # A value and its comma take two bytes at least.
    return int(rows * 2 * len(snapshot.control.features))


def _seconds_a_row(snapshot: Snapshot) -> float:
    """Return how long all versions together take: the least disturbed of three tries."""
    row = snapshot.control.manifest["golden"]["rows"][0]
    times = []
    for _ in range(3):
        started = perf_counter()
        try:
            for bundle in snapshot.bundles.values():
                bundle.model.score_row(row)
        except Exception:
            return math.inf  # it is not quick; whoever asks it will be told what it is
        times.append(perf_counter() - started)
    return min(times)


def _answers(arm: _Arm, rows: Sequence[payload.Row]) -> Sequence[Scored]:
    if len(rows) == 1:
        return (arm.bundle.model.score_row(rows[0]),)
    return arm.bundle.model.score_rows(rows)


def _shadow(arm: _Arm, rows: Sequence[payload.Row]) -> Sequence[int]:
    """Return the classes another version gives; none where it fails, which is counted."""
    try:
        return [index for index, _ in _answers(arm, rows)]
    except Exception:
        arm.shadow_errors.inc(len(rows))
        return ()


def _votes(
    serving: _Serving,
    arm: _Arm,
    rows: Sequence[payload.Row],
    predictions: Sequence[int],
    forced: bool,
) -> list[str]:
    """Let the other versions score the same rows; count and render who said what."""
    shadow = serving.snapshot.config.experiment.shadow and not forced
    columns = [
        predictions if other is arm else _shadow(other, rows) if shadow else ()
        for other in serving.arms.values()
    ]
    texts = []
    for said in zip_longest(*columns):
        vote = serving.votes.get(said) or _new_vote(serving, said)
        texts.append(vote.text)
        for counter in vote.disagreements:
            counter.inc()
    return texts


def _new_vote(serving: _Serving, said: tuple[int | None, ...]) -> _Vote:
    by_version = dict(zip(serving.arms, said, strict=True))
    known = {name: each for name, each in by_version.items() if each is not None}
    control = known.get(serving.revision.control)
    vote = _Vote(
        text=json.dumps(known),
        disagreements=tuple(
            arm.disagreements
            for name, arm in serving.arms.items()
            if arm.disagreements is not None
            and control is not None
            and known.get(name, control) != control
        ),
    )
    if len(serving.votes) >= VOTES_MEMO:
        serving.votes.clear()
    serving.votes[said] = vote
    return vote


def _label_indices(found: Found, labels: Sequence[int | str]) -> list[int]:
    """Turn class numbers and names into indices, by the classes of that request's revision."""
    rows = len(found.predictions)
    if len(labels) != rows:
        raise RequestError(f"{len(labels)} label(s) for a request with {rows} row(s)")
    revision = found.revision
    index: dict[int | str, int] = {name: i for i, name in enumerate(revision.class_names)}
    index |= {number: i for i, number in enumerate(revision.class_numbers)}
    for label in labels:
        if label not in index:
            classes = zip(revision.class_numbers, revision.class_names, strict=True)
            listed = ", ".join(f"{number} ({name})" for number, name in classes)
            raise RequestError(f"label {payload.quoted(str(label))} is unknown; there are {listed}")
    return [index[label] for label in labels]
