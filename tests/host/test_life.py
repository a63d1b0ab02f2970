"""A rollout on a host: reboots, an upgrade and the way back, edits. The split is what the rules
give, and no request is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from actions import INSTALL, Installed, ask, load, version_served
from bed import Host
from test_operate import set_split

IRISAB = "/usr/local/bin/irisab"
# The timer looks as well, and may find nothing to do: these two agree on all that is asked here.
PLAN = "[split]\nv1 = 100\n\n[rollout]\nsteps = 25, 50\npromote_on = better\nmax_slowdown = 100\n"

# What serves in each state, in the order in which the machine reboots in them.
SERVES = {
    "shadow": {"v1": 100, "v2": 0},
    "step": {"v1": 75, "v2": 25},
    "waiting": {"v1": 50, "v2": 50},
    "paused": {"v1": 50, "v2": 50},
    "baking": {"v1": 0, "v2": 100},
    "promoted": {"v1": 0, "v2": 100},
    "rolled_back": {"v1": 100},
    "superseded": {"v1": 100},
    "aborted": {"v1": 100},
}
# As a look, or a person, would have written it; each takes an hour or more to come about.
PLACE = """
import sys, time
from dataclasses import replace
from pathlib import Path
from irisab.store import rollouts
history, state = Path("/var/lib/irisab/history.sqlite3"), sys.argv[1]
before = rollouts.newest(history)
percent = {"step": 25.0, "waiting": 50.0, "paused": 50.0, "baking": 100.0, "promoted": 100.0}
after = replace(
    before, state=state, step=1, percent=percent.get(state, 0.0), since=time.time(),
    paused_in="waiting" if state == "paused" else None,
)
rollouts.write(history, before, after)
"""


@pytest.fixture
def host(debian: Installed) -> Iterator[Host]:
    """A host on which v2 is being rolled out; afterwards both versions have a half again."""
    host = debian.host
    begin(host)
    yield host
    host.code(f"{IRISAB} rollout abort")
    set_split(host, 50, 50)
    host.run("systemctl reload irisab")


def begin(host: Host) -> None:
    (host.root / "etc/irisab.ini").write_text(PLAN)
    host.run("systemctl reload irisab")
    assert host.code(f"{IRISAB} rollout start v2") == 3
    assert serves(host) == SERVES["shadow"]


def place(host: Host, state: str) -> None:
    current = "/opt/irisab/current"
    python = f"runuser -u irisab -- env PYTHONPATH={current} {current}/venv/bin/python"
    host.run(f"{python} - {state} <<'END'\n{PLACE}\nEND")


def serves(host: Host) -> dict[str, float]:
    found: dict[str, float] = ask(f"{host.url}/config").json["effective_split"]
    return found


def stands(host: Host) -> str:
    found: str = ask(f"{host.url}/config").json["rollout"]["state"]
    return found


def test_the_machine_reboots_in_every_state_of_a_rollout(host: Host) -> None:
    """What was written serves when it is on again, whether it served before or not."""
    for state, split in SERVES.items():
        place(host, state)
        host.reboot()
        host.wait(lambda: ask(f"{host.url}/health").status == 200)
        assert (state, serves(host), stands(host)) == (state, split, state)
        assert ask(f"{host.url}/health").json["reload"]["ok"] is True


def test_an_upgrade_and_a_rollback_leave_a_rollout_where_it_is(host: Host) -> None:
    """The next release goes on with the step, and so does the one before; nothing is lost."""
    place(host, "step")
    host.run("systemctl reload irisab")
    host.copy_tree()
    with (host.root / "root/src/irisab/__init__.py").open("a") as file:
        file.write("# a newer release, in the middle of a rollout\n")
    old = version_served(host)
    with load(host) as found:
        host.run(INSTALL)
        assert version_served(host) != old
        assert (serves(host), stands(host)) == (SERVES["step"], "step")
        host.run("/opt/irisab/current/bootstrap.sh --rollback")
        assert version_served(host) == old
        assert (serves(host), stands(host)) == (SERVES["step"], "step")
    assert found["failures"] == []
    assert set(found["versions"]) == {"v1", "v2"}


def test_who_edits_meanwhile_wins(host: Host) -> None:
    """The INI file serves at the next reload, the timer's look says why, and nothing is lost."""
    place(host, "step")
    with load(host) as found:
        host.run("systemctl reload irisab")
        assert serves(host) == SERVES["step"]
        set_split(host, 30, 70)
        host.run("systemctl reload irisab")
        # Each minute it starts by itself, and that one may have read the file before.
        look = "systemctl reset-failed irisab-rollout; systemctl start irisab-rollout"
        host.wait(lambda: host.run(look) == "" and stands(host) == "superseded", seconds=30)
        assert serves(host) == {"v1": 30, "v2": 70}
    assert found["failures"] == []
    assert "was edited: the INI file serves" in host.run(f"{IRISAB} events")
