"""irisab events: what happened, when, and who did it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from irisab import config
from irisab.cli.arguments import add, moment
from irisab.cli.output import say
from irisab.rfc3339 import timestamp
from irisab.store.events import Event, EventLog


def add_to(commands: Any) -> None:
    parser = add(commands, "events", _events, "list what happened, when, and who did it")
    parser.add_argument(
        "--since", type=moment, default=0.0, metavar="RFC3339", help="such as 2026-01-31T12:00:00Z"
    )
    parser.add_argument("--json", action="store_true", help="print it for programs")


def _events(options: argparse.Namespace) -> int:
    happened = EventLog(config.load(options.config).data.history).list(since=options.since)
    if options.json:
        say(json.dumps([each.as_json() for each in happened]))
    else:
        say("\n".join(map(_line, happened)) or "nothing has happened yet")
    return 0


def _line(event: Event) -> str:
    version = f"{event.version}: " if event.version else ""
    return f"{timestamp(event.at)}  {event.kind:<8}  {version}{event.text} (by {event.by})"
