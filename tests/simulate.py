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
    unpaired: bool = False


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
    rows: dict[bool, list[tuple[list[float], dict[str, int]]]] = field(default_factory=dict)

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
        self.used += 1
        share = world.control_percent
        write_config(
            self.process.config.parent,
            self.process.config.parent / "models",
            f"keep_rows = {world.keep_rows}\n"
            f"[split]\n{control} = {share}\n{challenger} = {100 - share}\n"
            f"[experiment]\ncontrol = {control}\nalpha = {ALPHA}\nmargin = {MARGIN}\n",
            listen=f"127.0.0.1:{self.process.port}",
        )
        self.process.signal(SIGHUP)
        deadline = time.monotonic() + 20
        while set(self.call("GET", "/config")["split"]) != {control, challenger}:
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
        self.rows = {True: [], False: []}
        for row, ours, theirs in answers:
            self.rows[ours != theirs].append((row, {control: ours, challenger: theirs}))
        self.control, self.challenger = control, challenger

    def run(self, world: World, *, labels: int = LABELS, every: int = EVERY) -> Outcome:
        """Run one experiment to its first verdict, or to `labels` labelled disagreements."""
        self.begin(world)
        outcome, labelled = Outcome(), 0
        while labelled < labels and (
            outcome.verdict not in DECIDED
            or (world.unpaired and outcome.labels_unpaired == math.inf)
        ):
            labelled += self._report_labels(world, every)
            self._look(outcome, world)
        return outcome

    def _report_labels(self, world: World, count: int) -> int:
        """Let users report until `count` more disagreements have a label."""
        reports: list[tuple[str, int]] = []
        disagreements = 0
        while disagreements < count:
            request_id, label, told, disagreed = self._use(world)
            if told:
                reports.append((request_id, label))
                disagreements += disagreed
        for request_id, label in reports:
            answer = self.call("POST", "/feedback", {"request_id": request_id, "label": label})
            assert answer == {"status": "matched"}
        return disagreements

    def _use(self, world: World) -> tuple[str, int, bool, bool]:
        """Ask for one prediction; return its id, the truth, whether it is reported, and the row."""
        disagreed = self.random.random() < world.disagreeing
        row, said = self.random.choice(self.rows[disagreed])
        right = self.challenger if self.random.random() < world.challenger_right else self.control
        truth = said[right]
        if not disagreed and self.random.random() < 0.1:
            truth = 1 - truth
        answer = self.call("POST", "/predict", {"features": row})
        assert answer["prediction"] == said[answer["model_version"]]
        right_shown = answer["prediction"] == truth
        told = not right_shown or self.random.random() < world.report_right
        return answer["request_id"], truth, told, disagreed

    def _look(self, outcome: Outcome, world: World) -> None:
        report = self.call("GET", "/report")
        (comparison,) = report["comparisons"]
        arms = [
            Arm(
                labelled=report["versions"][name]["labelled"],
                correct=report["versions"][name]["correct"],
            )
            for name in (self.control, self.challenger)
        ]
        if outcome.verdict not in DECIDED:
            outcome.verdict, outcome.reason = comparison["verdict"], comparison["reason"]
            outcome.labels = sum(arm.labelled for arm in arms)
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


WORLDS = [
    (200, World(name="equal, 50/50")),
    (200, World(name="equal, 50/50, keep_rows = 100", keep_rows=100)),
    (200, World(name="equal, 90/10", control_percent=90)),
    *(
        (
            100,
            World(
                name=f"challenger right in 75 %, {percent}/{100 - percent}",
                control_percent=percent,
                challenger_right=0.75,
                disagreeing=0.2,
                unpaired=True,
            ),
        )
        for percent in (50, 90)
    ),
    *(
        (
            200,
            World(
                name=f"equal, only mistakes reported, {percent}/{100 - percent}",
                control_percent=percent,
                report_right=0.0,
            ),
        )
        for percent in (90, 70, 50)
    ),
    (
        200,
        World(
            name="equal, right answers reported half as often, 90/10",
            control_percent=90,
            report_right=0.5,
        ),
    ),
]
RESULTS = Path(__file__).parents[1] / "docs/simulation.json"
HEAD = "| world | experiments | better | worse | labels | without shadow |"


def figures(world: World, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return counts, and median labels to the verdict."""
    ends = Counter(each.verdict for each in outcomes)
    reasons = Counter(re.sub(r"\b[ct]?\d+\b", "N", each.reason) for each in outcomes)
    labels = median(each.labels for each in outcomes)
    unpaired = median(each.labels_unpaired for each in outcomes)
    return {
        "world": world.name,
        "experiments": len(outcomes),
        "better": ends["better"],
        "worse": ends["worse"],
        "labels": round(labels) if world.unpaired else None,
        "labels_without_shadow": round(unpaired) if unpaired < math.inf else None,
        "reasons": dict(reasons.most_common(3)),
    }


def cells(found: dict[str, Any]) -> list[str]:
    """Return a line of the table."""
    *figures, _ = found.values()
    return ["" if each is None else f"{each:,}" if type(each) is int else each for each in figures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the experiments to run")
    parser.add_argument("--output", type=Path, help="where to keep the figures, as JSON")
    options = parser.parse_args()
    share = options.share
    plan = [(math.ceil(count * share), world) for count, world in WORLDS]
    print(f"{HEAD}\n|{'---|' * HEAD.count(' | ')}---|", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        laboratory(Path(folder), pairs=sum(count for count, _ in plan), seed=1) as found,
    ):
        table = []
        for count, world in plan:
            table.append(figures(world, [found.run(world) for _ in range(count)]))
            print(f"| {' | '.join(cells(table[-1]))} |", flush=True)
            for reason, times in table[-1]["reasons"].items():
                print(f"    {times} times: {reason}", file=sys.stderr, flush=True)
    if options.output:
        options.output.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
