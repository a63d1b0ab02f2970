"""irisab train: fit versions and write their models."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from irisab import config
from irisab.cli.arguments import add
from irisab.cli.noting import note
from irisab.cli.output import say
from irisab.cli.typed import typed
from irisab.cli.vouch import missing
from irisab.errors import ConfigError, DataError, HistoryError
from irisab.versions import ModelOptions, default_model

IRIS = Path("iris")


def add_to(commands: Any) -> None:
    parser = add(commands, "train", _train, "fit versions and write their models")
    parser.add_argument(
        "versions",
        nargs="*",
        metavar="VERSION",
        help="default: those of the INI file that have no model",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="CSV",
        help="train on this instead of what [training] says; iris is the example",
    )
    parser.add_argument("--target", metavar="COLUMN", help="the column of --data to predict")
    parser.add_argument(
        "--drop",
        action="store_true",
        help="leave out rows with missing or unreadable cells, and columns that cannot be read",
    )
    parser.add_argument("--force", action="store_true", help="train again where a model exists")
    parser.add_argument(
        "--first", action="store_true", help="only where there is no model of any version at all"
    )


def _train(options: argparse.Namespace) -> int:
    from irisab.model import bundle

    accepted = config.load(options.config)
    if options.first and bundle.versions(accepted.data.models):
        return 0
    versions = _versions_to_train(options, accepted)
    if not versions:
        return _nothing(options)
    if options.data is not None:
        _want(versions, options, accepted)
    training = _training(options, accepted)
    if options.data is None:
        _refuse_other_data(versions, options, accepted)
    _judge(versions, options, accepted)
    _train_each(versions, training, options, accepted)
    return 0


def _want(versions: list[str], options: argparse.Namespace, accepted: config.Config) -> None:
    """Remember what was asked for: where it fails, no later training takes Iris instead."""
    from irisab.lifecycle import rows, source
    from irisab.model import bundle

    models = accepted.data.models
    for version in versions:
        if options.data == IRIS:
            source.made(models, version)
        elif bundle.read_manifest(models, version) is None:
            source.want(models, version, rows.source_of(options.data))


def _nothing(options: argparse.Namespace) -> int:
    given = {"--data": options.data, "--target": options.target, "--drop": options.drop}
    if unused := [name for name, value in given.items() if value]:
        raise DataError(
            f"every version has a model already, so {' and '.join(unused)} would not be used: "
            f"name a new version, or replace one: {typed(options.config, 'train --force VERSION')}"
        )
    say("Every version has a model already; --force trains it again.")
    return 0


def _versions_to_train(options: argparse.Namespace, accepted: config.Config) -> list[str]:
    from irisab.model import bundle

    models = accepted.data.models
    known = sorted({*accepted.models, *bundle.versions(models)})
    for version in options.versions:
        if version not in known:
            raise ConfigError(
                f"{options.config}: there is no version {version}: neither [split] nor a section "
                f"[model.{version}] has it; there are versions {', '.join(known)}. To add it, "
                f"write a line [model.{version}] into the file"
            )
        if bundle.exists(models, version) and not options.force:
            again = typed(options.config, f"train --force {version}")
            raise DataError(f"version {version} has a model already; to replace it: {again}")
    if options.versions:
        return list(dict.fromkeys(options.versions))
    return [each for each in accepted.models if options.force or not bundle.exists(models, each)]


def _training(options: argparse.Namespace, accepted: config.Config) -> config.TrainingOptions:
    """Return what [training] and the command line say together."""
    said = accepted.training
    if options.data is not None and options.data != IRIS:
        target = options.target or (said.target if options.data == said.data else None)
        if target is None:
            raise DataError("--data and --target go together: which column is to be predicted?")
        said = replace(said, data=options.data, target=target)
    elif options.data == IRIS:
        said = replace(said, data=None, target=None)
    elif options.target is not None:
        said = replace(said, target=options.target)
    if said.data is None:
        _refuse_for_iris(said, options)
    return said


def _refuse_for_iris(said: config.TrainingOptions, options: argparse.Namespace) -> None:
    if options.target is not None or options.drop:
        raise DataError("Iris needs neither --target nor --drop: --data and --target go together")
    for option, value in (("ignore", said.ignore), ("group", said.group)):
        if value:
            raise DataError(f"[training] {option}: is about a CSV file, and data = iris is none")
    if said.task == "regression":
        raise DataError("[training] task = regression: Iris has classes")


def _refuse_other_data(
    versions: list[str], options: argparse.Namespace, accepted: config.Config
) -> None:
    from irisab.lifecycle import source
    from irisab.model import bundle

    models = accepted.data.models
    manifests = {name: bundle.read_manifest(models, name) for name in bundle.versions(models)}
    for version in versions:
        source.refuse_other(
            version,
            accepted.training.data,
            is_named=accepted.names_data,
            manifests={name: each for name, each in manifests.items() if each is not None},
            served=_served(accepted),
            wanted=source.wanted(models),
            typed=lambda command: typed(options.config, command),
        )


def _served(accepted: config.Config) -> set[str]:
    """Return the versions that the history knows; one that cannot be read knows nothing."""
    from irisab.store.history import History

    history = History(accepted.data.history)
    try:
        return {name for each in history.revisions().values() for name in each.models}
    except HistoryError:
        return set()
    finally:
        history.close()


def _judge(versions: list[str], options: argparse.Namespace, accepted: config.Config) -> None:
    """Let scikit-learn judge every section before the first of them is trained."""
    from irisab.lifecycle import estimators

    for version in versions:
        estimators.judge(_options(accepted, version), where=f"{options.config}: [model.{version}]")


def _options(accepted: config.Config, version: str) -> ModelOptions:
    return accepted.models.get(version) or default_model(version)


def _train_each(
    versions: list[str],
    training: config.TrainingOptions,
    options: argparse.Namespace,
    accepted: config.Config,
) -> None:
    from irisab.lifecycle import known

    say(f"Loading {training.data or 'Iris dataset'}...")
    expected = known.find(accepted.data.models, first=list(accepted.split), without=versions)
    dataset = _dataset(training, expected, drop=options.drop, strict=options.data is None)
    if expected is not None and (why := expected.why_not(dataset)):
        say(f"WARNING: {why}; they could not share traffic")
    for version in versions:
        _train_one(version, dataset, training, options, accepted)
    say("Training complete!")


def _dataset(training: config.TrainingOptions, expected: Any, *, drop: bool, strict: bool) -> Any:
    from irisab.lifecycle import findings
    from irisab.lifecycle.dataset import load_csv, load_iris
    from irisab.lifecycle.rows import checked

    if training.data is None:
        return checked(load_iris())
    assert training.target is not None
    dataset, notes = load_csv(
        training.data,
        target=training.target,
        drop=drop,
        options=training,
        strict=strict,
        known=expected,
    )
    for line in [*notes, *findings.report(dataset)]:
        say(line)
    return dataset


def _train_one(
    version: str,
    dataset: Any,
    training: config.TrainingOptions,
    options: argparse.Namespace,
    accepted: config.Config,
) -> None:
    from irisab.lifecycle import estimators, findings, prepare, source
    from irisab.lifecycle.training import fit
    from irisab.model import bundle

    described = _options(accepted, version)
    where = f"{options.config}: [model.{version}]"
    estimator = estimators.build(described, dataset.task, where=where)
    say(f"Training Model {version} ({estimators.describe(estimator)})...")
    for line in findings.of_preparation(described.kind, dataset):
        say(line)
    seed = estimators.seed_of(described)
    models = accepted.data.models
    fit(
        models,
        version,
        dataset,
        estimator=prepare.prepared(described.kind, estimator, dataset),
        seed=seed,
        force=options.force,
        options=training,
    )
    source.made(models, version)
    manifest = bundle.read_manifest(models, version)
    assert manifest is not None
    note(
        accepted.data.history,
        "train",
        f"from {dataset.name}, {len(dataset.rows)} rows",
        version=version,
    )
    lines = [*_scores(version, manifest), *findings.of_exam(manifest["exam"])]
    say("\n".join([*lines, *missing(models, version, options)]))


def _scores(version: str, manifest: Mapping[str, Any]) -> list[str]:
    """Return the documented line, and one that says how sure it is."""
    exam, error = manifest["exam"], manifest["cv_standard_error"]
    if manifest["accuracy"] is None:
        scores = f"MAE: {manifest['mae']:.4g}, RMSE: {manifest['rmse']:.4g}"
        said = f"MAE {exam['mae']:.4g}, RMSE {exam['rmse']:.4g}" if exam["rows"] else "no rows"
    else:
        scores = f"Accuracy: {manifest['accuracy']:.4f}"
        said = f"{exam['accuracy']:.4f}" if exam["rows"] else "no rows"
    return [
        f"Model {version} {scores}",
        f"  of five folds, standard error {error:.2g}; exam of {exam['rows']} rows: {said}",
    ]
