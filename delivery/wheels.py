"""Find every pinned library as a wheel for each Python and architecture a host may have.

`make wheels` downloads them, some 3 GB, and keeps none. bootstrap.sh installs wheels only, so a pin
of which one architecture has no wheel would stop the next upgrade there.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.markers import Marker

TREE = Path(__file__).resolve().parents[1]
LIBRARIES = "requirements.txt", "requirements-ui.txt"
# Debian 12, Ubuntu 24.04, and Amazon Linux 2023 with Debian 13.
PYTHONS = "3.11", "3.12", "3.13"
ARCHITECTURES = "x86_64", "aarch64"
# The oldest glibc of these hosts is 2.34. pip takes a wheel for an older one only if it is named.
GLIBC = range(17, 35)


def pins(text: str, *, python: str, architecture: str) -> str:
    """Return the pins of a requirements file that hold on such a host, without their conditions.

    pip would judge the conditions by the machine that it runs on.
    """
    host = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": architecture,
        "sys_platform": "linux",
    }
    kept = []
    for pin in re.split(r"\n(?=\S)", text.strip()):
        first, newline, hashes = pin.partition(" \\\n")
        name, _, condition = first.partition(" ; ")
        if not condition or Marker(condition).evaluate(host):
            kept.append(f"{name}{newline}{hashes}\n")
    return "".join(kept)


def command(python: str, architecture: str, folder: Path) -> list[str | Path]:
    """Return the pip that fails unless all of folder/pins.txt have a wheel for such a host."""
    tags = [f"manylinux_2_{minor}_{architecture}" for minor in reversed(GLIBC)]
    tags += [f"manylinux2014_{architecture}"]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir"),
        *("--python-version", python, "--implementation", "cp", "--dest", folder),
        *(word for tag in tags for word in ("--platform", tag)),
        *("-r", folder / "pins.txt"),
    ]


def find(library: str, *, python: str, architecture: str) -> bool:
    """Download the wheels of one file for one kind of host; say what is missing."""
    text = pins((TREE / library).read_text(), python=python, architecture=architecture)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        (folder / "pins.txt").write_text(text)
        done = subprocess.run(command(python, architecture, folder), stderr=subprocess.PIPE)
        found = len(list(folder.glob("*.whl")))
    wanted = text.count("==")
    print(f"{architecture} Python {python} {library}: {found} of {wanted} wheels", flush=True)
    if done.returncode:
        sys.stderr.buffer.write(done.stderr)
    return found == wanted


def main() -> int:
    complete = [
        find(library, python=python, architecture=architecture)
        for architecture in ARCHITECTURES
        for python in PYTHONS
        for library in LIBRARIES
    ]
    return 0 if all(complete) else 1


if __name__ == "__main__":
    sys.exit(main())
