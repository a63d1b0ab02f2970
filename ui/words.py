"""Figures into plain words. No drawing here: every function returns text, or None for nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Z95 = 1.959963984540054  # standard normal quantile of a two-sided 95 % interval

HOW_TO_LABEL = (
    "A label tells the service what the right answer was. Give one with the buttons on the "
    "Predict page, or from your own program with `POST /feedback`."
)

TESTED = (
    "When tested: in five-fold cross-validation over all training rows, with the standard error."
)

UNEVEN = (
    "The versions do not get the users they should. Something outside the service decides who is "
    "answered by whom, so figures that compare groups of users can't be trusted."
)

ANYBODY = (
    "Labels need no key here, so whoever reaches the API has a vote. [auth] require = feedback in "
    "the INI file changes that."
)
ALONE = "One version answers everything. Give a second one a share in [split] to compare them."


# What is next for a version that is rolled out.
ROLLOUT = "irisab rollout status"

MOVED = " · :orange[above its alarm]"
UNLABELLED = "not known yet"

# More names than this are no headline.
NAMED = 3


class Message(NamedTuple):
    """A headline, what it rests on, and what to do next. `tone` is good, bad or open.

    `typed` is a command, or lines of the INI file, which `reload` puts in force.
    """

    tone: str
    headline: str
    because: str
    todo: str
    typed: str = ""
    reload: str = ""


def label(feature: Mapping[str, Any]) -> str:
    """Name a feature with its unit: sepal_length in cm is "Sepal length (cm)"."""
    name = plain(title(feature["name"]))
    return f"{name} ({plain(feature['unit'])})" if feature["unit"] else name


def title(name: str) -> str:
    """Write a name from a data file as people would: sepal_length becomes Sepal length."""
    return sentence(name.replace("_", " ").strip())


def plain(text: str) -> str:
    """Keep text that came from elsewhere from being read as Markdown."""
    return re.sub(r"([\\`*_{}\[\]#!|<>~$:])", r"\\\1", text)


def away(address: str, *, empty: bool) -> str:
    """Say that nobody answers, and on a page that has nothing to show, how to look elsewhere."""
    said = f"The service at {plain(address)} is not answering; trying again."
    return f"{said} To look elsewhere, set `IRISAB_API`." if empty else said


def share(answered: int, total: int, weight: float) -> str:
    planned = f"planned {number(weight)}%"
    return f"{percent(answered / total)} · {planned}" if total else planned


def thanks(status: str, label: str | float) -> str:
    already = "That was noted before" if status == "duplicate" else "Thank you, noted"
    said = plain(title(label)) if isinstance(label, str) else number(label)
    return f":green[{already}: {said}.]"


def what_is_answered(task: str) -> str:
    if task == "regression":
        return "How much it is, and which version answered."
    return "Which class it is, how sure the model is, and which version answered."


def answer(said: Mapping[str, Any], chances: Mapping[str, float]) -> str:
    """Say the class and how sure the model is of it, if it tells, or the value of a regression."""
    if "class_name" not in said:
        return number(said["prediction"])
    name = plain(title(said["class_name"]))
    return f"{name}, {percent(chances[said['class_name']])}" if chances else name


def titles(names: Sequence[str]) -> Callable[[str], str]:
    """Give the way to write names of which one is chosen: no two may look the same."""
    return title if len({*map(title, names)}) == len(names) else str


def percent(share: float | None, *, digits: int = 0) -> str:
    return "–" if share is None else f"{share:.{digits}%}"


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} ms"


def number(value: float) -> str:
    return f"{value:.6g}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def trained_on(feature: Mapping[str, Any]) -> str:
    low, high = number(feature["min"]), number(feature["max"])
    return f"{low} only" if low == high else f"{low} to {high}"


def outside(feature: Mapping[str, Any], value: float, *, known: tuple[float, float]) -> str | None:
    """Say that a slider's value lies outside its stops for what the model learnt from."""
    low, high = known
    if low <= value <= high:
        return None
    side = "below" if value < low else "above"
    return (
        f"{plain(title(feature['name']))}: {number(value)} is {side} all the model was trained on "
        f"({trained_on(feature)}). It will answer, but it can only guess."
    )


def wilson(correct: int, labelled: int) -> tuple[float, float]:
    """Give the 95 % score interval of a share (Wilson, JASA 1927); `labelled` is above 0."""
    found, z2 = correct / labelled, Z95**2
    centre = (found + z2 / (2 * labelled)) / (1 + z2 / labelled)
    root = math.sqrt(found * (1 - found) / labelled + z2 / (4 * labelled**2))
    half = Z95 * root / (1 + z2 / labelled)
    return max(0.0, centre - half), min(1.0, centre + half)


