"""The command line. Each command is a function below; the only place that ends the process."""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irisab import __version__, config, export, report, snapshot, systemd
from irisab.errors import ConfigError, DataError, IrisabError, NotRunning
from irisab.history import History
from irisab.revision import Revision

DEFAULT_CONFIG = "/etc/irisab.ini"
VERDICT_EXIT = {"better": 0, "worse": 1, "inconclusive": 3, "equivalent": 4}
DRIFT_EXIT = {report.OK: 0, report.WARNING: 1, report.NOT_ENOUGH: 3}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except IrisabError as error:
        print(f"irisab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"irisab: {error}", file=sys.stderr)
        return 2
    except Exception:
        # Not the interpreter's 1, which means "worse" or "drift".
        traceback.print_exc()
        return 2


def _print(write: Callable[[], object]) -> None:
    """Write to stdout, as far as the reader wants it: the exit code is the command's all the same.

    Raises `OSError` where it cannot be written otherwise.
    """
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _say(text: str) -> None:
    _print(lambda: print(text))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="irisab",
        description="Serve versions of a scikit-learn model, and learn which one is better.",
    )
    _add_version(parser)
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get("IRISAB_CONFIG") or DEFAULT_CONFIG),
        metavar="FILE",
        help="the INI file (default: $IRISAB_CONFIG, else %(default)s)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add(commands, "serve", _serve, "run the API until SIGTERM")
    _add(commands, "check", _check, "validate the INI file and the bundles; exit 2 if refused")
    _add(commands, "reload", _reload, "let the running service reload; exit 2 if refused")
    drift = _add(commands, "drift", _drift, "compare recent input with the training data")
    drift.add_argument("--json", action="store_true", help="print what GET /report has")
    _add_verdict(commands)
    _add_history(commands)
    return parser


def _add(
    commands: Any, name: str, command: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command)
    _add_version(parser)
    return parser


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=f"irisab {__version__}")


# -- train ----------------------------------------------------------------------------------


def _add_train(commands: Any) -> None:
    parser = _add(commands, "train", _train, "fit versions and write their bundles")
    parser.add_argument(
        "versions",
        nargs="*",
        metavar="VERSION",
        help="default: those of the INI file that have no bundle",
    )
    parser.add_argument("--data", type=Path, metavar="CSV", help="train on this instead of Iris")
    parser.add_argument("--target", metavar="COLUMN", help="the column of --data to predict")
    parser.add_argument(
        "--drop",
        action="store_true",
        help="leave out columns without numbers, and rows with missing cells",
    )
    parser.add_argument("--force", action="store_true", help="train again where a bundle exists")


def _train(options: argparse.Namespace) -> int:
    from irisab import bundle, training  # scikit-learn is slow to import, and only needed here

    if (options.data is None) != (options.target is None):
        raise DataError("--data and --target go together")
    found = config.load(options.config)
    versions = _versions_to_train(options, found)
    if not versions:
        _say("Every version has a bundle already; --force trains it again.")
        return 0
    _say(f"Loading {options.data or 'Iris dataset'}...")
    dataset = _dataset(options)
    for version in versions:
        parameters = found.models[version]
        count = parameters.n_estimators
        _say(f"Training Model {version} (Random Forest with {count} estimators)...")
        if bundle.exists(found.data.models, version) and not options.force:
            raise DataError(f"version {version} has a bundle already; --force replaces it")
        accuracy = training.fit(
            found.data.models,
            version,
            dataset,
            estimator=training.forest(parameters),
            seed=parameters.random_state,
        )
        _say(f"Model {version} Accuracy: {accuracy:.4f}")
    _say("Training complete!")
    return 0


def _versions_to_train(options: argparse.Namespace, found: config.Config) -> list[str]:
    from irisab import bundle

    for version in options.versions:
        if version not in found.models:
            raise ConfigError(
                f"{options.config}: there is no section [model.{version}]; "
                f"there are versions {', '.join(found.models)}"
            )
        if bundle.exists(found.data.models, version) and not options.force:
            raise DataError(f"version {version} has a bundle already; --force replaces it")
    if options.versions:
        return list(dict.fromkeys(options.versions))
    models = found.data.models
    return [each for each in found.models if options.force or not bundle.exists(models, each)]


