"""Rollouts of versions whose worth is known, through the decision code that serves.

    make simulate-rollouts

Users ask, each version scores, every answer is labelled, and a look is taken every few minutes.
What comes of it is printed as a table; tests/lifecycle/test_rollout_simulation.py runs a small part
of it each time.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from irisab.config import RolloutOptions
from irisab.lifecycle import rollout
from irisab.stats.paired import Disagreement, Evidence, compare_paired
from irisab.stats.tally import Shown, Tally
from irisab.store.rollouts import Rollout

ALPHA, MARGIN = 0.05, 0.01
LOOK_SECONDS = 300.0
PLAN = RolloutOptions(deadline=86400.0)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class World:
    """What is true: of the requests `differ` get two answers, of these the challenger is right in
    `right`, the control in the others. `errors` are the shares of the requests on which only the
    control fails, and only the challenger; those on which both do are never counted."""

    name: str
    right: float = 0.5
    differ: float = 0.07
    requests_per_look: int = 500
    errors: tuple[float, float] = (0.0, 0.0)
    # From this step on nobody asks any more.
    silent_from: int = 99


@dataclass(kw_only=True)
class Life:
    """One rollout: what has happened, and where it is."""

    world: World
    plan: RolloutOptions
    random: np.random.Generator
    at: Rollout
    now: float = 0.0
    answers: int = 0
    in_step: int = 0
    scored: int = 0
    differed: int = 0
    shown: dict[str, list[int]] = field(default_factory=lambda: {"v1": [0, 0], "v2": [0, 0]})
    failed: list[int] = field(default_factory=lambda: [0, 0])
    steps: list[int] = field(default_factory=list)

    def run(self, *, until: Callable[[Rollout], bool]) -> Life:
        while not (self.at.finished or until(self.at)):
            self._ask()
            self._look()
        return self

    def _ask(self) -> None:
        world, draw = self.world, self.random
        count = world.requests_per_look if self.at.step < world.silent_from else 0
        by_v2 = int(draw.binomial(count, self.at.percent / 100))
        self.answers += by_v2
        self.in_step += count if self.at.state == "shadow" else by_v2
        self.scored += count
        for version, requests in (("v1", count - by_v2), ("v2", by_v2)):
            differ = int(draw.binomial(requests, world.differ))
            self.differed += differ
            won = int(draw.binomial(differ, world.right))
            self.shown[version][0] += won
            self.shown[version][1] += differ - won
        for number, rate in enumerate(world.errors):
            self.failed[number] += int(draw.binomial(count, rate))
        self.now += LOOK_SECONDS

    def _look(self) -> None:
        verdict = compare_paired(self._evidence(), alpha=ALPHA, margin=MARGIN, names=("v1", "v2"))
        seen = rollout.Evidence(
            verdict=verdict.verdict,
            why=verdict.reason,
            requests=self.in_step,
            failures=(self.failed[0], self.failed[1]),
        )
        before, self.at = (
            self.at,
            rollout.look(self.plan, self.at, seen, now=self.now, alpha=ALPHA),
        )
        if self.at.step != before.step:
            self.steps.append(self.in_step)
            self.in_step = 0

    def _evidence(self) -> Evidence:
        agreed = self.scored - self.differed
        tallies = {
            version: Tally(challenger_only=won, control_only=lost)
            for version, (won, lost) in self.shown.items()
        }
        tallies["v1"] += Tally(both=agreed)
        return Evidence(
            shown=Shown(control=tallies.get("v1", Tally()), challenger=tallies.get("v2", Tally())),
            disagreement=Disagreement(
                scored=self.scored, disagreed=self.differed, differed=self.differed
            ),
        )


def begin(world: World, *, seed: int, plan: RolloutOptions = PLAN) -> Life:
    at = Rollout(
        version="v2",
        control="v1",
        models={},
        settings="",
        steps=plan.steps,
        since=0.0,
        clock=0.0,
    )
    return Life(world=world, plan=plan, random=np.random.default_rng(seed), at=at)


def live(world: World, *, seed: int, plan: RolloutOptions = PLAN) -> Life:
    """Run one rollout to its end, to all of the traffic, or to where it is paused."""
    return begin(world, seed=seed, plan=plan).run(until=lambda at: at.state in ("baking", "paused"))


WORLDS = [
    (300, World(name="right in 25 % of the disagreements", right=0.25)),
    (100, World(name="right in 40 % of the disagreements", right=0.4)),
    (300, World(name="right in 75 % of the disagreements", right=0.75)),
    (100, World(name="equal, differ on 7 %")),
    (100, World(name="twins, differ on 0.3 %", differ=0.003)),
    (50, World(name="fails on 1 % that the control answers", errors=(0.0, 0.01))),
    (50, World(name="each fails on 0.1 % that the other answers", errors=(0.001, 0.001))),
]
HEAD = "| world | rollouts | all of the traffic | rolled back | paused | answers, mean | median |"


def line(world: World, lives: Sequence[Life]) -> str:
    ends = Counter(each.at.state for each in lives)
    answers = [each.answers for each in lives]
    cells = [
        world.name,
        len(lives),
        ends["baking"],
        ends["rolled_back"],
        ends["paused"],
        f"{np.mean(answers):,.0f}",
        f"{np.median(answers):,.0f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the rollouts to run")
    parser.add_argument("--world", default="", help="only those with this in their name")
    options = parser.parse_args()
    print(HEAD)
    print("|---|---|---|---|---|---|---|")
    for count, world in WORLDS:
        if options.world in world.name:
            seeds = range(math.ceil(count * options.share))
            print(line(world, [live(world, seed=seed) for seed in seeds]), flush=True)


if __name__ == "__main__":
    main()
