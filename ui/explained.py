"""What the About page says of forests, tests and drift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import drifted
import words


def about_forest(votes: Mapping[str, Any] | None, *, task: str = "classification") -> str:
    if task == "regression":
        return (
            "Many small decision trees, each grown on a different part of the training data, say "
            "how much it is. The mean of what they say is the answer."
        )
    what = (
        "Many small decision trees, each grown on a different part of the training data, vote. "
        "The class with most votes is the answer, and its share of the votes is the probability."
    )
    if votes is None:
        return what
    version = words.plain(votes["version"])
    found = _shares(votes["chances"])
    if votes["trees"] is None:
        other = f"{version} is another kind of model; above, its probabilities as votes"
        return f"{what} {other}: {found}."
    return (
        f"{what} Above: how the {votes['trees']:,} trees of {version} vote on the example they "
        f"find hardest. They say {words.plain(votes['class_name'])}: {found}."
    )


def _shares(chances: Mapping[str, float]) -> str:
    """Say which classes got votes, the most first."""
    ranked = sorted((name for name in chances if chances[name]), key=lambda name: -chances[name])
    return ", ".join(
        f"{words.plain(words.title(name))} {words.percent(chances[name])}" for name in ranked
    )


def about_test(report: Mapping[str, Any], split: Mapping[str, float]) -> str:
    total = sum(version["requests"] for version in report["versions"].values())
    shared = ", ".join(
        f"{words.plain(name)} answered {version['requests']:,} "
        f"({words.share(version['requests'], total, split.get(name, 0))})"
        for name, version in report["versions"].items()
    )
    what = (
        "Versions share the real work, so that one learns which is better before all rely on it. "
        f"So far {shared}."
    )
    first = report["comparisons"][:1]  # with more the page gets too long
    return " ".join([what, *(_about_pair(each, report["control"]) for each in first)])


def _about_pair(comparison: Mapping[str, Any], control: str) -> str:
    pair, rate = (
        words.plain(f"{comparison['challenger']} and {control}"),
        comparison["disagreement_rate"],
    )
    if rate is None:
        return ""
    if comparison["verdict"] == "equivalent":
        return f"{pair} hardly ever disagree: it makes no difference who answers."
    if not rate:
        return f"{pair} have agreed so far; it is too early to rely on that."
    often = words.percent(rate, digits=1)
    return f"{pair} disagreed on {often} of the requests; only there can one prove better."


def about_drift(report: dict[str, Any], feature: dict[str, Any]) -> str:
    what = (
        "A model knows only the world it was trained on. When new input (blue) stops looking like "
        "the training data (grey), its answers get worse without any error message."
    )
    score = report["features"].get(feature["name"])
    if score is None:
        return f"{what} {drifted.drift(report).headline}"
    name = words.plain(words.title(feature["name"]))
    return f"{what} Above: {name}, which moved most; in numbers on the Drift page."
