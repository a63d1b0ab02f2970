"""What a large forest takes of memory, while it is written and loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from irisab.model import bundle
from irisab.model.footprint import MEGABYTE, Footprint, footprint, measured, together
from irisab.model.publish import make_current

# Forests that grow until each leaf is sure, of labels that are chance: as large as they come.
_GROW = """
import gc, sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from irisab.lifecycle.summary import describe
from irisab.lifecycle.rows import Dataset, checked
from irisab.model import bundle, publish

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

# Without the pages of libraries, of which more are there once they have been used.
def own(name):
    return status(name) - status("RssFile")

def forget_peak():
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")

models, n_classes, n_trees, n_rows, leaf = Path(sys.argv[1]), *map(int, sys.argv[2:])
random = np.random.default_rng(0)
rows, labels = random.random((n_rows, 5)), random.integers(0, n_classes, n_rows)
dataset = checked(Dataset(
    name="chance", rows=rows, labels=labels, features=[(f"x{each}", None) for each in range(5)],
    class_names=[f"c{each}" for each in range(n_classes)], class_numbers=range(n_classes),
))
about = {**describe(dataset, np.arange(n_rows), 42), "accuracy": None,
         "estimator": "ExtraTreesClassifier", "trained_at": "2026-01-01T00:00:00Z"}
forest = ExtraTreesClassifier(n_trees, max_features=1, random_state=0, min_samples_leaf=leaf)
"""
_WRITE = """
forget_peak()
before = own("VmRSS")
forest.fit(rows, labels)
publish.write(models, "v1", estimator=forest, golden_rows=rows[:20], about=about)
trees = [each.tree_ for each in forest.estimators_]
arrays = sum(tree.node_count * 64 + tree.value.nbytes for tree in trees)
print(own("VmHWM") - before, arrays)
"""
_LOAD = """
import sys
from pathlib import Path

from irisab.model import bundle

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

# Without the pages of libraries, of which more are there once they have been used.
def own(name):
    return status(name) - status("RssFile")

before = own("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
found = bundle.load(Path(sys.argv[1]), "v1")
peak, kept = own("VmHWM") - before, own("VmRSS") - before
print(peak, kept)
"""


def run(code: str, *arguments: object) -> tuple[int, int]:
    """Run Python code in a process of its own, and return the two numbers that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = map(int, done.stdout.split())
    return first, second


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, int]:
    """A forest of seven classes: where it is, what writing took, and its arrays."""
    models = tmp_path_factory.mktemp("large")
    peak, arrays = run(_GROW + _WRITE, models, 7, 40, 24_000, 1)
    return models, peak, arrays


def folder_of(models: Path) -> Path:
    return (models / "v1" / "current").resolve()


@pytest.mark.slow
def test_writing_a_forest_takes_less_than_half_of_it_again(grown: tuple[Path, int, int]) -> None:
    """Fitted and written, at the most 1.5 times what scikit-learn's own arrays take."""
    _, peak, arrays = grown
    print(f"\nwriting: {peak / MEGABYTE:.0f} MB for {arrays / MEGABYTE:.0f} MB of arrays")
    assert arrays > 120 * MEGABYTE
    assert peak < 1.5 * arrays


def test_loading_a_forest_takes_less_than_half_of_it_again(grown: tuple[Path, int, int]) -> None:
    """The pickle beside it, three times as large, is hashed and never in memory."""
    models, _, _ = grown
    size = (folder_of(models) / bundle.FOREST).stat().st_size
    peak, _ = run(_LOAD, models)
    print(f"\nloading: {peak / MEGABYTE:.0f} MB for {size / MEGABYTE:.0f} MB of arrays")
    assert size > 40 * MEGABYTE
    assert peak < 1.5 * size


@pytest.mark.slow
def test_a_forest_whose_leaves_are_not_sure_fits_too(tmp_path: Path) -> None:
    """There each leaf keeps its own probabilities."""
    run(_GROW + _WRITE, tmp_path, 12, 60, 20_000, 2)
    size = (folder_of(tmp_path) / bundle.FOREST).stat().st_size
    peak, _ = run(_LOAD, tmp_path)
    print(f"\nloading: {peak / MEGABYTE:.0f} MB for {size / MEGABYTE:.0f} MB of arrays")
    assert size > 20 * MEGABYTE
    assert peak < 1.5 * size


def test_the_manifest_says_what_loading_takes(grown: tuple[Path, int, int]) -> None:
    """Within a quarter and what Python itself needs of what the kernel counts."""
    models, _, _ = grown
    said = footprint(folder_of(models), bundle.manifest_of(folder_of(models)))
    peak, kept = run(_LOAD, models)
    assert abs(said.loading - peak) < peak / 4 + 8 * MEGABYTE
    assert abs(said.serving - kept) < peak / 4 + 8 * MEGABYTE


def without_figure(folder: Path) -> dict[str, Any]:
    """Return a manifest as irisab 0.2.0 wrote it."""
    manifest: dict[str, Any] = json.loads((folder / bundle.MANIFEST).read_bytes())
    del manifest["memory"]
    return manifest


def test_an_older_bundle_is_judged_by_its_file(grown: tuple[Path, int, int]) -> None:
    """Without the figure nothing is taken for smaller than it is."""
    models, _, _ = grown
    said = footprint(folder_of(models), without_figure(folder_of(models)))
    peak, kept = run(_LOAD, models)
    assert said.loading > peak and said.serving > kept
    assert said.loading < 2 * peak + 50 * MEGABYTE


def test_a_pickle_is_judged_by_its_file(grown: tuple[Path, int, int], tmp_path: Path) -> None:
    """What unpickling takes is below what is said of it, scikit-learn included."""
    models, _, _ = grown
    home = tmp_path / "v1"
    shutil.copytree(folder_of(models), home / "made")
    manifest = without_figure(home / "made")
    del manifest["files"][bundle.FOREST]
    pickled = json.dumps(manifest).encode()
    (home / "made" / bundle.MANIFEST).write_bytes(pickled)
    name = sha256(pickled).hexdigest()[: bundle.FOLDER_DIGITS]
    (home / "made").rename(home / name)
    make_current(home, name)
    peak, kept = run(_LOAD, tmp_path)
    said = footprint(home / name, manifest)
    print(f"\nunpickling: {peak / MEGABYTE:.0f} MB, then {kept / MEGABYTE:.0f} MB; said {said}")
    assert peak < said.loading < 2 * peak and kept < said.serving < 3 * kept


def test_one_after_the_other() -> None:
    """What is loaded stays while the next one is loaded."""
    small, large = Footprint(loading=30, serving=10), Footprint(loading=100, serving=90)
    assert [together(each) for each in ([], [small], [small, large], [large, small])] == [
        0, 30, 110, 120,
    ]  # fmt: skip


def test_what_is_measured_is_whole_megabytes() -> None:
    """A thing that is kept counts in both figures, one that is let go only at the most."""

    class Kept:
        def __init__(self) -> None:
            np.ones(5 * MEGABYTE, dtype=np.uint8)
            self.rows = np.ones(3 * MEGABYTE - 100_000, dtype=np.uint8)

    _, said = measured(Kept)  # type: ignore[type-var]
    assert said == {"loading": 5 * MEGABYTE + MEGABYTE, "serving": 3 * MEGABYTE}
