"""irisab rollout look and --watch: what a rollout does by itself. Start at `look()`."""

from __future__ import annotations

import time
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
from irisab.store.rollouts import Rollout

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
    running, trouble = _running(found.served.written)
    after = found.looking.in_trouble(trouble).look(found.at, now=time.time())
    now = found.moved(after)
    if dry_run:
        now.tell("A look would leave")
        return EXIT[after.state]
    if after.place != found.at.place:
        return found.keep(after)
    if after != found.at:
        found.looking.keep(found.at, after)
    if _is_behind(running, now):
        reload(found.path)
    return 0 if after.finished else 3


def watch(path: Path) -> int:
    """Look as the timer of a host does, and say what changes, until it is finished."""
    at: Rollout | None = None
    while True:
        with standing(path) as found:
            assert found is not None  # a history keeps its rollouts
            if at is None:
                found.tell()
            elif at.hold != found.at.hold and found.at.hold:
                say(f"  It waits: {found.at.hold}")
            at = found.at
            if at.finished:
                return found.exit_code
            look(found)
            pause = found.served.written.rollout.interval
        time.sleep(min(max(pause / 2, SHORTEST_SECONDS), LOOK_SECONDS))


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
    served = now.served
    return (
        running is not None
        and running["split"] == settings.shares(served.written.split)
        and running["effective_split"] != settings.shares(served.config.split)
    )
