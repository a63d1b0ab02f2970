"""irisab rollout look and --watch: what a rollout does by itself. Start at `look()`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from irisab import config
from irisab.cli.asking import NoAnswer, Service
from irisab.cli.output import say
from irisab.cli.standing import EXIT, Standing, reload, standing
from irisab.errors import IrisabError
from irisab.lifecycle.rollout import Hold
from irisab.serving import settings
from irisab.store import rollouts
from irisab.store.rollouts import Changed

# The longest that --watch waits between two looks, as the timer of a host does.
LOOK_SECONDS = 60.0
SHORTEST_SECONDS = 0.2
# What a finished rollout has left undone, as after a crash, is seen by then.
LATE_SECONDS = 3600.0


def is_idle(path: Path) -> bool:
    """Tell whether there is nothing to look at, without loading models: the timer asks for ever."""
    try:
        at = rollouts.newest(config.load(path).data.history)
    except IrisabError:
        return False
    return at is None or (at.finished and time.time() > at.since + LATE_SECONDS)


def look(found: Standing, *, dry_run: bool = False) -> int:
    """Decide, once, and let the service serve so.

    Returns an exit code: that of a new state, else 3 while it is under way, and 0 afterwards. So
    the timer's unit fails once, when the version is rolled back or waits for a person.
    """
    running, trouble = _running(found.written)
    with found.looking() as looking:
        after = looking.in_trouble(trouble).look(found.at, now=time.time())
    now = replace(found, at=after)
    if dry_run:
        now.tell("A look would leave")
        return EXIT[after.state]
    try:
        if after.place != found.at.place:
            return found.keep(after)
        if after != found.at:
            rollouts.write(found.written.data.history, found.at, after)
    except Changed:  # by a person, who has said how it goes on
        return 3
    if _is_behind(running, now):
        reload(found.path)
    return 0 if after.finished else 3


def watch(found: Standing) -> int:
    """Look as the timer of a host does, and say what changes, until it is finished."""
    found.tell()
    hold = found.at.hold
    while not found.at.finished:
        look(found)
        time.sleep(min(max(found.written.rollout.interval / 2, SHORTEST_SECONDS), LOOK_SECONDS))
        found = standing(found.path) or found
        if found.at.hold != hold and found.at.hold:
            say(f"  It waits: {found.at.hold}")
        hold = found.at.hold
    return found.exit_code


def _running(options: config.Config) -> tuple[Any, Hold | None]:
    """Return /config of the service, and why a rollout must not go on now."""
    api = Service(options.server)
    try:
        reloaded, serves = api.json("/health")["reload"], api.json("/config")
        written = api.gauge("history_last_write_successful")
    except NoAnswer as error:
        return None, Hold("no_service", str(error))
    if not reloaded["ok"]:
        return serves, Hold("reload_refused", f"the last reload was refused: {reloaded['error']}")
    if not written:
        return serves, Hold("history_not_written", "the history cannot be written")
    return serves, None


def _is_behind(running: Any, now: Standing) -> bool:
    """Tell whether the service has not followed; what else was edited waits for a person."""
    return (
        running is not None
        and running["split"] == settings.shares(now.written.split)
        and running["effective_split"] != settings.shares(now.serving.split)
    )
