"""The memory: what was predicted and labelled, read back. Start at `History`.

The tables are in database.py. Predictions are written by recorder.py, in the background; what a
label means is counted by evidence.py, in the label's own transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from irisab.stats.fall import Day
from irisab.store import counts, timeline, window
from irisab.store.labels import LabelWriter
from irisab.store.reader import Reader
from irisab.store.revision import Revision
from irisab.store.timeline import Timeline

PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A recorded request: which version answered what, as class indices per row."""

    revision: Revision
    version: str
    predictions: Sequence[float]
    labels: Sequence[float | None] = ()


class History:
    """Reads the history, and adds labels to it.

    A file that is not there reads as an empty one, and is not made; one that takes its place is
    noticed. Methods raise `HistoryError` where the file cannot be used at the moment. Safe to share
    between threads.
    """

    def __init__(self, path: Path) -> None:
        # Three connections: neither keeps a label on its way to the disk a report waiting, nor a
        # report a label that looks for its prediction.
        self._reader = Reader(path)
        self._finder = Reader(path)
        self._labels = LabelWriter(path)
        self._reading = self._reader.reading

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._finder.close()
        self._labels.close()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Let labels wait until the block has ended, and close the connections then."""
        with self._labels.apart():
            yield
            self._reader.close()
            self._finder.close()

    def heed(self, is_kept: Callable[[], bool]) -> None:
        """Keep labels only while this tells that what is written stays on the disk."""
        self._labels.is_kept = is_kept

    # -- reading ----------------------------------------------------------------------------

    def stamp(self) -> tuple[int, int]:
        """Return what differs if, since another call, anything may have been written."""
        with self._reading() as connection:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            return self._reader.opened, version

    def window(
        self, size: int, *, features: Sequence[str], types: Sequence[str] = ()
    ) -> NDArray[Any]:
        """Return the features of the last `size` rows, newest first: shape (n_rows, n_features).

        Whose they may be, and in which form they come, says `window.newest`.
        """
        with self._reading() as connection:
            return window.newest(connection, size, features=features, types=types)

    def latencies(self, revision: str, *, limit: int) -> dict[str, list[float]]:
        """Return, by version, the seconds of `revision`'s requests among the last `limit` rows."""
        with self._reading() as connection:
            # One row a version: at each row SQLite gives up the interpreter, and beside a busy
            # thread it takes longer to come back than to read a thousand.
            rows = connection.execute(
                "SELECT version, json_group_array(latency) FROM"
                " (SELECT version, latency, row, revision FROM predictions"
                " WHERE forced = 0 ORDER BY request_id DESC, row DESC LIMIT ?)"
                " WHERE row = 0 AND revision = ? GROUP BY version",
                (limit, revision),
            ).fetchall()
        return {version: json.loads(seconds) for version, seconds in rows}

    def version_counts(self, revision: str) -> dict[str, dict[str, int]]:
        """Return requests, errors, labelled and correct for each version of `revision`."""
        with self._reading() as connection:
            return counts.of_versions(connection, revision)

    def class_counts(self, revision: str) -> dict[str, dict[int, dict[str, int]]]:
        """Return labels by version and true class (index): labelled and correct rows, and `units`
        and `units_correct`, which have the first labelled row of each user (else request)."""
        with self._reading() as connection:
            return counts.of_classes(connection, revision)

    def has_labellers(self, revision: str) -> bool:
        """Tell whether a label of `revision` is for the request of a named user."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM labellers WHERE revision = ? LIMIT 1", (revision,)
            ).fetchone()
        return row is not None

    def user_counts(self, revision: str) -> dict[str, int]:
        """Return the distinct users of each version in `revision`."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT version, users FROM versions WHERE revision = ? AND users > 0", (revision,)
            ).fetchall()
        return dict(rows)

    def active_users(self, *, now: float) -> int | None:
        """Return how many distinct users asked in the last 15 minutes.

        None where a revision that served then has had a million, and knows no further ones.
        """
        with self._reading() as connection:
            # Up to now: a clock that was ahead has left users of the future.
            return counts.of_users(connection, now - counts.ACTIVE_SECONDS, now + 1)

    def agreement(self, control: str, challenger: str) -> dict[str, int]:
        """Return how many users (else requests) two models, by their hashes, scored, disagreed on
        (by the first row of the first request), and differed on (in any row of any request)."""
        with self._reading() as connection:
            return counts.of_agreement(connection, control, challenger)

    def sampling_rate(self, revision: str, versions: Sequence[str], *, limit: int) -> float | None:
        """Return the share of `revision`'s requests among the last `limit` rows that all of these
        versions scored; None where there is none."""
        with self._reading() as connection:
            requests, scored = counts.of_scored(connection, revision, versions, limit)
        return scored / requests if requests else None

    def has_users(self, control: str, challenger: str) -> bool:
        """Tell whether a user is among what `agreement` counts."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM units WHERE one = ? AND two = ? AND users > 0",
                sorted((control, challenger)),
            ).fetchone()
        return row is not None

    def requests(self, control: str, challenger: str) -> tuple[int, int, int]:
        """Return how many requests two models, by their hashes, have both scored, and on how many
        only the control failed, and only the challenger."""
        with self._reading() as connection:
            return counts.of_requests(connection, control, challenger)

    def tally(self, control: str, challenger: str) -> dict[str, dict[str, int]]:
        """Return, by the hash of the model shown, who was right on the labelled rows.

        The keys are the fields of `tally.Tally`.
        """
        with self._reading() as connection:
            return counts.of_tally(connection, control, challenger)

    def class_tally(self, control: str, challenger: str) -> dict[int, dict[str, dict[str, int]]]:
        """Return `tally` by true class (index), with `units`: the users (else requests) whose
        first labelled row is of that class."""
        with self._reading() as connection:
            return counts.of_class_tally(connection, control, challenger)

    def revision(self, revision: str | None = None) -> Revision | None:
        """Return a revision by its id, or the newest one that was served."""
        where, values = ("WHERE revision = ?", (revision,)) if revision else ("", ())
        with self._reading() as connection:
            row = connection.execute(
                f"SELECT content FROM revisions {where} ORDER BY seen DESC LIMIT 1", values
            ).fetchone()
        return Revision.from_json(row[0]) if row else None

    def revisions(self) -> dict[str, Revision]:
        """Return every revision that was ever served, newest last."""
        with self._reading() as connection:
            rows = connection.execute("SELECT content FROM revisions ORDER BY seen").fetchall()
        revisions = [Revision.from_json(text) for (text,) in rows]
        return {each.id: each for each in revisions}

    def rows(self, *, since: float = 0, labelled: bool = False) -> Iterator[sqlite3.Row]:
        """Yield all predictions (or those that are `labelled`) from `since` on, oldest first.

        They are read in pages: one long read would keep the write-ahead log from being reset.
        """
        # An id is never older than its row, but may be newer: see `Service._new_request_id`.
        last = (counts.oldest_id(since), -1)
        while page := self._page(last, labelled=labelled):
            yield from (row for row in page if row["time"] >= since)
            last = (page[-1]["request_id"], page[-1]["row"])

    def newest_id(self) -> bytes | None:
        """Return the newest request id, None where nothing is recorded."""
        with self._reading() as connection:
            (newest,) = connection.execute("SELECT max(request_id) FROM predictions").fetchone()
        return None if newest is None else bytes(newest)

    def _page(self, after: tuple[bytes, int], *, labelled: bool) -> list[sqlite3.Row]:
        with self._reading() as connection:
            cursor = connection.cursor()
            cursor.row_factory = sqlite3.Row
            return cursor.execute(
                "SELECT * FROM predictions WHERE (request_id, row) > (?, ?)"
                f" {'AND label IS NOT NULL' if labelled else ''}"
                f" ORDER BY request_id, row LIMIT {PAGE}",
                after,
            ).fetchall()

    # -- labels -----------------------------------------------------------------------------

    def find(self, request_id: bytes) -> RecordedRequest | None:
        """Return what is recorded under a request id, or None."""
        with self._finder.reading() as connection:
            rows = connection.execute(
                "SELECT r.content, p.version, p.prediction, p.label FROM predictions AS p"
                " JOIN revisions AS r USING (revision) WHERE p.request_id = ? ORDER BY p.row",
                (request_id,),
            ).fetchall()
        if not rows:
            return None
        content, version, *_ = rows[0]
        return RecordedRequest(
            revision=Revision.from_json(content),
            version=version,
            predictions=[prediction for _, _, prediction, _ in rows],
            labels=[label for *_, label in rows],
        )

    def request_of(self, own_id: str) -> bytes | None:
        """Return the newest request that a caller has called so, None where there is none."""
        with self._finder.reading() as connection:
            (newest,) = connection.execute(
                "SELECT max(request_id) FROM own_ids WHERE id = ?", (own_id,)
            ).fetchone()
        return None if newest is None else bytes(newest)

    def error_sums(self, revision: str) -> dict[str, dict[str, float]]:
        """Return labelled rows, absolute and squared errors of each version of a regression."""
        with self._reading() as connection:
            return counts.of_errors(connection, revision)

    def timeline(self, seconds: int, *, since: float) -> Timeline:
        """Return figures and drift in steps so long, from `since` on (seconds since 1970)."""
        with self._reading() as connection:
            return timeline.read(connection, seconds, since)

    def days(self, model: str) -> list[Day]:
        """Return how often a model, by its hash, was right, by the day of the prediction."""
        with self._reading() as connection:
            return timeline.read_days(connection, model)

    def label(
        self, request_id: bytes, labels: Sequence[float | None], *, correct: bool = False
    ) -> bool:
        """Keep a label (class index, or value) per row; True means new and on the disk.

        None says nothing of a row. With `correct`, labels replace others.

        False means that the same labels were there already. The evidence is counted in the same
        transaction. Raises `LookupError` where the request is not, or no longer, known, and
        `ValueError` where other labels are.
        """
        return self._labels.add(request_id, labels, correct=correct)
