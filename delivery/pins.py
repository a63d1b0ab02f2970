"""Say which pins could move, and move that of a program: `make pins`.

    pins.py                               what is new; exit 3 if anything is, else 0
    pins.py PROGRAM VERSION [SOURCE...]   pin that version of prometheus or alertmanager on each
                                          architecture of which two sources give the same sum;
                                          exit 1 if there is none

A SOURCE is an address or a file in which one line has an archive's name and its sha256; {version}
in it is filled in. docs/release.md says how to move the libraries.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

TREE = Path(__file__).resolve().parents[1]
LIBRARIES = "requirements.txt", "requirements-ui.txt", "requirements-dev.txt"
# Of each program a list that people who are not upstream keep in their own repository.
PROGRAMS = {
    "prometheus": "https://raw.githubusercontent.com/cashapp/hermit-packages/master/prometheus.hcl",
    "alertmanager": "https://raw.githubusercontent.com/pgsty/homebrew-infra/HEAD/Formula/alertmanager.rb",
}
# What upstream calls the machines of `uname -m`.
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
ENOUGH = 2
TIMEOUT = 20  # seconds


class PinError(Exception):
    """Why nothing was moved."""


def pinned(tree: Path) -> dict[str, list[str]]:
    """Return the files that pin each library."""
    found: dict[str, list[str]] = {}
    for name in LIBRARIES:
        for library in re.findall(r"(?m)^([\w.-]+)==", (tree / name).read_text()):
            found.setdefault(library, []).append(name)
    return {library: sorted(set(names)) for library, names in found.items()}


def newer_libraries(tree: Path) -> list[str]:
    """Return a line for each pinned library of which the package index has a newer version."""
    pip = [sys.executable, "-m", "pip", "list", "--outdated", "--format=json"]
    done = subprocess.run(pip, check=True, stdout=subprocess.PIPE, text=True)
    files = pinned(tree)
    return [
        f"{found['name']} {found['version']} -> {found['latest_version']}"
        f"  ({', '.join(files[found['name']])})"
        for found in json.loads(done.stdout)
        if found["name"] in files
    ]


def pins_of(program: str) -> str:
    """Return the file that pins a program: a line for each architecture."""
    return f"{program}/release"


def releases(program: str) -> str:
    return f"https://github.com/prometheus/{program}/releases"


def sources(program: str) -> list[str]:
    """Return upstream's own list, and that of others."""
    return [f"{releases(program)}/download/v{{version}}/sha256sums.txt", PROGRAMS[program]]


def newest_of(address: str) -> str:
    """Return the newest version, from where a page of releases forwards to."""
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
        return str(answer.url).rpartition("/v")[2]


def newer_programs(tree: Path) -> list[str]:
    lines = []
    for program in PROGRAMS:
        have = re.findall(r"(?m)^(\w+) (\S+) [0-9a-f]{64} ", (tree / pins_of(program)).read_text())
        newest = newest_of(f"{releases(program)}/latest")
        lines += [f"{program} {version} -> {newest}  ({pins_of(program)}, {machine})"
                  for machine, version in have if version != newest]  # fmt: skip
    return lines


def read(source: str) -> str:
    """Return the text of a source; raises PinError if it can't be had."""
    try:
        if "://" not in source:
            return Path(source).read_text()
        with urllib.request.urlopen(source, timeout=TIMEOUT) as answer:
            return str(answer.read().decode())
    except OSError as error:
        raise PinError(f"{source}: {error}") from None


def owner(source: str) -> str:
    """Return who answers for a source: two pages of one repository's owner are one source."""
    if "://" not in source:
        return str(Path(source).resolve())
    parts = urlsplit(source)
    return parts.path.split("/")[1] if "github" in (parts.hostname or "") else str(parts.hostname)


def sums_of(archive: str, texts: dict[str, str]) -> dict[str, set[str]]:
    """Return who vouches for each sha256 that stands in one line with the archive's name."""
    found: dict[str, set[str]] = {}
    for source, text in texts.items():
        # Homebrew has the sum in the line below.
        for line in re.sub(r"\n\s*sha256 ", " sha256 ", text).splitlines():
            sums = re.findall(r"\b[0-9a-f]{64}\b", line)
            if re.search(rf"\b{re.escape(archive)}\b", line) and len(sums) == 1:
                found.setdefault(sums[0], set()).add(owner(source))
    return found


def agreed(archive: str, texts: dict[str, str]) -> str | None:
    """Return the sum that enough sources give, None if too few do.

    Raises PinError if they don't agree: then one of them is wrong, or not the same archive.
    """
    found = sums_of(archive, texts)
    if len(found) > 1:
        raise PinError(f"{archive}: the sources do not agree:\n" + "\n".join(sorted(found)))
    return next((sum_ for sum_, owners in found.items() if len(owners) >= ENOUGH), None)


def move(tree: Path, program: str, version: str, sources: list[str]) -> list[str]:
    """Pin a version on each architecture whose sum is agreed on; return which those are."""
    named = [source.replace("{version}", version) for source in sources]
    texts = {source: read(source) for source in named}
    text, moved = (tree / pins_of(program)).read_text(), []
    for machine, upstream in MACHINES.items():
        archive = f"{program}-{version}.linux-{upstream}.tar.gz"
        if sum_ := agreed(archive, texts):
            line = f"{machine} {version} {sum_} {releases(program)}/download/v{version}/{archive}"
            text = re.sub(rf"(?m)^{machine} .*$", line, text)
            moved.append(machine)
    (tree / pins_of(program)).write_text(text)
    return moved


def show_new(tree: Path) -> int:
    lines, asked = [], True
    for look in newer_libraries, newer_programs:
        try:
            lines += look(tree)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"pins: {error}", file=sys.stderr)
            asked = False
    print("\n".join(lines) if lines else "nothing is new")
    return 3 if lines else 0 if asked else 1


def main(arguments: list[str], tree: Path = TREE) -> int:
    if not arguments:
        return show_new(tree)
    if arguments[0] not in PROGRAMS or len(arguments) < 2:
        print((__doc__ or "").split("\n\n")[1], file=sys.stderr)
        return 2
    program, version, *given = arguments
    try:
        moved = move(tree, program, version, given or sources(program))
    except PinError as error:
        print(f"pins: {error}", file=sys.stderr)
        return 1
    for machine in MACHINES:
        fate = "pinned" if machine in moved else f"not moved: fewer than {ENOUGH} sources have it"
        print(f"{program} {version} {machine}: {fate}")
    return 0 if moved else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
