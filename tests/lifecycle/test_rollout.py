"""What a look decides, rule by rule, in their order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from irisab.config import RolloutOptions
from irisab.ini import Seconds
from irisab.lifecycle import rollout
from irisab.lifecycle.rollout import Evidence, Hold
from irisab.stats.comparison import Verdict
from irisab.store.rollouts import STATES, Rollout, State

HOUR, DAY = 3600.0, 86400.0
PLAN = RolloutOptions()
UNDER_WAY: list[State] = ["shadow", "step", "waiting", "baking"]
FINISHED: list[State] = ["promoted", "rolled_back", "aborted", "superseded"]
ENOUGH = Evidence(requests=PLAN.min_requests)


def at(state: State = "step", **changes: Any) -> Rollout:
    """Return a rollout of v2 that began at 0, in some state."""
    place: dict[str, Any] = {
        "shadow": {},
        "waiting": {"step": 4, "percent": 50.0},
        "baking": {"step": 4, "percent": 100.0},
        "promoted": {"step": 4, "percent": 100.0},
        "paused": {"step": 2, "percent": 5.0, "paused_in": "step"},
    }.get(state, {"step": 2, "percent": 5.0})
    return Rollout(
        **{
            "version": "v2",
            "control": "v1",
            "models": {},
            "settings": "",
            "steps": PLAN.steps,
            "since": 0.0,
            "clock": 0.0,
            "state": state,
            **place,
            **changes,
        }
    )


def look(found: Rollout, seen: Evidence = ENOUGH, *, now: float = HOUR, **plan: Any) -> Rollout:
    return rollout.look(replace(PLAN, **plan), found, seen, now=now, alpha=0.05)


def test_it_goes_through_every_step_to_all_of_the_traffic() -> None:
    """shadow, 1, 5, 25, 50 percent, all of it while the old one is watched, then promoted."""
    found, seen = at("shadow"), replace(ENOUGH, verdict="better", why="fine")
    places = []
    for hour in range(1, 7):
        found = look(found, seen, now=hour * HOUR)
        places.append(found.place)
    assert places[:4] == [("step", 1, 1), ("step", 2, 5), ("step", 3, 25), ("step", 4, 50)]
    assert places[4:] == [("baking", 4, 100)] * 2
    assert look(found, seen, now=5 * HOUR + DAY - 1).state == "baking"
    assert look(found, seen, now=5 * HOUR + DAY).place == ("promoted", 4, 100)


@pytest.mark.parametrize("state", ["shadow", "step"])
def test_a_step_lasts_as_long_as_it_must(state: State) -> None:
    """Not a second less than the interval, not a request less than asked for; then the next."""
    assert look(at(state), now=HOUR - 1).place == at(state).place
    few = look(at(state), replace(ENOUGH, requests=199), now=9 * HOUR)
    assert few.place == at(state).place
    assert few.hold_code == "few_requests" and "199 of 200" in str(few.hold)
    after = look(at(state))
    assert (after.state, after.step, after.since) == ("step", at(state).step + 1, HOUR)
    assert after.hold is None


@pytest.mark.parametrize("state", [*UNDER_WAY, "paused"])
def test_an_edit_by_hand_comes_before_everything(state: State) -> None:
    """The person wins, also over a version that is proven to be worse."""
    seen = replace(ENOUGH, edited="[split] was edited", verdict="worse")
    after = look(at(state), seen)
    assert (after.state, after.reason) == ("superseded", "[split] was edited")


def test_what_a_promotion_asks_for_is_no_contradiction() -> None:
    """Whoever writes the two lines while the old version is watched has promoted it."""
    seen = Evidence(edited="[split] was edited", permanent=True)
    assert look(at("baking"), seen).state == "promoted"
    assert look(at("step"), seen).state == "superseded"


def failing(kind: str) -> Evidence:
    trouble = Hold("no_service", "nobody answers")
    seen = {
        "worse": Evidence(verdict="worse", why="lost 9 of 9", trouble=trouble),
        "errors": Evidence(failures=(0, 9), trouble=trouble),
        "slow": Evidence(p95=(0.001, 0.0031), trouble=trouble),
    }
    return seen[kind]


@pytest.mark.parametrize("kind", ["worse", "errors", "slow"])
@pytest.mark.parametrize("state", [*UNDER_WAY, "paused"])
def test_a_failure_brings_the_old_version_back_in_every_state(state: State, kind: str) -> None:
    """Also while paused, waiting or baking, and whatever holds the rollout up."""
    found = at(state)
    for _ in range(rollout.SLOW_LOOKS if kind == "slow" else 1):
        assert not found.finished
        found = look(found, failing(kind))
    assert (found.state, found.percent) == ("rolled_back", 0)
    assert found.reason and found.hold is None


@pytest.mark.parametrize("state", UNDER_WAY)
def test_a_failure_may_wait_for_a_person(state: State) -> None:
    """on_failure = pause leaves the traffic as it is, and remembers where it was."""
    after = look(at(state), failing("worse"), on_failure="pause")
    assert (after.state, after.paused_in, after.percent) == ("paused", state, at(state).percent)
    again = look(after, failing("errors"), on_failure="pause")
    assert again.state == "paused" and again.paused_in == state and "failed on 9" in again.reason


@pytest.mark.parametrize(
    ("control", "version", "proven"),
    [(0, 8, False), (0, 9, True), (9, 0, False), (300, 320, False), (1000, 1000, False)],
)
def test_failures_count_where_one_version_fails_alone(
    control: int, version: int, proven: bool
) -> None:
    """Nine in a row are beyond chance, and one more than the control's is not."""
    after = look(at(), replace(ENOUGH, failures=(control, version)))
    assert (after.state == "rolled_back") is proven


