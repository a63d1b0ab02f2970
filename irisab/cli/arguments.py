"""What every command's arguments have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from irisab import __version__
from irisab.rfc3339 import seconds


def add(
    commands: Any,
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
    *,
    own_version: bool = False,
) -> argparse.ArgumentParser:
    """Return the parser of a command; with `own_version`, --version is for the command to add."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command)
    if not own_version:
        add_version(parser)
    # Not given here, it is what stands before the command.
    add_config(parser, default=argparse.SUPPRESS)
    return parser


def add_config(parser: argparse.ArgumentParser, *, default: Path | str) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=default,
        metavar="FILE",
        help="the INI file (default: $IRISAB_CONFIG, else /etc/irisab.ini)",
    )


def add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=f"irisab {__version__}")


def moment(text: str) -> float:
    """Read what --since takes: seconds since 1970."""
    try:
        return seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no moment: write one like 2026-01-31T12:00:00Z"
        ) from None
