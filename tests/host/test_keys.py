"""Keys on a host: root's file, the service's doors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from actions import INSTALL, Installed, ask, state, version_served
from bed import TREE, Host, sh

IRISAB = "/usr/local/bin/irisab"
SPLIT = "[split]\\nv1 = 50\\nv2 = 50\\n"


def status(host: Host, key: str, path: str = "config") -> str:
    """Ask through nginx, as a client does."""
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {key}'"
    return host.run(f"{ask} http://127.0.0.1/{path}").strip()


def test_a_first_install_says_how_to_close_the_door(debian: Installed) -> None:
    """It is open, so that its first request works, and its last line leads to the way."""
    last = debian.output.rstrip().split("\n")[-1]
    assert last.endswith("To ask for keys: sudo /opt/irisab/current/bootstrap.sh --keys")


def test_a_key_opens_until_it_is_revoked(debian: Installed) -> None:
    """Made by root, read by the service, dead without a reload and after a restart."""
    host = debian.host
    shop = host.run(f"{IRISAB} key add shop --scope read 2>/dev/null").strip()
    assert host.run("stat -c '%U:%G %a' /etc/irisab/keys").strip() == "root:irisab 640"
    host.run(f"printf '{SPLIT}[auth]\\nrequire = all\\n' >/etc/irisab.ini")
    try:
        host.run("systemctl reload irisab")
        assert [status(host, key) for key in (shop, "nobody")] == ["200", "401"]
        assert status(host, "nobody", "health") == "200"
        itself = f"runuser -u irisab -- {IRISAB} key add itself --scope read"
        assert host.code(f"{itself} 2>/dev/null") == 2
        host.run(f"{IRISAB} key revoke shop")
        host.wait(lambda: status(host, shop) == "401", seconds=5)
        host.run("systemctl restart irisab")
        assert status(host, shop) == "401"
        assert shop not in host.run("journalctl -q --no-pager; cat /var/log/nginx/*.log")
    finally:
        host.run(f"printf '{SPLIT}' >/etc/irisab.ini; systemctl reload irisab")


@pytest.fixture
def opened_again(debian: Installed) -> Iterator[Host]:
    """The host, whose door is as open after the test as before."""
    host = debian.host
    host.copy_tree()
    yield host
    host.copy_tree()
    host.run(f"printf '{SPLIT}' >/etc/irisab.ini; systemctl reload irisab")
    host.run(f"rm -f /etc/irisab/keys /etc/irisab/page.key; {INSTALL}")
    assert ask(f"{host.url}/").status == 200


def test_one_command_closes_the_door(opened_again: Host) -> None:
    """--keys: a key for each request, the page behind the password; so it stays, come what may."""
    host = opened_again
    refuse_an_edited_front_door(host)
    said = host.run("/opt/irisab/current/bootstrap.sh --keys")
    assert "✘" not in said
    client = said.split("\n")[-1]
    assert re.fullmatch(r"irisab_[\w-]{43}", client)
    assert host.run("stat -c '%U %a' /etc/irisab/page.key") == "root 600"
    assert_closed(host, client)
    before = state(host)
    again = host.run("/opt/irisab/current/bootstrap.sh --keys")
    assert state(host) == before
    assert "irisab_" not in again and again.split("\n")[-1].startswith("The door is closed.")
    # A release without the line, as earlier ones are; then the way back from it.
    host.run("sed -i '/include .etc.irisab.page/d' /root/src/nginx/nginx.conf")
    released = version_served(host)
    host.run(INSTALL)
    assert_closed(host, client)
    host.run("/opt/irisab/current/bootstrap.sh --rollback")
    assert version_served(host) == released
    assert_closed(host, client)
    assert_smoke_passes(host)
    secrets = f"{client}|$(cat /etc/irisab/page.key)"
    assert host.code(f'journalctl -q --no-pager | grep -qE "{secrets}"') == 1


def refuse_an_edited_front_door(host: Host) -> None:
    """Where nginx would not ask for the password, the page gets no key, and the line is named."""
    conf = "/etc/nginx/nginx.conf"
    host.run(f"cp -p {conf} /root/kept; sed -i '/include .etc.irisab.page/d' {conf}")
    seen = host.run("/opt/irisab/current/bootstrap.sh --keys", check=False)
    assert "it needs the line: include /etc/irisab/page*.conf;" in seen
    host.run(f"mv /root/kept {conf}; systemctl daemon-reload; systemctl restart irisab-ui")
    assert host.code("test -e /run/credentials/irisab-ui.service/key") == 1


def assert_closed(host: Host, client: str) -> None:
    """From outside nothing without key or password; with them, what each is for."""
    row = {"features": [5.1, 3.5, 1.4, 0.2]}
    keyed = {"Authorization": f"Bearer {client}"}
    asked = [ask(f"{host.url}{path}").status for path in ("/config", "/", "/health")]
    assert asked == [401, 401, 200]
    assert ask(f"{host.url}/predict", row).status == 401
    assert ask(f"{host.url}/predict", row, headers=keyed).status == 200
    assert ask(f"{host.url}/config", headers=keyed).status == 403
    password = host.run("cat /etc/irisab/password")
    assert host.code(f"curl -sf -u irisab:{password} {host.url}/") == 0
    # The page has its key, and nobody but root and the page can read it.
    given = "/run/credentials/irisab-ui.service/key"
    assert host.run(f"cat {given}") == host.run("cat /etc/irisab/page.key")
    assert host.code(f"runuser -u irisab -- cat {given}") == 1


def assert_smoke_passes(host: Host) -> None:
    """`make smoke` from outside, with the page's key and the password."""
    secrets = {
        "IRISAB_PASSWORD": host.run("cat /etc/irisab/password"),
        "IRISAB_KEY": host.run("cat /etc/irisab/page.key"),
    }
    smoke = ["make", "-s", "-C", TREE, "smoke", f"HOST={host.address}"]
    assert sh(*smoke, env=os.environ | secrets).count("✔") == 10


