"""Where the rollout of an INI file stands, and moving it on. Start at `standing()`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from irisab.cli import service
from irisab.cli.noting import note
from irisab.cli.output import say
from irisab.cli.text import rollout_text
from irisab.errors import IrisabError, NotRunning, ReloadRefused
from irisab.http import last_good
from irisab.lifecycle.looking import Looking
from irisab.lifecycle.rollout import Hold
from irisab.serving import settings, snapshot
from irisab.serving.snapshot import Snapshot
from irisab.store import rollouts
from irisab.store.history import History
from irisab.store.rollouts import Rollout, State

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


@dataclass(frozen=True, slots=True)
class Standing:
    """The last rollout, and what serves while it is `at` this place."""

    path: Path
    served: Snapshot
    looking: Looking
    at: Rollout

    def moved(self, after: Rollout) -> Standing:
        """Return the same with the rollout at another place; nothing is written."""
        served = snapshot.dealt(self.served, after) or self.served
        return Standing(self.path, served, self.looking, after)

    def keep(self, after: Rollout) -> int:
        """Write where the rollout is now, and follow; returns an exit code."""
        self.looking.keep(self.at, after)
        return self.moved(after).follow()

    def follow(self) -> int:
        """Let the service serve as the rollout is, and say how that is; returns an exit code."""
        reload(self.path)
        self._note()
        self.tell()
        return self.exit_code

    @property
    def exit_code(self) -> int:
        return EXIT[settings.of_rollout(self.at, self.served)["state"]]

    def _note(self) -> None:
        at, split = self.at, self.served.config.split
        what = f"step {at.step} of {len(at.steps)}" if at.state == "step" else at.state
        note(
            self.served.written.data.history,
            "rollback" if at.state == "rolled_back" else "rollout",
            f"{what.replace('_', ' ')}, {split.get(at.version, 0):g} %: {at.reason}",
            version=at.version,
        )

    def tell(self, title: str = "Rollout of") -> None:
        served = self.served
        text = rollout_text(
            settings.of_rollout(self.at, served),
            settings.shares(served.written.split),
            settings.shares(served.config.split),
            title=title,
            config=self.path,
            permanent=served.config.control != served.written.control,
        )
        say(text)


@contextmanager
def standing(path: Path) -> Iterator[Standing | None]:
    """Lend where the last rollout stands, None where there was none; raises `IrisabError`."""
    served, trouble = _served(path)
    at = rollouts.newest(served.written.data.history)
    if at is None:
        yield None
        return
    with closing(History(served.written.data.history)) as history:
        yield Standing(path, served, Looking(served, history, trouble=trouble), at)


def _served(path: Path) -> tuple[Snapshot, Hold | None]:
    """Return what the service serves: of an INI file that is refused, the last good one."""
    try:
        return snapshot.build(path), None
    except IrisabError as error:
        earlier = last_good.find(path)
        if earlier is None:
            raise
        served = last_good.build(earlier, base=path.absolute().parent)
        return served, Hold("reload_refused", str(error))


def reload(path: Path) -> None:
    """Let the service follow; what it cannot do now it does at its start, or at the next look."""
    try:
        service.reload(path)
    except NotRunning:
        print("irisab: the service does not run; it will follow when it starts", file=sys.stderr)
    except ReloadRefused as error:
        print(f"irisab: the rollout goes its way, but: {error}", file=sys.stderr)
