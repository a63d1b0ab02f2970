"""Random estimators of the plain families on random data: does each answer as scikit-learn does?

    python -m bench.fuzz 2000 [--first SEED]

prints one line for each estimator that differs, and what was found; the exit status is 1 if any
does. Start at `case()`, which makes an estimator of a seed.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from irisab.model.estimator import Estimator
from irisab.model.plain import Plain, PlainModel, flatten, restore
from irisab.model.proof import prove

ALONE = 12
# Most of what is wrong is found by the first rows; a fault that hides is found by another seed.
SECONDS = 1.0
METHODS = ("written", "walk", "bitset")
WORDS = ["", "a", "b", "blue", "ä ö", "0", "1.0", "nan", "None", "x'y\"z", "long " * 9]


@dataclass(frozen=True, slots=True)
class Data:
    """A table: rows of floats, and of str or None in the columns of text; a target."""

    rows: list[list[Any]]
    texts: tuple[int, ...]
    gaps: bool
    target: Any
    n_classes: int

    @property
    def numbers(self) -> list[int]:
        return [each for each in range(len(self.rows[0])) if each not in self.texts]

    def table(self, *, frame: bool) -> Any:
        """Return what an estimator is fitted on."""
        array = np.array(self.rows, dtype=object if self.texts else np.float64)
        if not frame:
            return array
        import pandas

        names = [f"c{each}" for each in range(array.shape[1])]
        table = pandas.DataFrame(array, columns=names)
        return table.astype({names[each]: float for each in self.numbers})


def data(random: np.random.Generator, *, classes: bool, text: bool, gaps: bool) -> Data:
    """Return a random table: huge and tiny values, constants, few distinct ones, categories."""
    n_rows, n_columns = int(random.integers(30, 250)), int(random.integers(1, 9))
    hidden = random.normal(size=(n_rows, n_columns))
    scores = hidden @ random.normal(size=n_columns) + random.normal(0, 0.3, n_rows)
    n_classes = int(random.integers(2, 6)) if classes else 0
    target = np.digitize(scores, np.quantile(scores, np.arange(1, n_classes) / n_classes)) \
        if classes else _values(random, scores)  # fmt: skip
    texts = tuple(each for each in range(n_columns) if text and random.random() < 0.5)
    columns = [
        _categories(random, hidden[:, each], gaps) if each in texts
        else _numbers(random, hidden[:, each], gaps)
        for each in range(n_columns)
    ]  # fmt: skip
    return Data([list(row) for row in zip(*columns, strict=True)], texts, gaps, target, n_classes)


def _values(random: np.random.Generator, scores: Any) -> Any:
    return np.exp(scores / 2) if random.random() < 0.5 else scores * 10.0 ** random.integers(-3, 6)


def _numbers(random: np.random.Generator, hidden: Any, gaps: bool) -> list[float]:
    kind = random.integers(8)
    scale = 10.0 ** float(random.choice([0, 0, 0, 2, -3, 6, -30, 30]))
    column = hidden * scale + scale * float(random.integers(-3, 3))
    if kind == 0:
        column = np.full(len(hidden), float(random.normal()))
    elif kind == 1:
        column = np.round(hidden)
    elif kind == 2:
        column = np.float64(np.float32(column))
    if gaps and random.random() < 0.6:
        column[random.random(len(column)) < 0.2] = np.nan
    found: list[float] = column.tolist()
    return found


def _categories(random: np.random.Generator, hidden: Any, gaps: bool) -> list[str | None]:
    words = random.permutation(WORDS)[: random.integers(1, len(WORDS))].tolist()
    found: list[str | None] = [words[int(abs(each) * 4) % len(words)] for each in hidden]
    if gaps and random.random() < 0.6:
        found = [None if random.random() < 0.2 else each for each in found]
    return found


# -- estimators -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """An estimator that is not fitted, and its data."""

    estimator: Any
    data: Data
    frame: bool


Pick = Callable[..., Any]


def case(seed: int) -> Case:
    """Return the case of a seed."""
    random = np.random.default_rng(seed)

    def pick(*choices: Any) -> Any:
        return choices[int(random.integers(len(choices)))]

    make, takes_gaps = pick(*_FAMILIES)
    classes, text = pick(True, False), pick(True, False)
    table = data(random, classes=classes, text=text, gaps=pick(True, False))
    frame = bool(text and pick(True, False))
    model = make(pick, classes, table, seed)
    # Text must be encoded, gaps be filled where the model takes none.
    own = getattr(model, "categorical_features", None) == "from_dtype" and not text
    if table.texts or (table.gaps and not takes_gaps) or (pick(True, False) and not own):
        model = _pipeline(pick, model, table, takes_gaps, frame)
    return Case(_wrapped(pick, model), table, frame)


def _trees(pick: Pick, classes: bool, table: Data, seed: int) -> Any:
    from sklearn import ensemble, tree

    kind = pick("DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees")
    options = {
        "max_depth": pick(None, None, 1, 4, 9), "min_samples_leaf": pick(1, 1, 3, 0.1),
        "max_features": pick(None, "sqrt", 1), "max_leaf_nodes": pick(None, None, 5, 30),
        "ccp_alpha": pick(0.0, 0.0, 0.01), "random_state": seed,
        "criterion": pick("gini", "entropy") if classes else pick("squared_error", "friedman_mse"),
    }  # fmt: skip
    if options["criterion"] == "friedman_mse":
        options["criterion"] = "absolute_error"
    if classes:
        options["class_weight"] = pick(None, "balanced")
    if kind in ("RandomForest", "ExtraTrees"):
        options |= {"n_estimators": pick(1, 3, 10, 10, 60, 300), "bootstrap": pick(True, False)}
    name = kind + ("Classifier" if classes else "Regressor")
    return getattr(tree if hasattr(tree, name) else ensemble, name)(**options)


def _boosting(pick: Pick, classes: bool, table: Data, seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    options = {
        "n_estimators": pick(1, 5, 30, 100, 600), "learning_rate": pick(0.1, 0.05, 1.0, 0.3),
        "max_depth": pick(1, 3, 5, None), "subsample": pick(1.0, 0.7),
        "max_features": pick(None, "sqrt"), "init": pick(None, "zero"), "random_state": seed,
        "n_iter_no_change": pick(None, 3), "max_leaf_nodes": pick(None, 8),
    }  # fmt: skip
    if classes:
        two = table.n_classes == 2
        options["loss"] = pick("log_loss", "exponential") if two else "log_loss"
        return GradientBoostingClassifier(**options)
    loss = pick("squared_error", "absolute_error", "huber", "quantile")
    return GradientBoostingRegressor(**options, loss=loss)


def _histogram(pick: Pick, classes: bool, table: Data, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    options = {
        "max_iter": pick(1, 5, 30, 100, 1000), "learning_rate": pick(0.1, 0.3, 1.0),
        "max_leaf_nodes": pick(31, 5, None), "max_depth": pick(None, 3), "max_bins": pick(255, 20),
        "min_samples_leaf": pick(20, 2, 1), "l2_regularization": pick(0.0, 1.0),
        "early_stopping": pick(False, False, True), "max_features": pick(1.0, 0.5),
        "random_state": seed,
    }  # fmt: skip
    if classes:
        return HistGradientBoostingClassifier(**options, class_weight=pick(None, "balanced"))
    losses = ["squared_error", "absolute_error", "quantile"]
    losses += ["poisson", "gamma"] if (table.target > 0).all() else []
    loss = pick(*losses)
    return HistGradientBoostingRegressor(
        **options, loss=loss, quantile=0.7 if loss == "quantile" else None
    )


def _linear(pick: Pick, classes: bool, table: Data, seed: int) -> Any:
    from sklearn import linear_model as linear
    from sklearn.svm import LinearSVC, LinearSVR

    fit = {"fit_intercept": pick(True, True, False)}
    if classes:
        solver = pick("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga", "liblinear")
        if solver == "liblinear" and table.n_classes > 2:
            solver = "lbfgs"
        return pick(
            linear.LogisticRegression(solver=solver, C=pick(0.01, 1.0, 100.0), max_iter=40, **fit),
            linear.LogisticRegression(class_weight="balanced", max_iter=200),
            linear.RidgeClassifier(alpha=pick(0.1, 10.0), **fit),
            LinearSVC(C=pick(0.1, 1.0), max_iter=100, **fit),
            linear.Perceptron(random_state=seed, max_iter=20),
        )
    return pick(
        linear.LinearRegression(positive=pick(True, False), **fit),
        linear.Ridge(alpha=pick(0.1, 10.0), solver=pick("auto", "svd", "lsqr"), **fit),
        linear.Lasso(alpha=pick(0.001, 0.1), max_iter=200, **fit),
        linear.ElasticNet(alpha=0.01, l1_ratio=pick(0.2, 0.8), max_iter=200),
        linear.RidgeCV(),
        LinearSVR(C=0.1, max_iter=100, random_state=seed),
    )


# Each with whether it takes gaps.
_FAMILIES = [(_trees, True), (_boosting, False), (_histogram, True), (_linear, False)]


def _pipeline(pick: Pick, model: Any, table: Data, takes_gaps: bool, frame: bool) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline, make_pipeline

    names = (lambda each: [f"c{i}" for i in each]) if frame and pick(True, False) else list
    numeric = _numeric_steps(pick, fill=table.gaps and not takes_gaps)
    if not table.texts and pick(True, False):
        return make_pipeline(*(numeric or ["passthrough"]), model)
    parts = []
    if table.texts:
        parts.append(("text", _encoder(pick, table, takes_gaps, frame), names(table.texts)))
    if table.numbers:
        before = make_pipeline(*numeric) if len(numeric) > 1 else (numeric or ["passthrough"])[0]
        parts.append(("numbers", before, names(table.numbers)))
    front = ColumnTransformer(parts, sparse_threshold=pick(0.3, 0.3, 0.0, 1.0))
    # Not for what takes no sparse matrix.
    if type(model).__name__.startswith("Hist"):
        front.set_params(sparse_threshold=0.0)
        if table.texts and isinstance(parts[0][1], type(_ordinal())) and pick(True, False):
            model.set_params(categorical_features=list(range(len(table.texts))))
    return Pipeline([("prepare", front), ("model", model)])


def _numeric_steps(pick: Pick, *, fill: bool) -> list[Any]:
    from sklearn import preprocessing as scale
    from sklearn.impute import SimpleImputer

    steps: list[Any] = []
    if fill or pick(True, False, False):
        strategy = pick("mean", "median", "most_frequent", "constant")
        value = {"fill_value": 0.5} if strategy == "constant" else {}
        steps.append(SimpleImputer(strategy=strategy, add_indicator=pick(True, False), **value))
    scaler = pick(
        None, scale.StandardScaler(), scale.MinMaxScaler(clip=pick(True, False)),
        scale.StandardScaler(with_mean=False), scale.RobustScaler(), scale.MaxAbsScaler(),
    )  # fmt: skip
    return [*steps, scaler] if scaler is not None else steps


def _ordinal() -> Any:
    from sklearn.preprocessing import OrdinalEncoder

    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )


def _encoder(pick: Pick, table: Data, takes_gaps: bool, frame: bool) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

    if takes_gaps and pick(True, False):
        return _ordinal()
    missing = np.nan if frame else None
    fill = SimpleImputer(missing_values=missing, strategy="constant", fill_value="gap")
    one_hot = OneHotEncoder(
        handle_unknown=pick("ignore", "infrequent_if_exist"), sparse_output=pick(True, False),
        drop=pick(None, None, "first", "if_binary"), min_frequency=pick(None, 5, 0.1),
        max_categories=pick(None, 4),
    )  # fmt: skip
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return pick(
        one_hot,
        make_pipeline(fill, one_hot),
        make_pipeline(fill, codes),
        make_pipeline(fill, codes, StandardScaler()),
        make_pipeline(one_hot, MaxAbsScaler()),
        make_pipeline(fill, OneHotEncoder()),
    )


def _wrapped(pick: Pick, model: Any) -> Any:
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    return pick(
        model,
        model,
        model,
        make_pipeline(model),
        GridSearchCV(model, {}, cv=2, error_score="raise"),
    )


# -- judging --------------------------------------------------------------------------------


def judge(seed: int, *, seconds: float = SECONDS) -> tuple[str, str | None]:
    """Return what a case is, and what is wrong with its plain form (None: nothing)."""
    each = case(seed)
    table = each.data.table(frame=each.frame)
    # scikit-learn's own complaints about constants, solvers and unknown categories.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fitted = each.estimator.fit(table, each.data.target)
        except (TypeError, ValueError) as error:
            return f"not fitted: {str(error).splitlines()[0][:60]}", None
        return _kind(fitted), _difference(fitted, each.data, seed, seconds)


def _kind(fitted: Any) -> str:
    from irisab.model.nested import answering

    return type(answering(fitted)).__name__


def _difference(fitted: Any, table: Data, seed: int, seconds: float) -> str | None:
    plain = flatten(fitted)
    if plain is None:
        return "has no plain form"
    about, arrays = _read_again(plain)
    asked = Estimator(
        fitted, n_classes=len(getattr(fitted, "classes_", ())), numeric=not table.texts
    )
    rows = [*table.rows[:60], *_others(table, np.random.default_rng(seed))]
    expected = [_alone(asked, row) for row in rows[-ALONE:]]
    for method in METHODS if about["family"] == "trees" else METHODS[:1]:
        model = PlainModel(about, arrays, method=method)
        for row, said in zip(rows[-ALONE:], expected, strict=True):
            if (found := _alone(model, row)) != said:
                return f"answers {row} with {found} by {method}, where scikit-learn says {said}"
    again = Plain(about=about, arrays=arrays)
    return prove(again, restore(about, arrays), asked, rows, seconds=seconds)


def _read_again(plain: Plain) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the plain form as it comes back from the disk."""
    file, arrays = io.BytesIO(), dict(plain.arrays)
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        return json.loads(json.dumps(plain.about, allow_nan=False)), dict(loaded)


