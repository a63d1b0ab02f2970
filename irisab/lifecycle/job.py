"""What is asked for when a model is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from irisab.config import TrainingOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A model to open, and where the rows are to try it on.

    `data` is a CSV file, None for what another version has kept, those of `split` first; without
    a `target` its rows have no labels. `classes` are names for the model's classes, if given.
    """

    file: Path
    version: str
    models: Path
    trust: bool = False
    data: Path | None = None
    target: str | None = None
    classes: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    options: TrainingOptions
