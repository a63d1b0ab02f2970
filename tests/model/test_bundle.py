"""Bundles: whole or refused, current by one rename, and nothing unpickled that was not hashed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from irisab.errors import BundleError
from irisab.lifecycle import training
from irisab.lifecycle.dataset import load_iris
from irisab.model import bundle, publish
from irisab.model.bundle import FOREST, MANIFEST, PICKLE, PLAIN
from irisab.model.estimator import Estimator

IRIS = load_iris()
Json = dict[str, Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a forest, another plain form, and a pipeline that has none."""
    models = tmp_path_factory.mktemp("bundles")
    for version, estimator in {
        "forest": RandomForestClassifier(5, random_state=0),
        "boosting": HistGradientBoostingClassifier(max_iter=3),
        "pipeline": make_pipeline(StandardScaler(), GaussianNB()),
    }.items():
        training.fit(models, version, IRIS, estimator=estimator)
    return models


@pytest.fixture
def models(tmp_path: Path, trained: Path) -> Path:
    """A copy of `trained` to damage."""
    return Path(shutil.copytree(trained, tmp_path / "models", symlinks=True))


def current(models: Path, version: str) -> Path:
    return (models / version / "current").resolve()


def refusal(models: Path, version: str) -> str:
    with pytest.raises(BundleError) as caught:
        bundle.load(models, version)
    sentence = str(caught.value)
    assert sentence.startswith(f"{models / version}")
    assert sentence.isprintable()
    return sentence


def reseal(models: Path, version: str, edit: Callable[[Json], object]) -> None:
    """Edit a manifest as somebody would who knows how bundles are made: with all hashes right."""
    folder = current(models, version)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    edit(manifest)
    for name in manifest["files"].keys() & {each.name for each in folder.iterdir()}:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    data = json.dumps(manifest).encode()
    (folder / MANIFEST).write_bytes(data)
    sealed = folder.rename(folder.with_name(hashlib.sha256(data).hexdigest()[:12]))
    point(models / version, sealed.name)


def point(home: Path, target: str) -> None:
    (home / "current").unlink(missing_ok=True)
    (home / "current").symlink_to(target)


def untouched(manifest: Json) -> None:
    """Edit nothing."""


# -- what is served -------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["forest", "boosting", "pipeline"])
def test_a_bundle_answers_as_its_estimator(version: str, trained: Path) -> None:
    """Class and probabilities are the estimator's own, one by one and in a batch."""
    estimator = joblib.load(current(trained, version) / PICKLE)
    model = bundle.load(trained, version).model
    answers = model.score_rows(IRIS.rows.tolist())
    assert [list(each) for _, each in answers] == estimator.predict_proba(IRIS.rows).tolist()
    assert [index for index, _ in answers] == estimator.predict(IRIS.rows).tolist()
    for row, answer in zip(IRIS.rows[::10].tolist(), answers[::10], strict=True):
        index, probabilities = model.score_row(row)
        assert index == answer[0]
        assert probabilities == pytest.approx(answer[1], abs=1e-12)


@pytest.mark.parametrize(
    ("version", "form"), [("forest", FOREST), ("boosting", PLAIN), ("pipeline", PICKLE)]
)
def test_a_bundle_says_what_it_is(version: str, form: str, trained: Path) -> None:
    """A model is known by the hash of its plain form, else of its pickle; features, classes and
    the drift reference come from training."""
    found = bundle.load(trained, version)
    folder = current(trained, version)
    assert found.version == version
    about = json.dumps(found.manifest["plain"], sort_keys=True) if form == PLAIN else ""
    hashed = about.encode() + (folder / form).read_bytes()
    assert found.sha256 == hashlib.sha256(hashed).hexdigest()
    assert found.manifest["form"] == ("pickle" if form == PICKLE else "plain")
    assert folder.name == hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:12]
    assert {each.name for each in folder.iterdir()} == {MANIFEST, PICKLE, form, "training.csv.gz"}
    assert found.feature_names == ("sepal_length", "sepal_width", "petal_length", "petal_width")
    assert found.class_names == ("setosa", "versicolor", "virginica")
    assert found.class_numbers == (0, 1, 2)
    assert [len(column) for column in found.reference.columns] == [112] * 4
    for feature, column in zip(found.features, found.reference.columns, strict=True):
        assert (feature.min, feature.max, feature.unit) == (column[0], column[-1], "cm")


