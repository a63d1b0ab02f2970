"""Labels from the body of POST /feedback to the history. Start at `Feedback.add`."""

from __future__ import annotations

from collections.abc import Container, Sequence
from time import monotonic, sleep

from irisab.errors import Conflict, HistoryError, NotFound, RequestError
from irisab.serving import payload
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
        pending: Container[bytes],
    ) -> None:
        self.history = history
        self.recorder = recorder
        self.metrics = metrics
        self._pending = pending

    def add(self, body: bytes) -> str:
        """Keep the labels in the body of POST /feedback: "matched" or "duplicate".

        Returns only when they are on the disk. Raises `RequestError`, or `HistoryError` where they
        cannot be kept now.
        """
        request = payload.feedback(body)
        recorded = self._find(request.request_id)
        labels = _label_indices(recorded, request.labels)
        try:
            new = self.history.label(request.request_id, labels)
        except ValueError:
            raise Conflict("this request has another label already; the first one stays") from None
        except LookupError:
            raise NotFound(_UNKNOWN) from None
        self._count_labels(recorded, labels, new)
        return "matched" if new else "duplicate"

    def _count_labels(self, recorded: RecordedRequest, labels: Sequence[int], new: bool) -> None:
        for said, label in zip(recorded.predictions, labels, strict=True):
            outcome = ("correct" if said == label else "wrong") if new else "duplicate"
            self.metrics.feedback.labels(recorded.version, outcome).inc()

    def _find(self, request_id: bytes) -> RecordedRequest:
        recorded = self.history.find(request_id)
        if recorded is None:
            # It may be on its way to the queue, or in it.
            if not self._followed(request_id) or not self.recorder.settle():
                raise HistoryError("predictions wait to be written, this one may be among them")
            recorded = self.history.find(request_id)
        if recorded is None:
            raise NotFound(_UNKNOWN)
        return recorded

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


def _label_indices(recorded: RecordedRequest, labels: Sequence[int | str]) -> list[int]:
    """Turn class numbers and names into indices, by the classes of that request's revision."""
    rows = len(recorded.predictions)
    if len(labels) != rows:
        raise RequestError(f"{len(labels)} label(s) for a request with {rows} row(s)")
    revision = recorded.revision
    index: dict[int | str, int] = {name: i for i, name in enumerate(revision.class_names)}
    index |= {number: i for i, number in enumerate(revision.class_numbers)}
    for label in labels:
        if label not in index:
            classes = zip(revision.class_numbers, revision.class_names, strict=True)
            listed = ", ".join(f"{number} ({name})" for number, name in classes)
            raise RequestError(f"label {payload.quoted(str(label))} is unknown; there are {listed}")
    return [index[label] for label in labels]
