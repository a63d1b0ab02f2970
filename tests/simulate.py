"""Experiments with a known truth, through the real service and HTTP: `make simulate`.

Each experiment serves its own pair of small forests, trained on noise, so that they disagree often
and nobody knows anything of them. Users ask for a prediction, the truth is drawn, and some of the
answers are reported to /feedback. Every 25 labelled disagreements /report is looked at, and the
first verdict ends the experiment. `--output` keeps the figures that docs/verdict.md shows.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGHUP
from statistics import median
from typing import Any

import numpy as np
from processes import Process, free_port, running, write_config
from sklearn.ensemble import RandomForestClassifier

from irisab.lifecycle import training
from irisab.lifecycle.dataset import Dataset
from irisab.stats.exact import upper_bound
from irisab.stats.tally import Arm
from irisab.stats.unpaired import Arms, compare_unpaired

ALPHA, MARGIN = 0.05, 0.01
LABELS, EVERY = 500, 25
ROWS = 400
DECIDED = ("better", "worse")


@dataclass(frozen=True, kw_only=True)
class World:
    """What is true, who is asked, and who reports."""

    name: str
    control_percent: int = 50
    # Of the disagreements; elsewhere both are right or both are wrong.
    challenger_right: float = 0.5
    # Of the requests.
    disagreeing: float = 1.0
    report_right: float = 1.0
    keep_rows: int = 1_000_000
    # Compare with the unpaired test on the same labels.
    unpaired: bool = False
    # Equal requests of one user, and equal rows in each; a user without a name asks once.
    repeats: int = 1
    batch: int = 1
    shadow: bool = True
    # Percent of the traffic that a third version answers, out of both shares.
    third: int = 0
    # Among the disagreements the share of those whose truth is "yes", and how often the challenger
    # is right there; none: the truth is drawn by who is right.
    yes: float | None = None
    challenger_right_on_yes: float = 0.5
    # A line of [experiment].
    metric: str = "metric = accuracy"
    # So many users ask, and nobody reports anything.
    silent_users: int = 0
    # Verdicts that are wrong here.
    wrong: tuple[str, ...] = DECIDED
    labels: int = LABELS


@dataclass(kw_only=True)
class Outcome:
    """How one experiment ended, and after how many labels of any kind."""

    verdict: str = "inconclusive"
    reason: str = ""
    labels: int = 0
    labels_unpaired: float = math.inf


@dataclass
class Laboratory:
    """A running service with more pairs of models than there are experiments."""

    process: Process
    controls: list[str]
    challengers: list[str]
    random: random.Random
    used: int = 0
    users: int = 0
    rows: list[tuple[list[float], dict[str, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = self.process.connect()

    def call(self, method: str, path: str, value: object = None) -> Any:
        """Send a request over the one kept connection; anything but a 200 is the end."""
        body = None if value is None else json.dumps(value).encode()
        self.connection.request(method, path, body, {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        data = response.read()
        assert response.status == 200, (path, value, data)
        return json.loads(data)

    def begin(self, world: World) -> None:
        """Serve a pair that was never served before, through an INI file and a reload."""
        control = self.controls[self.used % len(self.controls)]
        challenger = self.challengers[self.used // len(self.controls)]
        third = self.controls[(self.used + 1) % len(self.controls)]
        self.used += 1
        share = world.control_percent * (100 - world.third) / 100
        split = {control: share, challenger: 100 - world.third - share}
        split |= {third: world.third} if world.third else {}
        lines = "".join(f"{name} = {percent:g}\n" for name, percent in split.items())
        write_config(
            self.process.config.parent,
            self.process.config.parent / "models",
            f"keep_rows = {world.keep_rows}\n"
            f"[split]\n{lines}"
            f"[experiment]\nname = {self.used}\ncontrol = {control}\nalpha = {ALPHA}\n"
            f"margin = {MARGIN}\nshadow = {'yes' if world.shadow else 'no'}\n{world.metric}\n",
            listen=f"127.0.0.1:{self.process.port}",
        )
        self.process.signal(SIGHUP)
        deadline = time.monotonic() + 20
        while self.call("GET", "/config")["experiment"]["name"] != str(self.used):
            assert time.monotonic() < deadline, self.process.log.read_text()
            time.sleep(0.002)
        self._ask_both(control, challenger)

    def _ask_both(self, control: str, challenger: str) -> None:
        """Learn on which rows the two disagree; a version asked for by name is no evidence."""
        rows = [[self.random.uniform(-3, 3) for _ in range(2)] for _ in range(ROWS)]
        said = [
            self.call("POST", "/predict", {"features": rows, "model_version": version})
            for version in (control, challenger)
        ]
        answers = zip(rows, *(each["predictions"] for each in said), strict=True)
        self.rows = [(row, {control: ours, challenger: theirs}) for row, ours, theirs in answers]
        self.control, self.challenger = control, challenger

    def run(self, world: World, *, labels: int = 0, every: int = EVERY) -> Outcome:
        """Run one experiment to its first verdict, or to so many labelled disagreements."""
        self.begin(world)
        outcome, labelled = Outcome(), 0
        if world.silent_users:
            return self._ask_silently(world, outcome)
        while labelled < (labels or world.labels) and (
            outcome.verdict not in DECIDED
            or (world.unpaired and outcome.labels_unpaired == math.inf)
        ):
            labelled += self._report_labels(world, every)
            self._look(outcome, world)
        return outcome

    def _ask_silently(self, world: World, outcome: Outcome) -> Outcome:
        for number in range(world.silent_users):
            self._use(world)
            if number % EVERY == 0 and outcome.verdict == "inconclusive":
                self._look(outcome, world)
        return outcome

    def _report_labels(self, world: World, count: int) -> int:
        """Let users report until `count` more disagreements have a label."""
        reports: list[dict[str, Any]] = []
        disagreements = 0
        while disagreements < count:
            told, disagreed = self._use(world)
            reports += told
            disagreements += disagreed and bool(told)
        for report in reports:
            assert self.call("POST", "/feedback", report) == {"status": "matched"}
        return disagreements

    def _use(self, world: World) -> tuple[list[dict[str, Any]], bool]:
        """Let one user ask; return what is reported, and whether the versions disagreed."""
        row, said, truth = self._draw(world)
        asked: dict[str, Any] = {"features": row if world.batch == 1 else [row] * world.batch}
        if world.repeats > 1:
            self.users += 1
            asked["user_id"] = f"user {self.users}"
        told = []
        for _ in range(world.repeats):
            answer = self.call("POST", "/predict", asked)
            shown = answer["prediction"] if world.batch == 1 else answer["predictions"][0]
            assert shown == said.get(answer["model_version"], shown)
            if shown != truth or self.random.random() < world.report_right:
                labels = {"label": truth} if world.batch == 1 else {"labels": [truth] * world.batch}
                told.append({"request_id": answer["request_id"], **labels})
        return told, said[self.control] != said[self.challenger]

    def _draw(self, world: World) -> tuple[list[float], dict[str, int], int]:
        """Choose a row, what both say of it, and the truth."""
        disagreed = self.random.random() < world.disagreeing
        rows = [each for each in self.rows if (len({*each[1].values()}) > 1) == disagreed]
        yes = world.yes is not None and self.random.random() < world.yes
        chance = world.challenger_right_on_yes if yes else world.challenger_right
        right = self.challenger if self.random.random() < chance else self.control
        if world.yes is not None:
            rows = [each for each in rows if each[1][right] == yes]
        row, said = self.random.choice(rows)
        truth = said[right]
        if not disagreed and world.yes is None and self.random.random() < 0.1:
            truth = 1 - truth
        return row, said, truth

    def _look(self, outcome: Outcome, world: World) -> None:
        report = self.call("GET", "/report")
        (comparison,) = (
            each for each in report["comparisons"] if each["challenger"] == self.challenger
        )
        arms = [
            Arm(
                labelled=report["versions"][name]["labelled"],
                correct=report["versions"][name]["correct"],
            )
            for name in (self.control, self.challenger)
        ]
        if outcome.verdict not in DECIDED:
            outcome.verdict, outcome.reason = comparison["verdict"], comparison["reason"]
            outcome.labels = comparison["labelled"]
        if world.unpaired and outcome.labels_unpaired == math.inf:
            both = Arms(control=arms[0], challenger=arms[1])
            found = compare_unpaired(both, alpha=ALPHA, margin=MARGIN)
            if found.verdict in DECIDED:
                outcome.labels_unpaired = sum(arm.labelled for arm in arms)


@contextmanager
def laboratory(folder: Path, *, pairs: int, seed: int) -> Iterator[Laboratory]:
    """Train forests enough for `pairs` experiments, serve the first two, and hand them over."""
    each = math.ceil(math.sqrt(pairs))
    controls, challengers = ([f"{letter}{i}" for i in range(each)] for letter in "ct")
    noise = np.random.default_rng(seed)
    for version in controls + challengers:
        train_on_noise(folder / "models", version, noise)
    port = free_port()
    config = write_config(
        folder, folder / "models", "[split]\nc0 = 50\nt0 = 50\n", listen=f"127.0.0.1:{port}"
    )
    with running(config, port) as process:
        found = Laboratory(process, controls, challengers, random.Random(seed))
        with closing(found.connection):
            yield found


def train_on_noise(models: Path, version: str, noise: np.random.Generator) -> None:
    """Write the bundle of a forest that has learnt nothing, as `irisab train` would."""
    dataset = Dataset(
        name="noise",
        rows=noise.uniform(-3, 3, (200, 2)),
        labels=noise.integers(0, 2, 200),
        features=(("x", None), ("y", None)),
        class_names=("no", "yes"),
        class_numbers=(0, 1),
    )
    seed = int(noise.integers(2**31))
    estimator = RandomForestClassifier(n_estimators=3, random_state=seed)
    training.fit(models, version, dataset, estimator=estimator)


# Enough for a bound: of 300 equal pairs, 7 false verdicts still show that fewer than 5 % are.
WORLDS = [
    (30, World(name="equal, 50/50")),
    (30, World(name="equal, 50/50, keep_rows = 100", keep_rows=100)),
    (60, World(name="equal, 90/10", control_percent=90)),
    *(
        (
            20,
            World(
                name=f"challenger right in 75 %, {percent}/{100 - percent}",
                control_percent=percent,
                challenger_right=0.75,
                disagreeing=0.2,
                unpaired=True,
                wrong=("worse", "equivalent"),
            ),
        )
        for percent in (50, 90)
    ),
    *(
        (
            30,
            World(
                name=f"equal, only mistakes reported, {percent}/{100 - percent}",
                control_percent=percent,
                report_right=0.0,
            ),
        )
        for percent in (90, 70, 50)
    ),
    (
        30,
        World(
            name="equal, right answers reported half as often, 90/10",
            control_percent=90,
            report_right=0.5,
        ),
    ),
    # Who counts as one.
    *(
        (
            20,
            World(
                name=f"differ on 2 %, {users:,} users ask {times} times each, no labels",
                disagreeing=0.02,
                silent_users=users,
                repeats=times,
                wrong=("better", "worse", "equivalent"),
            ),
        )
        for users, times in ((200, 20), (1500, 2))
    ),
    *(
        (
            30,
            World(
                name=f"equal, without shadow, batches of {rows} alike rows",
                shadow=False,
                batch=rows,
            ),
        )
        for rows in (5, 20)
    ),
    (
        30,
        World(
            name="equal, without shadow, each user labels 10 times",
            shadow=False,
            repeats=10,
            labels=200,
        ),
    ),
    # A third version.
    (
        30,
        World(
            name="equal, a third version answers 80 %, only mistakes reported",
            third=80,
            report_right=0.0,
        ),
    ),
    (
        20,
        World(
            name="challenger right in 75 %, a third version answers 80 %",
            third=80,
            challenger_right=0.75,
            wrong=("worse", "equivalent"),
        ),
    ),
    # What a class is worth.
    (
        30,
        World(
            name="equal by weights = yes: 4, right in 75 % of yes and 25 % of no",
            yes=0.2,
            challenger_right=0.25,
            challenger_right_on_yes=0.75,
            metric="weights = yes: 4",
        ),
    ),
    (
        30,
        World(
            name="equal in the balance, right in 75 % of yes and 25 % of no",
            yes=0.2,
            disagreeing=0.5,
            challenger_right=0.25,
            challenger_right_on_yes=0.75,
            metric="metric = balanced",
            labels=250,
        ),
    ),
    (
        30,
        World(
            name="never right where the truth is yes (one in ten), else in 90 %",
            yes=0.1,
            challenger_right=0.9,
            challenger_right_on_yes=0.0,
            wrong=("better",),
        ),
    ),
]
PAGE = Path(__file__).parents[1] / "docs/verdict.md"
RESULTS = PAGE.with_name("simulation.json")
HEAD = (
    "| the truth, and who reports | experiments | better | worse | equivalent | wrong, at most "
    "| labels | without shadow |"
)
RULE = f"|{'---|' * (HEAD.count('|') - 1)}"


def figures(world: World, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return counts, how often the verdict is wrong at most, and median labels to the verdict.

    The bound is Clopper's and Pearson's, one-sided, at 95 %.
    """
    ends = Counter(each.verdict for each in outcomes)
    reasons = Counter(re.sub(r"\b[ct]?\d+\b", "N", each.reason) for each in outcomes)
    labels = median(each.labels for each in outcomes)
    unpaired = median(each.labels_unpaired for each in outcomes)
    return {
        "world": world.name,
        "experiments": len(outcomes),
        "better": ends["better"],
        "worse": ends["worse"],
        "equivalent": ends["equivalent"],
        "wrong_at_most": upper_bound(sum(ends[each] for each in world.wrong), len(outcomes), 0.05),
        "labels": round(labels) if world.challenger_right == 0.75 else None,
        "labels_without_shadow": round(unpaired) if unpaired < math.inf else None,
        "reasons": dict(reasons.most_common(3)),
    }


