"""The split that serves is a function of the INI file and the state of a rollout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import replace_in, write_config

from irisab import config
from irisab.http import last_good
from irisab.serving import snapshot
from irisab.serving.effective import effective, settings_of
from irisab.store import rollouts
from irisab.store.rollouts import STATES, Rollout, State

# v2 is rolled out against v1; of [split] v1 = 60, v2 = 0, v3 = 40 serves:
SPLITS: dict[State, tuple[float, dict[str, float], str]] = {
    "shadow": (0, {"v1": 60, "v2": 0, "v3": 40}, "v1"),
    "step": (25, {"v1": 45, "v2": 25, "v3": 30}, "v1"),
    "waiting": (50, {"v1": 30, "v2": 50, "v3": 20}, "v1"),
    "paused": (50, {"v1": 30, "v2": 50, "v3": 20}, "v1"),
    "baking": (100, {"v1": 0, "v2": 100, "v3": 0}, "v2"),
    "promoted": (100, {"v1": 0, "v2": 100, "v3": 0}, "v2"),
    "rolled_back": (0, {"v1": 60, "v2": 0, "v3": 40}, "v1"),
    "aborted": (0, {"v1": 60, "v2": 0, "v3": 40}, "v1"),
    "superseded": (25, {"v1": 60, "v2": 0, "v3": 40}, "v1"),
}
Begin = Callable[..., Rollout]


@pytest.fixture
def ini(tmp_path: Path, iris_models: Path) -> Path:
    models = tmp_path / "models"
    for version, of in (("v1", "v1"), ("v2", "v2"), ("v3", "v2")):
        (models / version).parent.mkdir(exist_ok=True)
        (models / version).symlink_to(iris_models / of)
    return write_config(tmp_path, models, "[split]\nv1 = 60\nv2 = 0\nv3 = 40\n")


@pytest.fixture
def begin(ini: Path) -> Begin:
    """Leave a rollout of v2 in some state in the history."""

    def write(state: State, **changes: Any) -> Rollout:
        served = snapshot.build(ini)
        found = Rollout(
            version="v2",
            control="v1",
            models={name: served.bundles[name].sha256 for name in ("v1", "v2")},
            settings=settings_of(served.written),
            steps=[25.0, 50.0],
            since=1.0,
            clock=1.0,
            state=state,
            step=1,
            percent=SPLITS[state][0],
            paused_in="waiting" if state == "paused" else None,
        )
        found = replace(found, **changes)
        rollouts.write(served.written.data.history, served.rollout, found)
        return found

    return write


@pytest.mark.parametrize("state", STATES)
def test_what_serves_in_each_state(state: State, ini: Path, begin: Begin) -> None:
    """Reload, restart and the last good INI agree; what the INI file says stays known."""
    begin(state)
    _, split, control = SPLITS[state]
    found = snapshot.build(ini)
    assert found.config.split == split and found.config.control == control
    assert found.written.split == {"v1": 60, "v2": 0, "v3": 40} and found.written.control == "v1"
    assert found.describe().split == split and found.describe().control == control
    assert list(found.bundles) == ["v1", "v2", "v3"]
    last_good.keep(found)
    replace_in(ini, "[split]", "[splat]")
    kept = last_good.find(ini)
    assert kept is not None
    restarted = last_good.build(kept, base=ini.parent)
    assert restarted.revision_id == found.revision_id and restarted.config.split == split


@pytest.mark.parametrize("state", STATES)
def test_a_version_that_is_the_first_by_name_has_to_earn_it_too(
    state: State, ini: Path, begin: Begin
) -> None:
    """Without `[experiment] control` the written split says who is the control, not the dealt one:
    else a v2 against v3 would be measured by its own training rows, and fall back on itself."""
    rollout = begin(state)
    options = replace(config.load(ini), split={"v3": 100.0})
    rollout = replace(
        rollout,
        control="v3",
        models={"v2": rollout.models["v2"], "v3": rollout.models["v2"]},
        settings=settings_of(options),
    )
    served = effective(options, rollout, rollout.models)
    assert served.control == ("v2" if state in ("baking", "promoted") else "v3")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "edit",
    [
        ("v1 = 60\nv2 = 0", "v1 = 50\nv2 = 10"),
        ("[split]", "[experiment]\nmargin = 0.02\n[split]"),
        ("[split]", "[rollout]\ninterval = 1s\n[split]"),
    ],
)
def test_an_edit_in_any_state_lets_the_ini_serve(
    state: State, edit: tuple[str, str], ini: Path, begin: Begin
) -> None:
    """The person wins, at the reload; an edit that is taken back was none."""
    begin(state)
    before = snapshot.build(ini)
    replace_in(ini, *edit)
    found = snapshot.build(ini)
    assert found.config == found.written and found.config.control == "v1"
    replace_in(ini, *reversed(edit))
    assert snapshot.build(ini).revision_id == before.revision_id


@pytest.mark.parametrize("state", STATES)
def test_another_edit_changes_nothing(state: State, ini: Path, begin: Begin) -> None:
    """[drift] and comments are no business of a rollout's, nor is a default that is spelled out."""
    begin(state)
    before = snapshot.build(ini).config.split
    replace_in(ini, "[split]", "[drift]\nwindow = 50\n[rollout]\nbake = 1d  # a day\n[split]")
    assert snapshot.build(ini).config.split == before


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_replaced_bundle_lets_the_ini_serve(
    state: State, version: str, ini: Path, begin: Begin
) -> None:
    """A rollout is of models, not of names: another model has earned nothing. But a version that is
    promoted keeps what it has when the old one is trained again."""
    found = begin(state)
    begin(state, models={**found.models, version: "another"})
    served = snapshot.build(ini)
    kept = (state, version) == ("promoted", "v1")
    assert (served.config == served.written) is not kept


