"""The module's names against the provider's schema, without Terraform: it runs everywhere."""

from __future__ import annotations

from pathlib import Path

import names
import pytest
from conftest import MODULE, edit
from schema import Block


def test_the_module_has_only_names_of_the_provider(aws: Block) -> None:
    """Every argument is one that the provider takes, and none that it needs is missing."""
    assert names.faults(MODULE, aws) == []


def test_it_reads_the_whole_module(aws: Block) -> None:
    """Each resource and data source is looked at, wherever it stands."""
    text = "\n".join(file.read_text() for file in MODULE.glob("*.tf"))
    written = text.count('\nresource "') + text.count('\ndata "')
    assert len(list(names.items(MODULE))) == written > 10
    assert len(aws["resources"]) + len(aws["data"]) == len(names.kinds(MODULE))


SLIPS = {
    "a misspelt argument": (
        *("main.tf", "http_tokens ", "http_tokenz "),
        "main.tf: aws_instance.irisab.metadata_options does not take http_tokenz",
    ),
    "a misspelt block": (
        *("main.tf", "root_block_device {", "root_blok_device {"),
        "main.tf: aws_instance.irisab does not take root_blok_device",
    ),
    "a missing argument": (
        *("main.tf", "  availability_zone = var.availability_zone\n  size", "  size"),
        "main.tf: aws_ebs_volume.data needs availability_zone",
    ),
    "what only the provider sets": (
        *("network.tf", '  domain = "vpc"\n', '  domain = "vpc"\n  public_ip = "203.0.113.7"\n'),
        "network.tf: aws_eip.irisab does not take public_ip",
    ),
    "an unknown type": (
        *("network.tf", 'resource "aws_eip" "irisab"', 'resource "aws_elastic_ip" "irisab"'),
        "network.tf: the provider has no aws_elastic_ip",
    ),
}


@pytest.mark.parametrize("case", SLIPS)
def test_a_slip_is_found(case: str, module: Path, aws: Block) -> None:
    """One slip is one sentence that names the file, the place and the argument."""
    *change, says = SLIPS[case]
    edit(module, *change)
    assert names.faults(module, aws) == [says]
