"""irisab history: predictions and labels as CSV."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

from irisab import config
from irisab.cli.arguments import add, moment
from irisab.cli.output import print_all
from irisab.store import export
from irisab.store.history import History


def add_to(commands: Any) -> None:
    parser = add(commands, "history", _history, "print predictions and labels as CSV")
    parser.add_argument(
        "--since", type=moment, default=0.0, metavar="RFC3339", help="such as 2026-01-31T12:00:00Z"
    )
    parser.add_argument(
        "--training",
        action="store_true",
        help="labelled rows only, features and label: ready for train --data FILE --target label",
    )


def _history(options: argparse.Namespace) -> int:
    lines = export.training_rows if options.training else export.prediction_rows
    with closing(History(config.load(options.config).data.history)) as history:
        print_all(lambda: _write_csv(lines(history, since=options.since)))
    return 0


def _write_csv(lines: Iterable[Sequence[object]]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerows(lines)
