"""The kinds of [model.*], under scikit-learn's names and by its judgement."""

from __future__ import annotations

import pytest
from sklearn.linear_model import LinearRegression

from irisab.errors import DataError
from irisab.lifecycle import estimators
from irisab.model.schema import Task
from irisab.versions import KINDS, ModelOptions

BOTH: tuple[Task, ...] = ("classification", "regression")


@pytest.mark.parametrize("task", BOTH)
@pytest.mark.parametrize("kind", KINDS)
def test_the_task_picks_classifier_or_regressor(kind: str, task: Task) -> None:
    """Each kind does at least one task; the other is refused with a kind that does it."""
    name = "".join(word.capitalize() for word in kind.split("_"))
    wanted = "Classifier" if task == "classification" else "Regressor"
    only = {"logistic_regression": "classification", "linear_regression": "regression"}
    if only.get(kind, task) != task:
        with pytest.raises(DataError, match=f"does no {task}; choose another, such as random_fo"):
            estimators.build(ModelOptions(kind=kind), task)
        return
    found = estimators.build(ModelOptions(kind=kind), task)
    assert type(found).__name__ == (name if kind in only else name + wanted)
    assert found.get_params().get("random_state", 42) == 42


def test_options_have_scikit_learns_names() -> None:
    """Each reaches the estimator as it is; what is not said has scikit-learn's default."""
    found = estimators.build(
        ModelOptions(kind="extra_trees", n_estimators=7, max_features="log2", random_state=1),
        "classification",
    )
    expected = {"n_estimators": 7, "max_features": "log2", "random_state": 1, "max_depth": None}
    assert expected.items() <= found.get_params().items()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (ModelOptions(trees=5), "[model.v1] trees = 5: unknown option; kind = random_forest has b"),
        (ModelOptions(n_jobs=5), "[model.v1] n_jobs = 5: unknown option"),
        (
            ModelOptions(n_estimators=0),
            "[model.v1] n_estimators = 0: must be an int in the range [1, inf)",
        ),
        (
            ModelOptions(n_estimators=2.5),
            "[model.v1] n_estimators = 2.5: must be an int in the range [1, inf)",
        ),
        (
            ModelOptions(kind="hist_gradient_boosting", learning_rate=-1),
            "[model.v1] learning_rate = -1: must be a float in the range (0",
        ),
        (
            ModelOptions(criterion="best"),
            "[model.v1] criterion = best: must be a str among {",
        ),
        (
            ModelOptions(kind="linear_regression", fit_intercept="maybe"),
            "[model.v1] fit_intercept = maybe: must be an instance of 'bool'",
        ),
    ],
)
def test_scikit_learn_judges_values(options: ModelOptions, reason: str) -> None:
    """The message has section, option, value and its reason."""
    with pytest.raises(DataError) as caught:
        estimators.judge(options, where="[model.v1]")
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_good_for_one_of_the_tasks(kind: str) -> None:
    """A section that names a kind only is accepted before the task is known."""
    estimators.judge(ModelOptions(kind=kind), where="[model.v1]")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ModelOptions(n_estimators=50), "Random Forest with 50 estimators"),
        (ModelOptions(kind="hist_gradient_boosting"), "Hist Gradient Boosting with 100 iterations"),
        (ModelOptions(kind="decision_tree"), "Decision Tree"),
        (ModelOptions(kind="logistic_regression"), "Logistic Regression"),
    ],
)
def test_an_estimator_is_said_in_words(options: ModelOptions, words: str) -> None:
    """As the documented line of `train` has it."""
    assert estimators.describe(estimators.build(options, "classification")) == words
    assert estimators.describe(LinearRegression()) == "Linear Regression"


def test_the_seed_is_the_sections() -> None:
    """Rows are dealt to folds by the same number as trees are grown."""
    assert estimators.seed_of(ModelOptions(random_state=7)) == 7
    assert estimators.seed_of(ModelOptions()) == estimators.seed_of(ModelOptions(random_state=None))