def test_a_version_need_not_be_in_the_ini(ini: Path, begin: Begin) -> None:
    """What was trained or imported is rolled out from nothing, and gone again afterwards."""
    replace_in(ini, "v2 = 0\nv3 = 40", "v3 = 40")
    sha = snapshot.build(ini).bundles["v3"].sha256  # that of v2: they are one model
    models = {"v1": snapshot.build(ini).bundles["v1"].sha256, "v2": sha}
    served = snapshot.build(ini)
    at = Rollout(
        version="v2",
        control="v1",
        models=models,
        settings=settings_of(served.written),
        steps=[25.0],
        since=1.0,
        clock=1.0,
        state="step",
        step=1,
        percent=25.0,
    )
    rollouts.write(served.written.data.history, None, at)
    assert snapshot.build(ini).config.split == {"v1": 45, "v2": 25, "v3": 30}
    for number, state in enumerate(("rolled_back", "aborted", "superseded"), start=2):
        after = replace(at, state=state, since=float(number))  # type: ignore[arg-type]
        rollouts.write(
            served.written.data.history, rollouts.newest(served.written.data.history), after
        )
        assert list(snapshot.build(ini).bundles) == ["v1", "v3"]


def test_what_is_proven_worse_does_not_keep_its_share(ini: Path, begin: Begin) -> None:
    """Rolled back it has nothing, whatever [split] gave it; aborted, what [split] says serves."""
    replace_in(ini, "v1 = 60\nv2 = 0", "v1 = 40\nv2 = 20")
    begin("rolled_back")
    assert snapshot.build(ini).config.split == {"v1": 50, "v2": 0, "v3": 50}
    begin("aborted", since=2.0)
    assert snapshot.build(ini).config.split == {"v1": 40, "v2": 20, "v3": 40}


def test_a_version_with_everything_gives_it_to_the_control(ini: Path, begin: Begin) -> None:
    """Where the others have no share, the rest is the control's."""
    replace_in(ini, "v1 = 60\nv2 = 0\nv3 = 40", "v1 = 0\nv2 = 100\nv3 = 0")
    begin("step")
    assert snapshot.build(ini).config.split == {"v1": 75, "v2": 25, "v3": 0}


def test_a_history_that_cannot_be_read_changes_nothing(
    ini: Path, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    """A reload goes on with the rollout that served, a start with the INI file; both say so."""
    begin("step")
    before = snapshot.build(ini)
    history = before.config.data.history
    for each in history.parent.glob("h.sqlite3*"):
        each.unlink()
    history.write_bytes(b"this is no database, and has been here before\n" * 50)
    assert snapshot.build(ini, known=before.rollout).config.split == before.config.split
    assert snapshot.build(ini).config.split == before.written.split
    assert "h.sqlite3" in caplog.text


def test_settings_name_what_is_not_the_default(ini: Path) -> None:
    """So that an upgrade, whose irisab has more options, supersedes no rollout."""
    options = config.load(ini)
    assert settings_of(options) == (
        '{"experiment": {}, "rollout": {}, "split": {"v1": 60.0, "v2": 0.0, "v3": 40.0}}'
    )