def test_a_plain_form_needs_neither_scikit_learn_nor_pickle(iris_models: Path) -> None:
    """A process that loads both Iris forests imports no scikit-learn, and unpickles nothing."""
    code = """
import sys
from pathlib import Path
sys.addaudithook(lambda event, _: event.startswith("pickle.") and sys.exit(event))
from irisab.model import bundle
from irisab.model import estimator
from irisab.model import publish
for version in ("v1", "v2"):
    bundle.load(Path(sys.argv[1]), version)
sys.exit(str({"sklearn", "scipy", "joblib"} & set(sys.modules) or ""))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, iris_models], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""


def test_an_estimator_that_gives_no_number_fails() -> None:
    """A NaN is not sent to anybody as a probability."""

    class Undecided:
        def predict(self, rows: np.ndarray) -> np.ndarray:
            return np.zeros(len(rows), int)

        def predict_proba(self, rows: np.ndarray) -> np.ndarray:
            return np.full((len(rows), 2), np.nan)

    with pytest.raises(ValueError, match="not a number"):
        Estimator(Undecided(), n_classes=2).score_row([1.0])


# -- damage ---------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, cut, empty, Path.unlink])
@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("forest", MANIFEST),
        ("forest", FOREST),
        ("forest", PICKLE),
        ("boosting", MANIFEST),
        ("boosting", PLAIN),
        ("boosting", PICKLE),
        ("pipeline", MANIFEST),
        ("pipeline", PICKLE),
    ],
)
def test_a_damaged_file_is_refused(
    version: str, name: str, damage: Callable[[Path], None], models: Path
) -> None:
    """Whichever file was changed or lost, the sentence names it and says what to do."""
    damage(current(models, version) / name)
    sentence = refusal(models, version)
    assert name in sentence
    assert "train" in sentence
    other = "pipeline" if version == "forest" else "forest"
    assert bundle.load(models, other).version == other


@pytest.mark.parametrize("name", [MANIFEST, FOREST, PICKLE])
def test_a_file_that_cannot_be_read_is_named(name: str, models: Path) -> None:
    """Whatever keeps it from being read: here, that it is a folder."""
    (current(models, "forest") / name).unlink()
    (current(models, "forest") / name).mkdir()
    assert f"Is a directory: '{current(models, 'forest') / name}'" in refusal(models, "forest")


def test_a_damaged_bundle_is_not_missing(models: Path) -> None:
    """`train` alone makes what is missing, and needs --force to replace the rest."""
    (current(models, "forest") / FOREST).unlink()
    assert refusal(models, "forest").endswith("run 'irisab train --force forest'")
    (models / "forest" / "current").unlink()
    assert refusal(models, "forest").endswith("run 'irisab train forest'")
    assert "run 'irisab train v9'" in refusal(models, "v9")


@pytest.mark.parametrize("target", ["current", "nowhere", f"{'0' * 12}", ".", "..", "/", "file"])
def test_a_damaged_link_is_refused(target: str, models: Path) -> None:
    """`current` may point to itself, to nothing, to a file or elsewhere: there is a sentence."""
    (models / "forest" / "file").write_text("")
    point(models / "forest", target)
    refusal(models, "forest")


@pytest.mark.parametrize("name", ["renamed", "0"])
def test_a_renamed_bundle_is_refused(name: str, models: Path) -> None:
    """The name of the folder vouches for the manifest."""
    folder = current(models, "forest")
    folder.rename(folder.with_name(name))
    point(models / "forest", name)
    assert "is not the manifest this folder was made with" in refusal(models, "forest")


def test_a_link_that_became_a_folder_or_a_file_is_refused(models: Path) -> None:
    """As a copy without symlinks leaves it."""
    home = models / "forest"
    (home / "current").unlink()
    shutil.copytree(next(home.iterdir()), home / "current")
    assert "is not the manifest" in refusal(models, "forest")
    shutil.rmtree(home / "current")
    (home / "current").write_text("not a link")
    assert "cannot be read" in refusal(models, "forest")


# -- bundles that are whole but wrong -------------------------------------------------------


def test_a_resealed_bundle_is_a_bundle(models: Path) -> None:
    """What the tests below do to a manifest is no damage by itself."""
    for version in ("forest", "pipeline"):
        reseal(models, version, untouched)
        assert bundle.load(models, version).version == version


@pytest.mark.parametrize("version", ["forest", "pipeline"])
@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.update(format=3),
        lambda m: m.pop("format"),
        lambda m: m.pop("reference"),
        lambda m: m.pop("class_names"),
        lambda m: m["features"][0].pop("name"),
        lambda m: m["golden"]["answers"].pop(),
        lambda m: m["golden"].update(rows=[[1.0]] * 20),
        lambda m: m["golden"].update(rows=None),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    version: str, edit: Callable[[Json], object], models: Path
) -> None:
    """Of whatever kind the nonsense is, there is a sentence and no traceback."""
    reseal(models, version, edit)
    assert "train it again" in refusal(models, version)


@pytest.mark.parametrize(
    "name", ["/dev/zero", "../../x", "..", ".", "", "a/b", "/etc/passwd", "x\n", ".hidden"]
)
def test_a_manifest_names_files_of_its_folder_only(name: str, models: Path) -> None:
    """Whoever writes a manifest cannot make irisab read what lies elsewhere, or never ends."""
    reseal(models, "forest", lambda m: m["files"].update({name: "0" * 64}))
    assert f"names no file of this folder: {name!r}" in refusal(models, "forest")


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", ["manifest.json", "forest.npz"])
def test_what_is_no_file_is_not_waited_for(kind: str, name: str, models: Path) -> None:
    """A pipe, or a link to a device, in the place of a file is refused at once."""
    path = models / "forest" / "current" / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert "not a regular file" in refusal(models, "forest")


def shift_golden(by: float) -> Callable[[Json], None]:
    def edit(manifest: Json) -> None:
        index, probabilities = manifest["golden"]["answers"][7]
        manifest["golden"]["answers"][7] = [index, [each + by for each in probabilities]]

    return edit


def other_class(manifest: Json) -> None:
    manifest["golden"]["answers"][7][0] ^= 1


@pytest.mark.parametrize(
    ("version", "edit", "served"),
    [
        ("forest", shift_golden(1e-15), False),
        ("forest", other_class, False),
        ("pipeline", shift_golden(9e-7), True),
        ("pipeline", shift_golden(2e-6), False),
        ("pipeline", other_class, False),
    ],
)
def test_golden_rows_must_come_out_again(
    version: str, edit: Callable[[Json], None], served: bool, models: Path
) -> None:
    """A plain form repeats its answers to the last bit, a pickle the class and 1e-6."""
    reseal(models, version, edit)
    if served:
        bundle.load(models, version)
    else:
        assert "otherwise than when it was trained" in refusal(models, version)


def test_another_forest_in_the_same_bundle_is_refused(models: Path, iris_models: Path) -> None:
    """Right hashes do not help a file that gives other answers."""
    shutil.copy(current(iris_models, "v2") / FOREST, current(models, "forest") / FOREST)
    assert "sha256 differs" in refusal(models, "forest")
    reseal(models, "forest", untouched)
    assert "otherwise than when it was trained" in refusal(models, "forest")


@pytest.mark.parametrize(
    ("library", "version", "reason"),
    [
        ("scikit-learn", "0.24.2", "was pickled by scikit-learn 0.24.2, which is "),
        ("python", "3.9.1", "was pickled by Python 3.9.1, this is 3."),
    ],
)
def test_a_pickle_of_other_libraries_is_refused(
    library: str, version: str, reason: str, models: Path
) -> None:
    """Only the fallback depends on them: a plain form is served all the same."""
    for each in ("forest", "pipeline"):
        reseal(models, each, lambda manifest: manifest["libraries"].update({library: version}))
    assert reason in refusal(models, "pipeline")
    assert bundle.load(models, "forest").version == "forest"


class Malice:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "was here")


def test_nothing_is_unpickled_that_was_not_hashed(models: Path, tmp_path: Path) -> None:
    """A pickle that somebody put in its place does not run."""
    trace = tmp_path / "trace"
    (current(models, "pipeline") / PICKLE).write_bytes(pickle.dumps(Malice(trace)))
    assert "was changed since training (sha256 differs)" in refusal(models, "pipeline")
    assert not trace.exists()
    reseal(models, "pipeline", untouched)
    refusal(models, "pipeline")
    assert trace.exists(), "the trap must work, or this test shows nothing"


def test_a_plain_form_never_unpickles(models: Path, tmp_path: Path) -> None:
    """Not even where all the hashes are right: arrays with objects in them are refused."""
    trace = tmp_path / "trace"
    folder = current(models, "forest")
    with np.load(folder / FOREST) as arrays:
        loaded = dict(arrays)
    np.savez(folder / FOREST, **loaded | {"value": np.array([Malice(trace)], dtype=object)})
    (folder / PICKLE).write_bytes(pickle.dumps(Malice(trace)))
    reseal(models, "forest", untouched)
    assert "cannot be read" in refusal(models, "forest")
    assert not trace.exists()


# -- writing --------------------------------------------------------------------------------

FITTED = RandomForestClassifier(3, random_state=0).fit(IRIS.rows, IRIS.labels)


def write(models: Path, version: str = "v", *, estimator: Any = FITTED, serial: int = 0) -> Path:
    about = json.loads((current(models, "forest") / MANIFEST).read_bytes())
    for name in ("format", "sha256", "files", "libraries", "golden"):
        del about[name]
    return publish.write(
        models,
        version,
        estimator=estimator,
        golden_rows=IRIS.rows[:5],
        about=about | {"serial": serial},
    )


def test_the_last_three_are_kept(models: Path) -> None:
    """Old bundles go; what another training is writing, what somebody has put there, and what is
    current stay."""
    first = write(models)
    (models / "v" / ".new-other").mkdir()
    (models / "v" / "my-backup").mkdir()
    folders = [write(models, serial=serial) for serial in range(1, 6)]
    assert not first.exists()
    left = {each.name for each in (models / "v").iterdir()}
    assert left == {"current", ".new-other", "my-backup", *(each.name for each in folders[-3:])}
    assert current(models, "v") == folders[-1]


def test_a_clock_that_was_ahead_costs_no_bundle(models: Path) -> None:
    """What has just been replaced is there to go back to, whatever the folders' times say."""
    ahead = [write(models, serial=serial) for serial in range(3)]
    for folder in ahead:
        os.utime(folder, (4e9, 4e9))
    folders = [write(models, serial=serial) for serial in range(3, 6)]
    assert all(folder.exists() for folder in folders)
    assert not any(folder.exists() for folder in ahead)


