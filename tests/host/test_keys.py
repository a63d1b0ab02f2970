"""Keys on a host: root's file, the service's doors."""

from __future__ import annotations

from actions import Installed
from bed import Host

IRISAB = "/usr/local/bin/irisab"
SPLIT = "[split]\\nv1 = 50\\nv2 = 50\\n"


def status(host: Host, key: str, path: str = "config") -> str:
    """Ask through nginx, as a client does."""
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {key}'"
    return host.run(f"{ask} http://127.0.0.1/{path}").strip()


def test_a_first_install_says_how_to_close_the_door(debian: Installed) -> None:
    """It is open, so that its first request works, and its last line leads to the way."""
    last = debian.output.rstrip().split("\n")[-1]
    assert "To ask for keys: /opt/irisab/current/docs/security.md" in last
    assert debian.host.code("test -s /opt/irisab/current/docs/security.md") == 0


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
