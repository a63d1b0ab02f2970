"""irisab models: what is kept, and going back to it."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from typing import Any

from irisab import config
from irisab.cli.arguments import add
from irisab.cli.noting import note
from irisab.cli.output import say
from irisab.cli.text import next_lines
from irisab.cli.typed import typed
from irisab.errors import BundleError, DataError
from irisab.lifecycle import inventory, kept_models
from irisab.lifecycle.rejected import KEEP
from irisab.serving import snapshot
from irisab.store.history import History

Json = dict[str, Any]


def add_to(commands: Any) -> None:
    parser = add(commands, "models", _models, "list every model that is kept; go back to one")
    parser.add_argument("--json", action="store_true", help="print it for programs")
    actions = parser.add_argument_group("to go back to an older model")
    actions.add_argument("action", nargs="?", choices=["use"], help="make a kept model current")
    actions.add_argument("version", nargs="?", metavar="VERSION")
    actions.add_argument("hash", nargs="?", metavar="HASH", help="its first letters will do")


def _models(options: argparse.Namespace) -> int:
    settings = config.load(options.config)
    if options.action == "use":
        return _use(options, settings)
    serving = snapshot.in_force(settings, snapshot.newest(settings))
    with closing(History(settings.data.history)) as history:
        listed = inventory.models(serving, history)
    if options.json:
        say(json.dumps(listed))
    elif not listed:
        say(f"no model is kept yet; to make one: {typed(options.config, 'train')}")
    else:
        say("\n".join(_lines(listed, options)))
    return 0


def _use(options: argparse.Namespace, settings: config.Config) -> int:
    if options.json:
        raise DataError("--json goes with the list only")
    if options.version is None or options.hash is None:
        raise DataError(f"name the version and the model: {_typed_use(options, 'VERSION', 'HASH')}")
    try:
        digest = kept_models.use(settings.data.models, options.version, options.hash)
    except OSError as error:
        raise BundleError(f"{settings.data.models}: cannot be changed: {error}") from error
    text = f"{digest}, a kept model, is the current one"
    note(settings.data.history, "train", text, version=options.version)
    say(f"{digest} is the current model of {options.version} now, as soon as the service reloads:")
    say(f"  {typed(options.config, 'reload')}")
    return 0


def _typed_use(options: argparse.Namespace, version: str, digest: str) -> str:
    return typed(options.config, f"models use {version} {digest}")


def _lines(listed: list[Json], options: argparse.Namespace) -> list[str]:
    """Return a table, and how to go back to what is not current."""
    rows = [["version", "model", "role", "share", "form", "score", "exam", "rows", "trained"]]
    rows += [_row(each) for each in listed]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += [
        f"{each['version']} {each['bundle']}: {each['error']}" for each in listed if each["error"]
    ]
    lines += _candidates(listed, options)
    older = [each for each in listed if not each["current"] and not each["error"]]
    if older:
        command = _typed_use(options, older[0]["version"], older[0]["bundle"])
        lines += [
            "",
            "* is what serves after a reload. To go back to another one, such as:",
            f"  {command}",
        ]
    return lines


def _candidates(listed: list[Json], options: argparse.Namespace) -> list[str]:
    """Say which candidates were rejected, and what to type for the one that waits."""
    rejected = [
        f"{each['version']} was rejected, and gets no traffic: {each['reason']}"
        for each in listed
        if each["candidate"] == "rejected"
    ]
    if len(rejected) >= KEEP:
        rejected.append(f"Of the rejected ones the newest {KEEP} of each origin are kept.")
    waiting = [each for each in listed if each["candidate"] == "open" and each["share"] is None]
    if not waiting:
        return rejected
    newest = max(waiting, key=lambda each: str(each["trained_at"]))["version"]
    start = next_lines(f"irisab rollout start {newest}", options.config)
    return [*rejected, f"{newest} is a candidate: it is not worse on the exam.", *start]


def _row(each: Json) -> list[str]:
    mark = "*" if each["current"] else " "
    return [
        each["version"],
        f"{each['bundle']}{mark}",
        each["candidate"] or each["role"].replace("none", "-"),
        "-" if each["share"] is None else f"{each['share']:g} %",
        each["form"] or "-",
        _score(each),
        _score(each["exam"] or {}),
        str(each["rows"] or "-"),
        each["trained_at"] or "-",
    ]


def _score(each: Json) -> str:
    if each.get("accuracy") is not None:
        return f"{each['accuracy']:.4f}"
    return f"MAE {each['mae']:.4g}" if each.get("mae") is not None else "-"
