"""The SQLite file of the history: its tables, and how it is opened. Start at `SCHEMA`.

`predictions` is bounded and pruned. The tables below it are evidence: never pruned, and written
in the same transaction as what they count, so a verdict is about everything that ever happened.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = 1
# Longer than any transaction of ours, shorter than a client waits.
BUSY_SECONDS = 2.0
# SQLite's own 2,000 made nothing faster, and the operating system keeps the pages as well.
CACHE_KIB = 128

# A request id is a UUIDv7 (RFC 9562), so the primary key is also the order of time: new rows are
# appended, the newest are found from the end, the oldest are cut off the front.
SCHEMA = """
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revisions (
    revision TEXT PRIMARY KEY,
    seen REAL NOT NULL,              -- later than that of every revision served before
    features TEXT NOT NULL, content TEXT NOT NULL
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
    users INTEGER NOT NULL DEFAULT 0,      -- distinct ones, the first million
    PRIMARY KEY (revision, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS users (
    revision TEXT, user BLOB, version TEXT NOT NULL,
    last_seen REAL NOT NULL,         -- 0: under another revision soon after
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

# What later releases need. The tables above stay as they are, and are written as before, so that an
# older irisab goes on with them after a rollback: it fills their columns by position. What these
# tables can know of an older history is worked out once, by upgrade.py.
LATER = """
CREATE TABLE IF NOT EXISTS upgrades (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (   -- `pairs` with each user counted once, else each request
    pair INTEGER PRIMARY KEY, one TEXT NOT NULL, two TEXT NOT NULL,
    scored INTEGER NOT NULL DEFAULT 0, disagreed INTEGER NOT NULL DEFAULT 0,
    differed INTEGER NOT NULL DEFAULT 0,
    users INTEGER NOT NULL DEFAULT 0,      -- how many of these are users
    known INTEGER NOT NULL DEFAULT 0,      -- pairs.differed, as far as it is counted here
    UNIQUE (one, two)
);
CREATE TABLE IF NOT EXISTS pair_users (   -- what each user of a pair is counted for, 0 or 1
    pair INTEGER, user BLOB,
    scored INTEGER NOT NULL DEFAULT 0, differed INTEGER NOT NULL DEFAULT 0,
    labelled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pair, user)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS class_tally (   -- `tally` by the true class
    one TEXT, two TEXT, shown TEXT, label INTEGER,
    both INTEGER NOT NULL DEFAULT 0, one_only INTEGER NOT NULL DEFAULT 0,
    two_only INTEGER NOT NULL DEFAULT 0, neither INTEGER NOT NULL DEFAULT 0,
    neither_differ INTEGER NOT NULL DEFAULT 0,
    units INTEGER NOT NULL DEFAULT 0,      -- whose first labelled row this is
    PRIMARY KEY (one, two, shown, label)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS version_classes (   -- labels of a version by the true class
    revision TEXT, version TEXT, label INTEGER,
    labelled INTEGER NOT NULL DEFAULT 0, correct INTEGER NOT NULL DEFAULT 0,
    units INTEGER NOT NULL DEFAULT 0,      -- whose first labelled row this is
    units_correct INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (revision, version, label)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS labellers (   -- users whose first labelled row is counted there
    revision TEXT, user BLOB,
    PRIMARY KEY (revision, user)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted (   -- which of a user's requests are the ones that count
    request_id BLOB, what TEXT,
    PRIMARY KEY (request_id, what)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS own_ids (   -- what callers call their requests
    id TEXT, request_id BLOB,
    PRIMARY KEY (id, request_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS own_ids_request ON own_ids (request_id);
CREATE INDEX IF NOT EXISTS forced_rows ON predictions (request_id) WHERE forced = 1;
CREATE TABLE IF NOT EXISTS version_errors (   -- labels of a regression
    revision TEXT, version TEXT,
    labelled INTEGER NOT NULL DEFAULT 0,
    absolute REAL NOT NULL DEFAULT 0, squared REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (revision, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (   -- requests on which one model of a pair failed alone
    one TEXT, two TEXT,
    one_only INTEGER NOT NULL DEFAULT 0, two_only INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (one, two)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timeline (   -- what each version did in each step of time
    seconds INTEGER, at INTEGER, version TEXT,   -- how long the step is, and when it began
    requests INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    labelled INTEGER NOT NULL DEFAULT 0, correct INTEGER NOT NULL DEFAULT 0,
    absolute REAL NOT NULL DEFAULT 0, squared REAL NOT NULL DEFAULT 0,
    latencies TEXT NOT NULL DEFAULT '{}',        -- JSON: requests by bin of their latency
    PRIMARY KEY (seconds, at, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS drift_timeline (   -- the most that was seen in each step of time
    seconds INTEGER, at INTEGER,
    score REAL NOT NULL, features TEXT NOT NULL,   -- JSON: score by feature
    PRIMARY KEY (seconds, at)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS model_days (   -- first labels of users by the day of their prediction
    model TEXT, day INTEGER,         -- its hash, and days since 1970
    labelled INTEGER NOT NULL DEFAULT 0, correct INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (model, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollouts (   -- what became of each rollout, step by step
    number INTEGER PRIMARY KEY,      -- the last one holds
    content TEXT NOT NULL            -- JSON
);
CREATE TABLE IF NOT EXISTS newest_rows (   -- of each revision that may have rows
    revision TEXT PRIMARY KEY, request_id BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (   -- the newest `events.KEEP` of them
    event INTEGER PRIMARY KEY,
    at REAL NOT NULL,                -- seconds since 1970
    kind TEXT NOT NULL, version TEXT, text TEXT NOT NULL,
    by TEXT NOT NULL                 -- operator, timer, irisab
);
"""
MADE = frozenset(re.findall(r"CREATE (?:TABLE|INDEX) IF NOT EXISTS (\w+)", SCHEMA + LATER))


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
    if version < VERSION or not made(connection) >= MADE:
        with transaction(connection):
            # Not executescript, which commits whatever transaction is open.
            for statement in (SCHEMA + LATER).split(";"):
                connection.execute(statement)
            connection.execute("INSERT OR IGNORE INTO secrets VALUES ('user_salt', randomblob(16))")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def made(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the names of the tables and indexes that are there."""
    rows = connection.execute("SELECT name FROM sqlite_master")
    return frozenset(name for (name,) in rows)


Identity = tuple[int, int] | None


def identity(path: Path) -> Identity:
    """Return what tells a file from another that takes its name, None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def log_of(path: Path) -> Path:
    """Return where SQLite writes first: its write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def beside(path: Path) -> tuple[Identity, Identity]:
    """Return what tells the log, and SQLite's index of it, from others that take their names.

    SQLite goes on with files that were deleted, of which nothing is left once the process ends.
    """
    return identity(log_of(path)), identity(path.with_name(f"{path.name}-shm"))


def write_back(connection: sqlite3.Connection) -> None:
    """Put what is committed into the file itself, of which nothing stays in the log.

    Returns when it is on the disk. Raises `sqlite3.OperationalError` where others hold it up for
    `BUSY_SECONDS`.
    """
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("its write-ahead log is gone, and it is in use")


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
