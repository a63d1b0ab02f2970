"""A look sees what the service has written, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import ROW, Served, replace_in, write_config

from irisab.lifecycle import looking, rollout
from irisab.lifecycle.looking import LATENCY_ANSWERS, Looking
from irisab.lifecycle.rollout import Hold
from irisab.serving import report, snapshot
from irisab.store import rollouts
from irisab.store.rollouts import Rollout

PLAN = "[rollout]\nsteps = 25, 50\ninterval = 0s\nmin_requests = 10\nbake = 0s\n"


class Model:
    """A model that says one class, fails, or takes its time."""

    def __init__(self, index: int = 0, *, fails: bool = False, seconds: float = 0.0) -> None:
        self.index, self.fails, self.seconds = index, fails, seconds

    def score_row(self, row: Any) -> Any:
        time.sleep(self.seconds)
        if self.fails:
            raise RuntimeError("broken on purpose")
        return self.index, (1.0, 0.0, 0.0)

    def score_rows(self, rows: Any) -> Any:
        return [self.score_row(row) for row in rows]


class Stage:
    """A service in this process with a rollout of v2, and looks at it."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.history = served.service.snapshot.config.data.history
        found = served.service.snapshot
        self.go(None, looking.begin(found, served.history, "v2", now=time.time()))

    @property
    def at(self) -> Rollout:
        found = rollouts.newest(self.history)
        assert found is not None
        return found

    def go(self, before: Rollout | None, after: Rollout) -> None:
        """Write where it is now, and serve so."""
        rollouts.write(self.history, before, after)
        models = {name: each.model for name, each in self.bundles.items()}
        self.served.reload()
        for name, model in models.items():
            if name in self.bundles:
                self.play(name, model)

    def to(self, step: int, percent: float) -> None:
        self.go(self.at, replace(self.at, state="step", step=step, percent=percent))

    @property
    def bundles(self) -> Any:
        return self.served.service.snapshot.bundles

    def play(self, version: str, model: Any) -> None:
        """Let a version be another model, and have it served."""
        object.__setattr__(self.bundles[version], "model", model)
        self.served.service.swap(self.served.service.snapshot)

    def ask(self, count: int, **options: Any) -> None:
        for _ in range(count):
            self.served.client.post("/predict", {"features": ROW, **options})
        self.served.flush()

    def look(self, trouble: Hold | None = None) -> Rollout:
        """Return where a look leaves the rollout; it is written where that is another place."""
        served = self.served.service.snapshot
        found = Looking(served, self.served.history, trouble=trouble)
        before = self.at
        after = found.look(before, now=time.time())
        if after.place != before.place:
            self.go(before, after)
        return after


@pytest.fixture
def stage(tmp_path: Path, iris_models: Path) -> Iterator[Stage]:
    served = Served(write_config(tmp_path, iris_models, f"[split]\nv1 = 100\n{PLAN}"))
    yield Stage(served)
    served.close()


def test_a_step_counts_its_own_requests(stage: Stage) -> None:
    """In the shadow what both have scored, then what the version has answered since it began."""
    stage.ask(9)
    assert "9 of 10 requests scored" in str(stage.look().hold)
    stage.ask(5, model_version="v2")  # who asks for it by name proves nothing
    assert stage.look().state == "shadow"
    stage.ask(1)
    assert stage.look().place == ("step", 1, 25)
    assert "0 of 10 requests answered" in str(stage.look().hold)
    stage.ask(20, model_version="v2")
    assert "0 of 10" in str(stage.look().hold)
    while stage.look().step == 1:
        stage.ask(5)
    assert stage.at.place == ("step", 2, 50) and "requests answered" in stage.at.reason
    assert "0 of 10" in str(stage.look().hold)


def test_a_step_that_comes_again_begins_at_nothing(stage: Stage) -> None:
    """What an earlier rollout has answered at the same split is not this one's."""
    stage.to(1, 25.0)
    while stage.look().step == 1:
        stage.ask(5)
    stage.go(stage.at, rollout.moved(stage.at, "aborted", "again", now=time.time()))
    served = stage.served.service.snapshot
    found = looking.begin(served, stage.served.history, "v2", now=time.time())
    stage.go(stage.at, found)
    assert "0 of 10 requests scored" in str(stage.look().hold)
    stage.ask(10)
    assert stage.look().place == ("step", 1, 25)
    assert "0 of 10 requests answered" in str(stage.look().hold)


@pytest.mark.parametrize("percent", [0.0, 50.0])
def test_one_that_fails_is_rolled_back(stage: Stage, percent: float) -> None:
    """In the shadow, or where the control had to answer for it: nine failures are enough."""
    if percent:
        stage.to(2, percent)
    stage.play("v2", Model(fails=True))
    stage.ask(8)
    assert not stage.look().finished
    stage.ask(1)
    found = stage.look()
    assert found.state == "rolled_back" and "failed on 9 requests that v1 answered" in found.reason
    assert stage.served.predict()["model_version"] == "v1"