def _alone(model: Any, row: list[Any]) -> Any:
    try:
        return model.score_row(row)
    except Exception:  # what it is matters to nobody here
        return "an error"


def _others(table: Data, random: np.random.Generator) -> Iterator[list[Any]]:
    """Yield rows that mix the columns of the table, with gaps and words of no column."""
    for _ in range(60):
        picked = random.integers(len(table.rows), size=len(table.rows[0]))
        row = [table.rows[row][column] for column, row in enumerate(picked.tolist())]
        column = int(random.integers(len(row)))
        if column not in table.texts:
            row[column] *= float(random.choice([1.0, 1.5, -1.0, 1 + 1e-15]))
        elif random.random() < 0.5:
            row[column] = str(random.choice(WORDS))
        yield row


def run(seeds: range) -> int:
    """Judge all seeds, say what was found, and return how many differ."""
    found: Counter[str] = Counter()
    wrong = 0
    # One thread in each: small tables are fitted in less time than threads need to meet.
    with ProcessPoolExecutor(initializer=threadpool_limits, initargs=(1,)) as processes:
        for seed, (kind, difference) in zip(seeds, processes.map(judge, seeds), strict=True):
            found[kind] += 1
            if difference is not None:
                wrong += 1
                print(f"seed {seed}: {kind}: {difference}", flush=True)
            if found.total() % 100 == 0:
                print(f"{found.total()} tried", file=sys.stderr, flush=True)
    fitted = {kind: count for kind, count in found.items() if not kind.startswith("not fitted")}
    print(f"{sum(fitted.values())} fitted estimators, {wrong} that differ")
    for kind, count in found.most_common():
        print(f"  {count:5} {kind}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    sys.exit(run(range(given.first, given.first + given.count)) > 0)


if __name__ == "__main__":
    main()
