"""Rejected candidates: how many are kept, which never go, and what is said of those that do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lives import WORLDS, Life
from processes import Served, replace_in

from irisab.__main__ import run
from irisab.lifecycle import backup, rejected
from irisab.model import bundle, candidate, publish
from irisab.model.bundle import CURRENT, MANIFEST
from irisab.serving import snapshot
from irisab.store import rollouts
from irisab.store.events import EventLog
from irisab.store.history import History

ALL = ["v1", "v2", "v3", "v4", "v5", "v6"]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A life whose v2 to v6 were rejected, the oldest first: to be copied, not to be changed."""
    life = Life(tmp_path_factory.mktemp("life"), np.random.default_rng(7))
    life.live(WORLDS["concept shift"])
    assert life.retrain().decision == "reject"
    life.served.close()
    for number in range(3, 7):
        shutil.copytree(home(life, "v2"), home(life, f"v{number}"), symlinks=True)
    for number in range(2, 7):
        age(home(life, f"v{number}"), seconds=-1000 + number)
    return life


@pytest.fixture
def life(lived: Life, tmp_path: Path) -> Iterator[Life]:
    """A copy of it."""
    found = object.__new__(Life)
    found.folder = Path(shutil.copytree(lived.folder, tmp_path / "life", symlinks=True))
    found.config = found.folder / lived.config.name
    replace_in(found.config, str(lived.folder), str(found.folder))
    found.served = Served(found.config)
    yield found
    found.served.close()


def home(life: Life, version: str) -> Path:
    return life.folder / "models" / version


def age(home: Path, *, seconds: float) -> None:
    """Let the current bundle be so much older than it is."""
    folder = (home / CURRENT).resolve()
    at = folder.stat().st_mtime + seconds
    os.utime(folder, (at, at))


def versions(life: Life) -> list[str]:
    return bundle.versions(life.folder / "models")


def prune(life: Life) -> list[str]:
    with closing(History(life.served.service.snapshot.config.data.history)) as history:
        return rejected.prune(snapshot.build(life.config).written, history)


def retold(life: Life, version: str, **story: Any) -> Path:
    """Replace the bundle of a version by one with another story; return where the old one was."""
    folder = (home(life, version) / CURRENT).resolve()
    files = {each.name: each.read_bytes() for each in folder.iterdir()}
    manifest = json.loads(files[MANIFEST])
    manifest[candidate.KEY] |= story
    shutil.rmtree(folder)
    publish.put(life.folder / "models", version, {**files, MANIFEST: json.dumps(manifest).encode()})
    return folder


def test_the_newest_are_kept_and_what_went_is_told(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    """After one more there are three; events name those that went, and `models` says how many stay.
    Neither is a name used again."""
    before = (home(life, "v1") / CURRENT).resolve()
    kept = {each.name: each.read_bytes() for each in before.iterdir()}
    assert run(["--config", str(life.config), "retrain"]) == 1
    assert versions(life) == ["v1", "v5", "v6", "v7"]
    assert {each.name: each.read_bytes() for each in before.iterdir()} == kept
    events = EventLog(life.served.service.snapshot.config.data.history).list()
    told = [(each.version, each.text) for each in events if "removed" in each.text]
    why = "removed: of the rejected candidates the newest 3 are kept"
    assert told == [("v2", why), ("v3", why), ("v4", why)]
    capsys.readouterr()
    assert run(["--config", str(life.config), "models"]) == 0
    assert "Of the rejected ones the newest 3 of each origin are kept." in capsys.readouterr().out
    life.serving = "v1"
    assert life.retrain().version == "v8"


def test_what_is_named_stays(life: Life) -> None:
    """In the INI file, in a rollout, as what a later candidate was made from: whatever its age."""
    with life.config.open("a") as ini:
        ini.write("[model.v2]\nkind = decision_tree\n")
    retold(life, "v6", **{"from": "v3"})
    assert prune(life) == []
    for number in range(7, 9):
        shutil.copytree(home(life, "v5"), home(life, f"v{number}"), symlinks=True)
    assert prune(life) == ["v4"]
    assert versions(life) == ["v1", "v2", "v3", "v5", "v6", "v7", "v8"]


def test_what_was_rolled_out_stays(life: Life) -> None:
    """Also where its rollout is over."""
    history = life.served.service.snapshot.config.data.history
    at = rollouts.Rollout(
        version="v2", control="v1", models={"v2": "", "v1": ""}, settings="{}", steps=(50,),
        since=0.0, clock=0.0, state="aborted",
    )  # fmt: skip
    rollouts.write(history, None, at)
    assert prune(life) == ["v3"]


def test_of_several_bundles_a_person_may_choose(life: Life) -> None:
    """`models use` goes back to any bundle of a version that has several: none of them goes."""
    kept = Path(shutil.copytree(home(life, "v2") / CURRENT, life.folder / "kept"))
    shutil.copytree(kept, retold(life, "v2", reason="another"))
    assert prune(life) == ["v3"]
    assert "v2" in versions(life)


def test_a_candidate_that_was_not_rejected_stays(life: Life) -> None:
    """However many there are: one of them may be brought in."""
    for version in ALL[1:]:
        retold(life, version, decision="propose")
    assert prune(life) == []


def test_where_none_can_go_the_retraining_is_told_all_the_same(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit code is its own, and so is its event; all that was kept stays."""
    (life.folder / "models" / ".gone-v9").write_text("in the way")
    assert run(["--config", str(life.config), "retrain"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("REJECT: v7") and "rejected candidates stay: " in said.err
    assert versions(life) == [*ALL, "v7"]
    newest = EventLog(life.served.service.snapshot.config.data.history).list()[-1]
    assert (newest.version, newest.text.partition(":")[0]) == ("v7", "reject")


def test_a_removal_that_was_killed_is_finished(life: Life) -> None:
    """What is half removed is no version, in no backup, and gone at the next time."""
    hidden = life.folder / "models" / ".gone-v2"
    home(life, "v2").rename(hidden)
    (hidden / CURRENT).unlink()
    assert versions(life) == ["v1", *ALL[2:]]
    assert run(["--config", str(life.config), "models", "--json"]) == 0
    backup.backup(snapshot.build(life.config).written, life.folder / "copy.tar.gz")
    assert prune(life) == ["v3"]
    assert not hidden.exists()
