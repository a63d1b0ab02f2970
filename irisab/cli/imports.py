"""irisab import: a model that was fitted elsewhere becomes a version."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from irisab import config
from irisab.cli.arguments import add
from irisab.cli.noting import note
from irisab.cli.output import say
from irisab.cli.typed import typed
from irisab.cli.vouch import missing
from irisab.errors import DataError


def add_to(commands: Any) -> None:
    text = "make a version of a model that is fitted already"
    parser = add(commands, "import", _import, text, own_version=True)
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="a joblib, pickle or skops file, an MLflow folder, an XGBoost or LightGBM model",
    )
    parser.add_argument("--version", required=True, metavar="NAME", help="what to call it: v3")
    parser.add_argument(
        "--data", type=Path, metavar="CSV", help="rows to try it on, not those it has learnt from"
    )
    parser.add_argument("--target", metavar="COLUMN", help="the column of --data with the truth")
    parser.add_argument(
        "--classes",
        metavar="NAMES",
        help="what the classes of a model that numbers them are called, with commas between",
    )
    parser.add_argument(
        "--trust", action="store_true", help="run the code that is in the file: it may be anybody's"
    )
    parser.add_argument("--force", action="store_true", help="replace a model of this version")


def _import(options: argparse.Namespace) -> int:
    from irisab.lifecycle import importing, rows, source
    from irisab.model import bundle

    accepted = config.load(options.config)
    job = _job(options, accepted)
    if bundle.read_manifest(job.models, job.version) is None:
        source.want(job.models, job.version, rows.source_of(job.file))
    made = importing.bring(job)
    source.made(job.models, job.version)
    manifest = bundle.read_manifest(accepted.data.models, options.version)
    assert manifest is not None
    text = f"imported a {manifest['estimator']}"
    note(accepted.data.history, "train", text, version=options.version)
    for line in [*_unsealed(made.left), *made.notes, *_told(options.version, manifest)]:
        say(line)
    for line in missing(accepted.data.models, options.version, options):
        say(line)
    share = f"write {options.version} = PERCENT into [split] of {options.config}, then "
    share = "" if options.version in accepted.split else share
    say(f"To serve it: {share}{typed(options.config, 'reload')}")
    return 0


def _job(options: argparse.Namespace, accepted: config.Config) -> Any:
    from irisab.lifecycle.job import Job
    from irisab.lifecycle.training import refuse_replacing
    from irisab.model import bundle

    models, version = accepted.data.models, options.version
    if bundle.exists(models, version) and not options.force:
        raise DataError(f"version {version} has a model already; to replace it, add --force")
    refuse_replacing(models, version, force=True)
    if options.target is not None and options.data is None:
        raise DataError("--target is a column of --data: give both, or neither")
    said = accepted.training
    target = options.target
    if target is None and options.data is not None and options.data == said.data:
        target = said.target
    return Job(
        file=options.file,
        version=version,
        models=models,
        trust=options.trust,
        data=options.data,
        target=target,
        classes=tuple(each.strip() for each in (options.classes or "").split(",") if each.strip()),
        split=tuple(accepted.split),
        options=replace(said, data=options.data, target=target),
    )


def _unsealed(left: Sequence[str]) -> Iterator[str]:
    if left:
        yield (
            "WARNING: this host cannot keep the process that opened the file from all it should: "
            f"code in the file could {' and '.join(left)}"
        )


def _told(version: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the documented line, what it rests on, and how the model will be served."""
    columns, classes = len(manifest["features"]), len(manifest["class_names"])
    kind = f"{manifest['estimator']}, {columns} features"
    if classes:
        kind += f", {classes} classes"
    yield f"Model {version} is a {kind}; it was not fitted again"
    measured, exam = manifest["measured"], manifest["exam"]
    if not measured["rows"]:
        yield f"Model {version} score: unknown, there are no rows with the truth"
    else:
        yield f"Model {version} {_score(manifest)}"
        error = measured["standard_error"]
        yield (
            f"  of {measured['rows']} rows of {_where(manifest)}"
            f"{f', standard error {error:.2g}' if error else ''}; too good, if the model "
            "has learnt from them"
        )
    if exam["rows"] and measured["on"] != "exam":
        yield f"  exam of {exam['rows']} rows: {_score(exam)}"
    if manifest.get("form") == "plain":
        yield "It is served without scikit-learn, from its numbers alone"
    else:
        yield f"It is served by its own library{_why(manifest)}"


def _why(manifest: Mapping[str, Any]) -> str:
    why = manifest.get("why_pickle")
    return "" if why is None else f", for its plain form {why}"


def _where(manifest: Mapping[str, Any]) -> str:
    on = manifest["measured"]["on"]
    return "the exam" if on == "exam" else on


def _score(of: Mapping[str, Any]) -> str:
    if of.get("accuracy") is not None:
        return f"Accuracy: {of['accuracy']:.4f}"
    return f"MAE: {of['mae']:.4g}, RMSE: {of['rmse']:.4g}"
