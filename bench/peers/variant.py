"""irisab with one setting changed: `python -m bench.peers.variant CHANGE ARGUMENTS OF IRISAB`."""

from __future__ import annotations

import sys
from typing import Any

from waitress.task import WSGITask

from irisab.__main__ import main
from irisab.http import dispatch, server
from irisab.http.app import App


def hand_over() -> None:
    """Answer nothing in the thread that read it: waitress's own way."""
    App.is_quick = lambda *_: False  # type: ignore[method-assign]


def two_writes() -> None:
    """Send the header by itself, as waitress does."""
    dispatch.Task.write = WSGITask.write  # type: ignore[method-assign]


def use_select() -> None:
    """Ask the kernel with select() which sockets are ready."""
    adjustments = server.adjustments

    def changed(options: Any) -> dict[str, Any]:
        return adjustments(options) | {"asyncore_use_poll": False}

    server.adjustments = changed


def look_at_proxies() -> None:
    """Look for headers of proxies in each request, and drop them."""
    adjustments = server.adjustments

    def changed(options: Any) -> dict[str, Any]:
        return adjustments(options) | {"clear_untrusted_proxy_headers": True}

    server.adjustments = changed


CHANGES = {each.__name__: each for each in (hand_over, two_writes, use_select, look_at_proxies)}

if __name__ == "__main__":
    CHANGES[sys.argv[1]]()
    main(sys.argv[2:])
