"""Lives of a version with a known truth, through the real service: `make lives`.

Each life trains a version, answers rows of a world that changes, sends labels to /feedback and
retrains. What should come of it is known: `WORLDS` says it.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from processes import Served, replace_in, write_config

from irisab.__main__ import run
from irisab.lifecycle.retrain import retrain
from irisab.lifecycle.sitting import Outcome
from irisab.model import bundle

CLASSES = np.array(["ash", "birch", "cedar"])
FEATURES = ["height", "girth", "leaf", "bark"]
NOISE = 0.1
OLD, NEW, BATCH = 600, 600, 50
Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class World:
    """What changes after the training, who labels, and what should come of a retraining."""

    expected: str
    shift: float = 0.0
    rotated: bool = False
    stuck: bool = False
    complaints: bool = False
    silent: str = ""


WORLDS = {
    "calm": World(expected="propose"),
    "covariate shift": World(expected="propose", shift=2.5),
    # Old and new rows contradict each other: no version can be right on both.
    "concept shift": World(expected="reject", rotated=True),
    "stuck sensor": World(expected="feature_stuck", stuck=True),
    "complaints only": World(expected="only_complaints", complaints=True),
    "vanished class": World(expected="class_vanished", silent="cedar"),
}


def truth(rows: Rows, random: np.random.Generator, *, rotated: bool = False) -> NDArray[np.int64]:
    """Return the class of each row: the largest of three sums, and at times any class."""
    sums = np.stack([rows[:, 0] + rows[:, 1], rows[:, 2] * 1.5, rows[:, 3] - rows[:, 0]], axis=1)
    classes = (sums.argmax(axis=1) + rotated) % len(CLASSES)
    noisy = random.random(len(rows)) < NOISE
    return np.where(noisy, random.integers(0, len(CLASSES), len(rows)), classes)


@dataclass
class Life:
    """A service in a folder of its own, with v1 trained on the old world."""

    folder: Path
    random: np.random.Generator
    # It learns its rows by heart: an exam that it has seen would be a hundred percent right.
    model: str = "kind = decision_tree\n"
    served: Served = field(init=False)
    serving: str = "v1"

    def __post_init__(self) -> None:
        rows = self.draw(OLD)
        data = self.folder / "old.csv"
        with data.open("w", newline="") as file:
            lines = zip(rows.tolist(), CLASSES[truth(rows, self.random)], strict=True)
            csv.writer(file).writerows(
                [[*FEATURES, "tree"], *([*row, name] for row, name in lines)]
            )
        text = (
            f"[training]\ndata = {data}\ntarget = tree\n[split]\nv1 = 100\n[model.v1]\n{self.model}"
        )
        self.config = write_config(self.folder, self.folder / "models", text)
        assert run(["--config", str(self.config), "train", "v1"]) == 0
        self.served = Served(self.config)

    def draw(self, count: int, shift: float = 0.0) -> Rows:
        rows = self.random.normal(size=(count, len(FEATURES)))
        rows[:, 0] += shift
        return rows

    def live(self, world: World, count: int = NEW) -> None:
        """Answer rows of a world, and send the labels that come."""
        for _ in range(count // BATCH):
            rows = self.draw(BATCH, world.shift)
            names = CLASSES[truth(rows, self.random, rotated=world.rotated)]
            if world.stuck:
                rows[:, 2] = 0.5
            answer = self.served.predict(rows.tolist())
            self.served.flush()
            said = answer["predictions"]
            labels = [self._label(world, *each) for each in zip(names, said, strict=True)]
            told = {"request_id": answer["request_id"], "labels": labels}
            assert self.served.client.post("/feedback", told).status == 200

    def _label(self, world: World, name: str, said: int) -> str | None:
        if name == world.silent or (world.complaints and CLASSES[said] == name):
            return None
        return str(name)

    def retrain(self) -> Outcome:
        return retrain(
            self.served.service.snapshot.config,
            self.served.history,
            origin=self.serving,
            where="[model]",
        )

    def promote(self, version: str) -> None:
        """Give a candidate all the traffic."""
        replace_in(self.config, f"{self.serving} = 100", f"{version} = 100")
        self.serving = version
        self.served.reload()

    def gap(self) -> float:
        """Return how much better the exam of what serves is than the truth."""
        found = bundle.load(self.folder / "models", self.serving)
        rows = self.draw(4000)
        said = np.array([answer for answer, _ in found.model.score_rows(rows.tolist())])
        right = float(
            (CLASSES[truth(rows, self.random)] == np.array(found.class_names)[said]).mean()
        )
        return float(found.manifest["exam"]["accuracy"]) - right


@contextmanager
def living(seed: int) -> Iterator[Life]:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder), np.random.default_rng(seed))
        try:
            yield life
        finally:
            life.served.close()


def outcome(world: World, seed: int) -> str:
    """Live once in a world, and return what came of the retraining."""
    with living(seed) as life:
        # Complaints are few: so many labels take longer.
        life.live(world, 4 * NEW if world.complaints else NEW)
        found = life.retrain()
    return found.reason_code if found.decision == "veto" else found.decision


def gap_after(retrainings: int, seed: int) -> float:
    """Retrain again and again in a calm world, promote what is proposed, and return the gap."""
    with living(seed) as life:
        for _ in range(retrainings):
            life.live(WORLDS["calm"])
            found = life.retrain()
            if found.decision == "propose":
                assert found.version is not None
                life.promote(found.version)
        return life.gap()


def main() -> None:
    parser = argparse.ArgumentParser(description="Live many lives, and count what came of them.")
    parser.add_argument("--lives", type=int, default=100, help="in each world")
    parser.add_argument("--chains", type=int, default=100, help="lives of ten retrainings")
    options = parser.parse_args()
    for name, world in WORLDS.items():
        found = Counter(outcome(world, seed) for seed in range(options.lives))
        print(f"RESULT {name}, {world.expected} is right: {dict(found)}", flush=True)
    gaps = [gap_after(10, seed) for seed in range(options.chains)]
    print(f"RESULT exam minus truth after 10 retrainings: {np.mean(gaps):+.4f} on average,")
    print(f"RESULT of one life as far as {max(map(abs, gaps)):.4f}")


if __name__ == "__main__":
    main()
