"""The path for Amazon Linux 2023, on a stand-in that says no where Amazon would."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from actions import INSTALL, ask, pin_local_archives, state
from bed import METADATA_ADDRESS, Host
from test_interrupted import nothing_runs


@pytest.fixture(scope="module")
def host(amazon: Callable[[str], Host]) -> Iterator[Host]:
    with amazon("amazon") as host:
        host.copy_tree()
        pin_local_archives(host)
        yield host


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("curl", "package curl-minimal-.* conflicts with curl"),
        ("python3-venv", "Unable to find a match: python3-venv"),
        ("prometheus", "Unable to find a match: prometheus"),
    ],
)
def test_the_stand_in_is_as_strict_as_amazon(host: Host, asked: str, sentence: str) -> None:
    """What Amazon does not package can't be had, nor what its image has no room for."""
    assert re.search(sentence, host.run(f"dnf -y -q install {asked}", check=False))
    assert host.code(f"rpm -q {asked}") == 1
    assert host.code("command -v apt-get dpkg python3.13") == 1


def test_a_tampered_prometheus_stops_the_install(host: Host) -> None:
    """An archive whose sha256 is not the pinned one is not even unpacked; nothing is started."""
    host.run("cp /srv/prometheus.tar.gz /root/kept; echo >>/srv/prometheus.tar.gz")
    seen = host.run(INSTALL, check=False)
    assert "is not the one that was pinned (its sha256 differs)" in seen
    assert nothing_runs(host)
    assert host.run("find / -xdev -name promtool") == ""
    host.run("mv /root/kept /srv/prometheus.tar.gz")


def test_an_unknown_architecture_is_refused(host: Host) -> None:
    """Without a pinned checksum nothing is downloaded: the sentence says what to add."""
    uname = host.root / "usr/local/bin/uname"
    uname.write_text("#!/bin/sh\necho riscv64\n")
    uname.chmod(0o755)
    seen = host.run(INSTALL, check=False)
    assert "no checksum of Prometheus for riscv64 is known" in seen
    uname.unlink()


def test_one_command_installs_starts_and_checks_everything(host: Host) -> None:
    """On the stand-in as on Debian: no cross, and port 80 answers from outside."""
    seen = host.run(INSTALL)
    assert "✘" not in seen
    answer = ask(f"{host.url}/predict", {"features": [5.1, 3.5, 1.4, 0.2]})
    assert answer.json["class_name"] == "setosa"


def test_only_packages_that_amazon_has(host: Host) -> None:
    """Never curl, no compiler; Amazon's Python; a run on a complete host asks dnf for nothing."""
    assert host.code("rpm -q nginx python3.13") == 0 and host.code("rpm -q curl") == 1
    assert host.code("command -v gcc cc make git") == 1
    python = "/opt/irisab/current/venv/bin/python --version"
    assert host.run(python).startswith("Python 3.13.")
    before, asked = state(host), host.run("dnf -q history list")
    host.run(INSTALL)
    assert (state(host), host.run("dnf -q history list")) == (before, asked)


def test_where_selinux_enforces_nginx_may_reach_the_api(host: Host) -> None:
    """The one boolean that it needs is set, once. No kernel here enforces: programs take a note."""
    assert host.run("getenforce") == "Disabled"  # the real one, under which the host was installed
    for name, line in {
        "getenforce": "echo Enforcing",
        "getsebool": 'echo "$1 --> $(cat /root/boolean || echo off)" 2>&-',
        "setsebool": 'echo "$@" >>/root/asked; echo on >/root/boolean',
    }.items():
        (host.root / "usr/local/sbin" / name).write_text(f"#!/bin/sh\n{line}\n")
        host.run(f"chmod +x /usr/local/sbin/{name}")
    host.run(f"{INSTALL} && {INSTALL}")
    assert host.run("cat /root/asked") == "-P httpd_can_network_connect on"
    host.run("rm /usr/local/sbin/*sebool /usr/local/sbin/getenforce")


def test_the_distributions_own_server_is_out_of_the_way(host: Host) -> None:
    """Its nginx.conf is kept as a backup and comes back with --uninstall."""
    assert "conf.d" in host.run("cat /etc/nginx/nginx.conf.before-irisab")
    assert "conf.d" not in host.run("nginx -T 2>/dev/null")


def test_urls_come_from_the_instance_metadata(host: Host) -> None:
    """The public address is asked for with a token (IMDSv2); without metadata it is the host's."""
    with metadata("203.0.113.7"):
        assert "http://203.0.113.7/predict" in host.run("/root/src/bootstrap.sh --urls")
    with metadata(None):
        assert f"{host.url}/predict" in host.run(INSTALL)
    assert f"{host.url}/predict" in host.run("/root/src/bootstrap.sh --urls")


