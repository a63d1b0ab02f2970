"""irisab train: fit versions and write their bundles."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from irisab import config
from irisab.cli.arguments import add
from irisab.cli.output import say
from irisab.errors import ConfigError, DataError


def add_to(commands: Any) -> None:
    parser = add(commands, "train", _train, "fit versions and write their bundles")
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
    from irisab.lifecycle import training
    from irisab.model import bundle

    if (options.data is None) != (options.target is None):
        raise DataError("--data and --target go together")
    accepted = config.load(options.config)
    versions = _versions_to_train(options, accepted)
    if not versions:
        say("Every version has a bundle already; --force trains it again.")
        return 0
    say(f"Loading {options.data or 'Iris dataset'}...")
    dataset = _dataset(options)
    for version in versions:
        parameters = accepted.models[version]
        count = parameters.n_estimators
        say(f"Training Model {version} (Random Forest with {count} estimators)...")
        if bundle.exists(accepted.data.models, version) and not options.force:
            raise DataError(f"version {version} has a bundle already; --force replaces it")
        accuracy = training.fit(
            accepted.data.models,
            version,
            dataset,
            estimator=training.forest(parameters),
            seed=parameters.random_state,
        )
        say(f"Model {version} Accuracy: {accuracy:.4f}")
    say("Training complete!")
    return 0


def _versions_to_train(options: argparse.Namespace, accepted: config.Config) -> list[str]:
    from irisab.model import bundle

    for version in options.versions:
        if version not in accepted.models:
            raise ConfigError(
                f"{options.config}: there is no section [model.{version}]; "
                f"there are versions {', '.join(accepted.models)}"
            )
        if bundle.exists(accepted.data.models, version) and not options.force:
            raise DataError(f"version {version} has a bundle already; --force replaces it")
    if options.versions:
        return list(dict.fromkeys(options.versions))
    models = accepted.data.models
    return [each for each in accepted.models if options.force or not bundle.exists(models, each)]


def _dataset(options: argparse.Namespace) -> Any:
    from irisab.lifecycle.dataset import load_csv, load_iris

    if options.data is None:
        return load_iris()
    dataset, notes = load_csv(options.data, target=options.target, drop=options.drop)
    if notes:
        say(f"Left out: {', '.join(notes)}")
    return dataset
