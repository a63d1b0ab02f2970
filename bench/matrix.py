"""Each estimator on each kind of data: how it is served, how exactly, and how fast.

    python -m bench.matrix [--quick]

prints the table and writes bench/MATRIX.md; --quick takes every fourth row and writes nothing. The
exit status is 1 where a goal is missed. Times are processor time of single rows that were not seen
before, scikit-learn's in the same run.
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import thread_time
from typing import Any

import numpy as np
from sklearn import datasets, ensemble, linear_model, naive_bayes, neighbors, neural_network, svm
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from irisab.model.forms import Formed, formed

PAGE = Path(__file__).with_name("MATRIX.md")
ROWS, SLOW_ROWS, PASSES = 200, 25, 4
LEAST_TIMES = 20
# Where the median of some rows has to be, in microseconds.
MEDIANS = {"HistGradientBoosting": 60, "LogisticRegression": 15}
Row = list[Any]


@dataclass(frozen=True, slots=True)
class Data:
    """A table: `texts` are its columns of text, and `gaps` says whether cells are empty."""

    name: str
    rows: Any
    target: Any
    texts: tuple[int, ...] = ()
    gaps: bool = False

    @property
    def task(self) -> str:
        return "regression" if self.target.dtype.kind == "f" else "classification"


def tables() -> list[Data]:
    """Return the data of the table."""
    cancer, random = datasets.load_breast_cancer(), np.random.default_rng(0)
    gaps = np.where(random.random(cancer.data.shape) < 0.1, np.nan, cancer.data)
    forest = datasets.make_classification(
        4000, 54, n_informative=20, n_classes=7, random_state=0
    )  # as many columns and classes as covtype has
    passengers = _passengers(random)
    return [
        Data("iris", *datasets.load_iris(return_X_y=True)),
        Data("cancer", cancer.data, cancer.target),
        Data("digits", *datasets.load_digits(return_X_y=True)),
        Data("54 columns, 7 classes", *forest),
        Data("cancer with gaps", gaps, cancer.target, gaps=True),
        Data("text, codes and gaps", passengers, _survival(random, passengers), (0, 1, 5), True),
        Data("diabetes", *datasets.load_diabetes(return_X_y=True)),
        Data("prices of text and gaps", passengers, _fare(random, passengers), (0, 1, 5), True),
    ]


def _passengers(random: np.random.Generator, n: int = 900) -> Any:
    """Return a table like that of Titanic's passengers: sex, port, age, class, fare, deck."""
    rows = np.empty((n, 6), dtype=object)
    rows[:, 0] = random.choice(["female", "male"], n).tolist()
    rows[:, 1] = random.choice(["C", "Q", "S", None], n, p=[0.2, 0.1, 0.69, 0.01]).tolist()
    rows[:, 2] = np.where(random.random(n) < 0.2, np.nan, random.normal(30, 13, n).round(1))
    rows[:, 3] = random.integers(1, 4, n).astype(float)
    rows[:, 4] = random.lognormal(3, 1, n).round(2)
    rows[:, 5] = random.choice(["A", "B", "C", "D", "E", None], n).tolist()
    return rows


def _survival(random: np.random.Generator, rows: Any) -> Any:
    score = (
        (rows[:, 0] == "female") * 2.0 - rows[:, 3].astype(float) + random.normal(size=len(rows))
    )
    return (score > -1.5).astype(int)


def _fare(random: np.random.Generator, rows: Any) -> Any:
    fare = 90 - 20 * rows[:, 3].astype(float) + (rows[:, 1] == "C") * 9.0
    return fare + random.normal(size=len(rows))


# -- estimators -----------------------------------------------------------------------------

