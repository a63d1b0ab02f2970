"""Everything a reload replaces is built whole, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from processes import replace_in, write_config

from irisab import config
from irisab.errors import BundleError, ConfigError
from irisab.lifecycle import training
from irisab.lifecycle.dataset import Dataset, load_iris
from irisab.serving import snapshot


@pytest.fixture
def models(tmp_path: Path, iris_models: Path) -> Path:
    return Path(shutil.copytree(iris_models, tmp_path / "models", symlinks=True))


@pytest.fixture
def ini(tmp_path: Path, models: Path) -> Path:
    return write_config(tmp_path, models, "[split]\nv1 = 90\nv2 = 10\n")


def train(models: Path, version: str, dataset: Dataset) -> None:
    forest = training.forest(config.ModelOptions(n_estimators=5))
    training.fit(models, version, dataset, estimator=forest, force=True)


def renamed(**changes: object) -> Dataset:
    from dataclasses import replace

    return replace(load_iris(), **changes)  # type: ignore[arg-type]


def test_a_snapshot_has_what_the_ini_names(ini: Path) -> None:
    """Versions, split and control are those of the INI; the reference is the control's."""
    found = snapshot.build(ini)
    assert list(found.bundles) == ["v1", "v2"]
    assert found.control.version == "v1" and found.challengers == ("v2",)
    assert found.reference is found.bundles["v1"].reference
    assert found.describe().split == {"v1": 90, "v2": 10}
    assert found.describe().models["v2"] == found.bundles["v2"].sha256


def test_the_control_can_be_named(ini: Path) -> None:
    """[experiment] control chooses whom the others are compared with."""
    replace_in(ini, "[split]", "[experiment]\ncontrol = v2\n[split]")
    found = snapshot.build(ini)
    assert found.control.version == "v2" and found.challengers == ("v1",)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("v1 = 90\nv2 = 10", "v2 = 10\nv1 = 90", True),
        ("v1 = 90", "v1 = 90.0", True),
        ("[split]", "[drift]\nwindow = 50\n[split]", True),
        ("v1 = 90\nv2 = 10", "v1 = 80\nv2 = 20", False),
        ("[split]", "[experiment]\nname = again\n[split]", False),
        ("[split]", "[experiment]\ncontrol = v2\n[split]", False),
    ],
)
def test_the_revision_is_a_hash_of_what_matters(ini: Path, old: str, new: str, same: bool) -> None:
    """Split, models, control and experiment name change the revision; order and the rest do not."""
    before = snapshot.build(ini).revision_id
    replace_in(ini, old, new)
    assert (snapshot.build(ini).revision_id == before) is same


def test_a_new_model_is_a_new_revision(ini: Path, models: Path) -> None:
    """Training a version again with another seed changes the revision."""
    before = snapshot.build(ini).revision_id
    train(models, "v2", load_iris())
    assert snapshot.build(ini).revision_id != before


def test_a_version_without_a_bundle_names_section_and_option(ini: Path) -> None:
    """The error says which line asks for the version, and how to train it."""
    replace_in(ini, "v2 = 10", "v3 = 10")
    with pytest.raises(BundleError, match=r"\[split\] v3 = 10: .*irisab train v3"):
        snapshot.build(ini)


def test_an_ini_error_is_raised_before_anything_is_loaded(ini: Path, models: Path) -> None:
    """A bad INI is reported even where the bundles are gone."""
    shutil.rmtree(models)
    replace_in(ini, "v2 = 10", "v2 = 20")
    with pytest.raises(ConfigError, match="add up to 110"):
        snapshot.build(ini)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("features", {"features": (("a", None), ("b", None), ("c", None), ("d", None))}),
        ("classes", {"class_names": ("setosa", "versicolor", "rose")}),
        ("class numbers", {"class_numbers": (1, 2, 3)}),
    ],
)
def test_versions_must_fit_together(
    what: str, changes: dict[str, object], ini: Path, models: Path
) -> None:
    """Versions that share traffic have the same features and classes, or are refused."""
    train(models, "v2", renamed(**changes))
    with pytest.raises(BundleError, match=rf"\[split\] v2 = 10: has other {what} than v1"):
        snapshot.build(ini)


def test_weights_are_of_classes_that_exist(ini: Path) -> None:
    """By name or number, as the models have them; a slip is refused before it serves."""
    replace_in(ini, "[split]", "[experiment]\nweights = virginica: 20, 1: 2\n[split]")
    assert snapshot.build(ini).config.experiment.weights == {"virginica": 20, "1": 2}
    replace_in(ini, "virginica", "viginica")
    with pytest.raises(ConfigError, match=r"\[experiment\] weights: there is no class viginica; "):
        snapshot.build(ini)


def test_another_model_brings_its_own_features(ini: Path, models: Path) -> None:
    """Nothing knows Iris: both versions on another table serve that table."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(60, 2))
    labels = (rows[:, 0] > 0).astype(int)
    table = renamed(
        rows=rows,
        labels=labels,
        features=(("height", "m"), ("weight", None)),
        class_names=("no", "yes"),
        class_numbers=(0, 1),
    )
    for version in ("v1", "v2"):
        train(models, version, table)
    found = snapshot.build(ini)
    assert found.control.feature_names == ("height", "weight")
    assert found.control.class_names == ("no", "yes")
