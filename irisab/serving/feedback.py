"""Labels from the body of POST /feedback to the history. Start at `Feedback.add`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from time import monotonic, sleep

from irisab.errors import Conflict, HistoryError, NotFound
from irisab.serving import payload
from irisab.serving.labels import meant
from irisab.serving.metrics import Metrics
from irisab.store.history import History, RecordedRequest
from irisab.store.recorder import Recorder

# The shadow's backlog, and as much again for a version that is slower than it was.
FOLLOW_SECONDS = 2.0


class Feedback:
    """Keeps labels, and counts what they say of the answers."""

    def __init__(
        self,
        history: History,
        recorder: Recorder,
        metrics: Metrics,
        pending: Collection[bytes],
    ) -> None:
        self.history = history
        self.recorder = recorder
        self.metrics = metrics
        self._pending = pending

    def add(self, body: bytes) -> str:
        """Keep the labels in the body of POST /feedback: "matched", "duplicate" or "corrected".

        Returns only when they are on the disk. Raises `RequestError`, or `HistoryError` where they
        cannot be kept now.
        """
        request = payload.feedback(body)
        request_id = request.request_id or self._named(str(request.id))
        recorded = self._find(request_id)
        labels = meant(recorded, request.labels)
        try:
            new = self.history.label(request_id, labels, correct=request.correct)
        except ValueError:
            raise Conflict(_OTHER) from None
        except LookupError:
            raise NotFound(_UNKNOWN) from None
        status = _status(recorded, labels, new)
        self._count_labels(recorded, labels, status)
        return status

    def _named(self, own_id: str) -> bytes:
        """Return the newest request with the caller's own id."""
        request_id = self.history.request_of(own_id)
        if request_id is None:
            # It may be on its way to the history: all that was answered so far is waited for.
            for each in list(self._pending):
                self._followed(each)
            self._settle()
            request_id = self.history.request_of(own_id)
        if request_id is None:
            raise NotFound(f"no prediction with the id {payload.quoted(own_id)} is known")
        return request_id

    def _count_labels(
        self, recorded: RecordedRequest, labels: Sequence[float | None], status: str
    ) -> None:
        for said, label in zip(recorded.predictions, labels, strict=True):
            if label is not None:
                outcome = status
                if status == "matched":
                    outcome = "correct" if recorded.revision.alike(said, label) else "wrong"
                self.metrics.feedback.labels(recorded.version, outcome).inc()

    def _find(self, request_id: bytes) -> RecordedRequest:
        recorded = self.history.find(request_id)
        if recorded is None:
            # It may be on its way to the queue, or in it.
            if not self._followed(request_id):
                raise HistoryError(_WAITING)
            self._settle()
            recorded = self.history.find(request_id)
        if recorded is None:
            raise NotFound(_UNKNOWN)
        return recorded

    def _settle(self) -> None:
        if not self.recorder.settle():
            raise HistoryError(_WAITING)

    def _followed(self, request_id: bytes) -> bool:
        """Wait until an answered request has got to the recorder: the shadow may score it yet."""
        deadline = monotonic() + FOLLOW_SECONDS
        while request_id in self._pending:
            if monotonic() > deadline:
                return False
            sleep(0.005)
        return True


_UNKNOWN = (
    "no prediction with this request_id is known; "
    "the history keeps the last [data] keep_rows predictions"
)
_WAITING = "predictions wait to be written, this one may be among them"
_OTHER = (
    "this request has another label already, and the first one stays; "
    'where that was wrong, send "correct": true beside the new one'
)


def _status(recorded: RecordedRequest, labels: Sequence[float | None], new: bool) -> str:
    if not new:
        return "duplicate"
    pairs = zip(recorded.labels, labels, strict=True)
    replaced = any(None not in (old, label) and old != label for old, label in pairs)
    return "corrected" if replaced else "matched"
