"""irisab retrain: a candidate from old rows and new labels."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing, redirect_stdout
from typing import Any

from irisab import config
from irisab.cli import rollout
from irisab.cli.arguments import add
from irisab.cli.noting import note
from irisab.cli.output import say
from irisab.cli.text import next_lines
from irisab.cli.typed import typed
from irisab.cli.vouch import missing
from irisab.errors import HistoryError
from irisab.lifecycle import due, rejected
from irisab.lifecycle.retrain import retrain
from irisab.lifecycle.sitting import Outcome
from irisab.serving import snapshot
from irisab.store.events import EventLog
from irisab.store.history import History

EXIT = {"propose": 0, "reject": 1, "veto": 3}

Json = dict[str, Any]


def add_to(commands: Any) -> None:
    parser = add(
        commands, "retrain", _retrain, "make a candidate from old rows and the labels since"
    )
    parser.add_argument(
        "--from", dest="origin", metavar="VERSION", help="whose rows and section; default: control"
    )
    parser.add_argument("--as", dest="name", metavar="NAME", help="default: v and the next number")
    parser.add_argument(
        "--then",
        choices=["propose", "rollout"],
        help="whether to roll it out, if it is not worse; default: what [retrain] says",
    )
    parser.add_argument(
        "--due", action="store_true", help="only if [retrain] when says so, as the timer asks"
    )
    parser.add_argument("--json", action="store_true", help="print it for programs")


def _retrain(options: argparse.Namespace) -> int:
    accepted = config.load(options.config)
    settings = snapshot.in_force(accepted, snapshot.newest(accepted))
    with closing(History(settings.data.history)) as history:
        if options.due and (why := _not_due(options, history)):
            return _idle(why, options)
        origin = options.origin or settings.control
        where = f"{options.config}: [model.{origin}]"
        outcome = retrain(settings, history, origin=origin, name=options.name, where=where)
        if options.due and outcome.reason_code == "too_few_labels":
            return _idle(outcome.reason, options)
        note(
            settings.data.history,
            "retrain",
            f"{outcome.decision}: {outcome.reason}",
            version=outcome.version,
        )
        if outcome.decision == "reject":
            _prune(settings, history)
    text = json.dumps(outcome.as_json()) if options.json else _text(outcome, options, settings)
    say(text)
    if outcome.decision == "propose" and _then(options, settings) == "rollout":
        _roll_out(outcome, options)
    return EXIT[outcome.decision]


def _prune(settings: config.Config, history: History) -> None:
    why = f"removed: of the rejected candidates the newest {rejected.KEEP} are kept"
    try:
        for version in rejected.prune(settings, history):
            note(settings.data.history, "retrain", why, version=version)
    except (OSError, HistoryError) as error:
        # What came of the retraining is told all the same.
        print(f"irisab: older rejected candidates stay: {error}", file=sys.stderr)


def _then(options: argparse.Namespace, settings: config.Config) -> str:
    return options.then or settings.retrain.then


def _roll_out(outcome: Outcome, options: argparse.Namespace) -> None:
    # Programs read one object.
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        rollout.start(argparse.Namespace(config=options.config, name=outcome.version))


def _not_due(options: argparse.Namespace, history: History) -> str | None:
    served = snapshot.build(options.config)
    events = EventLog(served.config.data.history).list()
    return due.why_not(served, history, events, now=time.time())


def _idle(why: str, options: argparse.Namespace) -> int:
    nothing = {"version": None, "decision": "none", "reason_code": "not_due", "reason": why}
    say(json.dumps({**nothing, "exam": None}) if options.json else f"not due: {why}")
    return 0


def _text(outcome: Outcome, options: argparse.Namespace, settings: config.Config) -> str:
    lines = [f"{outcome.decision.upper()}: {outcome.reason}"]
    for part, sat in (outcome.exam or {}).items():
        if sat["rows"]:
            lines.append(
                f"  {part} rows, {sat['rows']} in the exam: {outcome.version} "
                f"{_score(sat['candidate'])}, {settings.control} {_score(sat['control'])}"
            )
    return "\n".join([*lines, *_next(outcome, options, settings)])


def _score(scores: Json) -> str:
    if "accuracy" in scores:
        return f"{scores['accuracy']:.4f}"
    return f"MAE {scores['mae']:.4g}"


def _next(outcome: Outcome, options: argparse.Namespace, settings: config.Config) -> list[str]:
    if outcome.decision == "propose" and outcome.version is not None:
        if _then(options, settings) == "rollout":
            return []
        return [
            *missing(settings.data.models, outcome.version, options),
            *next_lines(f"irisab rollout start {outcome.version}", options.config),
        ]
    if outcome.decision == "reject":
        return [
            f"{outcome.version} is kept to be read, and gets no traffic. If the old rows do not "
            "hold any more, train on the new ones alone:",
            f"  {typed(options.config, 'history --training > new.csv')}",
            f"  {typed(options.config, 'train NAME --data new.csv --target label')}",
        ]
    return next_lines("irisab drift", options.config)
