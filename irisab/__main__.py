"""The command line; the only place that ends the process."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from irisab.cli.arguments import add_config, add_version
from irisab.cli.typed import typed
from irisab.errors import IrisabError

DEFAULT_CONFIG = "/etc/irisab.ini"
USAGE = "%(prog)s [-h] [--version] [--config FILE] COMMAND ..."


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser(arguments).parse_args(arguments)
    try:
        return int(options.command(options))
    except IrisabError as error:
        print(f"irisab: {_typed(str(error), options.config)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "irisab: stopped by Ctrl-C; what is complete stays, and nothing half", file=sys.stderr
        )
        return 130
    except OSError as error:
        print(f"irisab: {error}", file=sys.stderr)
        return 2
    except Exception:
        # Not the interpreter's 1, which means "worse" or "drift".
        traceback.print_exc()
        return 2


def _typed(message: str, config: Path) -> str:
    """Spell the commands of a sentence as they must be typed here, which only the CLI knows."""
    return re.sub(r"'irisab ([^']+)'", lambda match: f"'{typed(config, match[1])}'", message)


def _parser(arguments: Sequence[str] | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="irisab",
        usage=USAGE,
        description="Serve versions of a scikit-learn model, and learn which one is better.",
    )
    add_version(parser)
    add_config(parser, default=Path(os.environ.get("IRISAB_CONFIG") or DEFAULT_CONFIG))
    commands = parser.add_subparsers(prog="irisab", required=True, metavar="COMMAND")
    for module in _modules(arguments):
        module.add_to(commands)
    return parser


def _modules(arguments: Sequence[str] | None) -> Sequence[ModuleType]:
    """Return who has the command: what serves for months needs no memory for training."""
    from irisab.cli import service

    first = argparse.ArgumentParser(prog="irisab", usage=USAGE, add_help=False)
    add_config(first, default="")
    first.add_argument("command", nargs="?")
    if first.parse_known_args(arguments)[0].command in service.COMMANDS:
        return [service]
    from irisab.cli import (
        backup,
        evaluate,
        events,
        history,
        imports,
        key,
        models,
        reports,
        retrain,
        rollout,
        train,
        vouch,
    )

    trained = train, imports, service, reports, history, events, evaluate
    return *trained, models, retrain, rollout, key, vouch, backup


if __name__ == "__main__":
    main()
