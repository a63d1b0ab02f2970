"""Each command of a version's life, interrupted anywhere: no model, label or training row is lost.

The commands are run by a process that has imported everything and forks, as each would take
seconds to start.
"""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lives import WORLDS, Life
from processes import replace_in

from irisab.__main__ import run
from irisab.model import bundle, publish
from irisab.model.bundle import CURRENT, MANIFEST

# Eighty commands, of which some fit models.
pytestmark = pytest.mark.slow

FORKS = """
import json, os, resource, signal, sys
import sklearn.model_selection, sklearn.tree
from irisab.__main__ import run
from irisab.lifecycle import evaluation, retrain

CHANGES = "os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir", "sqlite3.connect"


def disturb(order):
    seen = 0

    def hook(event, arguments):
        nonlocal seen
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in CHANGES) and order["folder"] in str(arguments):
            seen += 1
            if seen == order["at"]:
                os.kill(os.getpid(), order["signal"])

    sys.addaudithook(hook)
    return lambda: seen


def child(order):
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1), os.dup2(output, 2)
    if order["bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["bytes"],) * 2)
    seen = disturb(order)
    code = run(order["command"])
    sys.stdout.flush(), sys.stderr.flush()
    os.pwrite(3, str(seen()).encode(), 0)
    os._exit(code)


for line in sys.stdin:
    order = json.loads(line)
    counted = os.memfd_create("counted")
    os.dup2(counted, 3)
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        child(order)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(json.dumps([code, int(os.pread(3, 9, 0) or 0)]), flush=True)
"""


class Commands:
    """Runs commands in processes of their own, disturbed or not."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._child = subprocess.Popen(
            [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, place: Place, command: Sequence[str], **how: Any) -> tuple[int, int]:
        """Return the exit code, and how many moments there were at which something changed.

        `at` is the number of the moment at which `signal` comes, `bytes` how large a file may be.
        """
        order = {
            "folder": str(place.folder),
            "output": str(self._output),
            "command": ["--config", str(place.config), *command],
            "at": 0,
            "signal": int(signal.SIGKILL),
            "bytes": 0,
            **how,
        }
        assert self._child.stdin and self._child.stdout
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()
        code, moments = json.loads(self._child.stdout.readline())
        return code, moments

    @property
    def said(self) -> str:
        return self._output.read_text()

    def close(self) -> None:
        self._child.communicate()


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    found = Commands(tmp_path_factory.mktemp("commands") / "output")
    yield found
    found.close()


class Place:
    """A folder with INI file, models and a history with labels, and no service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "irisab.ini"
        self.models = folder / "models"

    def copy(self, target: Path) -> Place:
        found = Place(Path(shutil.copytree(self.folder, target, symlinks=True)))
        replace_in(found.config, f"models = {self.models}", f"models = {found.models}")
        return found

    def bundles(self) -> dict[Path, bytes]:
        return {
            path.relative_to(self.folder): path.read_bytes()
            for folder in bundle.entries(self.models)
            if publish.is_bundle(folder) and not folder.is_symlink()
            for path in folder.iterdir()
        }

    def labels(self) -> list[Any]:
        """Return every labelled row, and what labels have been counted for."""
        with closing(sqlite3.connect(self.folder / "h.sqlite3")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return [
                connection.execute(f"SELECT * FROM {what}").fetchall()
                for what in (
                    "predictions WHERE label IS NOT NULL ORDER BY request_id, row",
                    "tally ORDER BY one, two, shown",
                    "versions ORDER BY revision, version",
                )
            ]

    def lost(self, before: Place) -> list[str]:
        """Name what was there before and is there no more, and what there is half of."""
        ours, now = before.bundles(), self.bundles()
        lost = [str(path) for path, data in ours.items() if now.get(path) != data]
        lost += ["labels"] if before.labels() != self.labels() else []
        for version in bundle.versions(self.models):
            bundle.load(self.models, version)  # or it raises
        return lost


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Place]:
    """A life with labels and a candidate v2: fresh, with an older v1, rolled out, and paused."""
    life = Life(tmp_path_factory.mktemp("life"), np.random.default_rng(4))
    life.live(WORLDS["covariate shift"])
    assert life.retrain().version == "v2"
    life.served.close()
    fresh = Place(life.folder)
    idle = fresh.copy(tmp_path_factory.mktemp("idle") / "life")
    _another_v1(idle)
    under_way = idle.copy(tmp_path_factory.mktemp("under way") / "life")
    assert run(["--config", str(under_way.config), "rollout", "start", "v2"]) == 3
    paused = under_way.copy(tmp_path_factory.mktemp("paused") / "life")
    assert run(["--config", str(paused.config), "rollout", "pause"]) == 4
    return {"fresh": fresh, "idle": idle, "under way": under_way, "paused": paused}