@contextmanager
def metadata(public: str | None) -> Iterator[None]:
    """Instance metadata as EC2 serves it, version 2 only; 404 for an address it does not have."""

    class Metadata(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
            known = self.path == "/latest/api/token" and lifetime
            self.reply(200 if known else 400, "the-token")

        def do_GET(self) -> None:
            if self.headers.get("X-aws-ec2-metadata-token") != "the-token":
                self.reply(401, "")
            else:
                known = public and self.path == "/latest/meta-data/public-ipv4"
                self.reply(200 if known else 404, public or "Not Found")

        def reply(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer((METADATA_ADDRESS, 80), Metadata) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_uninstall_keeps_the_data(host: Host) -> None:
    """--uninstall leaves INI, models and history, for a later install; nginx gets its file back."""
    host.run("echo '# mine' >>/etc/irisab/prometheus.yml")
    host.run("mv /opt/irisab/venvs /root/venvs")  # only to save the time to build them again
    host.run("/root/src/bootstrap.sh --uninstall")
    assert nothing_runs(host)
    assert host.run("ls /etc/irisab.ini /var/lib/irisab/history.sqlite3 /etc/irisab/password")
    assert host.code("test -e /opt/irisab -o -e /usr/local/bin/irisab") == 1
    assert "default.d" in host.run("cat /etc/nginx/nginx.conf")
    host.run("mkdir /opt/irisab; mv /root/venvs /opt/irisab")
    seen = host.run(INSTALL)
    assert "kept your edited /etc/irisab/prometheus.yml" in seen
    assert "nginx.conf" not in seen.split("[6/8]")[1].split("[7/8]")[0]
    assert host.run("tail -1 /etc/irisab/prometheus.yml") == "# mine"
    assert ask(f"{host.url}/health").status == 200


def test_purge_deletes_what_is_ours_wherever_it_is(host: Host) -> None:
    """What [data] has moved, after a yes and not before; never drop-ins and files of others."""
    host.run(MOVED)
    seen = host.run("/root/src/bootstrap.sh --uninstall --purge </dev/null", check=False)
    listed = {line.strip() for line in seen.splitlines() if line.startswith("  ")}
    assert listed == {f"/srv/moved/{name}" for name in ("models", "h.db", "h.db-wal")}
    assert "nothing was changed" in seen and ask(f"{host.url}/health").status == 200
    # script(1) is the terminal at which somebody types.
    typing = "script -qec '/root/src/bootstrap.sh --uninstall --purge' /dev/null"
    seen = host.run(f"echo no | {typing}", check=False)
    assert "Delete them? [yes/no]" in seen and "nothing was changed" in seen
    assert ask(f"{host.url}/health").status == 200
    host.run(RETRAINING)
    host.wait(lambda: host.run("systemctl show -P MainPID irisab-retrain") != "0")
    seen = host.run(f"echo yes | {typing}")
    assert host.run("ls /srv/moved") == "theirs"
    for drop_in in "irisab.service.d", "irisab-other.service.d":
        assert f"Kept: /etc/systemd/system/{drop_in}/mine.conf, which is not ours." in seen
        host.run(
            f"rm /etc/systemd/system/{drop_in}/mine.conf && rmdir /etc/systemd/system/{drop_in}"
        )
    left = host.run("find / -xdev -name '*irisab*' -not -path '/root/*' -not -path '/proc/*'")
    assert left == ""
    assert host.code("getent passwd irisab") == 2


# At work for minutes, as the user that goes.
RETRAINING = """
set -e
mkdir -p /run/systemd/system/irisab-retrain.service.d
printf '[Service]\\nExecStart=\\nExecStart=/bin/sleep 600\\n' \\
  >/run/systemd/system/irisab-retrain.service.d/busy.conf
systemctl daemon-reload
systemctl start --no-block irisab-retrain
"""


# [data] elsewhere, among what is somebody else's; the service is not told.
MOVED = """
set -e
mkdir -p /srv/moved/models /etc/systemd/system/irisab{,-other}.service.d
touch /srv/moved/{h.db,h.db-wal,theirs} /etc/systemd/system/irisab{,-other}.service.d/mine.conf
chown irisab: /srv/moved/{models,h.db,h.db-wal}
printf '[data]\\nmodels = /srv/moved/models\\n' >>/etc/irisab.ini
echo 'history = ../srv/moved/h.db # a path from /etc' >>/etc/irisab.ini
"""