def verdict(
    comparison: dict[str, Any], *, control: str, split: Mapping[str, float], command: str
) -> Message:
    """Put the A/B verdict on one challenger into words a manager understands.

    `command` is how irisab is called on the host.
    """
    new = comparison["challenger"]
    tone, headline = {
        "better": ("good", f"{new} is better than {control}."),
        "worse": ("bad", f"{new} is worse than {control}."),
        "equivalent": ("good", f"{new} and {control} are as good as each other."),
        "inconclusive": ("open", f"It is too early to say whether {new} or {control} is better."),
    }[comparison["verdict"]]
    because, todo = _because(comparison, control), _needed(comparison)
    if not labels_help(comparison, control=control, split=split):
        todo = ""
    elif not comparison["labelled"]:
        because, todo = "No labels yet.", ""
    if comparison["next"] == ROLLOUT:
        todo = "A rollout is under way, and decides by itself what follows."
    typed = re.sub("^irisab(?= )", lambda _: command, comparison["next"])
    return Message(tone, headline, because, todo, typed, f"{command} reload")


def where_typed(message: Message) -> str:
    """Say what to do with a command, or with lines of the INI file."""
    if not message.typed.startswith("["):
        return "Next, type:"
    return f"Next, write in irisab.ini, and then type `{message.reload}`:"


def labels_help(comparison: dict[str, Any], *, control: str, split: Mapping[str, float]) -> bool:
    """Whether more labels bring a verdict nearer; a version at weight 0 needs traffic first."""
    served = split.get(comparison["challenger"]) and split.get(control)
    fails = comparison["reason_code"] == "fails_alone"
    return comparison["verdict"] == "inconclusive" and bool(served) and not fails


def _because(comparison: dict[str, Any], control: str) -> str:
    reason: str = comparison["reason"]
    # Names are left as they are.
    named = reason.startswith((comparison["challenger"], control))
    return reason if named else sentence(reason)


def _needed(comparison: dict[str, Any]) -> str:
    needed = comparison["labels_needed"]
    if not needed or f"about {needed} more labels" in comparison["reason"]:
        return ""
    return f"As things stand, about {count(needed, 'more label')} would decide it."


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def drift(report: dict[str, Any]) -> Message:
    """Put the drift report into words."""
    if report["score"] is None:
        return _waiting(rows=report["rows"], window=report["window"])
    if report["status"] == "OK":
        return Message(
            "good",
            "The input still looks like the training data.",
            f"The score is {report['score']:.2f}; the alarm is at {report['limit']:.2f}.",
            "Nothing to do.",
        )
    headline, moved = "The input no longer looks like the training data.", _what_moved(report)
    if candidate := report["candidate"]:
        learned = f"A candidate is under way: {plain(candidate)} has learned from it."
        return Message("bad", headline, moved, learned)
    return Message(
        "bad",
        headline,
        moved,
        "First check that the input is right: a changed unit, a swapped column or one row sent "
        "again and again looks just like this. If the world itself has changed, train the model "
        "on recent data.",
    )


def _waiting(*, rows: int, window: int) -> Message:
    return Message(
        "open",
        f"Not enough data yet: {rows:,} of {count(window, 'row')}.",
        "Drift is judged over the latest rows the service was asked about. With fewer, chance "
        "alone would look like drift.",
        f"It takes {count(window - rows, 'more row')}.",
    )


def _what_moved(report: dict[str, Any]) -> str:
    alarm = f"the alarm is at {report['limit']:.2f}"
    moved = moved_features(report)
    names = ", ".join(f"{title(name)} ({report['features'][name]:.2f})" for name in moved[:NAMED])
    if more := moved[NAMED:]:
        names += f" and {len(more):,} more"
    if report["score"] <= report["limit"]:
        return f"The averages are much the same, but not how the values spread: {names}."
    which = f" Most changed: {names}." if names else ""
    return f"The score is {report['score']:.2f}; {alarm}.{which}"


def moved_features(report: dict[str, Any]) -> list[str]:
    """Name the features that are above their limits, the most changed first."""
    return sorted(report["above"], key=lambda name: -report["features"][name])


