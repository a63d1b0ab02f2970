"""Columns that a fitted pipeline was shown and never looks at. See `without_unused()`.

A notebook fits on the whole table, and its ColumnTransformer drops names and tickets; nobody
should have to send them with each request.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from irisab.model.known import kind_of

DROPPED = "drop"


def without_unused(estimator: Any) -> list[str]:
    """Let a pipeline forget the columns that its ColumnTransformer drops; return their names.

    It answers as before. Only what chooses its columns by name is changed.
    """
    first = next((step for _, step in getattr(estimator, "steps", ())), estimator)
    if kind_of(first) != "ColumnTransformer" or not hasattr(first, "feature_names_in_"):
        return []
    used = [entry for entry in first.transformers_ if entry[1] != DROPPED]
    if not all(_are_names(columns) for *_, columns in used):
        return []
    indices = first._transformer_to_input_indices
    kept = sorted({int(index) for name, *_ in used for index in indices[name]})
    names = first.feature_names_in_
    dropped = np.delete(np.arange(len(names)), kept)
    if not kept or not dropped.size:
        return []
    forgotten = [str(each) for each in names[dropped]]
    place = {index: position for position, index in enumerate(kept)}
    first._transformer_to_input_indices = {
        name: [place[int(index)] for index in indices[name]] for name, *_ in used
    }
    first.transformers_ = used
    first.feature_names_in_, first.n_features_in_ = names[kept], len(kept)
    return forgotten


def _are_names(columns: Any) -> bool:
    each = [columns] if isinstance(columns, str) else columns
    return isinstance(each, list | tuple | np.ndarray) and all(isinstance(c, str) for c in each)
