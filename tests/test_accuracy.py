"""The gate between training and a release."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT


def gate(models: Path, minimum: str) -> subprocess.CompletedProcess[str]:
    """What `make train MIN_ACCURACY=` runs after training."""
    ini = models.parent / "gate.ini"
    ini.write_text(f"[data]\nmodels = {models}\nhistory = none\n[split]\nv1 = 50\nv2 = 50\n")
    python = sys.executable
    line = f"{python} -m irisab --config {ini} models --json | {python} delivery/accuracy.py"
    return subprocess.run(
        ["sh", "-c", f"{line} {minimum}"], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize(("minimum", "code"), [("0.5", 0), ("0.9", 0), ("0.999", 1)])
def test_models_must_be_good_enough(iris_models: Path, minimum: str, code: int) -> None:
    """The versions that are not are named."""
    done = gate(iris_models, minimum)
    assert done.returncode == code, done.stderr
    assert ("stops here: v1, v2" in done.stderr) == bool(code)


def test_no_model_is_not_good_enough(tmp_path: Path) -> None:
    """An empty folder is refused, with the command that fills it."""
    (tmp_path / "models").mkdir()
    done = gate(tmp_path / "models", "0.1")
    assert done.returncode == 1 and "make train" in done.stderr
