"""Pack the commit that is checked out into one archive: `make release`. Start at `main()`.

    build/irisab-VERSION.tar.gz          irisab-VERSION/: what bootstrap.sh installs, MANIFEST and
                                         sbom.cdx.json
    build/irisab-VERSION.tar.gz.sha256   for `sha256sum --check`
    build/irisab-VERSION.cdx.json        the same bill of materials, for those who only read that

The same files make the same bytes, wherever, whenever and by whom they are packed: names are
sorted, owners and times are fixed, and git says which files are programs.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import sbom

TREE = Path(__file__).resolve().parents[1]
BUILD = "build"
MANIFEST, SBOM = "MANIFEST", "sbom.cdx.json"
LONG_AGO = 315532800  # 1980-01-01: nothing unpacks to an age that some file system can't hold
BLOCK = 65535  # bytes; the most that deflate can store in one block


class ReleaseError(Exception):
    """Why there is no release, and what to do about it."""


@dataclass(frozen=True)
class File:
    data: bytes
    executable: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def git(tree: Path, *words: str) -> bytes:
    """Return what git printed; raises ReleaseError with git's own sentence."""
    done = subprocess.run(["git", "-C", tree, *words], capture_output=True)
    if done.returncode:
        raise ReleaseError(f"a release is made from a git checkout: {done.stderr.decode().strip()}")
    return done.stdout


def installed_files(tree: Path) -> list[str]:
    """Return the files and folders that bootstrap.sh installs, as it lists them itself."""
    line = 'source ./bootstrap.sh && printf "%s\\n" "${FILES[@]}"'
    done = subprocess.run(["bash", "-c", line], cwd=tree, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().split()


def read_commit(tree: Path) -> dict[str, File]:
    """Return the files of HEAD that make a release; raises ReleaseError if the tree differs."""
    names = installed_files(tree)
    changed = git(tree, "status", "--porcelain", "--", *names).decode()
    if changed:
        raise ReleaseError(f"commit this first, a release is made of what is committed:\n{changed}")
    # Not the files of the folder: umask, editors and line endings have been at those.
    packed = io.BytesIO(git(tree, "archive", "--format=tar", "HEAD", "--", *names))
    found = {}
    with tarfile.open(fileobj=packed) as tar:
        for member in tar:
            if content := tar.extractfile(member):
                found[member.name] = File(content.read(), bool(member.mode & 0o100))
    return found


def version_of(files: dict[str, File]) -> str:
    text = files["irisab/__init__.py"].data.decode()
    [version] = re.findall(r'(?m)^__version__ = "(.+)"$', text)
    return str(version)


def manifest(files: dict[str, File]) -> File:
    """Say what each file must be, in the form that `sha256sum --check` reads."""
    lines = (f"{file.sha256}  {name}\n" for name, file in sorted(files.items()))
    return File("".join(lines).encode())


def pack(files: dict[str, File], *, folder: str) -> bytes:
    """Return a tar of the files below `folder`, which depends on nothing but them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, file in sorted(files.items()):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mtime = len(file.data), LONG_AGO
            member.mode = 0o755 if file.executable else 0o644
            tar.addfile(member, io.BytesIO(file.data))
    return packed.getvalue()


def gzip(data: bytes) -> bytes:
    """Wrap data as gzip (RFC 1952) without compressing it.

    Compressors differ from one machine to the next, and with them the sum of the same release.
    """
    blocks = [data[start : start + BLOCK] for start in range(0, len(data), BLOCK)]
    stored = b"".join(
        bytes([number == len(blocks)])
        + len(block).to_bytes(2, "little")
        + (BLOCK - len(block)).to_bytes(2, "little")
        + block
        for number, block in enumerate(blocks, start=1)
    )
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    trailer = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return header + stored + trailer


def release(tree: Path) -> dict[str, bytes]:
    """Return what `make release` writes into build/, by file name."""
    files = read_commit(tree)
    version = version_of(files)
    name = f"irisab-{version}"
    bill = sbom.bill({name: file.data.decode() for name, file in files.items()
                      if name in sbom.SOURCES}, version=version)  # fmt: skip
    files[SBOM] = File(bill)
    files[MANIFEST] = manifest(files)
    archive = File(gzip(pack(files, folder=name)))
    return {
        f"{name}.tar.gz": archive.data,
        f"{name}.tar.gz.sha256": f"{archive.sha256}  {name}.tar.gz\n".encode(),
        f"{name}.cdx.json": bill,
    }


def main(tree: Path = TREE) -> int:
    try:
        made = release(tree)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    folder = tree / BUILD
    folder.mkdir(exist_ok=True)
    for old in folder.glob("irisab-*"):
        old.unlink()
    for name, data in made.items():
        (folder / name).write_bytes(data)
        print(f"{BUILD}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
