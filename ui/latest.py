"""What the service said last, asked for at most once a second by all open pages together."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import api

PATHS = ("/health", "/config", "/report", "/versions")
# Seconds for which an answer counts as the latest; for which a long one does, of a page that is
# open on it.
AGE, LONG = 1, 30


@dataclass(frozen=True)
class Seen:
    """One look at the service: whether it answers, and its answers, the last known where not.

    `stamps` has one for each answer ("/report"), for each part of it ("/report/drift") and for
    "answers"; it is another as soon as the thing is. `asked` has when, on the monotonic clock, the
    long ones were asked for last.
    """

    answers: bool = False
    said: Mapping[str, api.Answer] = field(default_factory=dict)
    stamps: Mapping[str, str] = field(default_factory=lambda: {"answers": "no"})
    until: float = 0
    asked: Mapping[str, float] = field(default_factory=dict)

    def value(self, path: str) -> Any:
        """Give the answer to a path, or None if there never was one. It belongs to everybody."""
        return self.said[path].value if path in self.said else None


_lock = threading.Lock()
_seen: dict[str, Seen] = {}


def look(*more: str) -> Seen:
    """Give what the service says; whoever comes while it is being asked waits for the answer.

    `more` are paths with long answers, which are asked for only if somebody looks at them.
    """
    with _lock:
        seen = _seen.get(api.address(), Seen())
        if time.monotonic() >= seen.until or not seen.asked.keys() >= {*more}:
            seen = replace(_ask(seen, more), until=time.monotonic() + AGE)
            _seen[api.address()] = seen
    return seen


def forget() -> None:
    """Ask anew next time: something was just changed from here."""
    with _lock:
        _seen.update({address: replace(seen, until=0, asked={}) for address, seen in _seen.items()})


def _ask(before: Seen, more: Sequence[str]) -> Seen:
    said, now = dict(before.said), time.monotonic()
    due = [path for path in more if now >= before.asked.get(path, -LONG) + LONG]
    for path in (*PATHS, *due):
        try:
            said[path] = api.get(path, before.said.get(path))
        except api.ApiError:
            if path == PATHS[0]:  # enough to find out that nobody answers
                return replace(before, answers=False, stamps={**before.stamps, "answers": "no"})
    asked = {**before.asked, **dict.fromkeys(due, now)}
    return Seen(True, said, _stamps(before, said), asked=asked)


def _stamps(before: Seen, said: Mapping[str, api.Answer]) -> dict[str, str]:
    stamps = {**before.stamps, "answers": "yes"}
    for path, answer in said.items():
        if answer is not before.said.get(path):
            stamps[path] = _stamp(answer.text)
            for name, part in answer.value.items():
                stamps[f"{path}/{name}"] = _stamp(json.dumps(part).encode())
    return stamps


def _stamp(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=8).hexdigest()
