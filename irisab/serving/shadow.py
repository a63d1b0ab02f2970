"""What the versions that did not answer say of the same rows. Start at `Shadow.follow`.

A prediction never waits for it: the answer is sent first. Versions that take about as long as the
one that answered score in the same thread. Slower ones score in a thread of their own, which may
use a tenth of one processor; of more requests than that is enough for, a part is not scored.
Which part depends on the version that answered, on the number of rows and on the moment a request
comes, never on what is in it, so what the scored ones say of the versions holds for all.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import zip_longest
from time import monotonic, perf_counter
from typing import NamedTuple

from irisab.model.answer import Row
from irisab.serving.metrics import Metrics
from irisab.serving.payload import PredictRequest
from irisab.serving.prepared import Prepared, ServedVersion, Vote, answers
from irisab.store.writer import Failure
from irisab.turns import between_steps

log = logging.getLogger(__name__)

# Different combinations of what the versions said; few, unless there are many classes.
VOTES_MEMO = 4096
# So much may be scored in the thread that has answered, or so many times what an answer takes:
# handing it over costs about as much as the first, and keeps the next request waiting no less.
INLINE_SECONDS = 1e-4
INLINE_TIMES = 3
# Of one processor. All that the thread does, it takes from the answers.
BUDGET = 0.1
# Work that may have gathered: a label waits for the shadow of its prediction.
BACKLOG_SECONDS = 1.0


class Answered(NamedTuple):
    """A request that has its answer. `at` is seconds since 1970, `latency` seconds.

    `failed` is the version that was chosen, where the control had to answer for it.
    """

    serving: Prepared
    arm: ServedVersion
    request: PredictRequest
    predictions: Sequence[int]
    request_id: bytes
    at: float
    latency: float
    failed: ServedVersion | None = None


class Shadow:
    """Lets the other versions score what one has answered.

    `record` is called for each request, from whichever thread scored it, with what each version
    said per row, as JSON; `fail` for each version that failed to.
    """

    def __init__(
        self,
        metrics: Metrics,
        record: Callable[[Answered, list[str]], None],
        fail: Callable[[Failure], None],
    ) -> None:
        self._skipped = metrics.shadow_skipped
        self._record = record
        self._fail = fail
        self._budget = _Budget()
        self._queue: deque[tuple[Answered, float]] = deque()
        self._queued_seconds = 0.0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def follow(self, item: Answered) -> None:
        """Score and record, now or soon. Rows of a version asked for by name are not scored."""
        others = others_of(item)
        if is_cheap(item, others):
            self._score(item, others)
        elif not self._offer(item, _expected(item, others)):
            self._skipped.inc()
            self._score(item, [])

    def close(self) -> None:
        """Score what waits, then stop."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _score(self, item: Answered, others: Sequence[ServedVersion]) -> None:
        failed = [] if item.failed is None else [item.failed]
        texts = score(item, others, failed)
        if failed:
            self._tell(item, others, failed)
        self._record(item, texts)

    def _tell(
        self, item: Answered, others: Sequence[ServedVersion], failed: Sequence[ServedVersion]
    ) -> None:
        names = [each.bundle.version for each in failed]
        asked = [each.bundle.version for each in (item.arm, *others)]
        scored = [name for name in asked if name not in names]
        for each, name in zip(failed, names, strict=True):
            self._fail(
                Failure(item.serving.revision.id, name, item.at, scored, each is item.failed)
            )

    def _offer(self, item: Answered, seconds: float) -> bool:
        with self._changed:
            # Not by what this request takes, or short ones would be scored more often.
            full = self._queued_seconds > BACKLOG_SECONDS
            if full or self._stopping or not self._budget.take(seconds):
                return False
            self._queued_seconds += seconds
            self._queue.append((item, seconds))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
                self._thread.start()
            self._changed.notify()
        return True

    def _run(self) -> None:
        while item := self._next():
            try:
                self._score(item, others_of(item))
            except Exception:
                log.exception("a prediction was answered but could not be recorded")

    def _next(self) -> Answered | None:
        with self._changed:
            while not self._queue:
                if self._stopping:
                    return None
                self._changed.wait()
            item, seconds = self._queue.popleft()
            self._queued_seconds -= seconds
            return item


class _Budget:
    """Seconds of work that may be begun: they grow by `BUDGET` a second, up to the backlog."""

    def __init__(self) -> None:
        self._left = BACKLOG_SECONDS
        self._at = monotonic()

    def take(self, seconds: float) -> bool:
        """Tell whether work may begin. It may overdraw, so that none is too large for ever."""
        now = monotonic()
        self._left = min(BACKLOG_SECONDS, self._left + BUDGET * (now - self._at))
        self._at = now
        if self._left <= 0:
            return False
        self._left -= seconds
        return True


def others_of(item: Answered) -> list[ServedVersion]:
    if not item.serving.shadow or item.request.version is not None:
        return []
    arms = item.serving.arms.values()
    return [each for each in arms if each is not item.arm and each is not item.failed]


def is_cheap(item: Answered, others: Sequence[ServedVersion]) -> bool:
    """Tell whether the thread that has answered scores for others as well.

    By what rows cost on average: a row that is remembered is answered in less, and would be scored
    more often than others.
    """
    rows = len(item.predictions)
    a_row = sum([each.cost.seconds for each in others])
    return rows * a_row <= INLINE_SECONDS + INLINE_TIMES * rows * item.arm.cost.seconds


def _expected(item: Answered, others: Sequence[ServedVersion]) -> float:
    """Return the seconds that others will need, by what a row of theirs costs alone.

    Rows of a batch cost less: so many times what the answer took, as one row of theirs takes more.
    """
    a_row = sum([each.cost.seconds for each in others])
    return min(len(item.predictions) * a_row, item.latency * a_row / item.arm.cost.seconds)


def score(
    item: Answered, others: Sequence[ServedVersion], failed: list[ServedVersion]
) -> list[str]:
    """Return who said what, per row, as JSON; disagreements are counted.

    Those that fail are added to `failed`.
    """
    columns = [
        item.predictions
        if arm is item.arm
        else _indices(arm, item.request.rows, failed)
        if arm in others
        else ()
        for arm in item.serving.arms.values()
    ]
    between_steps(item.predictions)
    texts = []
    for said in zip_longest(*columns):
        vote = item.serving.votes.get(said) or _new_vote(item.serving, said)
        texts.append(vote.text)
        for counter in vote.disagreements:
            counter.inc()
    return texts


def _indices(arm: ServedVersion, rows: Sequence[Row], failed: list[ServedVersion]) -> Sequence[int]:
    """Return the classes another version gives; none where it fails, which is counted."""
    started = perf_counter()
    indices: Sequence[int] = ()
    try:
        indices = [index for index, _ in answers(arm, rows)]
    except Exception:
        arm.shadow_errors.inc(len(rows))
        failed.append(arm)
    seconds = perf_counter() - started
    arm.shadow_latency.observe(seconds)
    if len(rows) == 1:  # a row of a batch costs less than one alone
        arm.cost.add(seconds)
    return indices


def _new_vote(serving: Prepared, said: tuple[int | None, ...]) -> Vote:
    by_version = dict(zip(serving.arms, said, strict=True))
    known = {name: each for name, each in by_version.items() if each is not None}
    control = known.get(serving.revision.control)
    vote = Vote(
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
