"""What the versions on the disk expect: a new one that shares their traffic must, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irisab.lifecycle.rows import Dataset
from irisab.model import bundle
from irisab.model.schema import Feature, Task, Type


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Features, task and classes of a version, each in its order."""

    version: str
    features: tuple[Feature, ...]
    task: Task
    class_names: tuple[str, ...]
    class_numbers: tuple[int, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(feature.type for feature in self.features)

    def feature(self, title: str, name: str) -> Feature | None:
        """Return the feature with this very title, or else with the name read from it."""
        exact = {each.name: each for each in self.features}
        return exact.get(title) or exact.get(title.strip()) or exact.get(name)

    def why_not(self, dataset: Dataset) -> str | None:
        """Say how a dataset differs from what the version expects; None where it does not."""
        for what, ours, theirs in (
            ("task", (dataset.task,), (self.task,)),
            ("features", tuple(dataset.feature_names), tuple(each.name for each in self.features)),
            ("types", tuple(dataset.types) or ("number",) * len(self.types), self.types),
            ("classes", tuple(dataset.class_names), self.class_names),
            ("class numbers", tuple(dataset.class_numbers), self.class_numbers),
        ):
            if ours != theirs:
                return (
                    f"the data has other {what} than version {self.version}: "
                    f"{', '.join(map(str, ours))}, not {', '.join(map(str, theirs))}"
                )
        return None


def of_manifest(version: str, manifest: Mapping[str, Any]) -> Known:
    return Known(
        version=version,
        features=bundle.features_of(manifest),
        task=manifest.get("task", "classification"),
        class_names=tuple(manifest["class_names"]),
        class_numbers=tuple(manifest["class_numbers"]),
    )


def find(models: Path, *, first: Sequence[str], without: Sequence[str]) -> Known | None:
    """Return what a version on the disk expects: of `first` if possible, never of `without`."""
    there = [name for name in bundle.versions(models) if name not in without]
    for name in sorted(there, key=lambda name: (name not in first, name)):
        manifest = bundle.read_manifest(models, name)
        if manifest is not None:
            return of_manifest(name, manifest)
    return None
