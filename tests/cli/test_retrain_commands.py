"""irisab retrain: what it says of a candidate."""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import pytest
from fitted_models import kinds, measurements, write
from processes import write_config
from sklearn.neighbors import KNeighborsClassifier

from irisab import config
from irisab.__main__ import run
from irisab.cli import retrain
from irisab.lifecycle.sitting import Outcome
from irisab.model import vouched
from irisab.model.vouched import Vouchers


@pytest.mark.parametrize("trusted", [True, False])
def test_a_pickled_candidate_waits_for_root_s_word(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's account makes it; what to type comes before the rollout that would be refused.
    Who may open it by themselves is told nothing of it."""
    ini = write_config(tmp_path, tmp_path / "models")
    table = write(measurements(), kinds(), tmp_path / "leaves.csv")
    model = KNeighborsClassifier().fit(measurements(), kinds())
    joblib.dump(model, tmp_path / "model.joblib")
    told = ["import", str(tmp_path / "model.joblib"), "--version", "v3", "--trust"]
    assert run(["--config", str(ini), *told, "--data", str(table), "--target", "kind"]) == 0
    folder = (tmp_path / "models/v3/current").resolve()
    if not trusted:
        (folder / "manifest.json").chmod(0o660)
        nobody = Vouchers(own=None, list=tmp_path / "vouched")
        monkeypatch.setattr(vouched, "here", lambda: nobody)
    proposed = Outcome(
        version="v3", decision="propose", reason_code="better", reason="it is better", exam=None
    )
    options = argparse.Namespace(config=ini, then="propose")
    lines = retrain._text(proposed, options, config.load(ini)).splitlines()
    assert lines[0] == "PROPOSE: it is better"
    assert lines[-1].endswith(" rollout start v3")
    asked = [line for line in lines if line.endswith(f" vouch v3 {folder.name}")]
    assert len(asked) == (0 if trusted else 1)
    assert len(lines) == (2 if trusted else 4)
