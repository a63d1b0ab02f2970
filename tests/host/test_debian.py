"""A fresh Debian host: one command, and everything answers on port 80."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from actions import INSTALL, UNITS, Installed, ask, state
from bed import TREE, Host, sh
from test_interrupted import kill_at, nothing_runs


@pytest.fixture(scope="module")
def bare(clean: Callable[[str], Host]) -> Iterator[Host]:
    """A host on which nothing is installed, for all that must not install anything."""
    with clean("bare") as host:
        host.copy_tree()
        yield host


def test_one_command_installs_starts_and_checks_everything(debian: Installed) -> None:
    """Ten ticks of the smoke test, no cross, and the addresses at the end."""
    smoke = debian.output.split("[8/8]")[1]
    assert "✘" not in smoke
    assert smoke.count("✔") >= 10 + 2 * len(UNITS)
    assert f"{debian.host.url}/" in debian.output


def test_everything_answers_on_port_80(debian: Installed) -> None:
    """API and page, from outside."""
    answer = ask(f"{debian.host.url}/predict", {"features": [5.1, 3.5, 1.4, 0.2]})
    assert answer.json["class_name"] == "setosa"
    assert answer.json["model_version"] in ("v1", "v2")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert ask(f"{debian.host.url}/health").json["status"] == "healthy"
    assert ask(f"{debian.host.url}/config").json["split"] == {"v1": 50, "v2": 50}
    for page in "/", "/try", "/ab-test", "/drift", "/over-time", "/models", "/learn":
        assert "<title>" in ask(debian.host.url + page).text


def test_nothing_but_nginx_can_be_reached_from_outside(debian: Installed) -> None:
    """API, page, Prometheus and Alertmanager listen on loopback only."""
    listening = debian.host.run("ss -Hltn").splitlines()
    outside = {line.split()[3] for line in listening if "127.0.0.1" not in line.split()[3]}
    assert outside == {"0.0.0.0:80", "[::]:80"}


def test_metrics_and_prometheus_ask_for_the_password(debian: Installed) -> None:
    """From outside 401 without it; on the host itself it is not needed; root alone can read it."""
    host = debian.host
    password = host.run("cat /etc/irisab/password")
    status = "curl -s -o /dev/null -w '%{http_code}'"
    for path in (
        *("/metrics", "/prometheus/api/v1/targets", "/prometheus/-/healthy"),
        *("/alertmanager/api/v2/status", "/alertmanager/-/healthy"),
    ):
        assert ask(host.url + path).status == 401
        assert host.run(f"{status} {host.url}{path}") == "401"
        assert host.code(f"curl -sf localhost{path}") == 0
        assert host.run(f"{status} -u irisab:{password} {host.url}{path}") == "200"
    assert host.run("stat -c %a%U /etc/irisab/password") == "600root"
    assert password not in debian.output


def test_smoke_works_from_another_machine(debian: Installed, tmp_path: Path) -> None:
    """`make smoke HOST=...` passes from outside, over and over, and is no drift."""
    password = tmp_path / "password"
    password.write_text(debian.host.run("cat /etc/irisab/password"))
    smoke = ["make", "-s", "-C", TREE, "smoke", f"HOST={debian.host.address}"]
    for _ in range(12):
        seen = sh(*smoke, f"PASSWORD={password}")
        assert seen.count("✔") == 10
    curl = re.findall(r"curl \S+/predict .*", seen)[0]
    assert json.loads(sh("bash", "-c", f"{curl} -s --noproxy '*'"))["request_id"]
    drift = ask(f"{debian.host.url}/report").json["drift"]
    assert drift["rows"] == drift["window"]
    assert drift["status"] == "OK"


def test_a_second_run_changes_nothing(debian: Installed) -> None:
    """No file is touched and no unit restarted by running the same command again."""
    before = state(debian.host)
    debian.host.run(INSTALL)
    assert state(debian.host) == before


def test_verify_names_what_is_missing(debian: Installed) -> None:
    """With the page stopped, --verify exits 1 and says so; started again it exits 0."""
    host = debian.host
    host.run("systemctl stop irisab-ui")
    seen = host.run("/opt/irisab/current/bootstrap.sh --verify", check=False)
    assert "✘ irisab-ui.service is active" in seen
    host.run("systemctl start irisab-ui")
    host.wait(lambda: ask(f"{host.url}/_stcore/health").text == "ok")
    host.run("/opt/irisab/current/bootstrap.sh --verify")


def test_units_are_sound_and_locked_down(debian: Installed) -> None:
    """`systemd-analyze verify` says nothing; exposure is at most 1.5, Prometheus's at most 3."""
    host = debian.host
    assert host.run("systemd-analyze verify /etc/systemd/system/irisab*") == ""
    for unit, threshold in {
        "irisab.service": 15,
        "irisab-ui.service": 15,
        "irisab-drift.service": 15,
        "irisab-retrain.service": 15,
        "irisab-rollout.service": 15,
        "irisab-alert@x.service": 15,
        "irisab-failed@x.service": 15,
        "irisab-alertmanager.service": 15,
        "irisab-prometheus.service": 30,
    }.items():
        host.run(f"systemd-analyze security --threshold={threshold} {unit}")