def test_a_busy_moment_is_no_slowness() -> None:
    """Three looks in a row; neither two, nor a factor that nobody can feel."""
    found = look(look(at(), failing("slow")), failing("slow"))
    assert found.state == "step" and found.slow_looks == 2
    assert look(found, replace(ENOUGH, p95=(0.001, 0.0029))).slow_looks == 0
    assert look(found, replace(ENOUGH, p95=None)).slow_looks == 0
    assert look(found, replace(ENOUGH, p95=(0.00001, 0.0009))).slow_looks == 0
    assert look(found, replace(ENOUGH, p95=(0.001, 0.003)), max_slowdown=2.0).state == "rolled_back"


@pytest.mark.parametrize("state", UNDER_WAY)
@pytest.mark.parametrize("code", ["sample_ratio", "history_not_written", "reload_refused"])
def test_trouble_holds_it_and_never_fails_it(state: State, code: str) -> None:
    """It stays where it is, with the reason, and goes on when that has passed."""
    good = replace(ENOUGH, verdict="better")
    found = look(at(state), replace(good, trouble=Hold(code, "because")), now=DAY)
    assert found.place == at(state).place
    assert (found.hold_code, found.hold) == (code, "because")
    after = look(found, good, now=DAY)
    assert after.place != at(state).place and after.hold is None


@pytest.mark.parametrize("state", UNDER_WAY)
def test_silence_never_fails_it(state: State) -> None:
    """Without a single request it stays where it is, until the deadline."""
    assert look(at(state), Evidence(), now=HOUR).state == state


@pytest.mark.parametrize(
    ("verdict", "promote_on", "promoted"),
    [
        ("better", "better", True),
        ("better", "better-or-equivalent", True),
        ("equivalent", "better-or-equivalent", True),
        ("equivalent", "better", False),
        ("inconclusive", "better-or-equivalent", False),
    ],
)
def test_the_last_step_ends_with_a_verdict(
    verdict: Verdict, promote_on: str, promoted: bool
) -> None:
    """All of the traffic takes the verdict that is asked for; else it waits for one."""
    seen = replace(ENOUGH, verdict=verdict)
    for found in (at("step", step=4, percent=50.0), at("waiting")):
        after = look(found, seen, promote_on=promote_on)
        assert after.place == (("baking", 4, 100) if promoted else ("waiting", 4, 50))


@pytest.mark.parametrize("state", ["shadow", "step", "waiting"])
@pytest.mark.parametrize("on_deadline", ["pause", "promote", "rollback"])
@pytest.mark.parametrize("seen", [Evidence(), ENOUGH])
def test_the_deadline_ends_it_as_told(state: State, on_deadline: str, seen: Evidence) -> None:
    """Whatever holds it up. But none gets all of the traffic that has not done every step."""
    found = at(state, since=14 * DAY - 1)
    after = look(found, seen, now=14 * DAY, on_deadline=on_deadline)
    earned = {"promote": "baking" if state == "waiting" else "paused"}
    expected = {"pause": "paused", "rollback": "rolled_back", **earned}[on_deadline]
    assert (after.state, "deadline" in after.reason) == (expected, True)
    assert look(found, seen, now=14 * DAY - 1, on_deadline=on_deadline).state == state


@pytest.mark.parametrize("state", ["paused", "baking", *FINISHED])
def test_no_deadline_ends_what_waits_or_has_ended(state: State) -> None:
    """Who waits for a person waits; all of the traffic is not taken back for the time it took."""
    after = look(at(state, since=99 * DAY), now=99 * DAY, on_deadline="rollback")
    assert after == at(state, since=99 * DAY)


@pytest.mark.parametrize("state", FINISHED)
def test_a_finished_rollout_stays_finished(state: State) -> None:
    """Whatever is seen later: it never starts again by itself."""
    for seen in (Evidence(verdict="better", requests=999), failing("worse"), Evidence(edited="x")):
        assert look(at(state), seen, now=99 * DAY) == at(state)


@pytest.mark.parametrize("state", UNDER_WAY)
def test_pause_and_resume_lead_back(state: State) -> None:
    """Paused it stays where it was; resumed, the time to the deadline begins anew."""
    paused = rollout.moved(at(state), "paused", "lunch", now=DAY)
    assert look(paused, replace(ENOUGH, verdict="better"), now=9 * DAY) == paused
    assert paused.percent == at(state).percent
    resumed = rollout.resumed(paused, now=20 * DAY)
    assert resumed.place == at(state).place and resumed.paused_in is None
    assert look(resumed, Evidence(), now=20 * DAY + HOUR).state == state


def test_every_state_is_tried_here() -> None:
    """A new state needs its rules."""
    assert {*UNDER_WAY, "paused", *FINISHED} == {*STATES}


def test_a_whole_rollout_may_take_no_time() -> None:
    """interval, bake and deadline of nothing are what a trial asks for."""
    plan = {"interval": Seconds(0), "bake": Seconds(0)}
    found = at("step", step=4, percent=50.0)
    found = look(found, replace(ENOUGH, verdict="equivalent"), now=0.0, **plan)
    assert look(found, now=0.0, **plan).state == "promoted"
