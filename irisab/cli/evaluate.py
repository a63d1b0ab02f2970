"""irisab evaluate: versions on the same exam."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from irisab import config
from irisab.cli.arguments import add
from irisab.cli.output import say
from irisab.cli.typed import typed
from irisab.errors import ConfigError, DataError
from irisab.lifecycle import evaluation, known
from irisab.lifecycle.dataset import load_csv
from irisab.model import bundle
from irisab.model.bundle import Bundle
from irisab.serving import snapshot

EXIT = {"better": 0, "worse": 1, "inconclusive": 3, "equivalent": 4}

Json = dict[str, Any]


def add_to(commands: Any) -> None:
    parser = add(commands, "evaluate", _evaluate, "let versions sit the same exam")
    parser.add_argument(
        "versions", nargs="*", metavar="VERSION", help="the first is the control; default: [split]"
    )
    parser.add_argument(
        "--data", type=Path, metavar="CSV", help="take the exam from these labelled rows"
    )
    parser.add_argument("--target", metavar="COLUMN", help="the column of --data to predict")
    parser.add_argument("--json", action="store_true", help="print it for programs")


def _evaluate(options: argparse.Namespace) -> int:
    written = config.load(options.config)
    settings = snapshot.in_force(written, snapshot.newest(written))
    bundles = _bundles(options, settings)
    control = next(iter(bundles))
    result = evaluation.evaluate(
        bundles,
        _paper(options, settings, bundles[control]),
        control=control,
        alpha=settings.experiment.alpha,
        margin=settings.experiment.margin,
        tie=settings.experiment.tie,
    )
    say(json.dumps(result) if options.json else "\n".join(_lines(result)))
    verdicts = {pair["verdict"] for pair in result["pairs"]}
    return EXIT[verdicts.pop()] if len(verdicts) == 1 else EXIT["inconclusive"]


def _bundles(options: argparse.Namespace, settings: config.Config) -> dict[str, Bundle]:
    """Load the versions, the control first."""
    default = [settings.control, *(each for each in settings.split if each != settings.control)]
    names = list(dict.fromkeys(options.versions or default))
    kept = bundle.versions(settings.data.models)
    for name in names:
        if name not in kept:
            raise ConfigError(f"there is no model of {name}; there are {', '.join(kept) or 'none'}")
    if len(names) == 1 and names[0] != settings.control and not options.versions[1:]:
        names.insert(0, settings.control)
    loaded = {name: bundle.load(settings.data.models, name) for name in names}
    first = loaded[names[0]]
    for name, each in loaded.items():
        if (each.feature_names, each.class_names) != (first.feature_names, first.class_names):
            raise DataError(f"{name} has other features or classes than {names[0]}")
    return loaded


def _paper(
    options: argparse.Namespace, settings: config.Config, control: Bundle
) -> evaluation.Paper:
    if (options.data is None) != (options.target is None):
        raise DataError("--data and --target go together")
    if options.data is None:
        try:
            return evaluation.of_bundle(control)
        except DataError as error:
            command = typed(options.config, "evaluate --data FILE --target COLUMN")
            raise DataError(f"{error}; say where labelled rows are: {command}") from None
    expected = known.of_manifest(control.version, control.manifest)
    dataset, notes = load_csv(
        options.data, target=options.target, options=settings.training, known=expected
    )
    if why := expected.why_not(dataset):
        raise DataError(f"{options.data}: {why}")
    if not options.json:
        for note in notes:
            say(note)
    return evaluation.of_dataset(dataset, salt=evaluation.salt_of(control.manifest))


def _lines(result: Json) -> list[str]:
    lines = [f"Exam of {result['rows']} rows that no version has learned from"]
    for name, scores in result["versions"].items():
        lines.append(f"  {name}: {_overall(scores)}")
        for label, each in scores.get("per_class", {}).items():
            if each["rows"]:
                lines.append(f"    {label}: {each['correct']} of {each['rows']} found")
            else:
                lines.append(f"    {label}: no rows")
    right = "right" if "accuracy" in next(iter(result["versions"].values())) else "closer"
    for pair in result["pairs"]:
        lines.append(
            f"{pair['challenger']} against {pair['control']}: {pair['verdict']}. Where they "
            f"differ, {pair['challenger']} is {right} in {pair['challenger_only']} and "
            f"{pair['control']} in {pair['control_only']} (p = {pair['p_value']:.2g})"
        )
    return lines


def _overall(scores: Json) -> str:
    if "accuracy" in scores:
        return f"accuracy {scores['accuracy']:.4f}"
    return f"MAE {scores['mae']:.4g}, RMSE {scores['rmse']:.4g}"