def test_each_service_has_an_end_to_what_it_takes(debian: Installed) -> None:
    """Of memory, and what people ask of tasks; of the processor the page has a fifth of the API's
    share."""

    def shown(what: str, unit: str) -> str:
        return debian.host.run(f"systemctl show -P {what} irisab{unit}")

    assert all(
        int(shown("MemoryMax", unit)) <= 1 << 30
        for unit in ("", "-ui", "-prometheus", "-alertmanager")
    )
    assert [shown("TasksMax", unit) for unit in ("", "-ui")] == ["128", "256"]
    assert [shown("CPUWeight", unit) for unit in ("", "-ui")] == ["[not set]", "20"]


def test_a_quiet_host_stays_quiet(debian: Installed) -> None:
    """No unit has failed; looking for drift, a reason to retrain or a rollout is no failure."""
    host = debian.host
    host.run("systemctl start irisab-drift irisab-retrain irisab-rollout")
    assert host.run("systemctl --failed --plain --no-legend") == ""
    assert host.run("journalctl -q -p err -u 'irisab*'") == ""


def test_a_body_too_large_for_nginx_is_a_problem(debian: Installed) -> None:
    """Its 413 reads like the API's own."""
    answer = ask(f"{debian.host.url}/predict", b"[" + b" " * 2_000_000)
    assert (answer.status, answer.json["status"]) == (413, 413)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_clients_outside_are_limited_and_loopback_is_not(debian: Installed) -> None:
    """Beyond 100 requests a second and a burst of 200, an address gets 429 and when to return."""
    host = debian.host
    curl = "curl -s -w '\n%{http_code} %{content_type} %header{retry-after}\n'"
    for path in "/predict", "/feedback", "/report", "/timeline", "/versions":
        time.sleep(2.5)  # until the burst is forgotten
        asks = path in ("/report", "/timeline", "/versions")
        send = "" if asks else "-H 'Content-Type: application/json' -d '{}'"
        seen = host.run(f"{curl} {send} '{host.url}{path}?[1-800]'") + "\n"
        limited = seen.count("\n429 application/problem+json 1\n")
        passed = seen.count("\n200 application/json") + seen.count("\n400 application/problem+json")
        assert passed >= 200 and limited > 0 and passed + limited == 800, path
        assert '"title":"Too Many Requests","status":429' in seen
    statuses = host.run("curl -s -o /dev/null -w '%{http_code}\n' 'localhost/report?[1-800]'")
    assert set(statuses.split()) == {"200"}


def test_three_hundred_tabs_do_not_end_the_page(debian: Installed) -> None:
    """Of 300 websockets with two bytes each 50 are let in; page and API answer, then and after."""
    host = debian.host
    started = host.run("systemctl show -P MainPID irisab-ui")
    with ExitStack() as tabs:
        statuses = Counter(open_tab(tabs.enter_context(tab_of(host))) for _ in range(300))
        assert 40 <= statuses["101"] <= 50 and statuses["101"] + statuses["429"] == 300
        for path in "/", "/_stcore/health", "/health":
            assert ask(host.url + path).status == 200
    host.wait(lambda: lets_in(host), seconds=10)
    assert host.run("systemctl show -P MainPID irisab-ui") == started


def lets_in(host: Host) -> bool:
    with tab_of(host) as tab:
        return open_tab(tab) == "101"


def tab_of(host: Host) -> socket.socket:
    return socket.create_connection((host.address, 80), timeout=30)


