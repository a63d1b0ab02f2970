"""The life of versions in words: the rollout, and what happened. No drawing here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import words

Json = Mapping[str, Any]

FINISHED = ("promoted", "rolled_back", "aborted", "superseded")
KINDS = {
    "start": "Start",
    "reload": "Reload",
    "refused": "Refused edit",
    "train": "Training",
    "retrain": "Retraining",
    "rollout": "Rollout",
    "rollback": "Rollback",
    "drift": "Drift",
    "backup": "Backup",
}


class Stage(NamedTuple):
    """A part of a rollout; `mark` is done, now, held, ended, next or never."""

    name: str
    mark: str


def moment(text: str | None) -> str:
    """Write an RFC 3339 time in UTC to the minute, which is the same for all who look."""
    return f"{text[:10]} {text[11:16]} UTC" if text else "–"


def rollout(told: Json, config: Json) -> words.Message:
    """Say where the last rollout is, why it holds, and what a person can do on the host."""
    at, command = told["rollout"], told["command"]
    if at is None:
        return _none(told["models"], config, command)
    tone, headline = _headline(at)
    because = f"Since {moment(at['since'])}"
    because += f": {_stop(at['reason'])}" if at["reason"] else "."
    typed = _typed(at, config, command)
    return words.Message(tone, headline, because, _todo(at, command), typed, f"{command} reload")


def _stop(text: str) -> str:
    return f"{text.removesuffix('.')}."


def _todo(at: Json, command: str) -> str:
    if at["state"] == "paused":
        return "One of these goes on where it was, gives it everything, or takes it back."
    if at["state"] in FINISHED:
        return ""
    held = f"It waits: {words.plain(_stop(at['hold']))} " if at["hold"] else ""
    return f"{held}{by_itself(command)}"


def by_itself(command: str) -> str:
    """Say what stops a rollout that needs nobody."""
    pause, abort = f"`{command} rollout pause`", f"`{command} rollout abort`"
    return f"It goes on by itself; to stop it: {pause} or {abort}."


def _none(models: Sequence[Json], config: Json, command: str) -> words.Message:
    others = [each["version"] for each in models if _may_begin(each, config)]
    return words.Message(
        "open",
        "No version is being rolled out.",
        "A rollout gives a new version a little of the requests, then more, and takes it back by "
        "itself where it is worse.",
        "" if others else "The shares are those of irisab.ini.",
        f"{command} rollout start {others[-1]}" if others else "",
    )


def _may_begin(model: Json, config: Json) -> bool:
    """Tell whether a model could be brought in: one that gets no traffic, and may."""
    return bool(
        model["current"]
        and not config["effective_split"].get(model["version"])
        and not model["error"]
        and model.get("candidate") != "rejected"
    )


def _headline(at: Json) -> tuple[str, str]:
    version, share = at["version"], percent(at["percent"])
    step = f"step {at['step']} of {len(at['steps'])}"
    return {
        "shadow": ("open", f"{version} is being rolled out: so far it only scores in the shadow."),
        "step": ("open", f"{version} is being rolled out: {step}, {share} of the requests."),
        "waiting": ("open", f"{version} has done its steps and waits for a verdict, at {share}."),
        "paused": ("bad", f"The rollout of {version} is paused at {share}: a person must decide."),
        "baking": ("good", f"{version} answers everything, and is still being watched."),
        "promoted": ("good", f"{version} was promoted: its rollout is over."),
        "rolled_back": ("bad", f"{version} was rolled back."),
        "aborted": ("bad", f"The rollout of {version} was ended by a person."),
        "superseded": ("open", f"The rollout of {version} is past: what the INI file says serves."),
    }[at["state"]]


def _typed(at: Json, config: Json, command: str) -> str:
    """Give what to type or write next; nothing of it can be done from the page."""
    if at["state"] == "paused":
        return "\n".join(f"{command} rollout {verb}" for verb in ("resume", "promote", "abort"))
    permanent = config["split"] != config["effective_split"]
    if at["state"] in ("baking", "promoted") and permanent:
        return f"[split]\n{at['version']} = 100\n\n[experiment]\ncontrol = {at['version']}"
    return ""


def percent(share: float) -> str:
    return f"{share:g}%"


def stages(at: Json) -> list[Stage]:
    """Name the parts of a rollout from its shadow to its end, with where it is."""
    names = ["Shadow: it scores every request, and answers none"]
    names += [f"Step {number}: {percent(each)}" for number, each in enumerate(at["steps"], 1)]
    names += ["All requests, still watched", "Promoted"]
    reached, mark = _reached(at)
    if at["state"] == "promoted":
        return [Stage(name, "done") for name in names]
    after = "never" if mark == "ended" else "next"
    return [
        Stage(name, mark if number == reached else "done" if number < reached else after)
        for number, name in enumerate(names)
    ]


def _reached(at: Json) -> tuple[int, str]:
    """Return the number of the part that a rollout is in, or ended in, and its mark."""
    if at["state"] not in FINISHED:
        mark = "held" if at["state"] == "paused" or at["hold"] else "now"
        return _number(at["state"], at["percent"], at), mark
    under_way = [each for each in at["history"] if each["state"] not in FINISHED]
    if not under_way:
        return at["step"], "ended"
    return _number(under_way[-1]["state"], under_way[-1]["percent"], at), "ended"


def _number(state: str, share: float, at: Json) -> int:
    everything = state == "baking" or (state == "paused" and share == 100)
    return len(at["steps"]) + 1 if everything else int(at["step"])


def past(at: Json) -> list[str]:
    """List where a rollout has been, the newest first."""
    return [
        f"{moment(each['at'])} · **{_state(each)}**"
        + (f": {words.plain(each['reason'])}" if each["reason"] else "")
        for each in reversed(at["history"])
    ]


def _state(each: Json) -> str:
    name = words.sentence(each["state"].replace("_", " "))
    return name if each["state"] == "shadow" else f"{name}, {percent(each['percent'])}"


def told_shortly(event: Json) -> str:
    """Tell an event in a line of plain text, for whoever points at its mark."""
    kind = KINDS.get(event["kind"], words.sentence(event["kind"]))
    return f"{moment(event['at'])}, {kind}: {event['text']}"


def happened(event: Json) -> str:
    """Tell an event in a line."""
    kind = KINDS.get(event["kind"], words.plain(words.sentence(event["kind"])))
    version = f" · {words.plain(event['version'])}" if event["version"] else ""
    text = words.plain(event["text"])
    return f"{moment(event['at'])} · **{kind}**{version} · {text} (by {words.plain(event['by'])})"
