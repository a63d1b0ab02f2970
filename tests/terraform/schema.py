"""The schema of the provider hashicorp/aws, read from a Python package.

The provider itself is a program of 700 MB in a registry that not every machine reaches. The
package `cdktn-provider-aws` is generated from the provider's own schema, and says in its JavaScript
what each argument is called, of which type it is, and whether it must be there. That is all that
`terraform validate` and `terraform test` need; what AWS would say to a value is not in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PIN = HERE / "requirements-schema.txt"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "/var/tmp")) / "irisab-terraform"

Block = dict[str, Any]  # {"attributes": {name: ..}, "blocks": {name: {.., "block": Block}}}

TYPES = {"string": "string", "number": "number", "boolean": "bool"}
TOP = re.compile(r"^(?:class (\w+) extends cdktn\.(\w+)|function (\w+)ToHclTerraform\(struct\))"
                 r" \{\n(.*?)^\}", re.M | re.S)  # fmt: skip
ARGUMENT = re.compile(
    r"// (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n"
    r"(.*?)(?=^ +// \w+ - computed:|\Z)", re.M | re.S
)  # fmt: skip
GETTER = re.compile(r"this\.get(\w*?)(List|Set|Map|)Attribute\('(\w+)'\)")
SETTABLE = re.compile(r"^ +(\w+): \{\n +value: .*\n +isBlock: (\w+),\n"
                      r' +type: "(\w+)",\n +storageClassType: "(\w+)",', re.M)  # fmt: skip


def load(kinds: Iterable[str]) -> Block:
    """Return the schema of these resources ("aws_eip"), data sources ("data.aws_subnet"), provider.

    {"version": "6.69.1", "provider": Block, "resources": {kind: Block}, "data": {kind: Block}}
    It is downloaded once and kept outside the repository.
    """
    wanted = sorted(kinds)
    sources = "\0".join([*wanted, PIN.read_text(), Path(__file__).read_text()])
    kept = CACHE / f"aws-{hashlib.sha256(sources.encode()).hexdigest()[:12]}.json"
    if not kept.exists():
        found = read_wheel(download(), wanted)
        kept.with_suffix(".part").write_text(json.dumps(found, indent=1))
        kept.with_suffix(".part").replace(kept)
    schema: Block = json.loads(kept.read_text())
    return schema


def download() -> Path:
    """Return the package that PIN names, 71 MB; pip compares its hash each time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
    subprocess.run([*pip, "-d", CACHE, "-r", PIN], check=True)
    version = re.findall(r"==(\S+)", PIN.read_text())[0]
    return CACHE / f"cdktn_provider_aws-{version}-py3-none-any.whl"


def read_wheel(wheel: Path, kinds: Iterable[str]) -> Block:
    """Read from the package what `load` returns; KeyError for a kind that it does not have."""
    folders = {module(kind): kind for kind in kinds}
    found: Block = {"resources": {}, "data": {}}
    for folder, text in sources(wheel):
        if folder == "provider":
            found["provider"] = block(Source(text), "AwsProvider")
            del found["provider"]["attributes"]["alias"]  # Terraform's own word
            found["version"] = re.findall(r"providerVersion: '([\d.]+)'", text)[0]
        elif kind := folders.pop(folder, None):
            place = "data" if kind.startswith("data.") else "resources"
            name = "".join(word.capitalize() for word in folder.split("-"))
            found[place][kind.removeprefix("data.")] = block(Source(text), name)
    if folders:
        raise KeyError(f"the provider has no {', '.join(folders.values())}")
    return found


def module(kind: str) -> str:
    """The package's folder of a kind: eip for aws_eip, data-aws-subnet for data.aws_subnet."""
    return kind.removeprefix("aws_").replace(".", "-").replace("_", "-")


def sources(wheel: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(wheel) as package:
        [inner] = (name for name in package.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(package.read(inner))) as archive:
            for member in archive:
                if found := re.fullmatch(r"package/lib/([\w-]+)/index\.js", member.name):
                    file = archive.extractfile(member)
                    assert file
                    yield found[1], file.read().decode()


class Source:
    """A file's classes by name, and its tables of settable arguments by the name of their class."""

    def __init__(self, text: str) -> None:
        self.classes: dict[str, str] = {}
        self.tables: dict[str, str] = {}
        for name, _, table, body in TOP.findall(text):
            if table:
                self.tables[table[0].upper() + table[1:]] = body
            else:
                self.classes[name] = body

    def settable(self, name: str) -> dict[str, tuple[str, str, str]]:
        """(is it a block, type, class of storage) of each argument that can be set."""
        text = self.tables.get(name) or self.classes[name].split("synthesizeHclAttributes", 1)[-1]
        return {argument: rest for argument, *rest in SETTABLE.findall(text)}  # type: ignore[misc]


def block(source: Source, name: str) -> Block:
    """What may and must be set in a resource, a data source, the provider or a block of them."""
    settable = source.settable(name)
    found: Block = {"attributes": {}, "blocks": {}}
    for argument, flags, text in arguments(source, name):
        is_block, kind, storage = settable.get(argument, ("", "", ""))
        if is_block == "true":
            inner = block(source, storage.removesuffix("List"))
            found["blocks"][argument] = nested(inner, kind, flags["required"], text, argument)
        else:
            kinds = settable_type(kind, storage) if kind else computed_type(text)
            found["attributes"][argument] = {"type": kinds, **flags}
    return found


def arguments(source: Source, name: str) -> Iterator[tuple[str, dict[str, bool], str]]:
    """(name, flags, the JavaScript that belongs to it) of each argument."""
    body = source.classes.get(name) or source.classes.get(f"{name}OutputReference")
    if body is None:  # the blocks of the provider itself are only tables, without flags
        optional = {"required": False, "optional": True, "computed": False}
        yield from ((argument, optional, "") for argument in source.settable(name))
        return
    for argument, *words, text in ARGUMENT.findall(body):
        computed, optional, required = (word == "true" for word in words)
        yield argument, {
            "required": required,
            "optional": optional and not required,
            "computed": computed and not required,
        }, text  # fmt: skip


def nested(inner: Block, kind: str, required: bool, text: str, name: str) -> Block:
    """A block and how often it may stand there; 0 as maximum: any number of times."""
    if kind == "struct":  # timeouts
        return {"nesting": "SINGLE", "min": 0, "max": 0, "block": inner}
    one = f'OutputReference(this, "{name}")' in text
    return {"nesting": kind.upper(), "min": int(required), "max": int(one), "block": inner}


def settable_type(kind: str, storage: str) -> object:
    """Terraform's type: "string", or ["set", "number"]."""
    if kind == "simple":
        return TYPES[storage]
    return [kind, TYPES[re.sub("(List|Map)$", "", storage)]]


def computed_type(text: str) -> object:
    """The type of what only the provider sets, by the method that reads it."""
    if "new cdktn.StringMap(" in text:
        return ["map", "string"]
    if not (getter := GETTER.search(text)):
        return "dynamic"
    element = getter[1].lower() or "string"
    kind = "set" if "Fn.tolist" in text else getter[2].lower()
    return [kind, TYPES[element]] if kind else TYPES[element]
