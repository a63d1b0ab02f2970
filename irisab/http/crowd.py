"""Which connections go where there are too many. Start at `dispensable()`."""

from __future__ import annotations

import logging
import resource
from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

log = logging.getLogger(__name__)

# Connections at the most: each turn looks at every one of them.
MOST = 900
# Files that are no connections: the history, models that are loaded, a spare for what is brief.
RESERVE = 100
# Connections that are closed together, and accepted together.
AT_ONCE = 50
# Whoever has taken nothing of an answer for so long may be a reader that never reads.
PATIENCE_SECONDS = 1.0


class Connection(Protocol):
    """What is known of a connection; `last_activity` in seconds since 1970."""

    requests: list[object]
    total_outbufs_len: int
    answered: bool
    last_activity: float


C = TypeVar("C", bound=Connection)


def limit() -> int:
    """Return how many connections there may be: `MOST` of the 1,024 files that systemd gives."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = min(MOST, max(files - RESERVE, files // 2))
    if connections < MOST:
        log.warning(
            "this process may open %s files, so it takes %s connections; for %s of them it needs "
            "%s, as in LimitNOFILE=%s of its unit",
            *(files, connections, MOST, MOST + RESERVE, MOST + RESERVE),
        )
    return connections


def dispensable(connections: Iterable[C], *, waiting: Collection[C], now: float) -> list[C]:
    """Return the connections to close first, so that others can come.

    None that is being answered. Those that never had an answer go first, then those that have been
    silent for the longest; `waiting` have not read what they got, and have asked for more.
    """
    idle = [
        each
        for each in connections
        if (not each.requests or each in waiting)
        and (not each.total_outbufs_len or now - each.last_activity > PATIENCE_SECONDS)
    ]
    idle.sort(key=lambda each: (each.answered, each.last_activity))
    return idle[:AT_ONCE]
