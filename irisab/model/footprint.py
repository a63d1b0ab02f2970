"""What a bundle takes of memory, known before it is loaded. Start at `footprint()`."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from irisab.model.answer import Model
from irisab.model.bundle import FOREST, PICKLE, PLAIN, form_of

M = TypeVar("M", bound=Model)
MEGABYTE = 1 << 20
# Pickles, and what was made before manifests told it: so many times the file that is served from,
# at the most while it is loaded and then, as measured.
_TIMES = {FOREST: (1.5, 1.5), PLAIN: (6, 3), PICKLE: (2.8, 1.6)}
# Masks, code and memo of a small plain form; scikit-learn itself.
_FIXED = {FOREST: 45 * MEGABYTE, PLAIN: 45 * MEGABYTE, PICKLE: 130 * MEGABYTE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Bytes at the most while a bundle is loaded, and when it is."""

    loading: int
    serving: int


def footprint(folder: Path, manifest: Mapping[str, Any]) -> Footprint:
    """Return the footprint of a bundle: as its manifest says, else from its file's size.

    Raises `OSError` where it has no such file.
    """
    told = manifest.get("memory")
    if told is not None:
        return Footprint(loading=int(told["loading"]), serving=int(told["serving"]))
    form = form_of(manifest)
    size, (loading, serving) = (folder / form).stat().st_size, _TIMES[form]
    return Footprint(
        loading=int(loading * size) + _FIXED[form], serving=int(serving * size) + _FIXED[form]
    )


def together(footprints: Iterable[Footprint]) -> int:
    """Return the most bytes that bundles take which are loaded one after the other."""
    kept = most = 0
    for each in footprints:
        most = max(most, kept + each.loading)
        kept += each.serving
    return most


def measured(load: Callable[[], M], *, more: int = 0) -> tuple[M, dict[str, int]]:
    """Load a model; return it and what a manifest says of the memory that it took.

    `more` are bytes that were there before and will not be. In whole megabytes, so that the same
    training says the same.
    """
    alone = not tracemalloc.is_tracing()
    if alone:
        tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        model = load()
        now, most = (each - before + more for each in tracemalloc.get_traced_memory())
    finally:
        if alone:
            tracemalloc.stop()
    return model, {"loading": _whole(most), "serving": _whole(now)}


def _whole(size: int) -> int:
    return math.ceil(size / MEGABYTE) * MEGABYTE
