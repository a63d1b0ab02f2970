"""Where the rollout of an INI file stands, and moving it on. Start at `standing()`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from irisab import config
from irisab.cli import service
from irisab.cli.noting import note
from irisab.cli.output import say
from irisab.cli.text import rollout_text
from irisab.cli.typed import typed
from irisab.errors import BundleError, ConfigError, HistoryError, NotRunning, ReloadRefused
from irisab.http import last_good
from irisab.lifecycle.looking import Looking
from irisab.lifecycle.rollout import Hold
from irisab.serving import settings, snapshot
from irisab.serving.snapshot import Snapshot
from irisab.store import rollouts
from irisab.store.history import History
from irisab.store.rollouts import Changed, Rollout, State

EXIT: Mapping[State, int] = {
    "shadow": 3,
    "step": 3,
    "waiting": 3,
    "paused": 4,
    "baking": 0,
    "promoted": 0,
    "rolled_back": 1,
    "aborted": 1,
    "superseded": 1,
}


@dataclass(frozen=True)
class Standing:
    """The rollout `at` some place, and the configuration that it is part of.

    `written` is what the INI file says, or the last good one where that is refused, and `trouble`
    says so. No model is loaded before it is needed: a way back must be quick.
    """

    path: Path
    written: config.Config
    at: Rollout
    trouble: Hold | None = None

    @cached_property
    def serving(self) -> config.Config:
        return snapshot.in_force(self.written, self.at)

    @property
    def is_accepted(self) -> bool:
        """Tell whether the service has accepted the [split] that is written."""
        earlier = last_good.find(self.path)
        return earlier is not None and config.load(earlier).split == self.written.split

    @property
    def state(self) -> State:
        """Its state, also where the next look has yet to find that it is no more in force."""
        past = not self.at.finished and self.serving is self.written
        return "superseded" if past else self.at.state

    @property
    def exit_code(self) -> int:
        return EXIT[self.state]

    def as_json(self) -> dict[str, Any]:
        shown = settings.of_rollout(self.at, self.written, self.serving)
        return {**shown, "state": self.state}

    @contextmanager
    def looking(self) -> Iterator[Looking]:
        """Lend what it takes to judge; raises `BundleError`."""
        served, trouble = _loaded(self)
        with closing(History(self.written.data.history)) as history:
            yield Looking(served, history, trouble=trouble)

    def keep(self, after: Rollout) -> int:
        """Write where the rollout is now, and follow; returns an exit code.

        Raises `HistoryError` where it cannot be written, `Changed` where somebody was quicker.
        """
        try:
            rollouts.write(self.written.data.history, self.at, after)
        except Changed:
            raise
        except HistoryError as error:
            raise HistoryError(
                f"{error}; nothing was changed. Another [split] in {self.path} ends the rollout "
                f"all the same, and is what serves after: {typed(self.path, 'reload')}"
            ) from error
        return replace(self, at=after).follow()

    def follow(self) -> int:
        """Let the service serve as the rollout is, and say how that is; returns an exit code."""
        reload(self.path)
        self._note()
        self.tell()
        return self.exit_code

    def _note(self) -> None:
        at, split = self.at, self.serving.split
        what = f"step {at.step} of {len(at.steps)}" if at.state == "step" else at.state
        note(
            self.written.data.history,
            "rollback" if at.state == "rolled_back" else "rollout",
            f"{what.replace('_', ' ')}, {split.get(at.version, 0):g} %: {at.reason}",
            version=at.version,
        )

    def tell(self, title: str = "Rollout of") -> None:
        serving = self.serving
        text = rollout_text(
            self.as_json(),
            settings.shares(self.written.split),
            settings.shares(serving.split),
            title=title,
            config=self.path,
            permanent=serving.control != self.written.control,
        )
        say(text)


def standing(path: Path) -> Standing | None:
    """Return where the last rollout stands, None where there was none; raises `IrisabError`."""
    written, trouble = _accepted(path)
    at = rollouts.newest(written.data.history)
    return None if at is None else Standing(path, written, at, trouble)


def _accepted(path: Path) -> tuple[config.Config, Hold | None]:
    try:
        return config.load(path), None
    except ConfigError as error:
        earlier = last_good.find(path)
        if earlier is None:
            raise
        return _last_good(path, earlier), _refused(error)


def _refused(error: ConfigError | BundleError) -> Hold:
    # /config shows it to everybody.
    return Hold("reload_refused", config.refusal(str(error)))


def _last_good(path: Path, earlier: Path) -> config.Config:
    written = config.load(earlier, base=path.absolute().parent)
    return replace(written, data=replace(written.data, models=last_good.models_of(earlier)))


def _loaded(stands: Standing) -> tuple[Snapshot, Hold | None]:
    """Load what serves: where a model is refused, with those that were accepted last."""
    try:
        served = snapshot.with_rollout(stands.written, stands.at, source=stands.path)
    except BundleError as error:
        earlier = last_good.find(stands.path)
        if earlier is None:
            raise
        written = _last_good(stands.path, earlier)
        served = snapshot.with_rollout(written, stands.at, source=earlier)
        return served, _refused(error)
    return served, stands.trouble


def reload(path: Path) -> None:
    """Let the service follow; what it cannot do now it does at its start, or at the next look."""
    try:
        service.reload(path)
    except NotRunning:
        print("irisab: the service does not run; it will follow when it starts", file=sys.stderr)
    except ReloadRefused as error:
        print(f"irisab: the rollout goes its way, but: {error}", file=sys.stderr)
