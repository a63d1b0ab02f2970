"""Takes mails and calls of a webhook, and writes each as a line of JSON: sink.py FILE.

It listens on loopback of the host that it runs on: mails on port 2525, after a login as anybody,
calls on port 2580. A mail to nobody@ is refused.
"""

from __future__ import annotations

import email
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

MAIL, CALLS = 2525, 2580
LOCK = threading.Lock()
FILE = Path(sys.argv[1])


def keep(by: str, **what: Any) -> None:
    with LOCK, FILE.open("a") as file:
        file.write(json.dumps({"at": time.time(), "by": by, **what}) + "\n")


class Mail(StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a client that only sends needs."""

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        login = ""
        self.say("220 sink")
        while line := self.rfile.readline().decode().strip():
            verb = line.upper()
            if verb.startswith("EHLO"):
                self.say("250-sink\r\n250 AUTH PLAIN")
            elif verb.startswith("AUTH"):
                login = line.split()[-1]
                self.say("235 welcome")
            elif verb.startswith("RCPT") and "nobody@" in line:
                self.say("550 nobody lives here")
            elif verb == "DATA":
                self.say("354 go on")
                self.take(login)
                self.say("250 taken")
            elif verb == "QUIT":
                return self.say("221 bye")
            else:
                self.say("250 ok")

    def take(self, login: str) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        message = email.message_from_bytes(b"".join(lines))
        texts = [part for part in message.walk() if not part.is_multipart()]
        bodies = [part.get_payload(decode=True) for part in texts]
        keep(
            "email", login=login, to=message["To"], sender=message["From"],
            subject=message["Subject"], kinds=[part.get_content_type() for part in texts],
            text="".join(
                body.decode().replace("\r\n", "\n") for body in bodies if isinstance(body, bytes)
            ),
        )  # fmt: skip


class Call(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        keep("webhook", body=json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    mail = Server(("127.0.0.1", MAIL), Mail)
    threading.Thread(target=mail.serve_forever, daemon=True).start()
    calls = ThreadingHTTPServer(("127.0.0.1", CALLS), Call)
    FILE.touch()
    calls.serve_forever()
