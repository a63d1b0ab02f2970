"""A long request lets others have the interpreter; a short one does not wait for anybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import ROW, Served, write_config

from irisab.serving import turns


@pytest.fixture
def served(tmp_path: Path, iris_models: Path) -> Iterator[Served]:
    found = Served(write_config(tmp_path, iris_models))
    yield found
    found.close()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept = list[float]()
    monkeypatch.setattr(turns, "sleep", slept.append)
    return slept


@pytest.mark.parametrize("named", [{}, {"model_version": "v2"}])
def test_a_long_request_gives_way_between_its_steps(
    named: dict[str, str], served: Served, slept: list[float]
) -> None:
    """After it is read, answered and counted, and scored by others: each takes a millisecond."""
    served.predict([ROW] * 1000, **named)
    assert len(slept) >= 4


@pytest.mark.parametrize("features", [ROW, [ROW] * (turns.MANY - 1)])
def test_a_short_request_gives_way_to_nobody(
    features: list[object], served: Served, slept: list[float]
) -> None:
    """A pause would take longer than the answer."""
    served.predict(features)
    assert slept == []