PLAIN: dict[str, list[Any]] = {
    "classification": [
        DecisionTreeClassifier(random_state=0),
        ensemble.RandomForestClassifier(random_state=0),
        ensemble.ExtraTreesClassifier(random_state=0),
        ensemble.GradientBoostingClassifier(random_state=0),
        ensemble.HistGradientBoostingClassifier(random_state=0),
        linear_model.LogisticRegression(max_iter=1000),
        make_pipeline(StandardScaler(), linear_model.LogisticRegression(max_iter=1000)),
        make_pipeline(MinMaxScaler(), ensemble.RandomForestClassifier(random_state=0)),
        GridSearchCV(ensemble.HistGradientBoostingClassifier(random_state=0),
                     {"max_leaf_nodes": [15]}, cv=2),
        linear_model.RidgeClassifier(),
        svm.LinearSVC(max_iter=200),
    ],
    "regression": [
        DecisionTreeRegressor(random_state=0),
        ensemble.RandomForestRegressor(random_state=0),
        ensemble.ExtraTreesRegressor(random_state=0),
        ensemble.GradientBoostingRegressor(random_state=0),
        ensemble.HistGradientBoostingRegressor(random_state=0),
        linear_model.LinearRegression(),
        make_pipeline(StandardScaler(), linear_model.Ridge()),
        linear_model.Lasso(0.1),
        linear_model.ElasticNet(0.1),
    ],
}  # fmt: skip
OTHERS: dict[str, list[Any]] = {
    "classification": [
        naive_bayes.GaussianNB(),
        neighbors.KNeighborsClassifier(),
        make_pipeline(StandardScaler(), svm.SVC()),
        neural_network.MLPClassifier(max_iter=50, random_state=0),
        ensemble.BaggingClassifier(random_state=0),
        ensemble.AdaBoostClassifier(random_state=0),
        CalibratedClassifierCV(ensemble.RandomForestClassifier(random_state=0), cv=2),
        ensemble.VotingClassifier([("a", naive_bayes.GaussianNB()),
                                   ("b", linear_model.LogisticRegression(max_iter=500))]),
    ],
    "regression": [neighbors.KNeighborsRegressor(), svm.SVR()],
}  # fmt: skip
_TAKE_GAPS = ("DecisionTree", "RandomForest", "ExtraTrees", "HistGradientBoosting")


def prepared(estimator: Any, data: Data) -> Any:
    """Return the estimator with what stands before it, so that it can take the data."""
    from sklearn.base import clone

    takes_gaps = _last(estimator).startswith(_TAKE_GAPS)
    if not data.texts:
        missing = data.gaps and not takes_gaps
        return make_pipeline(SimpleImputer(), clone(estimator)) if missing else clone(estimator)
    numbers = [each for each in range(data.rows.shape[1]) if each not in data.texts]
    encoder = OneHotEncoder(handle_unknown="ignore")
    if _last(estimator).startswith("Hist"):
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan,
                                 encoded_missing_value=np.nan)  # fmt: skip
    front = ColumnTransformer(
        [("text", encoder, list(data.texts)),
         ("numbers", "passthrough" if takes_gaps else SimpleImputer(), numbers)],
        sparse_threshold=0.0,
    )  # fmt: skip
    return make_pipeline(front, clone(estimator))


def _last(estimator: Any) -> str:
    while not isinstance(estimator, str):
        inside = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else None
        inside = estimator.estimator if isinstance(estimator, GridSearchCV) else inside
        if inside is None:
            return type(estimator).__name__
        estimator = inside
    return estimator


def name_of(estimator: Any) -> str:
    """Return an estimator in words."""
    if isinstance(estimator, Pipeline):
        return " + ".join(name_of(each) for _, each in estimator.steps)
    if isinstance(estimator, GridSearchCV):
        return f"GridSearchCV({name_of(estimator.estimator)})"
    return type(estimator).__name__


# -- measuring ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A line of the table; times in microseconds."""

    estimator: str
    data: str
    expected_plain: bool
    form: str
    difference: float
    ours: float
    theirs: float

    @property
    def times(self) -> float:
        return self.theirs / self.ours


def measure(estimator: Any, data: Data, *, expected_plain: bool) -> Found:
    """Fit, form as `train` would, compare and time."""
    fitted = prepared(estimator, data).fit(data.rows, data.target)
    found = formed(fitted, _about(data), data.rows[:40])
    fresh = _Fresh(data)
    rows = fresh.rows(ROWS)
    return Found(
        estimator=name_of(estimator),
        data=data.name,
        expected_plain=expected_plain,
        form=_form(found),
        difference=_difference(found, fitted, data, rows[:SLOW_ROWS]),
        ours=_microseconds(found.model.score_row, lambda: fresh.rows(ROWS)),
        theirs=_microseconds(_asked(fitted, data), lambda: fresh.rows(SLOW_ROWS)),
    )


def _about(data: Data) -> dict[str, Any]:
    features = [
        {"name": f"c{each}", "unit": None, "type": "category" if each in data.texts else "number",
         "missing": data.gaps, "min": None, "max": None, "mean": None}
        for each in range(data.rows.shape[1])
    ]  # fmt: skip
    classes = [] if data.task == "regression" else sorted(set(data.target.tolist()))
    return {"features": features, "class_names": list(map(str, classes))}


def _form(found: Formed) -> str:
    if found.about["form"] == "pickle":
        return "pickle: " + found.about["why_pickle"] if "why_pickle" in found.about else "pickle"
    return f"plain, {getattr(found.model, 'method', '')}"


class _Fresh:
    """Rows that mix the columns of a table, numbers moved a little: no row comes twice."""

    def __init__(self, data: Data) -> None:
        self._data, self._random = data, np.random.default_rng(1)

    def rows(self, count: int) -> list[Row]:
        table = self._data.rows
        picked = self._random.integers(len(table), size=(count, table.shape[1]))
        moved = self._random.normal(1, 1e-3, size=picked.shape)
        return [
            [_moved(table[n, at], by) for at, (n, by) in enumerate(zip(*each, strict=True))]
            for each in zip(picked.tolist(), moved.tolist(), strict=True)
        ]


