"""terraform/README.md says what the module does."""

from __future__ import annotations

import re
from typing import Any

import hcl2
from conftest import MODULE

README = (MODULE / "README.md").read_text()


def variables() -> dict[str, Any]:
    with (MODULE / "variables.tf").open() as file:
        found = {
            name: body for entry in hcl2.load(file)["variable"] for name, body in entry.items()
        }
    return found


def test_every_setting_is_in_the_table() -> None:
    """The table has each variable, with its default, and no other."""
    rows = re.findall(
        r"(?m)^\| (`.*?`) \| (.*?) \|", README.split("## Settings")[1].split("## ")[0]
    )
    shown = {name: text for names, text in rows for name in re.findall(r"`(\w+)`", names)}
    assert sorted(shown) == sorted(variables())
    for name, body in variables().items():
        default = body.get("default", ["you say"])[0]
        if default not in (None, []):
            assert str(default) in shown[name], name


def test_the_example_has_what_has_no_default() -> None:
    """Whoever fills in the example has said all that must be said."""
    example = (MODULE / "terraform.tfvars.example").read_text()
    needed = {name for name, body in variables().items() if "default" not in body}
    assert set(re.findall(r"(?m)^(\w+) +=", example)) == needed


def test_the_costs_add_up() -> None:
    """Each column of the estimate is the sum of its rows, for the disks that are the default."""
    table = README.split("## What it costs")[1].split("\n\nTraffic")[0]
    rows = [re.findall(r"[\d.]+(?= \|)", line) for line in table.splitlines() if "|" in line]
    amounts = [[float(amount) for amount in row] for row in rows if len(row) == 2]
    *parts, total = amounts
    assert len(parts) == 3
    assert [round(sum(column), 2) for column in zip(*parts, strict=True)] == total
    sizes = [variables()[name]["default"][0] for name in ("root_gb", "data_gb")]
    assert f"two gp3 disks, {sum(sizes)} GB" in table
