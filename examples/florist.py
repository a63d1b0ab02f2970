"""Asks irisab about flowers of Iris, one by one, and tells it what each really was.

    .venv/bin/python examples/florist.py 100
    .venv/bin/python examples/florist.py 100 --bigger 1.3
    .venv/bin/python examples/florist.py 100 --stuck

The second has them from another garden, where they grow bigger. The third's ruler for the width of
petals is stuck, and nobody has told yet what these flowers are. The service is that of `make run`,
or the one at $IRISAB_API.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

API = os.environ.get("IRISAB_API", "http://127.0.0.1:5000")
STRIDE = 7  # the data set is sorted by species; in steps of seven they come by turns


def flowers(count: int, bigger: float) -> Iterator[tuple[list[float], int]]:
    """Yield the measurements of a flower and the number of its species."""
    rows = iris()
    for number in range(count):
        *measurements, species = rows[number * STRIDE % len(rows)]
        yield [round(cm * bigger, 2) for cm in measurements], int(species)


def iris() -> list[list[float]]:
    """Read the file that comes with scikit-learn, without the second that it takes to import."""
    library = find_spec("sklearn")
    assert library and library.origin
    file = Path(library.origin).with_name("datasets") / "data/iris.csv"
    return [[float(cell) for cell in row] for row in list(csv.reader(file.open()))[1:]]


def post(connection: HTTPConnection, path: str, body: object) -> Any:
    """Return the answer; exits where it is a refusal."""
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    with connection.getresponse() as response:
        answer = json.load(response)
    if response.status != 200:
        sys.exit(f"florist: {path} answers {response.status}: {answer['detail']}")
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("count", type=int, help="how many flowers")
    parser.add_argument("--bigger", type=float, default=1, metavar="FACTOR", help="such as 1.3")
    parser.add_argument("--stuck", action="store_true", help="each petal is 1.2 cm wide; no labels")
    options = parser.parse_args()
    connection = HTTPConnection(urlsplit(API).netloc, timeout=30)
    right = 0
    for features, species in flowers(options.count, options.bigger):
        if options.stuck:
            features[3] = 1.2
        answer = post(connection, "/predict", {"features": features})
        if not options.stuck:
            post(connection, "/feedback", {"request_id": answer["request_id"], "label": species})
        right += answer["prediction"] == species
    print(f"{options.count} flowers, {right} answers were right")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"florist: nobody answers at {API} ({error}): start the service with `make run`")
