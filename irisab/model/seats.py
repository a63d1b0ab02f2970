"""Which of the classes of a manifest an estimator means. Start at `seats_of`."""

from __future__ import annotations

from typing import Any

import numpy as np


def seats_of(classes: Any, n_classes: int) -> list[int]:
    """Return the index in the manifest of each class that an estimator knows.

    An estimator with all of them has them in the manifest's order, whatever it calls them; one
    that has seen only some was fitted on their indices.
    """
    known: list[Any] = np.asarray(classes).tolist()
    if len(known) == n_classes:
        return list(range(n_classes))
    if not all(isinstance(each, int | float) and 0 <= each < n_classes for each in known):
        raise ValueError(f"an estimator of {len(known)} classes cannot answer with {n_classes}")
    return [int(each) for each in known]
