"""The provider's schema, as it is read out of the package."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
import schema
from schema import Block


def test_the_schema_is_the_providers(aws: Block) -> None:
    """Names, flags, types and blocks of a few arguments are those of the provider's own manual."""
    assert aws["version"].startswith("6.")
    volume = aws["resources"]["aws_ebs_volume"]["attributes"]
    settable = {"required": False, "optional": True, "computed": True}
    needed = {"required": True, "optional": False, "computed": False}
    assert volume["availability_zone"] == {"type": "string", **needed}
    assert volume["size"] == {"type": "number", **settable}
    assert volume["tags"]["type"] == ["map", "string"]
    assert volume["arn"] == {
        "type": "string",
        "required": False,
        "optional": False,
        "computed": True,
    }
    instance = aws["resources"]["aws_instance"]
    assert instance["attributes"]["vpc_security_group_ids"]["type"] == ["set", "string"]
    options = instance["blocks"]["metadata_options"]
    assert (options["nesting"], options["min"], options["max"]) == ("LIST", 0, 1)
    assert options["block"]["attributes"]["http_tokens"] == {"type": "string", **settable}
    assert instance["blocks"]["ebs_block_device"]["max"] == 0
    assert instance["blocks"]["timeouts"]["nesting"] == "SINGLE"
    kind = aws["data"]["aws_ec2_instance_type"]["attributes"]
    assert kind["supported_architectures"]["type"] == ["list", "string"]
    assert "default_tags" in aws["provider"]["blocks"]


def test_what_the_provider_does_not_have_is_named(tmp_path: Path) -> None:
    """A resource that does not exist is an error that names it, not an empty schema."""
    with pytest.raises(KeyError, match="the provider has no aws_elastic_ip"):
        schema.read_wheel(package(tmp_path), ["aws_elastic_ip"])


def package(folder: Path) -> Path:
    """A package of the shape of the real one, in which there is no resource at all."""
    (folder / "index.js").write_text("providerVersion: '6.0.0'\nclass AwsProvider extends cdktn."
                                     "TerraformProvider {\n    // alias - computed: false,"
                                     " optional: true, required: false\n}\n")  # fmt: skip
    with tarfile.open(folder / "aws.jsii.tgz", "w:gz") as archive:
        archive.add(folder / "index.js", "package/lib/provider/index.js")
    with zipfile.ZipFile(folder / "aws.whl", "w") as wheel:
        wheel.write(folder / "aws.jsii.tgz", "aws.jsii.tgz")
    return folder / "aws.whl"
