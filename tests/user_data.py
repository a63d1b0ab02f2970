"""The script that a new EC2 instance runs, as Terraform would write it."""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATE = Path(__file__).parents[1] / "terraform" / "user_data.sh.tftpl"


def render(**values: str) -> str:
    """Put the values in, as `templatefile` does; KeyError where one is missing.

    Only `${name}`: tests/terraform/test_user_data.py holds that the template has nothing else.
    """
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], TEMPLATE.read_text())
