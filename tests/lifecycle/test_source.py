"""What a version learns from stays the same, or somebody says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from irisab.errors import DataError
from irisab.lifecycle import source

OLD_IRIS = {"dataset": "Iris"}
OLD_CSV = {"dataset": "mine.csv"}
IRIS = {"dataset": "Iris", "training": {"source": "iris"}}
CSV = {"dataset": "mine.csv", "training": {"source": "/data/mine.csv"}}
PYTHON = {"dataset": "letters", "training": {"source": None}}
MINE = Path("/data/mine.csv")


def refuse(version: str, data: Path | None, **options: Any) -> None:
    nothing: dict[str, Any] = {"manifests": {}, "served": (), "wanted": {}}
    arguments = {"is_named": data is not None, **nothing, **options}
    source.refuse_other(version, data, typed=lambda command: f"irisab {command}", **arguments)


@pytest.mark.parametrize(
    ("version", "data", "options"),
    [
        ("v1", None, {}),
        ("v2", None, {"manifests": {"v1": OLD_IRIS}}),
        ("v3", None, {"manifests": {"v1": IRIS}}),
        ("v3", None, {"manifests": {"v1": IRIS, "v2": CSV}}),
        ("v1", None, {"manifests": {"v1": IRIS, "v3": CSV}, "served": {"v1"}}),
        ("v1", MINE, {"manifests": {"v1": CSV}}),
        ("v1", MINE, {"manifests": {"v1": OLD_CSV}}),
        ("v3", MINE, {"manifests": {"v1": CSV}}),
        ("v3", MINE, {}),
        ("mine", None, {"is_named": True}),
        ("v1", MINE, {"wanted": {"v1": "/data/mistyped.csv"}}),
        ("v2", None, {"wanted": {"v1": "/data/mine.csv"}}),
        ("v1", None, {"manifests": {"v1": IRIS}, "wanted": {"v1": "/data/mine.csv"}}),
    ],
)
def test_the_same_data_is_fine(version: str, data: Path | None, options: Any) -> None:
    """What is on the disk and what [training] says agree, or nothing speaks against it."""
    refuse(version, data, **options)


@pytest.mark.parametrize(
    ("version", "data", "options", "reason"),
    [
        ("v1", None, {"manifests": {"v1": CSV}}, "version v1 was made from /data/mine.csv, [train"),
        ("v1", None, {"manifests": {"v1": OLD_CSV}}, "v1 was made from mine.csv, [training] is ab"),
        ("v1", MINE, {"manifests": {"v1": IRIS}}, "v1 was made from iris, [training] is about /d"),
        ("v2", None, {"manifests": {"v1": CSV}}, "other data (v1 from /data/mine.csv), [training"),
        ("v2", None, {"manifests": {"v1": PYTHON}}, "made from other data (v1 from letters)"),
        ("v3", MINE, {"manifests": {"v1": IRIS}}, "made from other data (v1 from iris), [trainin"),
        ("v3", None, {"served": {"v3"}}, "version v3 has served before, and its model is gone"),
        (
            "v3",
            None,
            {"served": {"v3"}, "is_named": True, "manifests": {"v1": IRIS}},
            "version v3 has served before",
        ),
        (
            "v1",
            None,
            {"is_named": True, "wanted": {"v1": "/data/mine.csv"}},
            "version v1 was to be made from /data/mine.csv, and never was: type that command",
        ),
        ("mine", None, {}, "nobody has said what version mine learns from"),
    ],
)
def test_other_data_is_refused(version: str, data: Path | None, options: Any, reason: str) -> None:
    """With what is on the disk, what [training] says, and what to type."""
    with pytest.raises(DataError) as caught:
        refuse(version, data, **options)
    assert reason in str(caught.value)
    again = "--force " if version in options.get("manifests", {}) else ""
    said = f"irisab train {again}{version} --data FILE --target COLUMN"
    assert said in str(caught.value) or "[training] data = FILE" in str(caught.value)


def test_what_was_wanted_is_known_until_it_is_made(tmp_path: Path) -> None:
    """By version, and nothing is left behind."""
    models = tmp_path / "models"
    assert source.wanted(models) == {}
    source.want(models, "v1", "/data/one.csv")
    source.want(models, "v2", "/data/mine.csv")
    source.want(models, "v2", "/data/other.csv")
    assert source.wanted(models) == {"v1": "/data/one.csv", "v2": "/data/other.csv"}
    source.made(models, "v1")
    source.made(models, "v3")
    assert source.wanted(models) == {"v2": "/data/other.csv"}
    source.made(models, "v2")
    assert list(models.iterdir()) == []
