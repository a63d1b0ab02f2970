"""Alerts reach a person: by mail and by webhook, once, and that they are over."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pages
import pytest
from actions import INSTALL, Installed, ask, state
from bed import HERE, Host
from test_operate import drift_is_found, set_split

RULES, SCRAPES = "/etc/irisab/alerts.yml", "/etc/irisab/prometheus.yml"
NOTIFY = "/etc/irisab/alertmanager"
PASSWORD = "correct 'horse' battery"
WAYS = "email", "webhook"
# What the tests would wait for otherwise: a wave, a window, the next look, the next message. A look
# that a busy machine misses must not show: it is shorter than what is between two messages.
SOONER = (
    rf"sed -i '/: IrisabDown/,/for:/s/for: .*/for: 10s/' {RULES}",
    rf"sed -i '/: IrisabDrift/,/for:/s/for: .*/for: 0s/' {RULES}",
    rf"sed -i 's/_interval: 15s/_interval: 5s/' {SCRAPES}",
    rf"sed -i 's/group_interval: .*/group_interval: 10s/' {NOTIFY}/alertmanager.yml",
)
# Other tests had this host before: that they started the API often, Prometheus would tell, too.
FORGET = """systemctl stop irisab-prometheus irisab-alertmanager &&
rm -rf /var/lib/irisab-prometheus/* /var/lib/irisab-alertmanager/* &&
systemctl start irisab-prometheus irisab-alertmanager"""


@dataclass
class Told:
    """A host whose alerts go to a mail server and to a webhook of ours."""

    host: Host
    output: str
    file: Path

    def messages(self) -> list[Any]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def counts(self) -> Counter[tuple[str, str]]:
        """How often each way has told each thing; what is over begins with "over: "."""
        told: Counter[tuple[str, str]] = Counter()
        for each in self.messages():
            if each["by"] == "email":
                what = each["subject"].partition(": ")[2]
            else:
                over = "over: " if each["body"]["status"] == "resolved" else ""
                what = over + each["body"]["commonAnnotations"]["summary"]
            told[each["by"], what] += 1
        return told

    def wait_for(self, *told: str) -> None:
        """Wait until both ways have told all of it."""
        wanted = {(way, what) for way in WAYS for what in told}
        try:
            self.host.wait(lambda: wanted <= self.counts().keys(), seconds=120)
        except AssertionError:
            fires = self.host.run("curl -s http://127.0.0.1:9090/prometheus/api/v1/alerts")
            raise AssertionError(f"missing {wanted - self.counts().keys()}: {fires}") from None


def typed(words: str) -> str:
    """What the page has for an operator, with servers that are ours."""
    (block,) = pages.blocks("docs/alerts.md", words)
    text = block.text.replace("email-smtp.eu-central-1.amazonaws.com:587", "localhost:2525")
    return text.strip().replace("https://hooks.example.org", "http://localhost:2580")


@contextmanager
def sink(host: Host, file: Path) -> Iterator[None]:
    """The mail server and the webhook, on the host's own loopback."""
    inside = ["nsenter", "-t", str(host.pid), "-n", sys.executable, HERE / "sink.py", file]
    with subprocess.Popen(inside) as server:
        try:
            host.wait(file.exists)
            yield
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def told(debian: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Settings as an operator gives them; afterwards nobody is told any more."""
    host, file = debian.host, tmp_path_factory.mktemp("told") / "messages"
    host.run(FORGET)
    (host.root / "root/smtp-password").write_text(f"{PASSWORD}\n")
    by_mail = typed("sh mail")
    host.run(f"{{ {by_mail}\n}} </root/smtp-password")
    output = host.run(typed("sh webhook"))
    try:
        yield Told(host, output, file)
    finally:
        host.run(f"rm -r {NOTIFY} {RULES} {SCRAPES} /root/smtp-password")
        set_split(host, 50, 50)
        assert "Nobody is told of alerts." in host.run(INSTALL)


def test_without_a_word_nobody_is_told(debian: Installed) -> None:
    """An installation ends with saying so, and how to change it."""
    way = "Nobody is told of alerts. To be mailed: sudo /opt/irisab/current/bootstrap.sh --notify-"
    assert way in debian.output.partition("Page   ")[2]
    seen = debian.host.run(f"{INSTALL} --notify-test; echo exit $?", check=False)
    assert "nobody is told of alerts, so there is nothing to test" in seen
    assert seen.endswith("exit 1")


def test_settings_stay_and_are_for_root_alone(told: Told) -> None:
    """A later run keeps them and changes nothing; no secret is printed, or read by others."""
    host, before = told.host, state(told.host)
    assert "Alerts go out by email and webhook." in told.output
    again = host.run("/opt/irisab/current/bootstrap.sh")
    assert "Alerts go out by email and webhook." in again
    assert state(host) == before
    assert host.run(f"stat -c %a%U {NOTIFY} {NOTIFY}/alertmanager.yml") == "700root\n600root"
    kept = f"grep -rlF horse {NOTIFY} /etc/irisab/installed | xargs stat -c %a%U | sort -u"
    assert host.run(kept) == "600root"
    assert "horse" not in told.output and "horse" not in host.run("journalctl -q -b")


def test_a_test_goes_the_way_of_real_alerts(told: Told) -> None:
    """Where nobody listens exit 1 says who took nothing, and why; else who did, and it is there."""
    test = typed("sh test")
    seen = told.host.run(f"{test}; echo exit $?")
    for way in WAYS:
        assert f"✘ {way}: not accepted:" in seen
    assert seen.count("connection refused") == 2 and seen.endswith("exit 1")
    with sink(told.host, told.file):
        seen = told.host.run(test)
        assert "✔ email: accepted by localhost:2525" in seen
        assert "✔ webhook: accepted by localhost:2580" in seen
    mails = {each["subject"]: each for each in told.messages() if each["by"] == "email"}
    mail = mails[f"irisab at {told.host.address}: This is a test."]
    assert (mail["to"], mail["sender"]) == ("ops@example.org", "alerts@example.org")
    assert base64.b64decode(mail["login"]).decode() == f"\0AKIAIOSFODNN7EXAMPLE\0{PASSWORD}"


def test_what_happens_is_told_once_and_that_it_is_over(told: Told) -> None:
    """Two minutes at the most after each: API down, a unit, drift, a refused INI, a rollback."""
    host = told.host
    for line in SOONER:
        host.run(line)
    host.run(FORGET)
    ask_like_the_training_data(host)
    told.file.unlink()
    with sink(host, told.file):
        down, unit = "The API does not answer, or not for long.", "irisab-ui.service failed."
        break_unit(host)
        host.run("systemctl stop irisab.socket irisab.service")
        told.wait_for(down, unit)
        host.run("systemctl start irisab.socket irisab.service")
        mend_unit(host)

        drift = "The input no longer looks like the training data."
        refused = "The INI file was refused; an older one serves."
        rollback = "A rollout did not come to its end."
        fill_the_window(host, [[[9.0, 5.0, 9.0, 4.0]] * 100] * 10, above=4)
        set_split(host, 70, 40)
        assert host.code("systemctl reload irisab") != 0
        set_rollout(host, "rolled_back")
        told.wait_for(drift, refused, rollback, f"over: {down}", f"over: {unit}")

        set_split(host, 50, 50)
        host.run("systemctl reload irisab")
        # What the hourly look finds is told by the rule, and by that alone.
        # Each hour it starts by itself, and that one may have looked before.
        host.wait(lambda: drift_is_found(host), seconds=30)
        ask_like_the_training_data(host)
        set_rollout(host, "aborted")
        everything = [down, unit, drift, refused, rollback]
        wanted = [*everything, *(f"over: {each}" for each in everything)]
        told.wait_for(*wanted)
    host.run("systemctl reset-failed")
    counts = told.counts()
    assert {counts[way, what] for way in WAYS for what in wanted} == {1}, counts
    assert ("email", "irisab-drift.service failed.") not in counts
    [mail] = [each for each in told.messages() if each.get("subject", "").endswith(f".1: {drift}")]
    assert mail["kinds"] == ["text/plain"]
    assert re.search(r"^Drift of [a-z_ ]+: the score is [01]\.\d\d, above", mail["text"], re.M)
    # https, where other tests gave this host a certificate.
    assert re.search(rf"^Look at      https?://{host.address}/drift$", mail["text"], re.M)
    assert "On the host  sudo /usr/local/bin/irisab drift\n" in mail["text"]


def test_a_release_before_it_is_gone_back_to(told: Told) -> None:
    """One that knows no Alertmanager serves all the same, and leaves ours as it is."""
    host = told.host
    host.copy_tree()
    with (host.root / "root/src/irisab/__init__.py").open("a") as file:
        file.write("# a newer release\n")
    host.run(INSTALL)
    unknown = "alertmanager bin/irisab-failed systemd/irisab-{alertmanager,failed@}.service"
    host.run(f"cd /opt/irisab/current/previous && rm -r {unknown}")
    for _ in range(2):
        assert "✘" not in host.run("/opt/irisab/current/bootstrap.sh --rollback")
        assert host.code("systemctl is-active -q irisab-alertmanager") == 0
    # Of the release of this tree parts are missing now: the next installation makes it anew.
    host.run("rm -r $(readlink -f /opt/irisab/current/previous)")
    host.copy_tree()


def ask_like_the_training_data(host: Host) -> None:
    rows = [each["features"] for each in ask(f"{host.url}/config").json["examples"]]
    parts = [rows[first::10] for first in range(10)]
    fill_the_window(host, [part * (100 // len(part)) for part in parts], above=0)


def fill_the_window(host: Host, parts: list[list[list[float]]], *, above: int) -> None:
    """Ask, until drift is above its alarm in so many features; Prometheus looks before or after.

    A request fills a tenth of the window at the most. In one of both kinds of rows some alarms are
    over and others are not, which is told, too.
    """
    prometheus = "systemctl kill --kill-who=main -s {} irisab-prometheus"
    host.run(prometheus.format("STOP"))
    try:
        for rows in parts:
            assert ask(f"{host.url}/predict", {"features": rows}).status == 200
        host.wait(lambda: len(ask(f"{host.url}/report").json["drift"]["above"]) == above)
    finally:
        host.run(prometheus.format("CONT"))


def break_unit(host: Host) -> None:
    drop_in = "/etc/systemd/system/irisab-ui.service.d"
    lines = "[Service]\\nRestart=no\\nExecStart=\\nExecStart=/bin/false\\n"
    host.run(f"mkdir -p {drop_in}; printf '{lines}' >{drop_in}/fail.conf; systemctl daemon-reload")
    host.code("systemctl restart irisab-ui")


def mend_unit(host: Host) -> None:
    host.run("rm /etc/systemd/system/irisab-ui.service.d/fail.conf; systemctl daemon-reload")
    host.run("systemctl start irisab-ui")


def set_rollout(host: Host, to: str) -> None:
    """What a look or a person leaves of a rollout."""
    host.run(f"""runuser -u irisab -- env PYTHONPATH=/opt/irisab/current \
        /opt/irisab/current/venv/bin/python - <<'PYTHON'
import time
from pathlib import Path
from irisab.store import rollouts
history = Path("/var/lib/irisab/history.sqlite3")
now = rollouts.Rollout(version="v2", control="v1", models={{}}, settings="", steps=[1],
                       since=time.time(), clock=time.time(), state="{to}")
rollouts.write(history, rollouts.newest(history), now)
PYTHON""")