def _moved(value: Any, by: float) -> Any:
    return value if value is None or isinstance(value, str) else float(value) * by


def _array(row: Row, data: Data) -> Any:
    return np.array([row], dtype=object if data.texts else np.float64)


def _asked(fitted: Any, data: Data) -> Callable[[Row], Any]:
    ask = getattr(fitted, "predict_proba", fitted.predict)
    return lambda row: ask(_array(row, data))


def _difference(found: Formed, fitted: Any, data: Data, rows: Sequence[Row]) -> float:
    """Return the largest difference from scikit-learn's single rows; of classes, it is infinite."""
    worst, classes = 0.0, getattr(fitted, "classes_", None)
    for row in rows:
        said, probabilities = found.model.score_row(row)
        array = _array(row, data)
        expected = fitted.predict(array)[0]
        if classes is None:
            worst = max(worst, abs(said - expected))
        elif classes[said] != expected:
            return float("inf")
        elif hasattr(fitted, "predict_proba"):
            worst = max(worst, float(np.abs(fitted.predict_proba(array)[0] - probabilities).max()))
    return worst


def _microseconds(score: Callable[[Row], Any], rows: Callable[[], Sequence[Row]]) -> float:
    """Return the processor time of a row: the best of some passes, each over new rows."""
    best = float("inf")
    for _ in range(PASSES):
        fresh = rows()
        start = thread_time()
        for row in fresh:
            score(row)
        best = min(best, (thread_time() - start) / len(fresh))
    return best * 1e6


# -- the page -------------------------------------------------------------------------------


def lines(found: Sequence[Found]) -> Iterator[str]:
    """Yield the table in Markdown."""
    yield "| estimator | data | served | difference | µs a row | scikit-learn | times |"
    yield "| --- | --- | --- | --- | ---: | ---: | ---: |"
    for each in found:
        yield (
            f"| {each.estimator} | {each.data} | {each.form} | {each.difference:.2g} "
            f"| {each.ours:.3g} | {each.theirs:,.0f} | {each.times:,.0f} |"
        )


def goals(found: Sequence[Found]) -> Iterator[tuple[str, bool]]:
    """Yield each goal with what was found, and whether it is reached."""
    plain = [each for each in found if each.expected_plain]
    pickled = [each for each in plain if not each.form.startswith("plain")]
    yield f"{len(plain) - len(pickled)} of {len(plain)} are served plain", not pickled
    worst = max(each.difference for each in plain)
    yield f"their largest difference from scikit-learn's single row is {worst:.2g}", worst == 0
    slowest = min(plain, key=lambda each: each.times)
    words = f"{slowest.times:.0f} times, {slowest.estimator} on {slowest.data}"
    yield f"the least that they are faster is {words}", slowest.times >= LEAST_TIMES
    for name, limit in MEDIANS.items():
        middle = median(each.ours for each in plain if name in each.estimator)
        yield f"the median of {name} is {middle:.1f} µs, at most {limit} wanted", middle <= limit


def page(found: Sequence[Found]) -> str:
    """Return the whole report."""
    said = [f"- {words}{'' if reached else ' **(missed)**'}" for words, reached in goals(found)]
    where = f"Python {platform.python_version()}, scikit-learn {version('scikit-learn')}"
    return "\n".join([
        "# Measured by `make matrix`", "",
        f"{where}, numpy {version('numpy')}, one thread. Processor time of single rows that were "
        "not seen before; both in the same run. Of what has no plain form scikit-learn's time is "
        "that of `predict_proba` alone.", "",
        *said, "", *lines(found), "",
    ])  # fmt: skip


def cases() -> list[tuple[Any, Data, bool]]:
    return [
        (estimator, data, expected)
        for data in tables()
        for expected, listed in ((True, PLAIN), (False, OTHERS))
        for estimator in listed[data.task]
        if not (data.texts and not expected)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.matrix", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every fourth row; writes nothing")
    quick = parser.parse_args().quick
    found = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of solvers that did not converge
        for estimator, data, expected in cases()[:: 4 if quick else 1]:
            missing = data.gaps and not expected
            kept = make_pipeline(SimpleImputer(), estimator) if missing else estimator
            found.append(measure(kept, data, expected_plain=expected))
            print([*lines(found[-1:])][-1], flush=True)
    if not quick:
        PAGE.write_text(page(found))
    for words, reached in goals(found):
        print(words if reached else f"{words} (missed)")
    sys.exit(not all(reached for _, reached in goals(found)))


if __name__ == "__main__":
    main()
