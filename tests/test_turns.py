"""A long request lets others have the interpreter; a short one does not wait for anybody."""

from __future__ import annotations

import threading
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
def aside(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the rows of each step before which somebody has stepped aside."""
    rows = list[int]()
    monkeypatch.setattr(turns, "step_aside", rows.append)
    return rows


@pytest.mark.parametrize("named", [{}, {"model_version": "v2"}])
def test_a_long_request_steps_aside_between_its_steps(
    named: dict[str, str], served: Served, aside: list[int]
) -> None:
    """After it is read, answered and counted, and scored by others: each takes a millisecond."""
    served.predict([ROW] * 1000, **named)
    served.flush()
    assert aside == [1000] * 4


@pytest.mark.parametrize("features", [ROW, [ROW] * (turns.MANY - 1)])
def test_a_short_request_steps_aside_for_nobody(
    features: list[object], served: Served, aside: list[int]
) -> None:
    """A pause would take longer than the answer."""
    served.predict(features)
    assert aside == []


@pytest.mark.parametrize(
    ("rows", "awake", "waits"),
    [(1000, 0, 0), (1000, 5, 5), (1000, 9999, 2000), (9999, 9999, 2000), (50, 9999, 100)],
)
def test_the_main_thread_goes_first_and_not_for_ever(
    rows: int, awake: int, waits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step waits until it has nothing left to do; at full traffic as long as it takes itself, two
    milliseconds at the most."""
    main = Main(awake)
    monkeypatch.setattr(turns, "NAP", 0.0)
    monkeypatch.setattr(turns, "main_thread", main)
    monkeypatch.setattr(turns, "monotonic", lambda: main.looks * 1e-6)
    turns.step_aside(rows)
    assert waits <= main.looks <= waits + 1


def test_the_main_thread_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it answers many rows by itself: it would wait until it is asleep itself."""
    main = Main(9999)
    main.ident = threading.get_ident()
    monkeypatch.setattr(turns, "main_thread", main)
    turns.step_aside(1000)
    assert main.looks == 0


class Main:
    """Awake at the first looks, each of which takes a microsecond."""

    ident: int | None = None

    def __init__(self, awake: int) -> None:
        self.looks, self._awake = 0, awake

    @property
    def is_awake(self) -> bool:
        self.looks += 1
        return self.looks <= self._awake


def test_rows_of_a_batch_are_written_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch, writer: Recorder
) -> None:
    """The main thread goes before each statement with hundreds of rows."""
    aside = list[int]()
    monkeypatch.setattr(writer_module, "step_aside", aside.append)
    writer.record(prediction([AGREE] * 1000))
    writer.record(prediction([AGREE]))
    assert writer.flush()
    assert len(aside) == 4