def test_a_broken_client_rolls_nothing_back(stage: Stage) -> None:
    """What both fail on is counted for neither, however often, at whichever was chosen."""
    stage.to(2, 50.0)
    sound = {name: each.model for name, each in stage.bundles.items()}
    for name in sound:
        stage.play(name, Model(fails=True))
    stage.ask(60)
    for name, model in sound.items():
        stage.play(name, model)
    assert stage.look().state == "step"
    stage.play("v1", Model(fails=True))
    stage.ask(20)  # the control's own failures are not the version's
    assert not stage.look().finished


def test_a_twin_that_fails_is_not_equivalent(stage: Stage) -> None:
    """It answers as the control does, where it answers; labels would never tell them apart."""
    served = stage.served.service.snapshot
    # Of a margin of a tenth a hundred requests know enough.
    judging = replace(served.config, experiment=replace(served.config.experiment, margin=0.1))
    served = replace(served, config=judging)
    for name in stage.bundles:
        stage.play(name, Model())
    stage.ask(100)

    def reason() -> tuple[str, str]:
        (found,) = report.build(stage.served.history, served)["comparisons"]
        return found["verdict"], found["reason_code"]

    assert reason() == ("equivalent", "rarely_differ")
    stage.play("v2", Model(fails=True))
    stage.ask(50)
    assert reason() == ("inconclusive", "fails_alone")


def test_failures_before_it_began_are_past(stage: Stage) -> None:
    """Also those before a person has said that it goes on."""
    stage.play("v2", Model(fails=True))
    stage.ask(9)
    stage.go(stage.at, rollout.moved(stage.at, "paused", "mended", now=time.time()))
    served = stage.served.service.snapshot
    resumed = Looking(served, stage.served.history).resumed(stage.at, now=time.time())
    stage.go(stage.at, resumed)
    assert stage.look().state == "shadow"
    again = looking.begin(served, stage.served.history, "v2", now=time.time())
    assert again.failures == [0, 9]


def test_one_that_is_slow_is_rolled_back(stage: Stage) -> None:
    """At the third look in a row; with too few answers of either nobody can tell."""
    stage.to(2, 50.0)
    stage.play("v2", Model(seconds=0.03))
    stage.ask(LATENCY_ANSWERS // 2)
    assert stage.look().slow_looks == 0
    while stage.look().slow_looks == 0:
        stage.ask(LATENCY_ANSWERS // 2)
        assert not stage.at.finished
    found = stage.at
    served = stage.served.service.snapshot
    for _ in range(rollout.SLOW_LOOKS):
        found = Looking(served, stage.served.history).look(found, now=time.time())
    assert found.state == "rolled_back" and "slower than 3 times v1" in found.reason


def label(stage: Stage, count: int, truth: int) -> None:
    for _ in range(count):
        told = {"request_id": stage.served.predict()["request_id"], "label": truth}
        stage.served.flush()
        assert stage.served.client.post("/feedback", told).status == 200


def test_one_that_is_worse_is_rolled_back_in_every_state(stage: Stage) -> None:
    """By its labels; after all of the traffic too, where the old version scores on."""
    stage.play("v1", Model(0))
    stage.play("v2", Model(1))
    stage.to(2, 50.0)
    label(stage, 60, truth=0)
    at = stage.at
    for state, percent in (("step", 50.0), ("waiting", 50.0), ("paused", 50.0), ("baking", 100.0)):
        stage.go(stage.at, replace(at, state=state, percent=percent, since=time.time()))  # type: ignore[arg-type]
        found = Looking(stage.served.service.snapshot, stage.served.history).look(
            stage.at, now=time.time()
        )
        assert found.state == "rolled_back" and "worse than v1" in found.reason, state


def test_users_who_are_not_spread_hold_it(stage: Stage) -> None:
    """As where a proxy sends all of them to one version."""
    stage.to(2, 50.0)
    choose = stage.served.service.snapshot.split
    object.__setattr__(stage.served.service.snapshot, "split", type(choose)({"v1": 1}, salt=""))
    for number in range(40):
        stage.ask(1, user_id=f"user {number}")
    found = stage.look()
    assert (found.state, found.hold_code) == ("step", "sample_ratio")


def test_trouble_of_the_service_holds_it(stage: Stage) -> None:
    """And is told as it is."""
    stage.ask(20)
    found = stage.look(Hold("history_not_written", "the history cannot be written"))
    assert (found.state, found.hold) == ("shadow", "the history cannot be written")
    assert stage.look().state == "step"


def test_a_version_that_does_not_fit_is_refused(stage: Stage) -> None:
    """Before anything is written: there is no such model, or it has other columns."""
    served = stage.served.service.snapshot
    with pytest.raises(Exception, match="train v9"):
        looking.begin(served, stage.served.history, "v9", now=1.0)


def test_an_edit_is_seen_in_the_ini_and_in_the_models(stage: Stage) -> None:
    """The look says which of both it was."""
    replace_in(stage.served.config, "interval = 0s", "interval = 1s")
    served = snapshot.build(stage.served.config)
    found = Looking(served, stage.served.history).look(stage.at, now=time.time())
    assert found.state == "superseded" and "was edited" in found.reason
    at = replace(stage.at, models={**stage.at.models, "v2": "another"})
    found = Looking(stage.served.service.snapshot, stage.served.history).look(at, now=time.time())
    assert found.state == "superseded" and "the model of v2 was replaced" in found.reason
