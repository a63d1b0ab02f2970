"""What the Learn page says, beside its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import drifted
import scores
import trees
import words
from simulated import Arm, Moved
from trees import Line

Json = Mapping[str, Any]

NO_EXAMPLES = "The service has no examples to show. Grey: how the training data is spread."

SPLIT = (
    "A simulation in this page: two made-up versions, A and B, and nothing of it reaches the "
    "service. Give B more or less of the requests, and see how well one can tell which is better."
)

DRIFT = (
    "A model knows the world that it was trained on. When what it is asked moves away from that, "
    "its answers may get worse, and no error says so. Move a feature, in this page only, and see "
    "how far that is."
)

SIGNS = "Grey: the training data. Blue: the same, moved. Orange: the alarm, and the largest gap."


def examples(point: Json, classes: Sequence[str]) -> str:
    """Say what the dots are, and where the case is."""
    told = (
        "Examples are cases whose answer is known. These are made to look like the training data. "
    )
    if not classes:
        told += "The larger a dot, the larger the value. "
    if None in point.values():
        return f"{told}This case is not among them: one of the two values is unknown."
    return f"{told}The red cross is the case that the inputs make."


def grown(version: str, about: Json) -> str:
    """Say what the tree is that is shown."""
    name, count = words.plain(version), about["n_estimators"] or 1
    if count == 1:
        return f"{name} is one decision tree: a list of questions, each about one feature."
    return (
        f"{name} has {count:,} decision trees: lists of questions, each about one feature. Each "
        "grew on other rows, drawn by chance. This is the first."
    )


def no_tree(version: str, about: Json) -> str:
    """Say why there is no tree to look at, and what is there instead."""
    name, kind = words.plain(version), about["estimator"] or "model"
    if any(each in kind for each in ("Boost", "XGB", "LGBM")):
        why = "its trees add corrections up, and none of them answers by itself"
    elif any(each in kind for each in ("Forest", "Tree")):
        why = "what its trees ask about is prepared first, and means nothing to people"
    else:
        why = "it has no trees"
    kind = words.plain(kind)
    return f"{name} is of the kind {kind}: {why}. Shown instead: what it says of this case."


def way(lines: Sequence[Line]) -> str:
    """Say where the case comes to in the tree."""
    last = trees.end(lines)
    after = f"After {words.count(last.depth, 'question')}"
    if last.kind == "leaf":
        return f"{after} this tree says **{words.plain(last.text)}**."
    if last.kind == "more":
        return f"{after} the way goes on below what is shown."
    return f"{after} a value is unknown that this tree needs."


def steps(lines: Sequence[Line]) -> dict[str, dict[str, str]]:
    """List the questions on the way of the case, for a table."""
    way = list(trees.way(lines))
    return {
        "Question": {str(number): words.plain(asked) for number, (asked, _) in enumerate(way, 1)},
        "Answer": {str(number): said for number, (_, said) in enumerate(way, 1)},
    }


def votes(version: str, about: Json, said: Json) -> str:
    """Say how an answer came about, if its trees answer each by itself."""
    name, count = words.plain(version), about["n_estimators"] if about.get("tree") else None
    if "class_name" not in said:
        answer = f"**{words.number(said['prediction'])}**"
        return (
            f"The mean of its {count:,} trees is {answer}." if count else f"{name} says {answer}."
        )
    answer = f"**{words.plain(words.title(said['class_name']))}**"
    if not said.get("probabilities"):
        return f"{name} says {answer}, and not how sure it is."
    if about.get("tree") and not count:
        return f"{name} has no other tree, so its leaf is the answer: {answer}."
    if count:
        return (
            f"The {count:,} trees of {name} vote. Most say {answer}, which is the answer, and the "
            "share of the votes is its probability."
        )
    return f"{name} says {answer}. Above, its probabilities as if a hundred had voted."


def shares(chances: Mapping[str, float]) -> str:
    """Give the share of each class that has one, the largest first."""
    ranked = sorted(chances.items(), key=lambda each: -each[1])
    told = [
        f"{words.plain(words.title(name))} {words.percent(share, digits=1)}"
        for name, share in ranked
        if share >= 0.0005
    ]
    return " · ".join(told)


def intervals(arms: Mapping[str, Arm]) -> dict[str, tuple[float, float, float]]:
    """Give the accuracy of each version that answered, and the interval that it lies in."""
    return {
        name: (arm.correct / arm.requests, *scores.wilson(arm.correct, arm.requests))
        for name, arm in arms.items()
        if arm.requests
    }


def test(arms: Mapping[str, Arm]) -> str:
    """Say what a simulated split shows, as far as one may tell from it."""
    known = intervals(arms)
    if len(known) < len(arms):
        return "Who answers nothing is not tested: give both a share."
    behind, ahead = sorted(known, key=lambda name: known[name][0])
    if known[ahead][1] > known[behind][2]:
        return f"**{ahead} is better**: the lines do not touch, and chance hardly ever does that."
    return (
        "**Too early to say**: the lines overlap, and chance alone could do that. More requests, "
        "or a more even split, make the longer line shorter."
    )


def tested(arms: Mapping[str, Arm]) -> dict[str, dict[str, str]]:
    """List what a simulated split has counted, version by version, for a table."""
    known = intervals(arms)
    return {
        name: {
            "Requests": f"{arm.requests:,}",
            "Right answers": f"{arm.correct:,}",
            "Share of right answers": _between(known[name]) if name in known else "–",
        }
        for name, arm in arms.items()
    }


def _between(interval: tuple[float, float, float]) -> str:
    share, low, high = (words.percent(each, digits=1) for each in interval)
    return f"{share} ({low} to {high})"


def split_here(report: Json) -> str:
    """Say how the split goes here, and how often versions disagree."""
    shared = ", ".join(
        f"{words.plain(name)} answered {version['requests']:,}"
        for name, version in report["versions"].items()
    )
    first = report["comparisons"][:1]  # with more the page gets too long
    pairs = [_pair(each, report["control"]) for each in first]
    return " ".join([f"In this service, so far, {shared}.", *pairs])


def _pair(comparison: Json, control: str) -> str:
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


def distance(moved: Moved, feature: Json, limit: float) -> str:
    """Say how far a moved feature is from training, and whether that would be an alarm."""
    alarm = "**above the alarm**" if moved.distance > limit else "below the alarm"
    said = f"**{moved.distance:.2f}**: {alarm}, which is at {limit:.2f}."
    if moved.gap is None:
        return f"{said} Half of how much the bars differ, all together: the total variation."
    at, before, after = moved.gap
    most = f"at most {measured(at, feature)}"
    return (
        f"{said} The largest gap between the two curves (Kolmogorov and Smirnov): "
        f"{words.percent(before)} of the rows had {most}, {words.percent(after)} have it now."
    )


def measured(value: float, feature: Json) -> str:
    """Write a value with three digits and its unit."""
    return f"{float(f'{value:.3g}'):,g}" + (
        f" {words.plain(feature['unit'])}" if feature["unit"] else ""
    )


def moved(moved: Moved) -> dict[str, dict[str, str]]:
    """List the shares of a histogram, in training and moved, for a table."""
    told, edges = moved.histogram, moved.histogram.get("edges", ())
    spans = [f"{low:.3g} to {high:.3g}" for low, high in zip(edges, edges[1:], strict=False)]
    names = told.get("categories") or spans
    return {
        title: {
            words.plain(name): words.percent(share, digits=1)
            for name, share in zip(names, told[key], strict=True)
        }
        for title, key in (("In training", "training"), ("Moved", "window"))
    }


def drift_here(report: dict[str, Any], features: list[dict[str, Any]]) -> str:
    """Say how it is here: the feature that moved most."""
    feature = drifted.most_moved(report, features)
    score = report["features"].get(feature["name"])
    if score is None:
        return f"In this service: {drifted.drift(report).headline}"
    name = words.plain(words.title(feature["name"]))
    return f"In this service {name} has moved most: {score:.2f}. {drifted.drift(report).headline}"
