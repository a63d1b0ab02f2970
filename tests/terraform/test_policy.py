"""checkov's rules for AWS: nothing fails, and whatever is skipped says why."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import MODULE, edit


def checkov(folder: Path) -> dict[str, Any]:
    """What checkov thinks of a module, without asking anybody on the network."""
    program = Path(sys.executable).with_name("checkov")
    options = ["--framework", "terraform", "--skip-download", "--output", "json", "--directory"]
    done = subprocess.run([program, *options, folder], stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == bool(found["results"]["failed_checks"])
    return found


def test_no_rule_is_broken() -> None:
    """Every rule holds, or is skipped in the module with a reason; no skip is there for nothing."""
    found = checkov(MODULE)
    assert found["results"]["parsing_errors"] == []
    assert [check["check_id"] for check in found["results"]["failed_checks"]] == []
    assert found["summary"]["passed"] >= 30
    skipped = {
        check["check_id"]: check["check_result"]["suppress_comment"].strip()
        for check in found["results"]["skipped_checks"]
    }
    text = "\n".join(file.read_text() for file in MODULE.glob("*.tf"))
    assert skipped == dict(re.findall(r"#checkov:skip=(\w+): (.{40,})", text))
    assert len(skipped) == text.count("checkov:skip")


def test_open_doors_are_found(module: Path) -> None:
    """Metadata without a token, unencrypted disks and SSH for everybody break rules."""
    edit(module, "main.tf", '= "required"\n    http_put', '= "optional"\n    http_put')
    edit(module, "main.tf", "encrypted   = true", "encrypted   = false")
    edit(module, "main.tf", "encrypted         = true", "encrypted         = false")
    with (module / "network.tf").open("a") as file:
        file.write(
            'resource "aws_vpc_security_group_ingress_rule" "mine" {\n'
            '  security_group_id = aws_security_group.irisab.id\n  description = "Mine"\n'
            '  cidr_ipv4 = "0.0.0.0/0"\n  ip_protocol = "tcp"\n'
            "  from_port = 22\n  to_port = 22\n}\n"
        )
    broken = {check["check_id"] for check in checkov(module)["results"]["failed_checks"]}
    assert broken >= {"CKV_AWS_79", "CKV_AWS_8", "CKV_AWS_3", "CKV_AWS_24"}
