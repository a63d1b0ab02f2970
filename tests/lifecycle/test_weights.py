"""What a row counts by its class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from irisab.errors import DataError
from irisab.lifecycle import weights
from irisab.lifecycle.dataset import load_iris

IRIS = load_iris()
UNEVEN = replace(IRIS, labels=np.array([0] * 100 + [1] * 50))


def test_weights_are_scikit_learns() -> None:
    """Balanced as class_weight="balanced" is there, and by name as a dict is."""
    found = weights.of_rows(UNEVEN, "balanced")
    assert found is not None
    assert found == pytest.approx(compute_sample_weight("balanced", UNEVEN.labels))
    found = weights.of_rows(UNEVEN, "versicolor: 20, setosa:0.5")
    assert found is not None
    assert found.tolist() == [0.5] * 100 + [20.0] * 50
    assert weights.of_rows(UNEVEN, None) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rose: 2", "there is no class 'rose'; there are setosa, versicolor, virginica"),
        ("setosa", "must be balanced, or weights such as fraud: 20, ok: 1"),
        ("setosa: 0", "must be balanced"),
        ("setosa: many", "must be balanced"),
        (": 3", "must be balanced"),
        ("setosa: inf", "must be balanced"),
    ],
)
def test_other_weights_are_refused(text: str, reason: str) -> None:
    """With the option as it stands in the INI file."""
    with pytest.raises(DataError) as caught:
        weights.of_rows(IRIS, text)
    assert str(caught.value).startswith(f"[training] class_weight = {text}: {reason}")


def test_a_regression_has_no_weights() -> None:
    """There are no classes to weigh."""
    with pytest.raises(DataError, match="a regression has no classes"):
        weights.of_rows(replace(IRIS, task="regression"), "balanced")


def test_weights_reach_the_estimator() -> None:
    """Alone or at the end of a pipeline; what takes none is refused."""
    each = np.ones(150)
    assert weights.for_fit(RandomForestClassifier(), each) == {"sample_weight": each}
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    assert weights.for_fit(pipeline, each) == {"logisticregression__sample_weight": each}
    with pytest.raises(DataError, match="KNeighborsClassifier takes no weights"):
        weights.for_fit(KNeighborsClassifier(), each)
