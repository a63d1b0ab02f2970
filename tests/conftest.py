"""Fixtures that several test modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from traffic import prediction, revision

from irisab.lifecycle import training
from irisab.lifecycle.dataset import load_iris
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.versions import DEFAULT_ESTIMATORS, default_model

# The same examples each time, however slow the machine: a red test means a change.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def iris_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bundles of v1 (50 trees) and v2 (100 trees), trained on Iris."""
    models = tmp_path_factory.mktemp("iris") / "models"
    iris = load_iris()
    for version in DEFAULT_ESTIMATORS:
        forest = training.forest(default_model(version))
        training.fit(models, version, iris, estimator=forest)
    return models


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a history is, or will be."""
    return tmp_path / "history.sqlite3"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    found = History(path)
    yield found
    found.close()


@pytest.fixture
def writer(path: Path) -> Iterator[Recorder]:
    """A recorder that writes when told to."""
    found = Recorder(path, keep_rows=1000)
    found.announce(revision())
    yield found
    found.close()


@pytest.fixture
def record(writer: Recorder) -> Callable[..., bytes]:
    """Write a prediction at once, and return its id."""

    def write(*arguments: object, **options: object) -> bytes:
        item = prediction(*arguments, **options)
        writer.record(item)
        writer.flush()
        return item.request_id

    return write