def test_what_a_kill_has_left_goes(models: Path) -> None:
    """Half a bundle that nobody can be writing any more, and the folder of a version that has none
    besides; one of today stays."""
    left = [models / "v" / ".new-old", models / "killed" / ".new-old", models / "w" / ".new-now"]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "model.joblib").write_bytes(b"half")
    for folder in left[:2]:
        os.utime(folder, (1, 1))
    write(models)
    assert [folder.exists() for folder in left] == [False, False, True]
    assert not (models / "killed").exists()


def test_an_older_bundle_can_be_made_current(models: Path) -> None:
    """Going back is moving the link, and it is loaded."""
    older, newer = write(models), write(models, serial=1)
    point(models / "v", older.name)
    assert bundle.load(models, "v").manifest["serial"] == 0
    write(models, serial=2)
    assert {each.name for each in (models / "v").iterdir()} >= {older.name, newer.name}


def test_the_same_bundle_twice_is_one(models: Path) -> None:
    """Training again within a second makes no second copy, and no error."""
    assert write(models) == write(models)
    assert bundle.load(models, "v").version == "v"
    assert len([*(models / "v").iterdir()]) == 2


_READ = """
import json, select, sys
from pathlib import Path

from irisab.errors import BundleError
from irisab.model import bundle

serials, errors = set(), []
print("begins", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        serials.add(bundle.load(Path(sys.argv[1]), "v").manifest["serial"])
    except BundleError as error:
        errors.append(str(error))
print(json.dumps([len(serials), errors]))
"""


