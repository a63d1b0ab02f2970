"""terraform fmt, validate and test find nothing in the module, and something in a broken one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from conftest import MODULE, Run, edit

Broken = dict[tuple[str, str], "Future[tuple[int, str]]"]


def test_it_is_formatted(terraform: Run) -> None:
    """`terraform fmt` would change nothing."""
    found = terraform(MODULE, "fmt", "-check", "-diff", "-recursive")
    assert found.returncode == 0, found.stdout


def test_it_is_valid(terraform: Run) -> None:
    """Every name, type and reference is one that Terraform and the provider know."""
    found = terraform(MODULE, "validate", "-no-color")
    assert found.returncode == 0, found.stdout


def test_its_plans_are_as_promised(terraform: Run) -> None:
    """Every run of the module's own tests passes."""
    found = terraform(MODULE, "test", "-no-color")
    promised = (MODULE / "irisab.tftest.hcl").read_text().count("\nrun ")
    assert f"Success! {promised} passed, 0 failed." in found.stdout, found.stdout


INVALID = {
    "a misspelt argument": (
        *("main.tf", "http_tokens ", "http_tokenz "),
        'An argument named "http_tokenz" is not expected here. Did you mean "http_tokens"?',
    ),
    "a misspelt block": (
        *("main.tf", "root_block_device {", "root_blok_device {"),
        'Blocks of type "root_blok_device" are not expected here.',
    ),
    "a missing argument": (
        *("main.tf", "  availability_zone = var.availability_zone\n  size", "  size"),
        'The argument "availability_zone" is required, but no definition was found.',
    ),
    "an unknown type": (
        *("network.tf", 'resource "aws_eip" "irisab"', 'resource "aws_elastic_ip" "irisab"'),
        'The provider hashicorp/aws does not support resource type "aws_elastic_ip".',
    ),
    "a reference to nothing": (
        *("outputs.tf", "aws_ebs_volume.data.id", "aws_ebs_volume.date.id"),
        'A managed resource "aws_ebs_volume" "date" has not been declared',
    ),
    "a word for a number": (
        *("network.tf", "from_port         = 22", 'from_port         = "ssh"'),
        'Inappropriate value for attribute "from_port": a number is required.',
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_validate_finds(case: str, broken: Broken) -> None:
    """A slip of the keyboard fails `terraform validate`, with the name that was meant."""
    code, printed = broken["validate", case].result()
    assert code == 1
    assert INVALID[case][-1] in printed


DANGEROUS = {
    "metadata without a token": (
        *("main.tf", '= "required"\n    http_put', '= "optional"\n    http_put'),
        "version 1 is on",
    ),
    "metadata through a proxy": (
        *("main.tf", "hop_limit = 1", "hop_limit = 2"),
        "can be reached through a proxy",
    ),
    "an unencrypted system disk": (
        *("main.tf", "encrypted   = true", "encrypted   = false"),
        "The system disk is not encrypted.",
    ),
    "an unencrypted data volume": (
        *("main.tf", "encrypted         = true", "encrypted         = false"),
        "The data volume is not encrypted.",
    ),
    "SSH open by default": (
        *("network.tf", "for_each = toset(var.ssh_cidrs)", 'for_each = toset(["0.0.0.0/0"])'),
        "SSH is open, and nobody has asked for it.",
    ),
    "SSH open to more than was asked": (
        *("network.tf", "= each.value\n  ip_protocol", '= "0.0.0.0/0"\n  ip_protocol'),
        "SSH is not open to ssh_cidrs, or to more.",
    ),
    "SSH open to half the world": (
        *("variables.tf", "[1]) >= 16, false)", "[1]) >= 0, false)"),
        "var.ssh_cidrs, was expected to report an error but did not",
    ),
    "more than web ports": (
        *("network.tf", "setproduct([80, 443],", "setproduct([80, 443, 5000],"),
        "The web ports are not open to users_cidrs, or to more.",
    ),
    "every connection out": (
        *("network.tf", "from_port         = each.value\n", "from_port         = 0\n"),
        "The host may open other connections than HTTPS.",
    ),
    "a release over plain HTTP": (
        *("variables.tf", '"^https://', '"^https?://'),
        "var.release_url, was expected to report an error but did not",
    ),
    "a host that the next image destroys": (
        *("main.tf", "ignore_changes = [ami, user_data]", "ignore_changes = [user_data]"),
        "Amazon's next image would destroy this host.",
    ),
    "a host that the next release stops": (
        *("main.tf", "ignore_changes = [ami, user_data]", "ignore_changes = [ami]"),
        "The next release would stop this host",
    ),
    "a volume that another zone empties": (
        *("main.tf", "[availability_zone, snapshot_id]", "[snapshot_id]"),
        "aws_instance.irisab, was expected to report an error but did not",
    ),
    "a volume that a snapshot overwrites": (
        *("main.tf", "[availability_zone, snapshot_id]", "[availability_zone]"),
        "A snapshot would take the place of the data that are there.",
    ),
    "a volume that is destroyed without a trace": (
        *("main.tf", "final_snapshot = true", "final_snapshot = false"),
        "The data are gone once the data volume is destroyed.",
    ),
    "an image of one architecture only": (
        *("main.tf", "kernel-default-${local.architecture}", "kernel-default-x86_64"),
        "An arm64 type starts from an image of another architecture.",
    ),
    "a device by its number": (
        *("user_data.sh.tftpl", "disk/by-id/nvme-Amazon_Elastic_Block_Store_${volume}", "nvme1n1"),
        "user_data does not know the data volume by its NVMe name.",
    ),
}


@pytest.mark.parametrize("case", DANGEROUS)
def test_the_plans_find(case: str, broken: Broken) -> None:
    """What would harm data or open a door fails `terraform test`, which says what is wrong."""
    code, printed = broken["test", case].result()
    assert code == 1
    assert DANGEROUS[case][-1] in printed


@pytest.fixture(scope="module")
def broken(terraform: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    """(exit code, what it printed, in one line) of each broken module, worked out side by side."""

    def judge(verb: str, name: str, old: str, new: str) -> tuple[int, str]:
        module = shutil.copytree(MODULE, tmp_path_factory.mktemp("broken") / "module")
        edit(module, name, old, new)
        found = terraform(module, verb, "-no-color")
        return found.returncode, " ".join(found.stdout.replace("│", "").split())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        cases = {"validate": INVALID, "test": DANGEROUS}
        yield {
            (verb, case): pool.submit(judge, verb, *change)
            for verb, found in cases.items()
            for case, (*change, _) in found.items()
        }
        pool.shutdown(cancel_futures=True)
