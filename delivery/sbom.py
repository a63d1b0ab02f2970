"""What a release brings onto a host, as a CycloneDX bill of materials.

It lists what is pinned: the libraries of both environments, and the Prometheus and Alertmanager of
each architecture. What the distribution packages is the distribution's to tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

LIBRARIES = "requirements.txt", "requirements-ui.txt"
PROGRAMS = "prometheus/release", "alertmanager/release"
SOURCES = (*LIBRARIES, *PROGRAMS)
PIN = re.compile(r"^([\w.-]+)==(\S+)(?: ;.*?)? \\\n((?: +--hash=.*\n?)+)", re.MULTILINE)


def bill(sources: dict[str, str], *, version: str) -> bytes:
    """Return the bill as JSON, the same for the same `sources` (text by file name)."""
    irisab = Component(
        name="irisab",
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=f"irisab@{version}",
        purl=PackageURL("generic", None, "irisab", version),
    )
    parts = {}
    for name in LIBRARIES:
        # Both environments have some libraries in common, at the same version.
        parts.update({part.bom_ref.value: part for part in libraries(sources[name])})
    for name in PROGRAMS:
        parts.update({part.bom_ref.value: part for part in programs(name, sources[name])})
    found = Bom(components=parts.values())
    found.metadata.component = irisab
    found.register_dependency(irisab, parts.values())
    # The library would draw a number; the same release would then differ from time to time.
    found.serial_number = uuid5(NAMESPACE_URL, "\n".join([version, *sorted(sources.values())]))
    return as_json(found)


def as_json(found: Bom) -> bytes:
    text = make_outputter(found, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    document = json.loads(text)
    del document["metadata"]["timestamp"]  # as for the number above
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def libraries(text: str) -> Iterator[Component]:
    """Yield the pins of a requirements file; the hashes are of all files that pip may take."""
    for name, version, hashes in PIN.findall(text):
        purl = PackageURL("pypi", None, name, version)
        sums = re.findall(r"--hash=sha256:([0-9a-f]{64})", hashes)
        yield Component(
            name=name,
            version=version,
            bom_ref=purl.to_string(),
            purl=purl,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sum_) for sum_ in sums],
        )


def programs(file: str, text: str) -> Iterator[Component]:
    """Yield the program of each architecture that its file of releases names."""
    name = file.partition("/")[0]
    for architecture, version, sum_, address in re.findall(r"(?m)^(\w+) (\S+) (\w+) (\S+)$", text):
        purl = PackageURL("github", "prometheus", name, version, {"arch": architecture})
        digest = HashType(alg=HashAlgorithm.SHA_256, content=sum_)
        where = ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION, url=XsUri(address), hashes=[digest]
        )
        yield Component(
            name=name,
            version=version,
            type=ComponentType.APPLICATION,
            bom_ref=purl.to_string(),
            purl=purl,
            external_references=[where],
        )
