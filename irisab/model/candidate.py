"""What became of a version that `retrain` has made; its bundle says so itself. See `of()`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from irisab.model import bundle

# The key of a manifest; an older irisab passes over it.
KEY = "retrain"
State = Literal["open", "closed", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A version that sat the exam beside the control, whose model had the hash `control`."""

    version: str
    sha256: str
    decision: Literal["propose", "reject"]
    reason: str
    control: str
    trained_at: str

    def state(self, *, control: str, tried: Collection[str]) -> State:
        """Tell whether it waits to be tried: a proposal for the model that is the control still.

        `tried` has the hashes of models that have served and do no more.
        """
        if self.decision == "reject":
            return "rejected"
        return "open" if self.control == control and self.sha256 not in tried else "closed"


def of(version: str, manifest: Mapping[str, Any]) -> Candidate | None:
    """Return what a manifest says of a candidate; None where `train` or `import` made it."""
    said = manifest.get(KEY)
    if not said:
        return None
    return Candidate(
        version=version,
        sha256=manifest["sha256"],
        decision=said["decision"],
        reason=said["reason"],
        control=said["control_sha256"],
        trained_at=manifest["trained_at"],
    )


def under_way(models: Path, *, control: str, tried: Collection[str]) -> Candidate | None:
    """Return the newest candidate that is open; a later proposal takes the place of an earlier."""
    manifests = {name: bundle.read_manifest(models, name) for name in bundle.versions(models)}
    candidates = [of(name, each) for name, each in manifests.items() if each is not None]
    open_ones = [
        each for each in candidates if each and each.state(control=control, tried=tried) == "open"
    ]
    return max(open_ones, key=lambda each: each.trained_at, default=None)
