"""Fixtures that several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from irisab import config, training

# The same examples each time, however slow the machine: a red test means a change.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def iris_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bundles of v1 (50 trees) and v2 (100 trees), trained on Iris."""
    models = tmp_path_factory.mktemp("iris") / "models"
    iris = training.load_iris()
    for version, count in config.DEFAULT_ESTIMATORS.items():
        forest = training.forest(config.Model(n_estimators=count))
        training.fit(models, version, iris, estimator=forest)
    return models
