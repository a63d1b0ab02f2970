"""What a rollout does next. Start at `look()`, a function of plan, state, evidence and time.

    shadow -> step 1 .. n -> waiting -> baking -> promoted

Any of them can be paused, rolled back, aborted by a person, or superseded by an edit of the INI.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from irisab.config import RolloutOptions
from irisab.stats.comparison import Verdict
from irisab.stats.disagreement import Failures
from irisab.store.rollouts import Rollout, State

# One look at a busy moment is no slowness, and below a millisecond nobody waits for it.
SLOW_LOOKS = 3
SLOW_SECONDS = 0.001
UNDER_WAY: tuple[State, ...] = ("shadow", "step", "waiting")


class Hold(NamedTuple):
    """Why a rollout does not go on: for programs, and in words."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known at a look. Requests and failures are those since the step, and the rollout,
    began; `failures` are requests on which only the control failed, and only the version.

    `p95` has the seconds of control and version, None where too few answers tell. `edited` says
    what a person has changed, `permanent` that it is what a promotion asks for; `trouble` says why
    nothing can be decided or done at the moment.
    """

    verdict: Verdict = "inconclusive"
    why: str = ""
    requests: int = 0
    failures: tuple[int, int] = (0, 0)
    p95: tuple[float, float] | None = None
    edited: str | None = None
    permanent: bool = False
    trouble: Hold | None = None


def look(plan: RolloutOptions, at: Rollout, seen: Evidence, *, now: float, alpha: float) -> Rollout:
    """Return where the rollout is after a look; `now` is seconds since 1970.

    `alpha` is the chance of a wrong rollback for failures that one accepts.
    """
    if at.finished:
        return at
    if seen.edited:
        permanent = seen.permanent and at.state == "baking"
        return moved(at, "promoted" if permanent else "superseded", seen.edited, now=now)
    at = replace(at, slow_looks=at.slow_looks + 1 if _is_slow(plan, seen) else 0)
    if why := failure(plan, at, seen, alpha):
        return _failed(plan, at, why, now)
    if at.state == "paused":
        return at
    if hold := _hold(plan, at, seen):
        held = replace(at, hold=hold.text, hold_code=hold.code)
        return _after_deadline(plan, held, now, promote=False) or held
    at = replace(at, hold=None, hold_code=None)
    if at.state == "baking":
        return _baked(plan, at, now)
    return _advanced(plan, at, seen, now)


def moved(at: Rollout, state: State, reason: str, *, now: float) -> Rollout:
    """Return the rollout in another state."""
    return replace(
        at,
        state=state,
        percent={"baking": 100.0, "rolled_back": 0.0, "aborted": 0.0}.get(state, at.percent),
        since=now,
        reason=reason,
        hold=None,
        hold_code=None,
        slow_looks=0,
        paused_in=at.state if state == "paused" else None,
    )


def resumed(at: Rollout, *, now: float) -> Rollout:
    """Return a paused rollout where it was; the time to its deadline begins anew."""
    state = at.paused_in or "shadow"
    return replace(moved(at, state, "resumed", now=now), clock=now)


def _is_slow(plan: RolloutOptions, seen: Evidence) -> bool:
    if seen.p95 is None:
        return False
    control, version = seen.p95
    return version > plan.max_slowdown * control and version - control > SLOW_SECONDS


def failure(plan: RolloutOptions, at: Rollout, seen: Evidence, alpha: float) -> str | None:
    """Say why the version must not have traffic."""
    if seen.verdict == "worse":
        return f"worse than {at.control}: {seen.why}"
    control, version = seen.failures
    if Failures(control=control, challenger=version).proven(alpha):
        return (
            f"failed on {version} requests that {at.control} answered, "
            f"and {at.control} on {control} that it answered"
        )
    if at.slow_looks >= SLOW_LOOKS and seen.p95 is not None:
        before, after = (1000 * each for each in seen.p95)
        return (
            f"slower than {plan.max_slowdown:g} times {at.control} at {SLOW_LOOKS} looks: p95 "
            f"{after:.1f} ms against {before:.1f} ms"
        )
    return None


def _failed(plan: RolloutOptions, at: Rollout, why: str, now: float) -> Rollout:
    if plan.on_failure == "rollback":
        return moved(at, "rolled_back", why, now=now)
    if at.state == "paused":
        return replace(at, reason=why)
    return moved(at, "paused", why, now=now)


def _hold(plan: RolloutOptions, at: Rollout, seen: Evidence) -> Hold | None:
    """Say why it cannot go on at the moment; that is never a failure."""
    if seen.trouble:
        return seen.trouble
    if at.state in ("shadow", "step") and seen.requests < plan.min_requests:
        what = "scored in the shadow" if at.state == "shadow" else "answered in this step"
        return Hold("few_requests", f"{seen.requests} of {plan.min_requests} requests {what}")
    return None


def _baked(plan: RolloutOptions, at: Rollout, now: float) -> Rollout:
    if now < at.since + plan.bake:
        return at
    return moved(at, "promoted", at.reason, now=now)


def _advanced(plan: RolloutOptions, at: Rollout, seen: Evidence, now: float) -> Rollout:
    """Take the next step, if this one has lasted; else see whether the time is over."""
    if at.state == "waiting":
        return _decided(plan, at, seen, now)
    if now < at.since + plan.interval:
        return _after_deadline(plan, at, now, promote=False) or at
    if at.step < len(plan.steps):
        percent = plan.steps[at.step]
        what = "scored in the shadow" if at.state == "shadow" else "answered"
        following = moved(at, "step", f"{seen.requests} requests {what}", now=now)
        return replace(following, step=at.step + 1, percent=percent)
    return _decided(plan, moved(at, "waiting", "the last step is done", now=now), seen, now)


def _decided(plan: RolloutOptions, at: Rollout, seen: Evidence, now: float) -> Rollout:
    good = ("better", "equivalent") if plan.promote_on != "better" else ("better",)
    if seen.verdict in good:
        return moved(at, "baking", f"{seen.verdict}: {seen.why}", now=now)
    over = _after_deadline(plan, at, now, promote=True)
    return over or replace(at, reason=f"{seen.verdict}: {seen.why}" if seen.why else at.reason)


def _after_deadline(
    plan: RolloutOptions, at: Rollout, now: float, *, promote: bool
) -> Rollout | None:
    """End a rollout whose time is over as the plan asks; `promote` where it has earned that."""
    if at.state not in UNDER_WAY or now < at.clock + plan.deadline:
        return None
    why = f"the deadline is over{f': {at.hold}' if at.hold else ''}"
    if plan.on_deadline == "rollback":
        return moved(at, "rolled_back", why, now=now)
    if plan.on_deadline == "promote" and promote:
        return moved(at, "baking", why, now=now)
    return moved(at, "paused", why, now=now)
