"""The script of a new instance: what Terraform makes of the template, and whether bash likes it.

tests/host/test_user_data.py runs it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Run
from user_data import TEMPLATE, render

VALUES = {
    "release_url": "https://example.org/irisab-1.0.tar.gz?a=1&b=%20",
    "release_sha256": "0" * 64,
    "volume": "vol0123456789abcdef0",
}


def test_terraform_renders_it_as_the_tests_do(tmp_path: Path, terraform: Run) -> None:
    """What runs in the test bed is byte for byte what `templatefile` writes."""
    values = json.dumps(VALUES)
    asked = f'base64encode(templatefile("{TEMPLATE}", {values}))\n'
    found = terraform(tmp_path, "console", stdin=asked)
    expected = f"base64encode({json.dumps(render(**VALUES))})\n".replace("${", "$${")
    assert found.stdout == terraform(tmp_path, "console", stdin=expected).stdout
    assert found.returncode == 0


def test_the_template_only_asks_for_the_three_values() -> None:
    """No directive and no other value: so the rendering of the tests is the true one."""
    text = TEMPLATE.read_text()
    assert sorted(re.findall(r"\$\{(.*?)\}", text)) == sorted(VALUES)
    assert "%{" not in text and "$${" not in text
    with pytest.raises(KeyError):
        render(volume="")


def test_the_script_is_sound(tmp_path: Path) -> None:
    """shellcheck finds nothing in it."""
    if not (shellcheck := shutil.which("shellcheck")):
        pytest.skip("THE SCRIPT WAS NOT CHECKED: there is no shellcheck here")
    script = tmp_path / "user_data.sh"
    script.write_text(render(**VALUES))
    subprocess.run([shellcheck, script], check=True)
