"""Daily work on a host that serves: reload, restart, upgrade, rollback, accidents."""

from __future__ import annotations

import re
import time

import pages
import pytest
from actions import INSTALL, Installed, ask, load, query, version_served
from bed import TREE, Host


def set_split(host: Host, v1: float, v2: float) -> None:
    host.run(f"printf '[split]\\nv1 = {v1}\\nv2 = {v2}\\n' >/etc/irisab.ini")


def test_an_edit_and_a_reload_move_the_traffic(debian: Installed) -> None:
    """`systemctl reload` returns when the new split serves, without a restart."""
    host = debian.host
    pid = host.run("systemctl show -P MainPID irisab")
    set_split(host, 0, 100)
    host.run("systemctl reload irisab")
    assert ask(f"{host.url}/config").json["split"] == {"v1": 0, "v2": 100}
    row = {"features": [5.1, 3.5, 1.4, 0.2]}
    seen = {ask(f"{host.url}/predict", row).json["model_version"] for _ in range(20)}
    assert seen == {"v2"}
    assert host.run("systemctl show -P MainPID irisab") == pid
    set_split(host, 50, 50)
    host.run("systemctl reload irisab")


BROKEN = {
    "[split]\nv1 = 70\nv2 = 40\n": "the percentages add up to 110",
    "[split]\nv9 = 100\n": "version v9 has no complete model",
    "[split": "stands before any [section]",
    "[data]\nhistory = /srv/elsewhere/history.sqlite3\n": "[data] history = /srv/elsewhere",
}


@pytest.mark.parametrize(("broken", "reason"), BROKEN.items())
def test_a_broken_edit_is_refused_and_nothing_changes(
    debian: Installed, broken: str, reason: str
) -> None:
    """Reload fails with the reason in the status; restart and reboot serve the last good."""
    host = debian.host
    before = ask(f"{host.url}/config").json["revision"]
    (host.root / "etc/irisab.ini").write_text(broken)
    try:
        assert host.code("systemctl reload irisab") != 0
        # Not before the journal has it.
        told = "systemctl status --full irisab"
        host.wait(lambda: reason in host.run(told, check=False), seconds=10)
        for disturb in (lambda: None, lambda: host.run("systemctl restart irisab"), host.reboot):
            disturb()
            host.wait(lambda: ask(f"{host.url}/health").status == 200, seconds=30)
            health = ask(f"{host.url}/health")
            assert health.json["reload"]["ok"] is False
            # Where, for everybody; what stands there, for the journal.
            told = health.json["reload"]["error"]
            assert reason not in told and told.endswith("irisab check and the journal say why")
            assert ask(f"{host.url}/config").json["revision"] == before
    finally:
        set_split(host, 50, 50)
        host.run("systemctl reload irisab")
    assert ask(f"{host.url}/health").json["reload"]["ok"] is True


def test_no_request_fails_during_reloads_restarts_upgrade_and_rollback(debian: Installed) -> None:
    """Thousands of requests, GET and POST, kept alive and not: each is answered with 200."""
    host = debian.host
    host.copy_tree()
    with (host.root / "root/src/irisab/__init__.py").open("a") as file:
        file.write("# a newer release\n")
    old = version_served(host)
    with load(host) as found:
        for share in 10, 20, 30, 40, 50:
            set_split(host, share, 100 - share)
            host.run("systemctl reload irisab")
        for _ in range(3):
            host.run("systemctl restart irisab")
        host.run(INSTALL)
        upgraded = version_served(host)
        host.run("/opt/irisab/current/bootstrap.sh --rollback")
    assert found["failures"] == []
    assert found["sent"] > 2000
    assert upgraded != old
    assert version_served(host) == old
    assert set(found["versions"]) == {"v1", "v2"}
    print(f"\n{found['sent']} requests, the slowest {found['slowest']:.2f} s")


