"""The life of a host with the real provider, against a simulation of AWS on this machine.

`make test-terraform APPLY=1` runs it, six to nine minutes that are mostly waiting. It needs the
provider itself, which is looked for where Terraform looks (or in IRISAB_TF_PLUGINS, a folder as
for `terraform init -plugin-dir`). The tests go on from one another, as a host's life does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from conftest import MODULE, TERRAFORM, edit

README = (MODULE / "README.md").read_text()
PLACES = ("/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*")
OLD_IMAGE = "ami-12c6146b"
VALUES = """
availability_zone = "eu-central-1a"
users_cidrs       = ["203.0.113.0/24"]
release_url       = "https://example.org/irisab-1.0.tar.gz"
release_sha256    = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
"""


def plugins() -> Path:
    """The folder that holds the real provider; whoever asks for these tests must have one."""
    named = os.environ.get("IRISAB_TF_PLUGINS")
    places = [named] if named else [str(Path.home() / ".terraform.d/plugins"), *PLACES]
    for place in places:
        found = Path("/").glob(f"{place.lstrip('/')}/registry.terraform.io/hashicorp/aws")
        if folder := next(found, None):
            return folder.parents[2]
    pytest.fail("nothing was applied: hashicorp/aws is not on this disk (set IRISAB_TF_PLUGINS)")


class Account:
    """A module of its own, and an AWS account that nobody pays for."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "TF_CLI_CONFIG_FILE": os.devnull,
            "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_ARGS": "-no-color",
        }  # fmt: skip
        shutil.copytree(MODULE, folder)
        self.set()
        self.ec2 = boto3.client("ec2", endpoint_url=url, region_name="eu-central-1",
                                aws_access_key_id="any", aws_secret_access_key="any")  # fmt: skip

    def set(self, **values: str) -> None:
        """Change what terraform.tfvars says; everything else as at the beginning."""
        lines = {line.split()[0]: line for line in VALUES.strip().splitlines()}
        lines |= {name: f"{name} = {json.dumps(value)}" for name, value in values.items()}
        (self.folder / "terraform.tfvars").write_text("\n".join(lines.values()) + "\n")

    def reset(self) -> None:
        """Put the module's own files back."""
        for file in MODULE.glob("*.tf"):
            shutil.copy(file, self.folder)

    def run(self, line: str, *, expect: int = 0) -> str:
        """Run a line of bash in the module's folder and return what it printed."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == expect, done.stdout
        return done.stdout

    def instance(self) -> dict[str, Any]:
        """The one instance that runs, as EC2 describes it."""
        running = [{"Name": "instance-state-name", "Values": ["running"]}]
        [found] = self.ec2.describe_instances(Filters=running)["Reservations"]
        [one] = found["Instances"]
        return dict(one)


def documented(chapter: str) -> list[tuple[str, str]]:
    """(command, what it prints) of each `$` line in a chapter of the README."""
    text = re.split(rf"(?m)^## {chapter}\n", README)[1].split("\n## ")[0]
    blocks = re.findall(r"```console terraform\n(.*?)```", text, re.DOTALL)
    parts = [part for block in blocks for part in block.split("$ ")[1:]]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    if not TERRAFORM:
        pytest.fail("nothing was applied: there is no terraform here")
    providers = plugins()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    moto = Path(sys.executable).with_name("moto_server")
    with subprocess.Popen(
        [moto, "--host", "127.0.0.1", "--port", str(port)],
        env=os.environ | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            answers(port)
            folder = tmp_path_factory.mktemp("account") / "terraform"
            found = Account(folder, f"http://127.0.0.1:{port}")
            found.run(f"terraform init -plugin-dir={providers}")
            yield found
        finally:
            server.terminate()


def answers(port: int) -> None:
    """Return when something listens there; OSError after a minute."""
    for attempt in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if attempt == 599:
                raise
            time.sleep(0.1)


def test_the_plan_is_the_one_in_the_readme(account: Account) -> None:
    """What README shows of a plan is what Terraform plans."""
    [(command, printed)] = documented("Make a host")
    assert account.run(command) == printed


def test_apply_makes_a_host(account: Account) -> None:
    """It has its address before it has its volume, for which user_data waits; one apply is enough.

    It is made from an older image than today's, as any host soon is.
    """
    edit(account.folder, "main.tf", "data.aws_ssm_parameter.image.insecure_value", f'"{OLD_IMAGE}"')
    log = account.run("terraform apply -auto-approve")
    assert "Apply complete! Resources: 12 added" in log
    address = log.index("aws_eip_association.irisab: Creation complete")
    assert address < log.index("aws_volume_attachment.data: Creating...")
    instance = account.instance()
    assert instance["ImageId"] == OLD_IMAGE
    assert instance["PublicIpAddress"] == account.run("terraform output -raw address")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    [volume] = account.ec2.describe_volumes(Filters=[NAMED])["Volumes"]
    assert volume["Encrypted"] and volume["VolumeType"] == "gp3" and volume["Size"] == 10
    assert volume["Attachments"][0]["InstanceId"] == instance["InstanceId"]


NAMED = {"Name": "tag:Name", "Values": ["irisab data"]}


def test_todays_image_changes_nothing(account: Account) -> None:
    """A second apply finds nothing to do; without ignore_changes it would destroy the host.

    And with it -replace makes the next host from the old image, as README warns.
    """
    account.reset()
    account.run("terraform plan -detailed-exitcode")
    replaced = account.run("terraform plan -replace='aws_instance.irisab[\"x86_64\"]'")
    assert "3 to destroy" in replaced and not re.search(ANOTHER_IMAGE, replaced)
    edit(account.folder, "main.tf", "ignore_changes = [ami, user_data]", "ignore_changes = []")
    changed = account.run("terraform plan")
    assert "3 to destroy" in changed and re.search(ANOTHER_IMAGE, changed)
    account.reset()


ANOTHER_IMAGE = rf'ami += "{OLD_IMAGE}" -> "ami-\w+" # forces replacement'


def test_a_new_release_leaves_the_host_alone(account: Account) -> None:
    """Only the output changes with which Session Manager installs it."""
    before = account.instance()["InstanceId"]
    account.set(release_url="https://example.org/irisab-2.0.tar.gz")
    log = account.run("terraform apply -auto-approve")
    assert "Resources: 0 added, 0 changed, 0 destroyed." in log
    [script] = json.loads(account.run("terraform output -raw install"))["commands"]
    assert "irisab-2.0.tar.gz" in script
    assert account.instance()["InstanceId"] == before


def test_another_zone_is_refused(account: Account) -> None:
    """The sentence says where the volume is, and nothing is touched."""
    account.set(availability_zone="eu-central-1b")
    said = account.run("terraform apply -auto-approve", expect=1)
    assert "The data volume is in eu-central-1a and can't leave it" in " ".join(said.split())
    account.set()


def test_another_architecture_is_a_new_host_with_the_same_data(account: Account) -> None:
    """From t3 to t4g: an arm64 image, the same volume, the same address, and then peace."""
    kept = account.run("terraform output -raw data_volume_id; terraform output -raw address")
    account.set(instance_type="t4g.medium")
    account.run("terraform apply -auto-approve")
    assert account.instance()["Architecture"] == "arm64"
    again = account.run("terraform output -raw data_volume_id; terraform output -raw address")
    assert again == kept
    account.run("terraform plan -detailed-exitcode")


def test_a_new_host_has_the_newest_image(account: Account) -> None:
    """README's way to one: destroyed by itself and made again; the data and the address stay."""
    kept = account.run("terraform output -raw data_volume_id; terraform output -raw address")
    before = account.instance()
    for command, _ in documented("Upgrade"):
        account.run(command.replace("x86_64", "arm64"))
    assert account.instance()["InstanceId"] != before["InstanceId"]
    again = account.run("terraform output -raw data_volume_id; terraform output -raw address")
    assert again == kept


