"""The listening socket, and waitress's settings."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

from irisab import config
from irisab.errors import ConfigError
from irisab.http import crowd, systemd

# Connections that may wait during a restart, as in irisab.socket.
BACKLOG = 1024
# More than any answer: none goes through a file, which is a descriptor that a connection needs.
NO_FILE = 2**30


def adjustments(options: config.ServerOptions) -> dict[str, Any]:
    """Return waitress's settings; the benchmark gives them to others, too."""
    return {
        "threads": options.threads,
        "backlog": BACKLOG,
        "connection_limit": crowd.limit(),
        "max_request_body_size": config.HARD_BODY_LIMIT,
        # `exchange.Body` keeps so much of a body.
        "inbuf_overflow": options.max_body_bytes,
        "outbuf_overflow": NO_FILE,
        # nginx passes no header that we use, and this saves a look at each request.
        "clear_untrusted_proxy_headers": False,
        "ident": "irisab",
    }


def listening_socket(path: Path, options: config.ServerOptions) -> socket.socket:
    where = f"{path}: [server] listen = {options.listen}"
    inherited = systemd.inherited_socket()
    if inherited is not None:
        host, port = inherited.getsockname()[:2]
        if (host, port) != options.address:
            raise ConfigError(f"{where}: systemd's irisab.socket listens on {host}:{port}")
        return inherited
    try:
        return socket.create_server(
            options.address,
            family=socket.AF_INET6 if ":" in options.address[0] else socket.AF_INET,
            backlog=BACKLOG,
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            port = options.address[1]
            reason = f"another program has the port; find it with: ss -ltnp 'sport = :{port}'"
        else:
            reason = str(error.strerror)
        raise ConfigError(f"{where}: {reason}") from error
