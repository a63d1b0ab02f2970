"""Models that were fitted elsewhere become versions. Start at `bring()`.

A file is opened in a process of its own: see `sandbox` for what that process cannot do.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from typing import IO

from irisab.errors import BundleError, DataError
from irisab.lifecycle import kept, sealed
from irisab.lifecycle.job import Job
from irisab.lifecycle.sealed import Made
from irisab.model import publish
from irisab.model.bundle import FOREST, MANIFEST, PICKLE, PLAIN

_FILES = {MANIFEST, PICKLE, FOREST, PLAIN, kept.FILE}
# All that the process gets to know of where it runs; no libraries' threads, no semaphores.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
_QUIET = {
    "JOBLIB_MULTIPROCESSING": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def bring(job: Job) -> Made:
    """Open a model, try it on rows, write its bundle, and return what is to be said of it.

    Raises `DataError` for what cannot be opened, served or tried, and `BundleError` where the
    bundle cannot be written; nothing is written then.
    """
    made = _opened_elsewhere(job)
    if made.error is not None:
        raise DataError(made.error)
    _refuse_strange(job, made)
    publish.put(job.models, job.version, made.files)
    return made


def _opened_elsewhere(job: Job) -> Made:
    with tempfile.TemporaryFile() as said:
        code, answer = _run(job, said)
        try:
            return sealed.read(answer)
        except ValueError:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            how = ": ".join([_ended(code), *last])
            raise DataError(f"{job.file}: {how}") from None


def _ended(code: int) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else "ended without an answer"
    return f"the process that opened it {how}"


def _run(job: Job, said: IO[bytes]) -> tuple[int, bytes]:
    """Run the process until it ends, or we do; return its exit code and its answer."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-P", "-m", sealed.__name__],
        input=pickle.dumps(job),
        stdout=subprocess.PIPE,
        stderr=said,
        env={**environment, **_QUIET},
        check=False,
    )
    return done.returncode, done.stdout


def _refuse_strange(job: Job, made: Made) -> None:
    """What ran inside was not ours alone: only the files of a bundle come out."""
    try:
        manifest = json.loads(made.files[MANIFEST])
        known = set(made.files) <= _FILES and set(manifest["files"]) <= set(made.files)
    except (KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise BundleError(f"{job.file}: what came out of it is no model")
