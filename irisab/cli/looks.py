"""irisab rollout look and --watch: what a rollout does by itself. Start at `look()`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from irisab import config
from irisab.cli.asking import NoAnswer, Service
from irisab.cli.output import say
from irisab.cli.standing import EXIT, Standing, reload, standing
from irisab.errors import HistoryError, IrisabError
from irisab.lifecycle.rollout import Hold
from irisab.store import rollouts
from irisab.store.rollouts import Changed, Rollout

Shares = Mapping[str, float]
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


def look(stands: Standing, *, dry_run: bool = False) -> int:
    """Decide, once, and let the service serve so.

    Returns an exit code: that of a new state, else 3 while it is under way, and 0 afterwards. So
    the timer's unit fails once, when the version is rolled back or paused. What a person has
    edited is no news to that person, and no failure: 0.
    """
    running, trouble = _running(stands.written)
    with stands.looking() as looking:
        after = looking.in_trouble(trouble).look(stands.at, now=time.time())
    now = replace(stands, at=after)
    if dry_run:
        now.tell("A look would leave")
        return _code(after, EXIT[after.state])
    try:
        if after.place != stands.at.place:
            return _code(after, stands.keep(after))
        if after != stands.at:
            _note_hold(stands, after)
    except Changed:  # by a person, who has said how it goes on
        return 3
    if _is_behind(running, now):
        reload(stands.path)
    return 0 if after.finished else 3


def _code(after: Rollout, code: int) -> int:
    return 0 if after.state == "superseded" else code


def _note_hold(stands: Standing, after: Rollout) -> None:
    """Write why it does not go on; that a full disk is why cannot be written, and is no failure."""
    try:
        rollouts.write(stands.written.data.history, stands.at, after)
    except Changed:
        raise
    except HistoryError as error:
        print(f"irisab: {error}", file=sys.stderr)


def watch(stands: Standing) -> int:
    """Look as the timer of a host does, and say what changes, until it is finished."""
    stands.tell()
    hold = stands.at.hold
    while not stands.at.finished:
        look(stands)
        time.sleep(min(max(stands.written.rollout.interval / 2, SHORTEST_SECONDS), LOOK_SECONDS))
        stands = standing(stands.path) or stands
        if stands.at.hold != hold and stands.at.hold:
            say(f"  It waits: {stands.at.hold}")
        hold = stands.at.hold
    return stands.exit_code


def _running(options: config.Config) -> tuple[Shares | None, Hold | None]:
    """Return the split that serves, and why a rollout must not go on now."""
    api = Service(options.server)
    try:
        reloaded = api.json("/health")["reload"]
        shares = api.gauges("model_split_weight")
        written = api.gauges("history_last_write_successful")
    except NoAnswer as error:
        return None, Hold("no_service", str(error))
    if not reloaded["ok"]:
        return shares, Hold("reload_refused", f"the last reload was refused: {reloaded['error']}")
    if written != {"": 1.0}:
        return shares, Hold("history_not_written", "the history cannot be written")
    return shares, None


def _is_behind(shares: Shares | None, now: Standing) -> bool:
    """Tell whether the service has not followed; what else was edited waits for a person."""
    return shares not in (None, now.serving.split) and now.is_accepted
