"""How good the versions are, side by side, for a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import words

Z95 = 1.959963984540054  # standard normal quantile of a two-sided 95 % interval

UNLABELLED = "not known yet"


def wilson(correct: int, labelled: int) -> tuple[float, float]:
    """Give the 95 % score interval of a share (Wilson, JASA 1927); `labelled` is above 0."""
    found, z2 = correct / labelled, Z95**2
    centre = (found + z2 / (2 * labelled)) / (1 + z2 / labelled)
    root = math.sqrt(found * (1 - found) / labelled + z2 / (4 * labelled**2))
    half = Z95 * root / (1 + z2 / labelled)
    return max(0.0, centre - half), min(1.0, centre + half)


def side_by_side(
    versions: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """List what there is to know of each version, name by name, for a table."""
    total = sum(version["requests"] for version in versions.values())
    return {
        name: {
            "Requests": f"{version['requests']:,}",
            "Share of requests": words.share(
                version["requests"], total, config["effective_split"].get(name, 0)
            ),
            "Errors": f"{version['errors']:,}",
            "Half answered within": words.milliseconds(version["latency_ms"]["p50"]),
            "95% answered within": words.milliseconds(version["latency_ms"]["p95"]),
            **_scores(version, config["versions"].get(name, {}), config["task"]),
        }
        for name, version in versions.items()
    }


def _scores(version: Mapping[str, Any], trained: Mapping[str, Any], task: str) -> dict[str, str]:
    if task == "regression":
        return {
            "Mean error in use (MAE)": _error(version, "mae"),
            "Root mean square error in use (RMSE)": _error(version, "rmse"),
            "Mean error when tested": _tested(trained, "mae", words.number),
        }
    return {
        "Right in use": _right(version),
        "Right when tested": _tested(trained, "accuracy", _tenths),
    }


def _right(version: Mapping[str, Any]) -> str:
    if not version["labelled"]:
        return UNLABELLED
    low, high = wilson(version["correct"], version["labelled"])
    found, least, most = map(_tenths, (version["accuracy"], low, high))
    return f"{found} of {version['labelled']:,} ({least} to {most})"


def _error(version: Mapping[str, Any], name: str) -> str:
    return UNLABELLED if version[name] is None else words.number(version[name])


def _tested(trained: Mapping[str, Any], name: str, spelt: Callable[[float], str]) -> str:
    """Show a score of training, with its standard error where that is known."""
    if (score := trained.get(name)) is None:
        return "–"
    if name == "accuracy" and trained.get("cv_accuracy") is not None:
        score = trained["cv_accuracy"]  # an old bundle's other one is that of a single test
    elif name == "accuracy":
        return spelt(score)
    error = trained.get("cv_standard_error")
    return spelt(score) if error is None else f"{spelt(score)} ± {spelt(error)}"


def _tenths(share: float) -> str:
    return words.percent(share, digits=1)


def found(versions: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """List, version by version, how many of each class it has found; those with labels only."""
    classes = {name: version["per_class"] or {} for name, version in versions.items()}
    labelled = {its: None for each in classes.values() for its in each if each[its]["labelled"]}
    return {
        name: {words.plain(words.title(its)): _found(each[its]) for its in labelled}
        for name, each in classes.items()
    }


def _found(count: Mapping[str, Any]) -> str:
    return f"{_tenths(count['recall'])} of {count['labelled']:,}" if count["labelled"] else "–"
