"""The memory: predictions, labels and the counts that evidence is made of, in one SQLite file.

Start at `SCHEMA`. `Recorder` (recorder.py) writes predictions in the background; everything else
is here: `label()` writes what users report, the rest reads.

`predictions` is bounded and pruned. The tables below it are evidence: never pruned, and written
in the same transaction as what they count, so a verdict is about everything that ever happened.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from irisab.errors import HistoryError

VERSION = 1
# Longer than any transaction of ours, shorter than a client waits.
BUSY_SECONDS = 2.0
# How long a label waits where the one before it has waited in vain.
RETRY_SECONDS = 0.1
PAGE = 1000
# SQLite's own 2,000 made nothing faster, and the operating system keeps the pages as well.
CACHE_KIB = 512
# Looking further would read the whole history at each scrape after a change of features.
LOOK_BACK = 100
ACTIVE_SECONDS = 15 * 60

# A request id is a UUIDv7 (RFC 9562), so the primary key is also the order of time: new rows are
# appended, the newest are found from the end, the oldest are cut off the front.
SCHEMA = """
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revisions (
    revision TEXT PRIMARY KEY, seen REAL NOT NULL, features TEXT NOT NULL, content TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS predictions (
    request_id BLOB NOT NULL,
    row INTEGER NOT NULL,
    time REAL NOT NULL,              -- seconds since 1970
    revision TEXT NOT NULL,
    version TEXT NOT NULL,           -- the one that answered
    forced INTEGER NOT NULL,         -- 1: the client asked for this version
    user BLOB,                       -- salted hash
    latency REAL NOT NULL,           -- seconds
    features BLOB NOT NULL,          -- little-endian float64
    prediction INTEGER NOT NULL,     -- index into the revision's classes
    votes TEXT NOT NULL,             -- JSON: what each version said
    label INTEGER,
    PRIMARY KEY (request_id, row)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (
    revision TEXT, version TEXT,
    requests INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0,
    labelled INTEGER NOT NULL DEFAULT 0, correct INTEGER NOT NULL DEFAULT 0,
    users INTEGER NOT NULL DEFAULT 0,      -- distinct ones, as in the table below
    PRIMARY KEY (revision, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS users (
    revision TEXT, user BLOB, version TEXT NOT NULL, last_seen REAL NOT NULL,
    PRIMARY KEY (revision, user)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS users_last_seen ON users (last_seen);
-- A pair is two hashes of models in sorted order: whichever is the control, it is the same pair.
CREATE TABLE IF NOT EXISTS pairs (   -- requests that both models scored, by the first row of each
    one TEXT, two TEXT,
    scored INTEGER NOT NULL DEFAULT 0, disagreed INTEGER NOT NULL DEFAULT 0,
    differed INTEGER NOT NULL DEFAULT 0,   -- in any row: each could have a labelled disagreement
    PRIMARY KEY (one, two)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (   -- labelled rows, by the model whose answer was shown
    one TEXT, two TEXT, shown TEXT,
    both INTEGER NOT NULL DEFAULT 0, one_only INTEGER NOT NULL DEFAULT 0,
    two_only INTEGER NOT NULL DEFAULT 0,
    neither INTEGER NOT NULL DEFAULT 0,            -- both said the same, and were wrong
    neither_differ INTEGER NOT NULL DEFAULT 0,     -- wrong, each in its own way
    PRIMARY KEY (one, two, shown)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS voters (  -- users whose one labelled disagreement is in the tally
    one TEXT, two TEXT, user BLOB,
    PRIMARY KEY (one, two, user)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What was served together: enough to read old rows after everything has changed."""

    revision: str
    control: str
    split: Mapping[str, float]
    models: Mapping[str, str]
    features: Sequence[str]
    class_names: Sequence[str]
    class_numbers: Sequence[int]
    experiment: str

    def to_json(self) -> str:
        """Return the value as the `content` column keeps it."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Revision:
        return cls(**json.loads(text))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield (control, challenger) for each challenger, as version names."""
        return ((self.control, name) for name in self.models if name != self.control)

    def model_pairs(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """Return `pairs()` by the hashes of their models, both in the order of the hashes.

        So evidence outlives a change of the control, and versions of one model are one pair.
        """
        found = (sorted((self.models[name], name) for name in pair) for pair in self.pairs())
        return {(one, two): (name_one, name_two) for (one, name_one), (two, name_two) in found}


def connect(path: Path, *, synchronous: str, create: bool = True) -> sqlite3.Connection:
    """Open the history with its schema; raises `sqlite3.Error`.

    `synchronous` is FULL where a commit must be on the disk before it is acknowledged.
    """
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _prepare(connection, synchronous)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, synchronous: str) -> None:
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise sqlite3.DatabaseError(
            f"it was written by a newer irisab (format {version}, this one knows {VERSION})"
        )
    if version < VERSION:
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            # Not executescript, which commits whatever transaction is open.
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute("INSERT OR IGNORE INTO secrets VALUES ('user_salt', randomblob(16))")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another that takes its name, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block does, or nothing of it."""
    # IMMEDIATE: a transaction that starts by reading cannot wait for a lock it needs later.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A recorded request: which version answered what, as class indices per row."""

    revision: Revision
    version: str
    predictions: Sequence[int]


class History:
    """Reads the history, and adds labels to it.

    A file that is not there reads as an empty one, and is not made; one that takes its place is
    noticed. Methods raise `HistoryError` where the file cannot be used at the moment. Safe to share
    between threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._labels_fail = False
        # Two, so that a label on its way to the disk keeps no report waiting.
        self._reader_lock = threading.Lock()
        self._writer_lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close both connections."""
        with self._reader_lock, self._writer_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def _notice_another_file(self) -> None:
        """Begin anew where the file was removed or replaced: what is open has no name any more."""
        found = identity(self._path)
        if found != self._identity:
            self.close()
            self._identity = found

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        self._notice_another_file()
        with self._reader_lock, self._explained():
            if self._reader is None and self._path.exists():
                self._reader = connect(self._path, synchronous="NORMAL", create=False)
            if self._reader is not None:
                yield self._reader
                return
            with closing(sqlite3.connect(":memory:")) as empty:
                empty.executescript(SCHEMA)
                yield empty

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise HistoryError(f"{self._path}: the history cannot be used: {error}") from error

    # -- reading ----------------------------------------------------------------------------

    def window(self, size: int, *, features: Sequence[str]) -> NDArray[np.float64]:
        """Return the features of the last `size` rows, newest first: shape (n_rows, n_features).

        Rows of forced versions, or of models with other features, are not traffic to look at;
        they are passed over as far as `LOOK_BACK` times the window.
        """
        with self._reading() as connection:
            alike = {
                revision
                for (revision,) in connection.execute(
                    "SELECT revision FROM revisions WHERE features = ?",
                    (json.dumps(list(features)),),
                )
            }
            cursor = connection.execute(
                "SELECT features, forced, revision FROM predictions"
                " ORDER BY request_id DESC, row DESC LIMIT ?",
                (LOOK_BACK * size,),
            )
            # Read no further than needed, and leave no statement open, which would hold the log.
            with closing(cursor):
                found = (
                    blob for blob, forced, revision in cursor if not forced and revision in alike
                )
                data = b"".join(islice(found, size))
        return np.frombuffer(data, dtype="<f8").reshape(-1, len(features))

    def latencies(self, revision: str, *, limit: int) -> dict[str, list[float]]:
        """Return, by version, the seconds of `revision`'s requests among the last `limit` rows."""
        with self._reading() as connection:
            # One row a version: at each row SQLite gives up the interpreter, and beside a busy
            # thread it takes longer to come back than to read a thousand.
            rows = connection.execute(
                "SELECT version, json_group_array(latency) FROM (SELECT * FROM predictions"
                " ORDER BY request_id DESC, row DESC LIMIT ?)"
                " WHERE row = 0 AND forced = 0 AND revision = ? GROUP BY version",
                (limit, revision),
            ).fetchall()
        return {version: json.loads(seconds) for version, seconds in rows}

    def version_counts(self, revision: str) -> dict[str, dict[str, int]]:
        """Return requests, errors, labelled and correct for each version of `revision`."""
        names = ("requests", "errors", "labelled", "correct")
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT version, {', '.join(names)} FROM versions WHERE revision = ?", (revision,)
            ).fetchall()
        return {version: dict(zip(names, counts, strict=True)) for version, *counts in rows}

    def user_counts(self, revision: str) -> dict[str, int]:
        """Return the distinct users of each version in `revision`."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT version, users FROM versions WHERE revision = ? AND users > 0", (revision,)
            ).fetchall()
        return dict(rows)

    def active_users(self, *, now: float) -> int:
        """Return how many distinct users asked in the last 15 minutes."""
        since = (now - ACTIVE_SECONDS,)
        with self._reading() as connection:
            count, first, last = connection.execute(
                "SELECT count(*), min(revision), max(revision) FROM users WHERE last_seen > ?",
                since,
            ).fetchone()
            # Of one revision each row is another user; to compare them takes 30 times as long.
            if first != last:
                (count,) = connection.execute(
                    "SELECT count(DISTINCT user) FROM users WHERE last_seen > ?", since
                ).fetchone()
        return int(count)

    def agreement(self, control: str, challenger: str) -> dict[str, int]:
        """Return how many requests two models, by their hashes, scored and disagreed on."""
        names = ("scored", "disagreed", "differed")
        with self._reading() as connection:
            row = connection.execute(
                f"SELECT {', '.join(names)} FROM pairs WHERE one = ? AND two = ?",
                sorted((control, challenger)),
            ).fetchone()
        return dict(zip(names, row or (0, 0, 0), strict=True))

    def tally(self, control: str, challenger: str) -> dict[str, dict[str, int]]:
        """Return, by the hash of the model shown, who was right on the labelled rows.

        The keys are the fields of `verdict.Tally`.
        """
        alone = ("control_only", "challenger_only")
        names = (
            *("both", *(alone if control <= challenger else reversed(alone))),
            *("neither", "neither_differ"),
        )
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT shown, both, one_only, two_only, neither, neither_differ FROM tally"
                " WHERE one = ? AND two = ?",
                sorted((control, challenger)),
            ).fetchall()
        return {shown: dict(zip(names, counts, strict=True)) for shown, *counts in rows}

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
        found = [Revision.from_json(text) for (text,) in rows]
        return {each.revision: each for each in found}

    def rows(self, *, since: float = 0) -> Iterator[sqlite3.Row]:
        """Yield all predictions from `since` (seconds since 1970) on, oldest first.

        They are read in pages: one long read would keep the write-ahead log from being reset.
        """
        # An id is never older than its row, but may be newer: see `Service._new_request_id`.
        last = (int(max(since, 0) * 1000).to_bytes(6, "big") + bytes(10), -1)
        while page := self._page(last):
            yield from (row for row in page if row["time"] >= since)
            last = (page[-1]["request_id"], page[-1]["row"])

    def newest_id(self) -> bytes | None:
        """Return the newest request id, None where nothing is recorded."""
        with self._reading() as connection:
            (found,) = connection.execute("SELECT max(request_id) FROM predictions").fetchone()
        return None if found is None else bytes(found)

    def _page(self, after: tuple[bytes, int]) -> list[sqlite3.Row]:
        with self._reading() as connection:
            cursor = connection.cursor()
            cursor.row_factory = sqlite3.Row
            return cursor.execute(
                "SELECT * FROM predictions WHERE (request_id, row) > (?, ?)"
                f" ORDER BY request_id, row LIMIT {PAGE}",
                after,
            ).fetchall()

    # -- labels -----------------------------------------------------------------------------

    def find(self, request_id: bytes) -> Found | None:
        """Return what is recorded under a request id, or None."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT r.content, p.version, p.prediction FROM predictions AS p"
                " JOIN revisions AS r USING (revision) WHERE p.request_id = ? ORDER BY p.row",
                (request_id,),
            ).fetchall()
        if not rows:
            return None
        content, version, _ = rows[0]
        return Found(
            revision=Revision.from_json(content),
            version=version,
            predictions=[prediction for _, _, prediction in rows],
        )

    def label(self, request_id: bytes, labels: Sequence[int]) -> bool:
        """Keep a label (class index) per row; True means new and on the disk.

        False means that the same labels were there already. The evidence is counted in the same
        transaction. Raises `LookupError` where the request is not, or no longer, known, and
        `ValueError` where other labels are.
        """
        self._notice_another_file()
        with self._in_turn(), self._explained():
            if self._writer is None:
                self._writer = connect(self._path, synchronous="FULL")
            patience = RETRY_SECONDS if self._labels_fail else BUSY_SECONDS
            self._writer.execute(f"PRAGMA busy_timeout = {1000 * patience:.0f}")
            with transaction(self._writer):
                return _label(self._writer, request_id, labels)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Wait for the labels before this one; once one has failed, one at a time may try.

        Each waits for a lock for `BUSY_SECONDS`: in a queue, they would keep every thread waiting.
        """
        waited = not self._labels_fail
        if not self._writer_lock.acquire(blocking=waited):
            raise HistoryError(f"{self._path}: {_NOT_NOW}")
        try:
            if waited and self._labels_fail:
                raise HistoryError(f"{self._path}: {_NOT_NOW}")
            yield
        except BaseException as error:
            self._labels_fail = isinstance(error, HistoryError)
            raise
        else:
            self._labels_fail = False
        finally:
            self._writer_lock.release()


_NOT_NOW = "the history could not be used a moment ago"


def _label(connection: sqlite3.Connection, request_id: bytes, labels: Sequence[int]) -> bool:
    rows = connection.execute(
        "SELECT row, label, version, prediction, votes, user, forced, revision"
        " FROM predictions WHERE request_id = ? ORDER BY row",
        (request_id,),
    ).fetchall()
    known = [row[1] for row in rows]
    if len(rows) != len(labels):
        raise LookupError(request_id)
    if known == list(labels):
        return False
    if any(each is not None for each in known):
        raise ValueError(known)
    connection.executemany(
        "UPDATE predictions SET label = ? WHERE request_id = ? AND row = ?",
        [(label, request_id, row[0]) for label, row in zip(labels, rows, strict=True)],
    )
    _, _, version, _, _, user, forced, revision = rows[0]
    if not forced:
        (content,) = connection.execute(
            "SELECT content FROM revisions WHERE revision = ?", (revision,)
        ).fetchone()
        answers = [(row[3], json.loads(row[4])) for row in rows]
        _count_versions(connection, revision, version, answers, labels)
        _count_pairs(connection, Revision.from_json(content), version, user, answers, labels)
    return True


_Answers = Sequence[tuple[int, Mapping[str, int]]]


def _count_versions(
    connection: sqlite3.Connection,
    revision: str,
    version: str,
    answers: _Answers,
    labels: Sequence[int],
) -> None:
    correct = sum(said == label for (said, _), label in zip(answers, labels, strict=True))
    connection.execute(
        "INSERT INTO versions (revision, version, labelled, correct) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET"
        " labelled = labelled + excluded.labelled, correct = correct + excluded.correct",
        (revision, version, len(labels), correct),
    )


def _count_pairs(
    connection: sqlite3.Connection,
    revision: Revision,
    version: str,
    user: bytes | None,
    answers: _Answers,
    labels: Sequence[int],
) -> None:
    for pair, (one, two) in revision.model_pairs().items():
        outcomes = [
            (votes[one] == label, votes[two] == label, votes[one] != votes[two])
            for (_, votes), label in zip(answers, labels, strict=True)
            if one in votes and two in votes
        ]
        counted = _at_most_one(outcomes, partial(_first_vote, connection, pair, user))
        for outcome in counted:
            _add_to_tally(connection, pair, revision.models[version], _OUTCOMES[outcome])


# (one right, two right, they differ) -> column of the tally
_Outcome = tuple[bool, bool, bool]
_OUTCOMES: Mapping[_Outcome, str] = {
    (True, True, False): "both",
    (False, True, True): "two_only",
    (True, False, True): "one_only",
    (False, False, False): "neither",
    (False, False, True): "neither_differ",
}


def _at_most_one(outcomes: Sequence[_Outcome], allowed: Callable[[], bool]) -> Iterator[_Outcome]:
    """Pass on the first disagreement only: rows of one user are not independent."""
    used = False
    for outcome in outcomes:
        *_, differ = outcome
        if not differ:
            yield outcome
        elif not used:
            used = True
            if allowed():
                yield outcome


def _first_vote(connection: sqlite3.Connection, pair: tuple[str, str], user: bytes | None) -> bool:
    """Tell whether this user's vote on the pair is still to be counted, and note that it is."""
    if user is None:
        return True
    added = connection.execute("INSERT OR IGNORE INTO voters VALUES (?, ?, ?)", (*pair, user))
    return added.rowcount == 1


def _add_to_tally(
    connection: sqlite3.Connection, pair: tuple[str, str], shown: str, column: str
) -> None:
    connection.execute(
        f"INSERT INTO tally (one, two, shown, {column}) VALUES (?, ?, ?, 1)"
        f" ON CONFLICT DO UPDATE SET {column} = {column} + 1",
        (*pair, shown),
    )
