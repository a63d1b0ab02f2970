"""A made-up revision and predictions of it, as the service would record them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from irisab.store.revision import Revision
from irisab.store.rows import encoder
from irisab.store.writer import Record

NOW = 1_763_800_000.0
AGREE, DIFFER = {"v1": 0, "v2": 0}, {"v1": 0, "v2": 1}
_numbers = itertools.count(1)


def revision(name: str = "r1", **changes: object) -> Revision:
    """Return a revision with two versions of two features and three classes."""
    return Revision(
        **{
            "id": name,
            "control": "v1",
            "split": {"v1": 50.0, "v2": 50.0},
            "models": {"v1": "hash-1", "v2": "hash-2"},
            "features": ["length", "width"],
            "class_names": ["a", "b", "c"],
            "class_numbers": [0, 1, 2],
            "experiment": "experiment",
            **changes,
        }
    )


def request_id(at: float, number: int) -> bytes:
    """Return a UUIDv7: ids sort by time, then by number."""
    return (int(at * 1000) << 80 | 7 << 76 | number).to_bytes(16, "big")


def prediction(
    votes: Sequence[Mapping[str, int]] = (AGREE,),
    *,
    version: str = "v1",
    rows: Sequence[Sequence[Any]] | None = None,
    revision: str = "r1",
    forced: bool = False,
    user_id: str | None = None,
    at: float = NOW,
) -> Record:
    """Return a request whose rows the versions voted on; `version` answered it."""
    rows = [[1.0, 2.0]] * len(votes) if rows is None else rows
    text = any(value is None or isinstance(value, str) for row in rows for value in row)
    return Record(
        request_id=request_id(at, next(_numbers)),
        time=at,
        revision=revision,
        version=version,
        forced=forced,
        user_id=user_id,
        latency=3e-5,
        rows=encoder(["text" if text else "number"] * len(rows[0]))(rows),
        predictions=[vote[version] for vote in votes],
        votes=[json.dumps(vote) for vote in votes],
    )


def wait_until(condition, *, seconds: float = 10) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