def test_destroy_leaves_a_snapshot(account: Account) -> None:
    """Everything is gone but the data, which the next host can have."""
    [(command, _)] = documented("Destroy")[:1]
    account.run(command)
    assert account.ec2.describe_volumes(Filters=[NAMED])["Volumes"] == []
    assert account.ec2.describe_addresses()["Addresses"] == []
    [snapshot] = account.ec2.describe_snapshots(OwnerIds=["self"], Filters=[NAMED])["Snapshots"]
    account.set(data_snapshot_id=snapshot["SnapshotId"])
    account.run("terraform apply -auto-approve -target=aws_ebs_volume.data")
    [volume] = account.ec2.describe_volumes(Filters=[NAMED])["Volumes"]
    assert volume["SnapshotId"] == snapshot["SnapshotId"]


def test_the_volume_itself_can_be_kept(account: Account) -> None:
    """README's way: out of Terraform's hands, and back into them for the next host."""
    volume = account.run("terraform output -raw data_volume_id")
    account.set()
    for command, _ in documented("Destroy")[1:]:
        account.run(command.replace("vol-0123456789abcdef0", volume))
    # What changes is Terraform's own note that a snapshot is due.
    assert "Plan: 11 to add, 1 to change, 0 to destroy." in account.run("terraform plan")
    assert account.run("terraform output -raw data_volume_id") == volume
