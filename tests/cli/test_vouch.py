"""irisab vouch: what it takes, and what it says where there is nothing to vouch for."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import write_config

from irisab.__main__ import run


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([], "name the version and the model: "),
        (["v1"], "vouch VERSION HASH"),
        (["v1", "0", "--all"], "--all goes without a version"),
        (["v9", "0"], "no model of version v9 is kept"),
        (["v1", "no"], "version v1 has no model 'no'; there are "),
    ],
)
def test_what_it_takes(
    told: list[str],
    said: str,
    tmp_path: Path,
    iris_models: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A version and its hash, or all that is kept: else one sentence, and exit 2."""
    config = write_config(tmp_path, iris_models)
    assert run(["--config", str(config), "vouch", *told]) == 2
    assert said in capsys.readouterr().err