def open_tab(tab: socket.socket) -> str:
    """Ask for the page's websocket, send two bytes on it, and return the status."""
    lines = [
        "GET /_stcore/stream HTTP/1.1", f"Host: {tab.getpeername()[0]}",
        "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip
    tab.sendall("\r\n".join([*lines, "", ""]).encode())
    status = tab.recv(4096).split()[1].decode()
    if status == "101":
        tab.sendall(b"\x82\x82\0\0\0\0\x5a\0")  # RFC 6455, 5.2: binary, masked with zeros
    return status


def test_an_api_that_is_down_or_stuck_is_a_problem(debian: Installed) -> None:
    """502 and 504 of nginx read like the API's own errors, too."""
    host = debian.host
    host.run("systemctl stop irisab.socket irisab.service")
    down = ask(f"{host.url}/predict", {"features": [5.1, 3.5, 1.4, 0.2]})
    host.run("systemctl start irisab.socket irisab.service")
    conf = "/etc/nginx/nginx.conf"
    host.run(f"cp -p {conf} /root; sed -i 's/read_timeout 60s/read_timeout 1s/' {conf}")
    pid = host.run("systemctl show -P MainPID irisab")
    # A reload leaves workers behind, for a moment, that are as patient as before.
    host.run(f"systemctl restart nginx; kill -STOP {pid}")
    try:
        stuck = ask(f"{host.url}/predict", {"features": [5.1, 3.5, 1.4, 0.2]})
    finally:
        host.run(f"kill -CONT {pid}; mv /root/nginx.conf {conf}; systemctl reload nginx")
    for answer, status in (down, 502), (stuck, 504):
        assert (answer.status, answer.json["status"]) == (status, status)
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_page_that_is_down_says_so_and_comes_back(debian: Installed) -> None:
    """While the page restarts a browser gets a page that reloads itself, not an error of nginx."""
    host = debian.host
    host.run("systemctl stop irisab-ui")
    answer = ask(f"{host.url}/")
    assert (answer.status, 'http-equiv="refresh"' in answer.text) == (502, True)
    host.run("systemctl start irisab-ui")
    host.wait(lambda: ask(f"{host.url}/_stcore/health").text == "ok")


def test_a_reboot_brings_everything_back(debian: Installed) -> None:
    """Within 30 s of the power button everything answers again, with nobody logged in."""
    start = time.monotonic()
    debian.host.reboot()
    debian.host.wait(lambda: ask(f"{debian.host.url}/health").status == 200, seconds=30)
    debian.host.wait(lambda: ask(f"{debian.host.url}/_stcore/health").text == "ok", seconds=30)
    ready = "curl -sf localhost/prometheus/-/ready"
    debian.host.wait(lambda: debian.host.code(ready) == 0, seconds=30)
    assert time.monotonic() - start < 30
    verify = "/opt/irisab/current/bootstrap.sh --verify"
    debian.host.wait(lambda: debian.host.code(verify) == 0, seconds=60)


def test_https_with_a_certificate_made_here(debian: Installed) -> None:
    """--self-signed adds port 443 beside port 80, and the smoke test works there."""
    host = debian.host
    host.run(f"{INSTALL} --self-signed")
    answer = host.run("curl -sif --cacert /etc/irisab/tls.crt https://localhost/health")
    assert "strict-transport-security: max-age=" in answer.lower()
    assert host.run("stat -c %a /etc/irisab/tls.key") == "600"
    password = host.run("cat /etc/irisab/password")
    smoke = ["make", "-s", "-C", TREE, "smoke", f"HOST=https://{host.address}", "INSECURE=1"]
    assert sh(*smoke, env=os.environ | {"IRISAB_PASSWORD": password}).count("✔") == 10
    before = state(host)
    host.run(INSTALL)
    assert state(host) == before


def test_https_with_a_certificate_given(debian: Installed) -> None:
    """--tls-cert and --tls-key put it in force, again after a renewal; a wrong pair is refused."""
    host = debian.host
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days"
    for days in 30, 60:
        host.run(f"{make} {days} -keyout /root/a.key -out /root/a.crt 2>/dev/null")
        host.run(f"{INSTALL} --tls-cert /root/a.crt --tls-key /root/a.key")
        assert host.run("curl -sf --cacert /root/a.crt https://localhost/health")
    before = state(host)
    host.run("openssl genrsa -out /root/other.key 2048 2>/dev/null; echo nonsense >/root/nonsense")
    for pair in "a.crt other.key", "a.key a.crt", "nonsense nonsense":
        given, key = pair.split()
        seen = host.run(f"{INSTALL} --tls-cert /root/{given} --tls-key /root/{key}", check=False)
        assert "must be a certificate and its key" in seen
    assert state(host) == before


def test_a_dry_run_of_an_upgrade_names_what_it_would_restart(debian: Installed) -> None:
    """It changes nothing, and prints the units that run from the release."""
    host = debian.host
    host.copy_tree()
    with (host.root / "root/src/irisab/__init__.py").open("a") as file:
        file.write("# a newer release\n")
    before = state(host)
    seen = host.run(f"{INSTALL} --dry-run")
    assert "+ systemctl restart irisab.service" in seen
    assert "+ systemctl restart irisab-ui.service" in seen
    assert "restart irisab.socket" not in seen
    assert state(host) == before
    host.copy_tree()


def test_uninstall_leaves_nothing_running_after_a_reboot(clean: Callable[[str], Host]) -> None:
    """Neither nginx nor Debian's own Prometheus, which an install keeps off, comes up by itself."""
    with clean("removed") as host:
        host.copy_tree()
        kill_at(host, 3)
        host.run("/root/src/bootstrap.sh --uninstall --purge")
        host.reboot()
        assert nothing_runs(host)
        for unit in "nginx", "prometheus", "prometheus-alertmanager":
            assert host.code(f"systemctl is-enabled -q {unit}") != 0
        assert host.run("find /etc/systemd/system -lname /dev/null") == ""


def test_a_dry_run_changes_nothing(bare: Host) -> None:
    """It prints the commands of all eight steps and touches no file."""
    before = state_of_bare(bare)
    seen = bare.run(f"{INSTALL} --dry-run")
    assert "[8/8]" in seen
    assert "+ systemctl start irisab.service" in seen
    assert state_of_bare(bare) == before


def state_of_bare(host: Host) -> str:
    return host.run(
        "find /etc /opt /usr /var -xdev -printf '%p %T@\\n'  | grep -vE '/var/(log|backups)' | sort"
    )


@pytest.mark.parametrize(
    ("prepare", "command", "sentence"),
    [
        ("true", "runuser -u nobody -- /srv/src/bootstrap.sh", "this needs root"),
        (
            "printf 'ID=alpine\\nPRETTY_NAME=\"Alpine 3\"\\n' >/etc/os-release",
            INSTALL,
            "Alpine 3 is not supported",
        ),
        (
            "printf 'ID=amzn\\nVERSION_ID=2\\nPRETTY_NAME=A\\n' >/etc/os-release",
            INSTALL,
            "Amazon Linux 2 has been out of support since June 2026",
        ),
        (
            "systemd-socket-activate -l 80 cat >/dev/null 2>&1 &"
            " until ss -Hltn 'sport = :80' | grep -q .; do sleep 0.1; done",
            INSTALL,
            "port 80 is taken by systemd-socket",
        ),
        (
            "mount -t tmpfs -o size=100m tmpfs /opt",
            INSTALL,
            "/opt has 100 MB free and the install needs",
        ),
        ("true", f"{INSTALL} --frobnicate", "unknown option --frobnicate"),
        (
            "true",
            f"{INSTALL} --tls-cert /none --tls-key /none",
            "--tls-cert needs a file that can be read",
        ),
    ],
)
def test_refusals_are_one_clear_sentence(
    bare: Host, prepare: str, command: str, sentence: str
) -> None:
    """Each exits 1 with its reason before anything is changed."""
    bare.run("[ -e /srv/src ] || cp -r /root/src /srv/src; rm /etc/os-release")
    bare.run("cp /usr/lib/os-release /etc/os-release")
    undo = "umount -q /opt; kill $(jobs -p); cp /usr/lib/os-release /etc/os-release"
    seen = bare.run(f"{prepare}; {command}; echo exit $?; {undo}", check=False)
    [line] = [line for line in seen.splitlines() if line.startswith("bootstrap: ")]
    assert sentence in line
    assert "exit 1" in seen
    assert bare.code("test -e /opt/irisab -o -e /etc/irisab.ini") == 1
