"""What can be said of the module where there is no Terraform: are its names the provider's?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2  # python-hcl2, in the edition that checkov brings
from schema import Block

# Terraform's own words, which stand in every resource and data source.
META = {"count", "for_each", "depends_on", "provider", "lifecycle"}
PLACES = {"resource": "resources", "data": "data"}


def items(module: Path) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield (file, "resource" or "data", "aws_eip.irisab", body) of all that the provider makes."""
    for file in sorted(module.glob("*.tf")):
        with file.open() as text:
            parsed = hcl2.load(text)
        for place in PLACES:
            for entry in parsed.get(place, []):
                [(kind, named)] = entry.items()
                [(name, body)] = named.items()
                yield file.name, place, f"{kind}.{name}", body


def kinds(module: Path) -> set[str]:
    """What the module needs the schema of, as `schema.load` takes it."""
    found = ((place, address.split(".")[0]) for _, place, address, _ in items(module))
    return {kind if place == "resource" else f"data.{kind}" for place, kind in found}


def faults(module: Path, schema: Block) -> list[str]:
    """One sentence for each argument that the provider does not know, or does not get."""
    found = []
    for file, place, address, body in items(module):
        known = schema[PLACES[place]].get(address.split(".")[0])
        if known is None:
            found.append(f"{file}: the provider has no {address.split('.')[0]}")
        else:
            own = {name: value for name, value in body.items() if name not in META}
            found += [f"{file}: {fault}" for fault in faults_of(own, known, address)]
    return found


def faults_of(body: dict[str, Any], known: Block, where: str) -> Iterator[str]:
    arguments = {name: value for name, value in body.items() if not name.startswith("__")}
    attributes, blocks = known["attributes"], known["blocks"]
    needed = [name for name, found in attributes.items() if found["required"]]
    needed += [name for name, found in blocks.items() if found["min"]]
    yield from (f"{where} needs {name}" for name in needed if name not in arguments)
    for name, value in arguments.items():
        if name in blocks:
            for inner in value:
                yield from faults_of(inner, blocks[name]["block"], f"{where}.{name}")
        elif not may_be_set(attributes.get(name)):
            yield f"{where} does not take {name}"


def may_be_set(found: Block | None) -> bool:
    return bool(found and (found["required"] or found["optional"]))
