"""The command line; the only place that ends the process."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

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
    service,
    train,
    vouch,
)
from irisab.cli.arguments import add_config, add_version
from irisab.cli.typed import typed
from irisab.errors import IrisabError

DEFAULT_CONFIG = "/etc/irisab.ini"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="irisab",
        description="Serve versions of a scikit-learn model, and learn which one is better.",
    )
    add_version(parser)
    add_config(parser, default=Path(os.environ.get("IRISAB_CONFIG") or DEFAULT_CONFIG))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train.add_to(commands)
    imports.add_to(commands)
    service.add_to(commands)
    reports.add_to(commands)
    history.add_to(commands)
    events.add_to(commands)
    evaluate.add_to(commands)
    models.add_to(commands)
    retrain.add_to(commands)
    rollout.add_to(commands)
    key.add_to(commands)
    vouch.add_to(commands)
    backup.add_to(commands)
    return parser


if __name__ == "__main__":
    main()