@pytest.mark.slow
def test_readers_never_see_half_a_bundle(models: Path) -> None:
    """While bundles are written, each load gets a whole one, old or new. The readers are other
    processes, as a service is."""
    write(models)
    command = [sys.executable, "-c", _READ, str(models)]
    readers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for each in readers:
            assert each.stdout is not None and each.stdout.readline() == "begins\n"
        for serial in range(1, 31):
            write(models, serial=serial)
            time.sleep(0.02)
    finally:
        said = [each.communicate()[0] for each in readers]
    for text in said:
        seen, errors = json.loads(text.splitlines()[-1])
        assert errors == []
        assert seen > 3


def test_a_failed_write_leaves_nothing(models: Path) -> None:
    """What was current stays current, and no half bundle lies about."""
    before = write(models)
    with pytest.raises(AttributeError):
        write(models, estimator=object())
    assert {each.name for each in (models / "v").iterdir()} == {"current", before.name}
    assert current(models, "v") == before


def test_a_folder_that_cannot_be_written_is_an_error_with_a_sentence(models: Path) -> None:
    """As when somebody without the right runs `train`."""
    (models / "v").write_text("a file where the folder should be")
    with pytest.raises(BundleError, match="v: the model cannot be written: .*File exists"):
        write(models)
    assert not bundle.exists(models, "v")
    assert bundle.exists(models, "forest")