def test_a_service_that_hangs_is_replaced(debian: Installed) -> None:
    """systemd hears no more from it, ends it, and starts another; as shipped after a minute."""
    host = debian.host
    assert host.run("systemctl show -P WatchdogUSec irisab") == "1min"
    drop_in = "/run/systemd/system/irisab.service.d"
    sooner = "printf '[Service]\\nWatchdogSec=5\\n'"
    host.run(f"mkdir -p {drop_in} && {sooner} >{drop_in}/sooner.conf && systemctl daemon-reload")
    try:
        host.run("systemctl restart irisab")
        pid = host.run("systemctl show -P MainPID irisab")
        host.run(f"kill -STOP {pid}")
        host.wait(lambda: host.run("systemctl show -P MainPID irisab") not in (pid, "0"))
        host.wait(lambda: ask(f"{host.url}/health").status == 200)
        assert int(host.run("systemctl show -P NRestarts irisab")) >= 1
    finally:
        host.run(f"rm {drop_in}/sooner.conf; systemctl daemon-reload; systemctl restart irisab")


def test_two_releases_are_kept(debian: Installed) -> None:
    """A third release removes the first; the environments they share stay."""
    host = debian.host
    for number in 2, 3:
        with (host.root / "root/src/irisab/__init__.py").open("a") as file:
            file.write(f"# release {number}\n")
        host.run(INSTALL)
    assert len(host.run("ls /opt/irisab/releases").split()) == 2
    assert len(host.run("ls /opt/irisab/venvs").split()) == 2


def test_an_edited_file_survives_an_upgrade(debian: Installed) -> None:
    """A hand-edited nginx.conf and INI stay; what the release brings is put beside the first."""
    host = debian.host
    host.run("sed -i s/rate=100r/rate=50r/ /etc/nginx/nginx.conf")
    host.run("echo '# new' >>/root/src/nginx/nginx.conf")
    ini = host.run("cat /etc/irisab.ini")
    assert "kept your edited /etc/nginx/nginx.conf" in host.run(INSTALL)
    assert "rate=50r/s" in host.run("nginx -T 2>/dev/null | grep limit_req_zone")
    assert host.run("tail -1 /etc/nginx/nginx.conf.new") == "# new"
    assert host.run("cat /etc/irisab.ini") == ini


@pytest.mark.parametrize(
    ("unit", "path"),
    [
        ("nginx", "/health"),
        ("irisab", "/health"),
        ("irisab-ui", "/_stcore/health"),
        ("irisab-prometheus", "/prometheus/-/ready"),
        ("irisab-alertmanager", "/alertmanager/-/ready"),
    ],
)
def test_a_killed_service_heals_within_3_seconds(debian: Installed, unit: str, path: str) -> None:
    """`kill -9` of the main process is over before anyone has called."""
    host = debian.host
    pid = host.run(f"systemctl show -P MainPID {unit}")
    host.run(f"kill -9 {pid}")
    start = time.monotonic()
    answers = f"curl -sf -m 3 -o /dev/null localhost{path}"
    healed = f"[[ $(systemctl show -P MainPID {unit}) != {pid} ]] && {answers}"
    host.wait(lambda: host.code(healed) == 0, seconds=3)
    print(f"\n{unit} answers again after {time.monotonic() - start:.1f} s")


def test_a_unit_that_fails_raises_the_alert(debian: Installed) -> None:
    """A failure ends as an error in the journal; a drop-in sends it on, to a webhook say."""
    host = debian.host
    (drop_in,) = pages.blocks("docs/alerts.md", "ini")
    path = host.root / drop_in.file[1:]
    path.parent.mkdir()
    path.write_text(re.sub(r"https://\S+", "http://localhost/webhook", drop_in.text))
    host.run(
        "mkdir -p /etc/systemd/system/irisab-drift.service.d;"
        "printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' "
        ">/etc/systemd/system/irisab-drift.service.d/fail.conf; systemctl daemon-reload"
    )
    assert host.code("systemctl start irisab-drift") == 1
    told = "journalctl -q -p err -t irisab-alert | grep 'irisab-drift.service failed on'"
    host.wait(lambda: host.code(told) == 0, seconds=10)
    called = "grep 'POST /webhook' /var/log/nginx/access.log"
    host.wait(lambda: host.code(called) == 0, seconds=15)
    host.run("rm -r /etc/systemd/system/irisab-{alert@,drift}.service.d; systemctl daemon-reload")
    host.run("systemctl reset-failed")


