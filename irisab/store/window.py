"""The rows that drift looks at. Start at `newest()`."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irisab.store.rows import columns, decode, is_numeric

# Looking further would read the whole history at each scrape after a change of features.
LOOK_BACK = 100
# Of a window: what one request or one user may fill of it. Nobody shall make drift alone.
SHARE = 0.1


def newest(
    connection: sqlite3.Connection, size: int, *, features: Sequence[str], types: Sequence[str]
) -> NDArray[Any]:
    """Return the features of the last `size` rows, newest first: shape (n_rows, n_features).

    Numbers and booleans come as float64, NaN where they are missing; with other `types` among them,
    all come as objects. Rows of forced versions, or of models with other features, are not traffic
    to look at. No request and no user has more than `share_of` the window: what is beyond is passed
    over, as far as `LOOK_BACK` times the window.
    """
    types = types or ["number"] * len(features)
    rows = _rows(connection, size, columns(features, types))
    if is_numeric(types):
        return np.frombuffer(b"".join(rows), dtype="<f8").reshape(-1, len(features))
    shaped = np.empty((len(rows), len(features)), dtype=object)
    for number, blob in enumerate(rows):
        shaped[number] = decode(blob, types)
    return shaped


def share_of(window: int) -> int:
    """Return how many rows of a window one request, or one user, may have."""
    return max(1, int(SHARE * window))


def _rows(connection: sqlite3.Connection, size: int, named: str) -> list[bytes]:
    share = share_of(size)
    known = connection.execute("SELECT revision FROM revisions WHERE features = ?", (named,))
    alike = {revision for (revision,) in known}
    cursor = connection.execute(
        "SELECT features, revision, user FROM predictions WHERE forced = 0 AND row < ?"
        " ORDER BY request_id DESC, row DESC LIMIT ?",
        (share, LOOK_BACK * size),
    )
    # Read no further than needed, and leave no statement open, which would hold the log.
    with closing(cursor):
        traffic = ((blob, user) for blob, revision, user in cursor if revision in alike)
        return [*islice(_shared(traffic, share), size)]


def _shared(traffic: Iterable[tuple[bytes, bytes | None]], share: int) -> Iterator[bytes]:
    """Yield rows that come with their users, of each user so many at the most."""
    rows_of: Counter[bytes] = Counter()
    for blob, user in traffic:
        if user is not None:
            rows_of[user] += 1
            if rows_of[user] > share:
                continue
        yield blob