def line(found: dict[str, Any]) -> str:
    """Return a line of the table."""
    *shown, _ = found.values()
    return f"| {' | '.join(map(cell, shown))} |"


def with_table(page: str, table: list[dict[str, Any]]) -> str:
    """Return the page with these figures in the place of those it has."""
    lines = "".join(f"{each}\n" for each in (HEAD, RULE, *map(line, table)))
    page = re.sub(rf"^{re.escape(HEAD)}\n(?:\|.*\n)+", lines, page, flags=re.MULTILINE)
    judged, experiments = of_equal(table)
    most = upper_bound(judged, experiments, 0.05)
    return re.sub(
        r"\d+ of \d+ experiments with equally good versions ended in a verdict: at most [\d.]+ %",
        f"{judged} of {experiments} experiments with equally good versions ended in a verdict: "
        f"at most {100 * most:.1f} %",
        page,
    )


def of_equal(table: list[dict[str, Any]]) -> tuple[int, int]:
    """Return the verdicts in all worlds of equally good versions, and the experiments."""
    equal = [each for each in table if each["world"].startswith("equal")]
    judged = sum(each["better"] + each["worse"] for each in equal)
    return judged, sum(each["experiments"] for each in equal)


def cell(figure: str | float | None) -> str:
    if isinstance(figure, float):
        return f"{100 * figure:.1f} %"
    return "" if figure is None else figure if isinstance(figure, str) else f"{figure:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the experiments to run")
    parser.add_argument("--world", default="", help="only those with this in their name")
    parser.add_argument("--output", type=Path, help="where to keep the figures, as JSON")
    options = parser.parse_args()
    plan = [
        (math.ceil(count * options.share), world)
        for count, world in WORLDS
        if options.world in world.name
    ]
    print(f"{HEAD}\n{RULE}", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        laboratory(Path(folder), pairs=sum(count for count, _ in plan), seed=1) as found,
    ):
        for count, world in plan:
            shown = figures(world, [found.run(world) for _ in range(count)])
            print(line(shown), flush=True)
            for reason, times in shown["reasons"].items():
                print(f"    {times} times: {reason}", file=sys.stderr, flush=True)
            if options.output:
                keep(options.output, shown)
        if options.output and options.output.resolve() == RESULTS:
            PAGE.write_text(with_table(PAGE.read_text(), json.loads(RESULTS.read_text())))


def keep(path: Path, shown: dict[str, Any]) -> None:
    """Put the figures of one world in the place of what it had before."""
    known = {each["world"]: each for each in json.loads(path.read_text())} if path.exists() else {}
    known[shown["world"]] = shown
    order = [world.name for _, world in WORLDS]
    table = sorted(known.values(), key=lambda each: order.index(each["world"]))
    path.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
