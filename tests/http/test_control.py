"""The control thread: what it hears, and when it hangs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import pytest

from irisab.http import control
from irisab.http.control import Control


class Stage:
    """A control thread whose reload the test decides, and what it has done, word by word."""

    def __init__(self, reload: Callable[[], None]) -> None:
        self.commands: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reload = reload
        self.control = Control(
            self.commands,
            begin=lambda: self.done.put("begin"),
            reload=self._reloads,
            drain=self._drains,
        )
        self.control.start()
        self.hears("begin")

    def _reloads(self) -> None:
        self.done.put("reload")
        self._reload()

    def _drains(self, commands: queue.SimpleQueue[str]) -> None:
        assert commands is self.commands
        self.done.put("drain")

    def hears(self, word: str) -> None:
        assert self.done.get(timeout=60) == word

    def told(self, word: str, does: str) -> None:
        self.commands.put(word)
        self.hears(does)


def test_a_reload_that_breaks_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    """The thread hears the next reload, and the stop."""

    def breaks() -> None:
        raise OSError("no descriptor left")

    stage = Stage(breaks)
    for _ in range(2):
        stage.told("reload", "reload")
    stage.told("stop", "drain")
    assert caplog.text.count("a reload was not completed") == 2


def test_a_reload_that_hangs_is_told_apart_from_a_long_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A reload may take its minutes; beyond them the watchdog is fed no more, and the log says
    why. Between reloads nothing hangs, however long nobody asks for one."""
    goes_on = threading.Event()

    def takes_its_time() -> None:
        goes_on.wait(60)

    stage = Stage(takes_its_time)
    monkeypatch.setattr(control, "HANGING_SECONDS", -1.0)
    assert stage.control.is_turning()
    stage.told("reload", "reload")
    assert not stage.control.is_turning()
    assert "a reload hangs" in caplog.text
    monkeypatch.setattr(control, "HANGING_SECONDS", 600.0)
    assert stage.control.is_turning()
    goes_on.set()
    monkeypatch.setattr(control, "HANGING_SECONDS", -1.0)
    stage.told("stop", "drain")  # so the reload is over
