"""What happens in the process that opens a model of somebody else's. Start at `main()`.

It shuts itself in first. What it was asked comes on stdin; what it made goes to the one file that
is open for it: a line of JSON, and the bytes of the files that the line names.
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
    """Shut the process in, do the job on stdin, and write what came of it to a descriptor."""
    with os.fdopen(int(sys.argv[1]), "wb") as out:
        left = sandbox.shut()
        job: Job = pickle.load(sys.stdin.buffer)
        out.write(written(_tried(job, left)))


def _tried(job: Job, left: list[str]) -> Made:
    from irisab.lifecycle import adopting

    notes: list[str] = []
    try:
        return Made(files=adopting.files(job, notes), notes=notes, left=left)
    except (IrisabError, OSError) as error:
        return Made(files={}, notes=notes, error=str(error), left=left)


def written(made: Made) -> bytes:
    """Return what `read` reads."""
    head = {
        "files": {name: len(data) for name, data in made.files.items()},
        "notes": list(made.notes),
        "error": made.error,
        "left": list(made.left),
    }
    return json.dumps(head).encode() + b"\n" + b"".join(made.files.values())


def read(data: bytes) -> Made:
    """Return what was made; raises `ValueError` where it is cut off or something else."""
    line, _, rest = data.partition(b"\n")
    try:
        head = json.loads(line)
        files, begin = {}, 0
        for name, size in head["files"].items():
            files[str(name)] = rest[begin : begin + size]
            begin += size
        texts = [str(each) for each in (*head["notes"], *head["left"])]
        error = head["error"]
    except (AttributeError, KeyError, TypeError) as wrong:
        raise ValueError(f"no answer: {wrong}") from wrong
    if begin != len(rest):
        raise ValueError("the answer is cut off")
    n_notes = len(head["notes"])
    return Made(files=files, notes=texts[:n_notes], left=texts[n_notes:], error=error)


if __name__ == "__main__":
    main()
