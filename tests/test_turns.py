"""A long request lets others have the interpreter; a short one does not wait for anybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import ROW, Served, write_config
from traffic import AGREE, prediction

from irisab import turns
from irisab.store import writer as writer_module
from irisab.store.recorder import Recorder


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


def test_the_main_thread_goes_first_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step waits until it has nothing left to do, or at full traffic for two milliseconds."""
    monkeypatch.setattr(turns, "NAP", 0.0)
    for answers, waits in (0, 0), (5, 5), (10_000, 2000):
        looks = Main(answers)
        monkeypatch.setattr(turns, "main_thread", looks)
        monkeypatch.setattr(turns, "monotonic", lambda looks=looks: looks.count * 1e-6)
        turns.step_aside()
        assert waits <= looks.count <= waits + 1


class Main:
    """Awake at the first looks, each of which takes a microsecond."""

    def __init__(self, answers: int) -> None:
        self.count, self._answers = 0, answers

    @property
    def is_awake(self) -> bool:
        self.count += 1
        return self.count <= self._answers


def test_rows_of_a_batch_are_written_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch, writer: Recorder
) -> None:
    """The main thread goes before each statement with hundreds of rows."""
    aside = list[None]()
    monkeypatch.setattr(writer_module, "step_aside", lambda: aside.append(None))
    writer.record(prediction([AGREE] * 1000))
    writer.record(prediction([AGREE]))
    assert writer.flush()
    assert len(aside) == 4
