"""irisab key add, list, rotate, revoke: who may do what."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from irisab import config, keys
from irisab.cli.arguments import add
from irisab.cli.output import say
from irisab.cli.typed import typed
from irisab.errors import ConfigError, KeysError
from irisab.files import read_regular
from irisab.http.key_file import beside, last_use
from irisab.keys import SCOPES, Key
from irisab.rfc3339 import seconds, timestamp

_UNITS = {"d": 86400, "h": 3600, "m": 60}


def add_to(commands: Any) -> None:
    parser = add(commands, "key", _list, "make, list, rotate and revoke the keys of clients")
    parser.set_defaults(json=False)
    actions = parser.add_subparsers(metavar="ACTION")
    new = add(actions, "add", _add, "make a key, and print it: this once, nothing keeps it")
    new.add_argument("name", metavar="NAME", help="whose key it is: a label in the metrics")
    new.add_argument("--scope", required=True, metavar="SCOPES", help=f"of {','.join(SCOPES)}")
    new.add_argument("--expires", metavar="WHEN", help="such as 90d, 12h or 2027-01-31")
    shown = add(actions, "list", _list, "who has a key, for what, until when")
    shown.add_argument("--json", action="store_true", help="print it for programs")
    again = add(actions, "rotate", _rotate, "make another key for a name, and print it")
    again.add_argument("name", metavar="NAME")
    again.add_argument(
        "--overlap", default="7d", metavar="TIME", help="how long the old one lives (default: 7d)"
    )
    end = add(actions, "revoke", _revoke, "end every key of a name, within a second")
    end.add_argument("name", metavar="NAME")


def _add(options: argparse.Namespace) -> int:
    path, now = _path(options), time.time()
    secret = keys.generate()
    expires = _moment(options.expires, now) if options.expires else None
    key = Key(_name(options.name), keys.fingerprint(secret), _scopes(options.scope), expires)

    def added(before: Sequence[Key]) -> Sequence[Key]:
        if any(each.name == key.name for each in before):
            again = typed(options.config, f"key rotate {key.name}")
            raise KeysError(f"{key.name} has a key already; for another one: {again}")
        return [*before, key]

    keys.edit(path, added)
    say(secret)
    _hint(options, f"the key of {key.name} is shown only now; {path} keeps its hash")
    return 0


def _rotate(options: argparse.Namespace) -> int:
    path, now = _path(options), time.time()
    secret, end = keys.generate(), _moment(options.overlap, now)

    def rotated(before: Sequence[Key]) -> Sequence[Key]:
        newest = [each for each in before if each.name == options.name][-1:]
        if not newest:
            raise KeysError(_unknown(options, path))
        ended = [_ending(each, end) if each.name == options.name else each for each in before]
        return [*ended, replace(newest[0], sha256=keys.fingerprint(secret))]

    keys.edit(path, rotated)
    say(secret)
    _hint(options, f"the old key of {options.name} lives until {timestamp(end)}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    path = _path(options)

    def revoked(before: Sequence[Key]) -> Sequence[Key]:
        left = [each for each in before if each.name != options.name]
        if len(left) == len(before):
            raise KeysError(_unknown(options, path))
        return left

    keys.edit(path, revoked)
    say(f"no key of {options.name} opens anything any more")
    return 0


def _list(options: argparse.Namespace) -> int:
    path = _path(options)
    listed = keys.read(path) if path.exists() else ()
    days = last_use(beside(_history(options)))
    if options.json:
        say(json.dumps([_described(each, days.get(each.name)) for each in listed]))
    elif not listed:
        say(f"there is no key yet; to make one: {_typed_add(options)}")
    else:
        say("\n".join(_table(listed, days, time.time())))
    return 0


def _described(key: Key, day: str | None) -> dict[str, Any]:
    expires = None if key.expires is None else timestamp(key.expires)
    return {"name": key.name, "scopes": list(key.scopes), "expires": expires, "last_used": day}


def _table(listed: Sequence[Key], days: dict[str, str], now: float) -> list[str]:
    rows = [["name", "scopes", "expires", "last used"]]
    for key in listed:
        ended = "" if key.is_valid(now) else " (over)"
        expires = "never" if key.expires is None else timestamp(key.expires) + ended
        rows.append([key.name, ",".join(key.scopes), expires, days.get(key.name, "-")])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _ending(key: Key, end: float) -> Key:
    return key if key.expires is not None and key.expires < end else replace(key, expires=end)


def _name(text: str) -> str:
    if not keys.NAME.fullmatch(text):
        raise KeysError(
            "a name must be 1 to 64 letters, digits, dots, dashes and underscores, "
            "and begin with a letter or digit"
        )
    return text


def _scopes(text: str) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(each.strip() for each in text.split(",")))
    if not set(scopes) <= set(SCOPES):
        raise KeysError(f"--scope must be of {', '.join(SCOPES)}, with a comma between two")
    return scopes


def _moment(text: str, now: float) -> float:
    """Return the moment that 90d or a date means; it must be to come, and in this millennium."""
    try:
        if span := re.fullmatch(r"([0-9]{1,6})([dhm])", text):
            moment = now + int(span[1]) * _UNITS[span[2]]
        else:
            moment = seconds(text)
        timestamp(moment)
    except (ValueError, OverflowError):
        raise KeysError(
            f"{text!r} is no time: say such as 90d, 12h, 30m or 2027-01-31T12:00:00Z"
        ) from None
    if moment < now:
        raise KeysError(f"{text} is over already")
    return moment


def _unknown(options: argparse.Namespace, path: Path) -> str:
    return f"{path} has no key of that name; see: {typed(options.config, 'key list')}"


def _typed_add(options: argparse.Namespace) -> str:
    return typed(options.config, "key add NAME --scope predict,feedback")


def _hint(options: argparse.Namespace, text: str) -> None:
    """Say what a person needs to know beside what stands on stdout for a program."""
    print(f"irisab: {text}", file=sys.stderr)
    try:
        require = config.load(options.config).auth.require
    except ConfigError:
        return
    if require == "no":
        print(
            f"irisab: no key is needed yet: write require = feedback, or all, below [auth] in "
            f"{options.config}, then {typed(options.config, 'reload')}",
            file=sys.stderr,
        )


def _path(options: argparse.Namespace) -> Path:
    return config.keys_path(_text(options), base=options.config.absolute().parent)


def _history(options: argparse.Namespace) -> Path:
    return config.history_path(_text(options), base=options.config.absolute().parent)


def _text(options: argparse.Namespace) -> str:
    """Return the INI, also where it is refused: a key can be revoked whatever else is wrong."""
    try:
        return read_regular(options.config).decode(errors="replace")
    except OSError as error:
        raise ConfigError(f"{options.config}: cannot be read: {error.strerror}") from error
