"""irisab rollout: bring a version in step by step, and back by itself. Start at `_rollout`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from irisab.cli import looks
from irisab.cli.arguments import add
from irisab.cli.output import say
from irisab.cli.standing import Standing, standing
from irisab.cli.typed import typed
from irisab.errors import DataError
from irisab.lifecycle import looking, rollout
from irisab.serving import settings, snapshot
from irisab.serving.snapshot import Snapshot
from irisab.store import rollouts
from irisab.store.history import History
from irisab.store.rollouts import FINISHED, Changed, Rollout, State

NOTHING_TO_DO = 3
PATIENCE = 5
# What each action takes, beside --config.
TAKES: Mapping[str, tuple[str, ...]] = {
    "start": ("VERSION",),
    "status": ("--json",),
    "pause": ("--reason",),
    "resume": ("--reason",),
    "promote": ("--reason",),
    "abort": ("--reason",),
    "look": ("--dry-run",),
    "--watch": (),
}


def add_to(commands: Any) -> None:
    parser = add(commands, "rollout", _rollout, "bring a version in, step by step")
    parser.add_argument(
        "action",
        nargs="?",
        choices=[name for name in TAKES if name != "--watch"],
        metavar="ACTION",
        help="start VERSION, status, pause, resume, promote, abort; look: decide now, once",
    )
    parser.add_argument("name", nargs="?", metavar="VERSION", help="the one to start with")
    parser.add_argument("--json", action="store_true", help="print the status for programs")
    parser.add_argument("--reason", metavar="TEXT", help="why, for those who ask later")
    parser.add_argument("--dry-run", action="store_true", help="only say what a look would do now")
    parser.add_argument("--watch", action="store_true", help="look again and again, to the end")


def _rollout(options: argparse.Namespace) -> int:
    action = _action(options)
    if action == "look" and looks.is_idle(options.config):
        return 0
    for _ in range(PATIENCE):
        # A look may write between a person's reading and writing.
        with suppress(Changed):
            return _do(action, options)
    return _do(action, options)


def _do(action: str, options: argparse.Namespace) -> int:
    if action == "start":
        return start(options)
    stands = standing(options.config)
    return _none(options) if stands is None else ACTIONS[action](stands, options)


def _action(options: argparse.Namespace) -> str:
    """Return what is asked for; raises `DataError` for words that do not go together."""
    given = {
        "VERSION": options.name is not None,
        "--json": options.json,
        "--reason": options.reason is not None,
        "--dry-run": options.dry_run,
        "--watch": options.watch and options.action is not None,
    }
    action = options.action or ("--watch" if options.watch else None)
    start = typed(options.config, "rollout start VERSION")
    if action is None:
        raise DataError(f"say what to do: {', '.join(TAKES)}; such as: {start}")
    for name, is_given in given.items():
        if is_given and name not in TAKES[action]:
            raise DataError(f"{name} does not go with {action}")
    if action == "start" and options.name is None:
        raise DataError(f"name the version: {start}")
    return action


def _none(options: argparse.Namespace) -> int:
    if options.json:
        say("null")
    else:
        start = typed(options.config, "rollout start VERSION")
        say(f"No rollout was ever started; to start one: {start}")
    return NOTHING_TO_DO


def start(options: argparse.Namespace) -> int:
    """Begin to bring in the version `options.name` with the INI file `options.config`."""
    served = snapshot.build(options.config)
    path = served.written.data.history
    before = rollouts.newest(path)
    _refuse_start(options, served, before)
    with closing(History(path)) as history:
        at = looking.begin(served, history, options.name, now=time.time())
    snapshot.with_rollout(served.written, at, source=options.config)  # or it is refused
    rollouts.write(path, before, at)
    return Standing(options.config, served.written, at).follow()


def _refuse_start(options: argparse.Namespace, served: Snapshot, before: Rollout | None) -> None:
    written, version = served.written, options.name
    if version == written.control:
        raise DataError(
            f"{version} is the control, which the others are compared with: a rollout brings "
            "another version in"
        )
    if not written.experiment.shadow:
        raise DataError(
            f"{options.config}: [experiment] shadow = no: a rollout is decided by versions that "
            "score the same requests; write shadow = yes"
        )
    if before is None:
        return
    stands = Standing(options.config, written, before)
    if stands.state not in FINISHED:
        raise DataError(
            f"{before.version} is being rolled out already; to see how far: "
            f"{typed(options.config, 'rollout status')}; to end it: "
            f"{typed(options.config, 'rollout abort')}"
        )
    if served.config.control != written.control:
        raise DataError(
            f"{before.version} was promoted, and {options.config} does not say so yet; to see the "
            f"lines to write: {typed(options.config, 'rollout status')}"
        )


def _status(stands: Standing, options: argparse.Namespace) -> int:
    if options.json:
        told = rollouts.told(stands.written.data.history)
        say(json.dumps({**stands.as_json(), "history": settings.of_past(told)}))
    else:
        stands.tell()
    return stands.exit_code


def _pause(stands: Standing, options: argparse.Namespace) -> int:
    if stands.state in ("paused", *FINISHED):
        return _nothing(stands, options)
    return _moved(stands, "paused", options)


def _resume(stands: Standing, options: argparse.Namespace) -> int:
    if stands.state != "paused":
        return _nothing(stands, options)
    with stands.looking() as looking:
        after = looking.resumed(stands.at, now=time.time())
    return stands.keep(replace(after, reason=options.reason or after.reason))


def _promote(stands: Standing, options: argparse.Namespace) -> int:
    at = stands.at
    if stands.state in ("baking", *FINISHED):
        return _nothing(stands, options)
    with stands.looking() as looking:
        failing = looking.failing(at)
    if failing:
        raise DataError(
            f"{at.version} would be rolled back at the next look: {failing} To serve it all the "
            f"same, write its share under [split] in {options.config}"
        )
    return _moved(stands, "baking", options)


def _abort(stands: Standing, options: argparse.Namespace) -> int:
    if stands.state in ("rolled_back", "aborted", "superseded"):
        return _nothing(stands, options)
    return _moved(stands, "aborted", options)


def _moved(stands: Standing, state: State, options: argparse.Namespace) -> int:
    why = options.reason or f"{options.action} by a person"
    return stands.keep(rollout.moved(stands.at, state, why, now=time.time()))


def _nothing(stands: Standing, options: argparse.Namespace) -> int:
    stands.tell()
    say(f"There is nothing to {options.action}.")
    return NOTHING_TO_DO


def _look(stands: Standing, options: argparse.Namespace) -> int:
    return looks.look(stands, dry_run=options.dry_run)


def _watch(stands: Standing, options: argparse.Namespace) -> int:
    return looks.watch(stands)


ACTIONS: Mapping[str, Callable[[Standing, argparse.Namespace], int]] = {
    "status": _status,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "abort": _abort,
    "look": _look,
    "--watch": _watch,
}
