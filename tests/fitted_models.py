"""Tiny models as somebody brings them, fitted in the test, and the tables they come with."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROWS = 120
HOW = "make venv installs it, and LightGBM needs Debian's libgomp1"


def needs(package: str) -> Any:
    """Return a library that a format needs, or skip the test and say so."""
    try:
        return importlib.import_module(package)
    except (ImportError, OSError) as error:  # a shared library of the system may be missing
        pytest.skip(f"NOT TESTED: {package}: {error}; {HOW}")


def measurements() -> Any:
    """A frame of numbers: width and height in cm, from two of three classes that overlap."""
    from pandas import DataFrame

    random = np.random.default_rng(0)
    kinds = np.arange(ROWS) % 3
    return DataFrame({
        "width (cm)": np.round(kinds + random.normal(0, 0.5, ROWS), 3),
        "height (cm)": np.round(2 * kinds + random.normal(0, 1, ROWS), 3),
    })  # fmt: skip


def kinds() -> Any:
    return np.array(["ash", "beech", "oak"])[np.arange(ROWS) % 3]


def passengers() -> Any:
    """A frame as people have it: texts, gaps, booleans, and a name that no model needs."""
    from pandas import DataFrame

    random = np.random.default_rng(1)
    age = np.round(random.uniform(1, 80, ROWS))
    age[::7] = np.nan
    return DataFrame({
        "name": [f"Passenger {number}" for number in range(ROWS)],
        "sex": np.array(["female", "male"])[random.integers(0, 2, ROWS)],
        "age": age,
        "alone": random.integers(0, 2, ROWS).astype(bool),
        "port": np.array(["C", "Q", "S"])[random.integers(0, 3, ROWS)],
    })  # fmt: skip


def survivors(frame: Any) -> Any:
    lucky = (frame["sex"] == "female").to_numpy() ^ (np.arange(ROWS) % 9 == 0)
    return np.where(lucky, "yes", "no")


def write(frame: Any, target: Any, path: Path, *, column: str = "kind") -> Path:
    frame.assign(**{column: target}).to_csv(path, index=False)
    return path
