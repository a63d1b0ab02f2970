"""What each setting is worth: irisab as it is against irisab with one of them changed."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from bench import servers
from bench.compare import rounds_of, spread
from bench.load import Sample
from bench.process import Process, free_port
from bench.servers import Bench

CONNECTIONS = 32
DEFAULT = "as it is"
# words -> [server] options, or the name of a change in peers/variant.py
CHANGED_SERVER: dict[str, dict[str, int] | str] = {
    "threads = 1, not 4": {"threads": 1},
    "threads = 16": {"threads": 16},
    "each request handed to a thread": "hand_over",
    "header and body sent one by one": "two_writes",
    "select(), not poll()": "use_select",
    "headers of proxies looked for": "look_at_proxies",
}
# words -> what is replaced in nginx.conf
CHANGED_NGINX = {
    "no connection to the API kept": (r"^ *keepalive 32;\n", ""),
    "keepalive 8, not 32": (r"keepalive 32;", "keepalive 8;"),
    "keepalive 128": (r"keepalive 32;", "keepalive 128;"),
    "each line of the access log written at once": (r" buffer=64k flush=5s", ""),
    "no access log": (r"access_log .*;", "access_log off;"),
}


def run(bench: Bench, *, rounds: int, seconds: int) -> dict[str, Any]:
    """Return, for each change, requests per second, p99 and processor time by those without it."""
    with ExitStack() as stack:
        processes = {DEFAULT: bench.start(servers.IRISAB)} | {
            words: _start(bench, change) for words, change in CHANGED_SERVER.items()
        }
        for process in processes.values():
            stack.callback(process.stop)
        for process in processes.values():
            process.first_answer()
        direct = {words: process.port for words, process in processes.items()}
        behind = stack.enter_context(
            bench.nginx({DEFAULT: direct[DEFAULT]} | dict.fromkeys(CHANGED_NGINX, direct[DEFAULT]),
                        changes=CHANGED_NGINX)
        )  # fmt: skip
        time.sleep(1)
        found = rounds_of(processes, direct, (CONNECTIONS,), rounds, seconds)
        same = dict.fromkeys(behind, processes[DEFAULT])
        through = rounds_of(same, behind, (CONNECTIONS,), rounds, seconds)
    return {"server": _against_default(found), "nginx": _against_default(through)}


def _start(bench: Bench, change: dict[str, int] | str) -> Process:
    options, variant = (change, "") if isinstance(change, dict) else ({}, change)
    port = free_port()
    return bench.start_irisab(
        port=port, history=f"settings-{port}.sqlite3", options=options, variant=variant
    )


def _against_default(samples: dict[str, dict[int, list[Sample]]]) -> dict[str, Any]:
    if not samples:
        return {}
    default = samples.pop(DEFAULT)[CONNECTIONS]
    return {
        words: {
            figure: spread(
                getattr(a, figure) / getattr(b, figure)
                for a, b in zip(of[CONNECTIONS], default, strict=True)
            )
            for figure in ("per_second", "cpu", "p99")
        }
        for words, of in samples.items()
    }
