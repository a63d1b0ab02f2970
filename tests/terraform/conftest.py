"""The Terraform module, a copy of it to break, and a Terraform that needs neither AWS nor registry.

`make test-terraform` runs these tests. Where there is no terraform, what needs it is skipped and
the head of the report says so: the names are then checked against the schema, and no plan is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import names
import provider
import pytest
import schema

MODULE = Path(__file__).resolve().parents[2] / "terraform"
TERRAFORM = shutil.which("terraform")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--apply", action="store_true", help="test_apply.py too: six to nine minutes")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return collection_path.name == "test_apply.py" and not config.getoption("--apply") or None


def pytest_report_header() -> str:
    if TERRAFORM:
        return f"terraform: {TERRAFORM}; its provider: only the schema of hashicorp/aws"
    return (
        "terraform: NOT HERE. Only names and required arguments are checked; "
        "nothing is formatted, validated or planned."
    )


@pytest.fixture(scope="session")
def aws() -> schema.Block:
    """The schema of what the module uses, as `schema.load` returns it."""
    return schema.load(names.kinds(MODULE))


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A copy of the module."""
    return Path(shutil.copytree(MODULE, tmp_path / "module"))


@pytest.fixture(scope="session")
def terraform(aws: schema.Block, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run terraform in a folder and return what came of it: run(folder, "validate", ..)."""
    if not TERRAFORM:
        pytest.skip("NO PLAN WAS MADE: there is no terraform here")
    quiet = {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    with provider.serving(aws, tmp_path_factory.mktemp("provider")) as found:

        def run(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [str(TERRAFORM), *words], cwd=folder, env=os.environ | quiet | found, input=stdin,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
            )  # fmt: skip

        yield run


def edit(folder: Path, name: str, old: str, new: str) -> None:
    """Change one place of a file; it must be there exactly once."""
    text = (folder / name).read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}"
    (folder / name).write_text(text.replace(old, new))
