#!/usr/bin/env python3
"""Ten checks of a running irisab, from the host itself or from anywhere else.

    python3 smoke.py HOST [--password FILE] [--insecure]

HOST is a name or address, or a whole address such as https://models.example.org:8443. From outside
/metrics and Prometheus ask for the password of /etc/irisab/password: give it in a file, or in
$IRISAB_PASSWORD. Where the API asks for keys, $IRISAB_KEY is one for predict, read and force, such
as that in /etc/irisab/page.key.
Needs Python 3.9 and nothing else. Exits 1 if a check failed.

The rows sent are the examples of /config, in whole rounds: together they look like the training
data, so a smoke test is no drift.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import secrets
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 45  # seconds; on a host that has just started the first scrape takes 15, or fails once
REQUESTS = 100  # at most, to see every version answer
SLOW_MS = 250  # as the alert IrisabSlow has it


class Failed(Exception):
    """A check that did not hold; says what was seen instead."""


class Host:
    """A running irisab, seen through its front door."""

    def __init__(self, address: str, *, password: str, context: ssl.SSLContext) -> None:
        if address.count(":") > 1 and "[" not in address and "://" not in address:
            address = f"[{address}]"  # a bare address of IPv6
        self.address = (address if "://" in address else f"http://{address}").rstrip("/")
        self.context = context
        # Straight there: a proxy would be what is tested.
        self._open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        ).open
        login = base64.b64encode(f"irisab:{password}".encode()).decode()
        self.login = {"Authorization": f"Basic {login}"} if password else {}
        key = os.environ.get("IRISAB_KEY", "").strip()
        self._key = {"X-API-Key": key} if key else {}

    def get(self, path: str) -> str:
        """Return the body; raises Failed for anything but 200."""
        return self._fetch(
            urllib.request.Request(self.address + path, headers=self.login | self._key)
        )

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def predict(self, **fields: Any) -> Any:
        request = urllib.request.Request(
            f"{self.address}/predict",
            data=json.dumps(fields).encode(),
            headers={"Content-Type": "application/json"} | self._key,
        )
        return json.loads(self._fetch(request))

    def _fetch(self, request: urllib.request.Request) -> str:
        try:
            with self._open(request, timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            bearer = error.headers.get("WWW-Authenticate", "").startswith("Bearer")
            wanted = "a key in $IRISAB_KEY" if bearer else "the host's /etc/irisab/password"
            hint = f": give {wanted}" if error.code == 401 else ""
            raise Failed(f"{error.code} {error.reason}{hint}") from None
        except (OSError, http.client.HTTPException) as error:
            raise Failed(str(getattr(error, "reason", error)) or repr(error)) from None


class Smoke:
    """The checks, in order; what one learns the next ones use."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.split: dict[str, float] = {}
        self.rows: list[list[float]] = []
        self.seen: dict[str, int] = {}

    def health(self) -> str:
        found = self.host.json("/health")
        expect(found["status"] == "healthy" and found["models_loaded"], found)
        reload = found["reload"]
        return "healthy" if reload["ok"] else f"healthy, but not on the INI: {reload['error']}"

    def config(self) -> str:
        found = self.host.json("/config")
        # What serves; [split] of the INI file says less while a version is rolled out.
        self.split = found.get("effective_split", found["split"])
        self.rows = [example["features"] for example in found["examples"]]
        # 70.1, 19.8 and 10.1 are 100 percent, but not in binary.
        expect(abs(sum(self.split.values()) - 100) < 1e-6 and self.rows, self.split)
        shares = ", ".join(f"{version} {share} %" for version, share in self.split.items())
        if self.split != found["split"]:
            said = ", ".join(f"{version} {share} %" for version, share in found["split"].items())
            shares += f" ([split] says {said})"
        return f"{shares}; revision {found['revision']}"

    def prediction(self) -> str:
        self._expect_config()
        answer = self._round()
        return f"{answer['class_name']} by {answer['model_version']}"

    def ab_split(self) -> str:
        self._expect_config()
        # A share below 10 % may well stay unseen in so few requests.
        wanted = {version for version, share in self.split.items() if share >= 10}
        for _ in range(0, REQUESTS, len(self.rows)):
            if not wanted <= self.seen.keys():
                self._round()
        expect(wanted <= self.seen.keys() <= self.split.keys(), self.seen)
        return ", ".join(f"{count} by {version}" for version, count in sorted(self.seen.items()))

    def metrics(self) -> str:
        self._expect_config()
        text = self.host.get("/metrics")
        for version in self.split:
            name = f'model_version_requests_total{{version="{version}"}}'
            expect(name in text, f"no {name}")
        return f"{sum(not line.startswith('#') for line in text.splitlines())} series"

    def page(self) -> str:
        expect("<title>" in self.host.get("/"), "no page")
        expect(self.host.get("/_stcore/health").strip() == "ok", "the page is not healthy")
        return "served"

    def websocket(self) -> str:
        # Behind a password, if the page has a key.
        status = handshake(
            self.host.address, "/_stcore/stream", self.host.context, headers=self.host.login
        )
        expect(" 101 " in f"{status} ", status)
        return status.split(" ", 1)[1]

    def targets(self) -> str:
        found = self.host.json("/prometheus/api/v1/targets?state=active")["data"]["activeTargets"]
        down = [each["scrapePool"] for each in found if each["health"] != "up"]
        expect(found and not down, f"not up: {', '.join(down) or 'no target at all'}")
        return ", ".join(each["scrapePool"] for each in found)

    def rules(self) -> str:
        groups = self.host.json("/prometheus/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        broken = [rule["name"] for rule in rules if rule["health"] == "err"]
        expect(rules and not broken, f"broken: {', '.join(broken) or 'no rule at all'}")
        firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
        return f"{len(rules)} alerts, {', '.join(firing) or 'none'} firing"

    def latency(self) -> str:
        self._expect_config()
        # Asked of one version by name, these stay out of the experiment and of drift.
        inside, outside = [], []
        for row in (self.rows * 50)[:50]:
            start = time.perf_counter()
            answer = self.host.predict(features=row, model_version=next(iter(self.split)))
            outside.append(1000 * (time.perf_counter() - start))
            inside.append(answer["latency_ms"])
        expect(p95(inside) < SLOW_MS, f"p95 {p95(inside):.2f} ms in the model")
        return f"p95 {p95(inside):.2f} ms in the service, {p95(outside):.1f} ms from here"

    def _expect_config(self) -> None:
        expect(self.rows, "/config is needed first")

    def _round(self) -> Any:
        answer: Any = None
        for row in self.rows:
            answer = self.host.predict(features=row)
            version = answer["model_version"]
            self.seen[version] = self.seen.get(version, 0) + 1
        return answer

    def checks(self) -> list[tuple[str, Callable[[], str]]]:
        return [
            ("API health", self.health),
            ("Config", self.config),
            ("Prediction", self.prediction),
            ("A/B split", self.ab_split),
            ("Metrics", self.metrics),
            ("Page", self.page),
            ("Page's websocket", self.websocket),
            ("Prometheus targets", self.targets),
            ("Alert rules", self.rules),
            ("Latency", self.latency),
        ]


def expect(held: object, seen: object) -> None:
    if not held:
        raise Failed(str(seen))


def p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


def handshake(address: str, path: str, context: ssl.SSLContext, *, headers: dict[str, str]) -> str:
    """Ask for a websocket as a browser does (RFC 6455, 4.1); return the status line."""
    parts = urlsplit(address)
    secure = parts.scheme == "https"
    plain = socket.create_connection(
        (parts.hostname or "", parts.port or (443 if secure else 80)), timeout=10
    )
    with context.wrap_socket(plain, server_hostname=parts.hostname) if secure else plain as line:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Origin: {address}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        line.sendall("\r\n".join([*lines, "", ""]).encode())
        return line.recv(4096).decode("latin-1").partition("\r\n")[0]


def attempt(check: Callable[[], str], *, patience: float) -> tuple[bool, str]:
    """Run a check until it holds or `patience` seconds are over."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return True, check()
        except (Failed, OSError, ValueError, LookupError) as error:
            if time.monotonic() > deadline:
                return False, str(error) or repr(error)
            time.sleep(1)


def password(path: str | None) -> str:
    if path is None:
        return os.environ.get("IRISAB_PASSWORD", "")
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def invite(address: str, rows: list[list[float]]) -> None:
    """Say where to go from here."""
    print(f"\nPage        {address}/\nAPI         {address}/predict")
    print(f"Prometheus  {address}/prometheus/\n\nTo try it:")
    for row in rows[:1]:
        body = json.dumps({"features": row})
        print(f"  curl {address}/predict -H 'Content-Type: application/json' -d '{body}'")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("--password", metavar="FILE")
    parser.add_argument("--insecure", action="store_true", help="accept a self-signed certificate")
    parser.add_argument("--checks-only", action="store_true", help="print no addresses")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds (%(default)s)")
    options = parser.parse_args()
    context = ssl.create_default_context()
    if options.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    smoke = Smoke(Host(options.host, password=password(options.password), context=context))
    failures, deadline = 0, time.monotonic() + options.patience
    for name, check in smoke.checks():
        held, seen = attempt(check, patience=deadline - time.monotonic())
        failures += not held
        print(f"  {'✔' if held else '✘'} {name:20} {seen}", flush=True)
    if not options.checks_only:
        invite(smoke.host.address, smoke.rows)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
