"""What is said of a verdict, and what it rests on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import words

# What is next for a version that is rolled out.
ROLLOUT = "irisab rollout status"


def verdict(
    comparison: dict[str, Any], *, control: str, split: Mapping[str, float], command: str
) -> words.Message:
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
    if comparison["verdict"] == "equivalent" and comparison["next"]:
        todo = "Keep the cheaper one, and end the test: more labels would not change this."
    if comparison["next"] == ROLLOUT:
        todo = "A rollout is under way, and decides by itself what follows."
    typed = re.sub("^irisab(?= )", lambda _: command, comparison["next"])
    return words.Message(tone, headline, because, todo, typed, f"{command} reload")


def where_typed(message: words.Message) -> str:
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
    return reason if named else words.sentence(reason)


def _needed(comparison: dict[str, Any]) -> str:
    needed = comparison["labels_needed"]
    if not needed or f"about {needed} more labels" in comparison["reason"]:
        return ""
    return f"As things stand, about {words.count(needed, 'more label')} would decide it."


def evidence(
    comparison: dict[str, Any], *, control: str, alpha: float, task: str = "classification"
) -> dict[str, str]:
    """List what a verdict rests on; `alpha` is this challenger's part of the risk of error."""
    new, difference = comparison["challenger"], comparison["difference"]
    right = "closer" if task == "regression" else "right"
    # Without shadow each version is judged by what it answered since the split.
    paired = comparison["challenger_right"] is not None
    facts = {
        "Answers with a known truth": f"{comparison['labelled']:,}",
        "Which of them count": "of every split so far" if paired else "of this split",
        "What counts once": f"each {comparison['unit']}",
    }
    if comparison["disagreement_rate"] is not None:
        who = {"user": "Users for whom", "request": "Requests on which"}[comparison["unit"]]
        rate = words.percent(comparison["disagreement_rate"], digits=2)
        facts[f"{who} they disagree"] = f"{rate} of {comparison['scored']:,}"
    sampled = comparison["sampling_rate"]
    if sampled is not None and sampled < 1:
        facts["Requests that both have scored"] = (
            f"{words.percent(sampled, digits=1)} of the newest: "
            "the labels of the others say nothing here"
        )
    if paired:
        times = [
            words.count(comparison[f"{who}_right"], "time") for who in ("challenger", "control")
        ]
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