def test_the_password_has_a_hash_that_costs_nginx_nothing(debian: Installed) -> None:
    """Random as it is; a person's own keeps a slow one, and one of an earlier release moves on."""
    host = debian.host
    random = host.run("cat /etc/irisab/password")
    renew = "source /root/src/bootstrap.sh; dry_run= web_user=www-data scratch=/root; make_password"
    for password, kind in ("a person's own", "$6$"), (random, "{SSHA}"):
        (host.root / "etc/irisab/password").write_text(f"{password}\n")
        host.run(renew)
        assert host.run("cat /etc/irisab/htpasswd").startswith(f"irisab:{kind}")
        login = f'-u "irisab:{password}"'
        assert host.code(f"curl -sf {login} {host.url}/prometheus/-/ready") == 0
    host.run("echo irisab:$(openssl passwd -6 -stdin </etc/irisab/password) >/etc/irisab/htpasswd")
    host.run(renew)
    assert "{SSHA}" in host.run("cat /etc/irisab/htpasswd")


def test_a_command_of_root_s_is_shut_in(debian: Installed) -> None:
    """It runs as irisab in the units' sandbox, and may write to root's terminal, but not read."""
    with spied(debian.host) as irisab:
        at_a_terminal = debian.host.run(f"script -qec '{irisab} look' /dev/null </dev/null")
        assert at_a_terminal.split() == ["irisab", "NoNewPrivs:1", "Seccomp:2", "tty:no", *"011"]
        assert debian.host.code(f"{irisab} exit") == 7
        assert debian.host.run(f"echo through | {irisab} cat") == "through"


def test_a_command_of_root_s_ends_with_ctrl_c(debian: Installed) -> None:
    """What runs is told, may tidy up, and its exit code is passed on; nothing is left of it."""
    host = debian.host
    with spied(host) as irisab:
        host.run(
            f"env --default-signal=INT {irisab} wait >/root/said & until grep -qs ready /root/said;"
            "do sleep 0.1; done; kill -INT $!; wait $!; echo $? >>/root/said"
        )
        assert host.run("cat /root/said").split() == ["ready", "interrupted", "130"]
        assert "irisab-command" not in host.run("systemctl list-units --all --plain")


@contextmanager
def spied(host: Host) -> Iterator[str]:
    """The command of the release as it is, but for the Python that it calls."""
    spy = host.root / "root/spy"
    spy.write_text(SPY)
    host.run(
        "mkdir -p /srv/spied/venv/bin && cd /opt/irisab/current && cp -r bin systemd /srv/spied &&"
        "install -m 755 /root/spy /srv/spied/venv/bin/python"
    )
    try:
        yield "/srv/spied/bin/irisab"
    finally:
        host.run("rm -rf /srv/spied /root/spy /root/said")


# Called as `python -P -m irisab COMMAND`. In its words, 0 is for reading and 1 for writing.
SPY = r"""#!/bin/bash
case $4 in
  exit) exit 7 ;;
  cat) exec cat ;;
  wait) trap 'echo interrupted; exit 130' INT; echo ready; while :; do sleep 0.1; done ;;
esac
id -un
sed -n 's/^\(NoNewPrivs\|Seccomp\):\t/\1:/p' /proc/self/status
if (: </dev/tty) 2>&-; then echo tty:yes; else echo tty:no; fi
sed -n 's/^flags:.*\(.\)$/\1/p' /proc/$$/fdinfo/{0,1,2}
"""
