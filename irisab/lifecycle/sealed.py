"""What happens in the process that opens a model of somebody else's. Start at `main()`.

It shuts itself in first, and says on stdout what the host would not take from it: nothing that is
opened later can unsay that. What it was asked comes on stdin; what it made goes to stdout, too: a
line of JSON, and the bytes of the files that the line names.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from irisab.errors import IrisabError
from irisab.lifecycle import sandbox
from irisab.lifecycle.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of it: files of a bundle, or an error, with what is to be said beside it."""

    files: Mapping[str, bytes]
    notes: Sequence[str] = ()
    error: str | None = None
    left: Sequence[str] = ()


def main() -> None:
    """Shut the process in, do the job on stdin, and write what came of it to stdout."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a model prints is no answer
        out.write(json.dumps(sandbox.shut()).encode() + b"\n")
        out.flush()
        job: Job = pickle.load(sys.stdin.buffer)
        out.write(written(_tried(job)))


def _tried(job: Job) -> Made:
    from irisab.lifecycle import adopting

    notes: list[str] = []
    try:
        return Made(files=adopting.files(job, notes), notes=notes)
    except (IrisabError, OSError) as error:
        return Made(files={}, notes=notes, error=str(error))


def written(made: Made) -> bytes:
    """Return what `read` reads, but for its first line."""
    head = {
        "files": {name: len(data) for name, data in made.files.items()},
        "notes": list(made.notes),
        "error": made.error,
    }
    return json.dumps(head).encode() + b"\n" + b"".join(made.files.values())


def read(data: bytes) -> Made:
    """Return what was made; raises `ValueError` where it is cut off or something else."""
    left, _, answer = data.partition(b"\n")
    line, _, rest = answer.partition(b"\n")
    try:
        head = json.loads(line)
        sizes = {str(name): int(size) for name, size in head["files"].items()}
        notes = [str(each) for each in head["notes"]]
        error = None if head["error"] is None else str(head["error"])
    except (AttributeError, KeyError, TypeError) as wrong:
        raise ValueError(f"no answer: {wrong}") from wrong
    files, begin = {}, 0
    for name, size in sizes.items():
        files[name] = rest[begin : begin + size]
        begin += size
    if begin != len(rest):
        raise ValueError("the answer is cut off")
    return Made(files=files, notes=notes, error=error, left=json.loads(left))


if __name__ == "__main__":
    main()
