"""What the running service says of itself, for commands that decide by it. See `Service`."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from irisab.config import ServerOptions

SECONDS = 5


class NoAnswer(Exception):
    """Nobody answers where the API listens."""


class Service:
    """The API of this host, through the address that the INI file gives it."""

    def __init__(self, options: ServerOptions) -> None:
        host, port = options.address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._open = build_opener(ProxyHandler({})).open

    def json(self, path: str) -> Any:
        """Return the JSON that GET answers; raises `NoAnswer`."""
        return json.loads(self._get(path))

    def gauges(self, name: str) -> dict[str, float]:
        """Return a gauge by the value of its label, "" where it has none; raises `NoAnswer`.

        /metrics and /health ask for no key.
        """
        line = re.compile(rf'^{name}(?:\{{\w+="(.*)"\}})? (\S+)$', re.MULTILINE)
        return {
            label: float(value) for label, value in line.findall(self._get("/metrics").decode())
        }

    def _get(self, path: str) -> bytes:
        try:
            with self._open(self.address + path, timeout=SECONDS) as response:
                body: bytes = response.read()
                return body
        except (URLError, OSError, ValueError) as error:
            raise NoAnswer(f"{self.address} does not answer: {error}") from error