def _another_v1(place: Place) -> None:
    folder = place.models / "v1" / CURRENT
    files = {each.name: each.read_bytes() for each in folder.iterdir()}
    manifest = json.loads(files[MANIFEST]) | {"serial": 1}
    publish.put(place.models, "v1", {**files, MANIFEST: json.dumps(manifest).encode()})


def older_v1(place: Place) -> str:
    current = (place.models / "v1" / CURRENT).resolve()
    (older,) = (each.name for each in current.parent.iterdir() if each.name not in
                (CURRENT, current.name))  # fmt: skip
    return older


# Where each is typed, and how it ends undisturbed.
COMMANDS = {
    "evaluate v1 v2": ("idle", {0, 1, 3, 4}),
    "models": ("idle", {0}),
    "models use v1 OLDER": ("idle", {0}),
    "events": ("idle", {0}),
    "retrain": ("idle", {0}),
    "train --force v1": ("fresh", {0}),
    "rollout start v2": ("idle", {3}),
    "rollout status": ("under way", {3}),
    "rollout look": ("under way", {3}),
    "rollout pause": ("under way", {4}),
    "rollout promote": ("under way", {0}),
    "rollout abort": ("under way", {1}),
    "rollout resume": ("paused", {3}),
}
READING = "evaluate v1 v2", "models", "events", "rollout status"


@pytest.fixture
def case(places: dict[str, Place], commands: Commands, tmp_path: Path) -> Callable[[str], Case]:
    return lambda command: Case(command, places[COMMANDS[command][0]], commands, tmp_path)


class Case:
    """A command, the place where it is typed, and what becomes of copies of that place."""

    def __init__(self, command: str, before: Place, commands: Commands, folder: Path) -> None:
        self.codes = COMMANDS[command][1]
        self._typed = [older_v1(before) if word == "OLDER" else word for word in command.split()]
        self._before, self._commands, self._folder = before, commands, folder

    def place(self, name: str) -> Place:
        return self._before.copy(self._folder / name)

    def run(self, place: Place, codes: set[int], **how: int) -> int:
        """Type it there, see that nothing is lost, and return at how many moments it changed
        something."""
        code, moments = self._commands.run(place, self._typed, **how)
        assert code in codes, self._commands.said
        assert place.lost(self._before) == []
        return moments

    def again(self, place: Place) -> None:
        """Type it once more; there may be nothing left to do."""
        self.run(place, self.codes | {2, 3})


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_or_typed_twice_it_loses_nothing(command: str, case: Callable[[str], Case]) -> None:
    """All that was there is there, what there is is whole, and it can be typed again."""
    found = case(command)
    twice, cut = found.place("twice"), found.place("cut")
    moments = found.run(twice, found.codes)
    assert moments > 0
    found.again(twice)
    found.run(cut, {-signal.SIGKILL}, at=(moments + 1) // 2, signal=signal.SIGKILL)
    found.again(cut)


@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in READING])
def test_on_a_full_disk_it_loses_nothing(command: str, case: Callable[[str], Case]) -> None:
    """It says so, or does without; once there is room it works."""
    found = case(command)
    full = found.place("full")
    found.run(full, {2, *found.codes}, bytes=1024)
    found.again(full)


@pytest.mark.parametrize("command", ["retrain", "train --force v1", "rollout start v2"])
def test_ctrl_c_leaves_nothing_half(
    command: str, case: Callable[[str], Case], commands: Commands
) -> None:
    """It ends with a line and exit code 130; no folder of a model that is not whole stays."""
    found = case(command)
    for name, at in {"first": 2, "last": found.run(found.place("whole"), found.codes)}.items():
        cut = found.place(name)
        found.run(cut, {130}, at=at, signal=signal.SIGINT)
        said = commands.said.splitlines()[-1]
        assert said == "irisab: stopped by Ctrl-C; what is complete stays, and nothing half"
        assert [*cut.models.glob("*/.new-*")] == []