def side_by_side(
    versions: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """List what there is to know of each version, name by name, for a table."""
    total = sum(version["requests"] for version in versions.values())
    return {
        name: {
            "Requests": f"{version['requests']:,}",
            "Share of requests": share(
                version["requests"], total, config["effective_split"].get(name, 0)
            ),
            "Errors": f"{version['errors']:,}",
            "Half answered within": milliseconds(version["latency_ms"]["p50"]),
            "95% answered within": milliseconds(version["latency_ms"]["p95"]),
            **_scores(version, config["versions"].get(name, {}), config["task"]),
        }
        for name, version in versions.items()
    }


def _scores(version: Mapping[str, Any], trained: Mapping[str, Any], task: str) -> dict[str, str]:
    if task == "regression":
        return {
            "Mean error in use (MAE)": _error(version, "mae"),
            "Root mean square error in use (RMSE)": _error(version, "rmse"),
            "Mean error when tested": _tested(trained, "mae", number),
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
    return UNLABELLED if version[name] is None else number(version[name])


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
    return percent(share, digits=1)


def found(versions: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """List, version by version, how many of each class it has found; those with labels only."""
    classes = {name: version["per_class"] or {} for name, version in versions.items()}
    labelled = {its: None for each in classes.values() for its in each if each[its]["labelled"]}
    return {
        name: {plain(title(its)): _found(each[its]) for its in labelled}
        for name, each in classes.items()
    }


def _found(count: Mapping[str, Any]) -> str:
    return f"{_tenths(count['recall'])} of {count['labelled']:,}" if count["labelled"] else "–"


def evidence(
    comparison: dict[str, Any], *, control: str, alpha: float, task: str = "classification"
) -> dict[str, str]:
    """List what a verdict rests on; `alpha` is this challenger's part of the risk of error."""
    new, difference = comparison["challenger"], comparison["difference"]
    right = "closer" if task == "regression" else "right"
    facts = {
        "Answers with a known truth": f"{comparison['labelled']:,}",
        "What counts once": f"each {comparison['unit']}",
    }
    if comparison["disagreement_rate"] is not None:
        who = {"user": "Users for whom", "request": "Requests on which"}[comparison["unit"]]
        rate = percent(comparison["disagreement_rate"], digits=2)
        facts[f"{who} they disagree"] = f"{rate} of {comparison['scored']:,}"
    sampled = comparison["sampling_rate"]
    if sampled is not None and sampled < 1:
        facts["Requests that both have scored"] = (
            f"{percent(sampled, digits=1)} of the newest: the labels of the others say nothing here"
        )
    if comparison["challenger_right"] is not None:
        times = [count(comparison[f"{who}_right"], "time") for who in ("challenger", "control")]
        facts |= {
            f"Where they disagree, {name} was {right}": often
            for name, often in zip((new, control), times, strict=True)
        }
    if comparison["worse_on"]:
        facts[f"{new} is worse on"] = ", ".join(comparison["worse_on"])
    facts[f"{new} is {right} more often by"] = points(difference)
    facts["Evidence that they differ"] = (
        f"{comparison['e_value']:.3g}; a verdict takes {1 / alpha:.3g}"
    )
    return facts


def points(difference: dict[str, float | None]) -> str:
    """Show a difference of accuracies with the interval it must lie in."""
    low, high = (f"{100 * difference[end]:+.1f}" for end in ("low", "high"))
    between = f"between {low} and {high} percentage points"
    if difference["estimate"] is None:
        return between
    return f"{100 * difference['estimate']:+.1f}, {between}"


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
    version = plain(votes["version"])
    if votes["trees"] is None:
        return f"{what} {version} is another kind of model; above, its probabilities as votes."
    return (
        f"{what} Above: how the {votes['trees']:,} trees of {version} vote on the example they "
        f"find hardest. They say {plain(votes['class_name'])}."
    )


def about_test(report: Mapping[str, Any]) -> str:
    shared = ", ".join(
        f"{plain(name)} answered {version['requests']:,}"
        for name, version in report["versions"].items()
    )
    what = (
        "Versions share the real work, so that one learns which is better before all rely on it. "
        f"So far {shared}."
    )
    first = report["comparisons"][:1]  # with more the page gets too long
    return " ".join([what, *(_about_pair(each, report["control"]) for each in first)])


def _about_pair(comparison: Mapping[str, Any], control: str) -> str:
    pair, rate = plain(f"{comparison['challenger']} and {control}"), comparison["disagreement_rate"]
    if rate is None:
        return ""
    if comparison["verdict"] == "equivalent":
        return f"{pair} hardly ever disagree: it makes no difference who answers."
    if not rate:
        return f"{pair} have agreed so far; it is too early to rely on that."
    often = percent(rate, digits=1)
    return f"{pair} disagreed on {often} of the requests; only there can one prove better."


def most_moved(report: dict[str, Any], features: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the feature that changed most; the first while none is known."""
    return max(features, key=lambda feature: report["features"].get(feature["name"]) or 0)


def about_drift(report: dict[str, Any], feature: dict[str, Any]) -> str:
    what = (
        "A model knows only the world it was trained on. When new input (blue) stops looking like "
        "the training data (grey), its answers get worse without any error message."
    )
    score = report["features"].get(feature["name"])
    if score is None:
        return f"{what} {drift(report).headline}"
    return f"{what} Above: {plain(title(feature['name']))}, the measurement that moved most."
