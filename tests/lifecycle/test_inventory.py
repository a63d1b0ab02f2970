"""What GET /versions tells: models, the rollout and its past, events."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import Served, write_config

from irisab.__main__ import run
from irisab.cli.typed import typed
from irisab.lifecycle import inventory, looking, rollout
from irisab.store import rollouts
from irisab.store.events import EventLog


@pytest.fixture
def served(tmp_path: Path, iris_models: Path) -> Iterator[Served]:
    """v1 serves, and v2 is kept beside it."""
    models = Path(shutil.copytree(iris_models, tmp_path / "models", symlinks=True))
    service = Served(write_config(tmp_path, models, "[split]\nv1 = 100\n"))
    yield service
    service.close()


def told(served: Served) -> Any:
    answer = served.client.get("/versions")
    assert answer.status == 200, answer.body
    return answer.json


def begin(served: Served) -> rollouts.Rollout:
    snapshot = served.service.snapshot
    at = looking.begin(snapshot, served.history, "v2", now=1_000.0)
    rollouts.write(snapshot.written.data.history, None, at)
    return at


def add(models: Path, version: str) -> None:
    """Put another bundle of v1 under another name."""
    shutil.copytree(models / "v1", models / version, symlinks=True)


def test_models_are_those_of_the_command(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service and `irisab models --json` say the same."""
    assert run(["--config", str(served.config), "models", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [each["version"] for each in printed] == ["v1", "v2"]
    assert told(served)["models"] == printed


def test_how_commands_begin_here(served: Served) -> None:
    """What stands before a command is what the CLI's own messages say, and runs it."""
    command = told(served)["command"]
    assert f"{command} models --json" == typed(served.config, "models --json")
    answer = subprocess.run(
        f"{command} models --json", shell=True, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == told(served)["models"]


def test_a_new_model_is_seen(served: Served) -> None:
    """A bundle that comes, goes, or is made current is in the next answer, without a reload."""
    models = served.service.snapshot.config.data.models
    assert len(told(served)["models"]) == 2
    add(models, "v3")
    assert [each["version"] for each in told(served)["models"]] == ["v1", "v2", "v3"]
    (models / "v3" / "current").unlink()
    assert [each["current"] for each in told(served)["models"]] == [True, True, False]
    shutil.rmtree(models / "v3")
    assert len(told(served)["models"]) == 2


def test_a_damaged_model_is_told(served: Served) -> None:
    """One that cannot be read is listed with the reason, and the others as they are."""
    home = served.service.snapshot.config.data.models / "v2"
    (home / "0123456789ab").mkdir()
    found = {each["bundle"]: each for each in told(served)["models"]}
    assert "manifest.json" in found["0123456789ab"]["error"]
    assert [each["error"] for each in found.values()].count(None) == 2


def test_a_rollout_and_its_past(served: Served) -> None:
    """Null before there was one; then where it is, and where it has been, oldest first."""
    assert told(served)["rollout"] is None
    at = begin(served)
    paused = rollout.moved(at, "paused", "lunch", now=2_000.0)
    rollouts.write(served.service.snapshot.written.data.history, at, paused)
    found = told(served)["rollout"]
    assert (found["version"], found["state"], found["reason"]) == ("v2", "paused", "lunch")
    assert [each["state"] for each in found["history"]] == ["shadow", "paused"]
    assert {**found, "history": None} == {
        **served.client.get("/config").json["rollout"],
        "history": None,
    }


def test_events_are_bounded(served: Served) -> None:
    """The newest come first, and no more than a hundred."""
    log = EventLog(served.service.snapshot.config.data.history)
    for number in range(inventory.MOST + 5):
        log.add("train", str(number), by="operator")
    events = told(served)["events"]
    assert [each["text"] for each in events] == [str(n) for n in range(104, 4, -1)]


def test_models_are_bounded(served: Served) -> None:
    """The newest hundred manifests are read, whatever their names."""
    models = served.service.snapshot.config.data.models
    for number in range(inventory.MOST):
        add(models, f"w{number:03}")
    for version in ("v1", "v2"):
        for folder in (models / version).glob("*"):
            os.utime(folder, (1, 1))
    listed = [each["version"] for each in told(served)["models"]]
    assert listed == [f"w{number:03}" for number in range(inventory.MOST)]


def test_nothing_is_read_where_nothing_changed(served: Served) -> None:
    """The same answer until the history, the models or the snapshot change: then another."""
    found = inventory.Inventory(served.history)
    snapshot = served.service.snapshot
    log = EventLog(snapshot.config.data.history)
    log.add("start", "x", by="irisab")  # a history that is not there yet may come at any time
    first = found.told(snapshot)
    assert found.told(snapshot) is first
    log.add("reload", "y", by="irisab")
    second = found.told(snapshot)
    assert second is not first and second["models"] is first["models"]
    add(snapshot.config.data.models, "v3")
    third = found.told(snapshot)
    assert third["models"] is not first["models"]
    served.reload()
    assert found.told(served.service.snapshot) is not third


def test_it_is_no_work_for_the_main_thread(served: Served) -> None:
    """A worker reads the disk, so that no prediction waits for it."""
    assert not served.app.is_quick("GET", "/versions", 0)
