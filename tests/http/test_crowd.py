"""Which connections go where there are too many."""

from __future__ import annotations

import resource
from types import SimpleNamespace

import pytest

from irisab.http import crowd

NOW = 1_763_800_000.0


def connection(name: str, *, silent: float = 0, **changes: object) -> SimpleNamespace:
    known = {"requests": [], "total_outbufs_len": 0, "answered": False}
    return SimpleNamespace(name=name, last_activity=NOW - silent, **known | changes)


def names(*connections: SimpleNamespace, waiting: tuple[SimpleNamespace, ...] = ()) -> list[str]:
    found = crowd.dispensable(connections, waiting=waiting, now=NOW)
    return [each.name for each in found]


def test_nobody_who_is_being_answered_goes() -> None:
    """Neither who waits for an answer, nor who is reading one."""
    asking = connection("asking", silent=100, requests=["one"])
    reading = connection("reading", silent=0.5, total_outbufs_len=70_000)
    assert names(asking, reading) == []


def test_who_never_had_an_answer_goes_first() -> None:
    """Then who has been silent for the longest."""
    assert names(
        connection("regular", silent=50, answered=True),
        connection("new", silent=1),
        connection("old", silent=70, answered=True),
        connection("mute", silent=3),
    ) == ["mute", "new", "old", "regular"]


def test_who_does_not_read_may_go() -> None:
    """Also where it has asked for more, which it will not get before it has read."""
    stuck = connection("stuck", silent=5, total_outbufs_len=70_000, requests=["more"])
    assert names(stuck) == []
    assert names(stuck, waiting=(stuck,)) == ["stuck"]


def test_files_are_left_for_the_rest_of_the_service(caplog: pytest.LogCaptureFixture) -> None:
    """However few a process may have open, and however many; where they are few it is said."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        limits = []
        for files in (1024, 300, 50):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
            limits.append(crowd.limit())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert limits == [900, 200, 25]
    first, second = (record.getMessage() for record in caplog.records)
    assert "300 files, so it takes 200 connections" in first and "LimitNOFILE=1000" in second
