"""What the plain forms know of scikit-learn: its own classes, with parameters that they know.

A subclass may predict differently, and so may a parameter that came with a newer release. What is
not listed here is never guessed: it is served by its pickle.
"""

from __future__ import annotations

from typing import Any


class NotPlain(Exception):
    """The estimator has something that no plain form is known to reproduce."""


_TREE = (
    "ccp_alpha criterion max_depth max_features max_leaf_nodes min_impurity_decrease "
    "min_samples_leaf min_samples_split min_weight_fraction_leaf random_state "
)
_ONE_TREE = _TREE + "class_weight monotonic_cst splitter"
_FOREST = (
    _TREE + "bootstrap class_weight max_samples monotonic_cst n_estimators n_jobs oob_score "
    "verbose warm_start"
)
_BOOSTING = (
    _TREE + "alpha init learning_rate loss n_estimators n_iter_no_change subsample tol "
    "validation_fraction verbose warm_start"
)
_HISTOGRAM = (
    "categorical_features class_weight early_stopping interaction_cst l2_regularization "
    "learning_rate loss max_bins max_depth max_features max_iter max_leaf_nodes min_samples_leaf "
    "monotonic_cst n_iter_no_change quantile random_state scoring tol validation_fraction verbose "
    "warm_start"
)
# Of linear models only the coefficients count, however they were found.
_LINEAR = (
    "C Cs alpha alpha_per_target alphas average class_weight copy_X cv dual early_stopping eps "
    "epsilon eta0 fit_intercept gcv_mode intercept_scaling l1_ratio l1_ratios learning_rate loss "
    "max_iter multi_class n_alphas n_iter_no_change n_jobs normalize penalty positive power_t "
    "precompute random_state refit scoring selection shuffle solver store_cv_results "
    "store_cv_values tol use_legacy_attributes validation_fraction verbose warm_start"
)
_SEARCH = (
    "cv error_score estimator n_iter n_jobs param_distributions param_grid pre_dispatch "
    "random_state refit return_train_score scoring verbose"
)
_PARAMETERS = {
    "DecisionTreeClassifier DecisionTreeRegressor": _ONE_TREE,
    "ExtraTreeClassifier ExtraTreeRegressor": _ONE_TREE,
    "RandomForestClassifier RandomForestRegressor": _FOREST,
    "ExtraTreesClassifier ExtraTreesRegressor": _FOREST,
    "GradientBoostingClassifier GradientBoostingRegressor": _BOOSTING,
    "HistGradientBoostingClassifier HistGradientBoostingRegressor": _HISTOGRAM,
    "LogisticRegression LogisticRegressionCV": _LINEAR,
    "RidgeClassifier RidgeClassifierCV LinearSVC Perceptron": _LINEAR,
    "LinearRegression Ridge RidgeCV Lasso LassoCV ElasticNet ElasticNetCV LinearSVR": _LINEAR,
    "DummyClassifier DummyRegressor": "constant quantile random_state strategy",
    "StandardScaler": "copy with_mean with_std",
    "MinMaxScaler MaxAbsScaler": "clip copy feature_range",
    "RobustScaler": "copy quantile_range unit_variance with_centering with_scaling",
    "SimpleImputer": "add_indicator copy fill_value keep_empty_features missing_values strategy",
    "OneHotEncoder OrdinalEncoder": (
        "categories drop dtype encoded_missing_value feature_name_combiner handle_unknown "
        "max_categories min_frequency sparse_output unknown_value"
    ),
    "ColumnTransformer": (
        "force_int_remainder_cols n_jobs remainder sparse_threshold transformer_weights "
        "transformers verbose verbose_feature_names_out"
    ),
    "FunctionTransformer": (
        "accept_sparse check_inverse feature_names_out func inv_kw_args inverse_func kw_args "
        "validate"
    ),
    "Pipeline": "memory steps transform_input verbose",
    "GridSearchCV RandomizedSearchCV": _SEARCH,
    "FrozenEstimator": "estimator",
}
PARAMETERS = {
    name: frozenset(parameters.split())
    for names, parameters in _PARAMETERS.items()
    for name in names.split()
}


def kind_of(estimator: Any) -> str:
    """Return the name of a class of scikit-learn's own, "" of any other."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.startswith("sklearn.") else ""


def known_kind(estimator: Any) -> str:
    """Return the name of a known class; raise `NotPlain` where it or a parameter is not known."""
    kind = kind_of(estimator)
    unknown = set(estimator.get_params(deep=False)) - PARAMETERS[kind] if kind in PARAMETERS else {}
    if kind not in PARAMETERS or unknown:
        raise NotPlain(f"{type(estimator).__name__} {' '.join(sorted(unknown))}".strip())
    return kind


def chain(estimator: Any) -> list[Any]:
    """Return the steps of an estimator, the one that predicts last, out of all that wraps them."""
    kind = known_kind(estimator)
    if kind == "Pipeline":
        inner = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return [each for step in inner for each in chain(step)]
    if kind in ("GridSearchCV", "RandomizedSearchCV"):
        return chain(estimator.best_estimator_)
    return chain(estimator.estimator) if kind == "FrozenEstimator" else [estimator]
