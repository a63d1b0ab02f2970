"""What waitress can do: parse the same JSON, answer a constant of the same size."""

from __future__ import annotations

import json
import logging
import sys

from waitress import serve

port, answer, settings = sys.argv[1:]
body = answer.encode()
headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]


def app(environ, start_response):
    json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start_response("200 OK", headers)
    return [body]


# As irisab: otherwise nearly every request under load is a line on stderr.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
serve(app, listen=f"127.0.0.1:{port}", **json.loads(settings))
