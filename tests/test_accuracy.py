"""The gate between training and a release."""

from __future__ import annotations

import json
from pathlib import Path

import accuracy
import pytest


@pytest.mark.parametrize(("minimum", "code"), [("0.5", 0), ("0.9", 0), ("0.999", 1)])
def test_models_must_be_good_enough(
    iris_models: Path, capsys: pytest.CaptureFixture[str], minimum: str, code: int
) -> None:
    """Each version is judged by its five-fold accuracy; those below are named."""
    assert accuracy.main(str(iris_models), minimum) == code
    seen = capsys.readouterr()
    for version in "v1", "v2":
        manifest = json.loads((iris_models / version / "current/manifest.json").read_text())
        assert f"Model {version}: five-fold accuracy {manifest['cv_accuracy']:.4f}" in seen.out
    assert ("not good enough to go on with: v1, v2" in seen.err) == bool(code)


def test_no_model_is_not_good_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty folder is refused, with the command that fills it."""
    assert accuracy.main(str(tmp_path), "0.1") == 1
    assert "make train" in capsys.readouterr().err