def drift_is_found(host: Host) -> bool:
    """Let the hourly check look; what systemd refuses, as it comes too often, is no look."""
    host.code("systemctl reset-failed irisab-drift; systemctl start irisab-drift")
    return host.run("systemctl show -P Result -P ExecMainStatus irisab-drift") == "exit-code\n1"


def test_drift_is_seen_by_prometheus_and_by_the_timer(debian: Installed) -> None:
    """Shifted rows raise the gauge that Prometheus scrapes and fail the hourly check."""
    host = debian.host
    rows = {"features": [[9.0, 5.0, 9.0, 4.0]] * 10}
    assert all(ask(f"{host.url}/predict", rows).status == 200 for _ in range(10))
    host.wait(lambda: ask(f"{host.url}/report").json["drift"]["status"] != "OK", seconds=10)
    # Each hour it starts by itself, and that one may have looked before.
    host.wait(lambda: drift_is_found(host), seconds=30)
    host.wait(lambda: query(host, "model_drift_score > 0.3") != [], seconds=40)
    host.run("systemctl reset-failed")


def test_a_damaged_bundle_is_refused_and_nothing_changes(debian: Installed) -> None:
    """One byte more in a model: reload says which file, and what serves goes on serving."""
    host = debian.host
    before = ask(f"{host.url}/config").json
    model = host.root / "var/lib/irisab/models/v2/current/forest.npz"
    intact = model.read_bytes()
    model.write_bytes(intact + b"x")
    try:
        assert host.code("systemctl reload irisab") != 0
        told = (
            "systemctl status --full irisab | grep forest.npz | grep 'was changed since training'"
        )
        host.wait(lambda: host.code(told) == 0, seconds=10)
        assert "[split] was refused" in ask(f"{host.url}/health").json["reload"]["error"]
        assert ask(f"{host.url}/config").json == before
    finally:
        model.write_bytes(intact)
        host.run("systemctl reload irisab")


def test_the_time_that_a_request_waits_is_seen(debian: Installed) -> None:
    """nginx stamps each request, so what it waits before a thread takes it is measured."""
    host = debian.host

    def waits() -> float:
        return float(
            host.run("curl -sf localhost/metrics | sed -n 's/^request_queue_seconds_count //p'")
        )

    before = waits()
    row = {"features": [5.1, 3.5, 1.4, 0.2]}
    assert all(ask(f"{host.url}/predict", row).status == 200 for _ in range(10))
    assert waits() >= before + 10


def test_prometheus_sees_both_versions_and_no_failing_target(debian: Installed) -> None:
    """Counters of v1 and v2, the drift gauge, every target up."""
    host = debian.host
    seen = {each["metric"]["version"] for each in query(host, "model_version_requests_total")}
    assert seen == {"v1", "v2"}
    assert [float(each["value"][1]) for each in query(host, "up")] == [1, 1, 1]
    assert query(host, "process_resident_memory_bytes{job='irisab'}") != []


def test_every_metric_of_the_alerts_exists(debian: Installed) -> None:
    """An alert on a name that nothing exports would never fire; the rules' own tests pass too."""
    host = debian.host
    host.run("cd /opt/irisab/current/prometheus && /opt/irisab/bin/promtool test rules *_test.yml")
    exported = host.run("curl -sf localhost/metrics")
    rules = (TREE / "prometheus/alerts.yml").read_text()
    kinds = "prediction|request|model|feature|config|history|experiment|rollout|retrain"
    names = set(re.findall(rf"\b((?:{kinds})_\w+)", rules))
    assert len(names) >= 12
    for name in names:
        assert f"\n{name}" in exported or f"# TYPE {name} " in exported, name
