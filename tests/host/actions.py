"""What the tests do to a host and ask of it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bed import HERE, Host, sh

INSTALL = "cd /root/src && ./bootstrap.sh"
UNITS = (
    *("irisab.socket", "irisab.service", "irisab-ui.service"),
    *("irisab-prometheus.service", "irisab-alertmanager.service", "nginx.service"),
    *("irisab-drift.timer", "irisab-retrain.timer", "irisab-rollout.timer"),
)


@dataclass
class Installed:
    host: Host
    output: str


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(url: str, body: object = None, *, headers: dict[str, str] | None = None) -> Answer:
    """One request from outside the host; statuses are answers, not exceptions."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data=data, headers=headers or {})
    if data:
        request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as found:
            return Answer(found.status, dict(found.headers), found.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read().decode())


def state(host: Host) -> list[str]:
    """When each file on the disk was changed, and when each unit was started."""
    places = "/etc /opt /usr /var/lib/irisab/models /var/lib/dpkg /lib /bin /sbin"
    files = host.run(f"find {places} -xdev -printf '%p %T@ %C@\\n' | sort").splitlines()
    what = "-p ActiveEnterTimestampMonotonic -p MainPID"
    # A reload changes the state and back; but so does a timer, by itself.
    reloaded = {unit: " -p StateChangeTimestampMonotonic" for unit in UNITS if "timer" not in unit}
    return files + [
        f"{unit} {host.run(f'systemctl show {what}{reloaded.get(unit, str())} {unit}')}"
        for unit in UNITS
    ]


def query(host: Host, expression: str) -> list[dict[str, object]]:
    """What Prometheus on the host answers to an instant query."""
    data = shlex.quote(f"query={expression}")
    line = f"curl -sf localhost/prometheus/api/v1/query --data-urlencode {data}"
    return list(json.loads(host.run(line))["data"]["result"])


def version_served(host: Host) -> str:
    return host.run("cat /opt/irisab/current/RELEASE")


@contextmanager
def load(host: Host) -> Iterator[dict[str, Any]]:
    """Load on port 80 for as long as the block lasts; what came of it is in the dict then."""
    # What others have left to be written would come in between: a label waits for the disk.
    sh("sync", "-f", str(host.root))
    inside = ["nsenter", "-t", str(host.pid), "-n", sys.executable, str(HERE / "load.py")]
    with subprocess.Popen([*inside, "127.0.0.1", "80"], stdout=subprocess.PIPE) as clients:
        found: dict[str, Any] = {}
        try:
            time.sleep(1)
            yield found
            time.sleep(1)
        finally:
            clients.send_signal(signal.SIGTERM)
            out, _ = clients.communicate(timeout=60)
        found.update(json.loads(out))


def pin_local_archives(host: Host) -> None:
    """Let the tree on the host fetch the local archives; their checksums are as strict as ever."""
    for program in "prometheus", "alertmanager":
        sum_ = host.run(f"sha256sum /srv/{program}.tar.gz").split()[0]
        release = host.root / f"root/src/{program}/release"
        line = rf"\1 {sum_} file:///srv/{program}.tar.gz"
        release.write_text(re.sub(r"(?m)^(x86_64 \S+) .*$", line, release.read_text()))