def _dataset(options: argparse.Namespace) -> Any:
    from irisab import training

    if options.data is None:
        return training.load_iris()
    dataset, notes = training.load_csv(options.data, target=options.target, drop=options.drop)
    if notes:
        _say(f"Left out: {', '.join(notes)}")
    return dataset


# -- the service ----------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    from irisab import server

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    server.serve(options.config)
    return 0


def _check(options: argparse.Namespace) -> int:
    found = snapshot.build(options.config)
    _say(f"{options.config} is good (revision {found.revision}). It would serve:")
    for version, share in found.config.split.items():
        about = found.bundles[version].manifest
        role = "control" if version == found.config.control else "challenger"
        _say(
            f"  {version}  {share:g} %  {role}, {about['estimator']}, "
            f"accuracy {about['accuracy']:.4f}, trained {about['trained_at']}"
        )
    return 0


def _reload(options: argparse.Namespace) -> int:
    folder = _history_path(options.config).parent
    try:
        revision = systemd.Handshake(folder).reload()
    except NotRunning:
        # An edit of [data] history does not move the service, which is to say so.
        state = systemd.state_folder()
        if state is None or folder == state:
            raise
        revision = systemd.Handshake(state).reload()
    _say(f"reloaded: revision {revision} serves")
    return 0


def _history_path(path: Path) -> Path:
    """Where the history is, also where the INI is refused: the service is to say why it is."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return config.history_path(text, base=path.absolute().parent)


# -- reports --------------------------------------------------------------------------------


def _drift(options: argparse.Namespace) -> int:
    found = snapshot.build(options.config)
    with closing(History(found.config.data.history)) as history:
        drift = report.drift_report(history, found)
    text = json.dumps(drift) if options.json else report.drift_text(drift, now=datetime.now())
    _say(text)
    return DRIFT_EXIT[drift["status"]]


def _add_verdict(commands: Any) -> None:
    parser = _add(commands, "verdict", _verdict, "tell which version is better, from the labels")
    parser.add_argument(
        "challenger", nargs="?", metavar="VERSION", help="needed where there are several"
    )
    parser.add_argument("--revision", help="an earlier one, judged by the [experiment] of the INI")
    parser.add_argument("--json", action="store_true", help="print what GET /report has")


def _verdict(options: argparse.Namespace) -> int:
    found = config.load(options.config)
    with closing(History(found.data.history)) as history:
        revision = (
            _earlier(history, options.revision)
            if options.revision
            else snapshot.assemble(found, source=options.config).describe()
        )
        experiment = report.experiment(history, revision, found.experiment)
    comparison = _comparison(experiment, options.challenger)
    text = json.dumps(experiment) if options.json else report.verdict_text(experiment, comparison)
    _say(text)
    return VERDICT_EXIT[comparison["verdict"]]


def _earlier(history: History, name: str) -> Revision:
    revision = history.revision(name)
    if revision is None:
        known = ", ".join(history.revisions()) or "none yet"
        raise ConfigError(f"--revision {name}: the history does not know it; there are {known}")
    return revision


def _comparison(experiment: report.Json, challenger: str | None) -> report.Json:
    comparisons = {each["challenger"]: each for each in experiment["comparisons"]}
    if challenger is None and len(comparisons) == 1:
        (challenger,) = comparisons
    if challenger not in comparisons:
        known = ", ".join(comparisons) or "no version besides the control"
        raise ConfigError(f"name the challenger to judge: there is {known}")
    found: report.Json = comparisons[challenger]
    return found


# -- history --------------------------------------------------------------------------------


def _add_history(commands: Any) -> None:
    parser = _add(commands, "history", _history, "print predictions and labels as CSV")
    parser.add_argument(
        "--since", type=_moment, default=0.0, metavar="RFC3339", help="such as 2026-01-31T12:00:00Z"
    )
    parser.add_argument(
        "--training",
        action="store_true",
        help="labelled rows only, features and label: ready for train --data FILE --target label",
    )


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not RFC 3339") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _history(options: argparse.Namespace) -> int:
    lines = export.training_rows if options.training else export.prediction_rows
    with closing(History(config.load(options.config).data.history)) as history:
        _print(lambda: _write_csv(lines(history, since=options.since)))
    return 0


def _write_csv(lines: Iterable[Sequence[object]]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerows(lines)


if __name__ == "__main__":
    main()
