"""irisab drift, verdict: what GET /report has, and an exit code."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irisab import config
from irisab.cli.arguments import add
from irisab.cli.noting import note
from irisab.cli.output import say
from irisab.cli.text import drift_text, verdict_text
from irisab.cli.typed import typed
from irisab.errors import ConfigError
from irisab.http import auth
from irisab.model import bundle
from irisab.serving import candidates, report, snapshot
from irisab.store.events import EventLog
from irisab.store.history import History
from irisab.store.revision import Revision

VERDICT_EXIT = {"better": 0, "worse": 1, "inconclusive": 3, "equivalent": 4}
DECIDED = ("better", "worse")
DRIFT_EXIT = {report.OK: 0, report.WARNING: 1, report.NOT_ENOUGH: 3}


def add_to(commands: Any) -> None:
    drift = add(commands, "drift", _drift, "compare recent input with the training data")
    drift.add_argument("--json", action="store_true", help="print what GET /report has")
    _add_verdict(commands)


def _drift(options: argparse.Namespace) -> int:
    served = snapshot.build(options.config)
    with closing(History(served.config.data.history)) as history:
        drift = report.drift_report(history, served)
        waiting = candidates.under_way(served, history)
    drift["candidate"] = waiting and waiting.version
    _note_turn(served.config.data.history, drift)
    text = json.dumps(drift) if options.json else drift_text(drift, now=datetime.now(UTC))
    say(text)
    return DRIFT_EXIT[drift["status"]]


def _note_turn(history: Path, drift: report.Json) -> None:
    """Remember when drift began, and when it was over."""
    turns = [each.text for each in EventLog(history).list() if each.kind == "drift"]
    drifts = bool(turns) and turns[-1].startswith(report.WARNING)
    if drift["status"] != report.NOT_ENOUGH and drifts != (drift["status"] == report.WARNING):
        above = f", above its limit: {', '.join(drift['above'])}" if drift["above"] else ""
        note(history, "drift", f"{drift['status']}: score {drift['score']:.2f}{above}")


def _add_verdict(commands: Any) -> None:
    parser = add(commands, "verdict", _verdict, "tell which version is better, from the labels")
    parser.add_argument(
        "challenger", nargs="?", metavar="VERSION", help="needed where there are several"
    )
    parser.add_argument("--revision", help="an earlier one, judged by the [experiment] of the INI")
    parser.add_argument("--json", action="store_true", help="print what GET /report has")


def _verdict(options: argparse.Namespace) -> int:
    accepted = config.load(options.config)
    with closing(History(accepted.data.history)) as history:
        if options.revision:
            revision = _earlier(history, options.revision)
            experiment = report.experiment(history, revision, accepted)
        else:
            served = snapshot.assemble(accepted, source=options.config)
            accepted = served.config
            experiment = report.experiment(history, served.describe(), accepted, served.under_way)
    comparison = _comparison(experiment, options, accepted)
    text = (
        json.dumps(experiment)
        if options.json
        else verdict_text(experiment, comparison, config=options.config)
    )
    say(text)
    if not options.json and accepted.auth.require != "all" and _is_uneven(experiment):
        say(auth.ANYBODY_ASKS)
    # Only where somebody is about to act on it.
    if not options.json and accepted.auth.require == "no" and comparison["verdict"] in DECIDED:
        say(auth.ANYBODY_VOTES)
    return VERDICT_EXIT[comparison["verdict"]]


def _is_uneven(experiment: report.Json) -> bool:
    return not experiment["sample_ratio"]["ok"]


def _earlier(history: History, name: str) -> Revision:
    revision = history.revision(name)
    if revision is None:
        known = ", ".join(history.revisions()) or "none yet"
        raise ConfigError(f"--revision {name}: the history does not know it; there are {known}")
    return revision


def _comparison(
    experiment: report.Json, options: argparse.Namespace, accepted: config.Config
) -> report.Json:
    challenger, control = options.challenger, experiment["control"]
    comparisons: dict[str, report.Json] = {
        each["challenger"]: each for each in experiment["comparisons"]
    }
    if not comparisons:
        raise ConfigError(_alone(control, options, accepted))
    if challenger is None and len(comparisons) == 1:
        (challenger,) = comparisons
    if challenger in comparisons:
        return comparisons[challenger]
    if challenger == control:
        raise ConfigError(
            f"{control} is the control, which the others are compared with: "
            f"run '{typed(options.config, f'verdict {next(iter(comparisons))}')}'"
        )
    commands = " or ".join(f"'{typed(options.config, f'verdict {name}')}'" for name in comparisons)
    raise ConfigError(
        f"name the challenger to judge: there is {', '.join(comparisons)}; run {commands}"
    )


def _alone(control: str, options: argparse.Namespace, accepted: config.Config) -> str:
    """Say how the only version gets a challenger: one that the INI or the disk has, else a new."""
    kept = bundle.versions(accepted.data.models)
    others = [name for name in dict.fromkeys([*accepted.models, *kept]) if name != control]
    known = [name for name in others if name in kept]
    other = (known or others or ["v2" if control == "v1" else "v1"])[0]
    train = "" if known else f"run '{typed(options.config, f'train {other}')}', "
    return (
        f"{control} is the only version in [split], so there is nothing to compare: {train}"
        f"write '{control} = 90' and '{other} = 10' under [split] in {options.config}, "
        f"and run '{typed(options.config, 'reload')}'"
    )
