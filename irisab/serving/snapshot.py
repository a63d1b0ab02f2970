"""Everything a reload replaces, in one frozen value. Start at `build()`, which does all the work.

Whoever holds a snapshot can answer from it without reading anything else, and a failed build
leaves no trace.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from irisab import config
from irisab.errors import BundleError, ConfigError, HistoryError
from irisab.model import bundle, candidate
from irisab.model.bundle import Bundle
from irisab.model.footprint import Footprint, footprint
from irisab.model.schema import Feature
from irisab.serving.effective import effective, needed
from irisab.serving.room import Room, refuse_too_large, rooms
from irisab.serving.split import Split
from irisab.stats.drift import Reference
from irisab.stats.metric import chosen
from irisab.store import rollouts
from irisab.store.revision import Revision
from irisab.store.rollouts import Rollout

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Configuration, loaded versions and split that belong together.

    `revision_id` is a hash of split, models, control and experiment name: figures of versions that
    were served side by side under the same conditions share it. `config` is what serves: the INI
    file's own, which `written` is, with the split and the control that `rollout` asks for.
    """

    written: config.Config
    config: config.Config
    rollout: Rollout | None
    revision_id: str
    bundles: Mapping[str, Bundle]
    split: Split

    @property
    def control(self) -> Bundle:
        return self.bundles[self.config.control]

    @property
    def under_way(self) -> Rollout | None:
        """The rollout that is in force, and not finished."""
        if self.rollout is None or self.rollout.finished or self.config is self.written:
            return None
        return self.rollout

    @property
    def reference(self) -> Reference:
        """The training data that drift is measured against: the control's."""
        return self.control.reference

    @property
    def features(self) -> tuple[Feature, ...]:
        """What is asked for: the control's features; missing are those that all can do without."""
        every = zip(*(each.features for each in self.bundles.values()), strict=True)
        return tuple(
            replace(own, missing=all(each.missing for each in alike))
            for own, alike in zip(self.control.features, every, strict=True)
        )

    @property
    def challengers(self) -> tuple[str, ...]:
        return tuple(name for name in self.bundles if name != self.config.control)

    def describe(self) -> Revision:
        """Return what the history keeps of this snapshot."""
        return Revision(
            id=self.revision_id,
            control=self.config.control,
            split=dict(self.config.split),
            models={name: each.sha256 for name, each in self.bundles.items()},
            features=self.control.feature_names,
            class_names=self.control.class_names,
            class_numbers=self.control.class_numbers,
            experiment=self.config.experiment.name,
            types=_types(self.control),
            task=self.control.task,
            tie=self.config.experiment.tie,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadOutcome:
    """What came of the last attempt to load a configuration.

    `at` is when it was tried and `accepted` when the one that serves was accepted, both in seconds
    since 1970.
    """

    ok: bool
    error: str | None
    at: float
    accepted: float


def build(
    path: Path,
    *,
    base: Path | None = None,
    models: Path | None = None,
    known: Rollout | None = None,
    beside: Iterable[Room] = (),
) -> Snapshot:
    """Read the INI at `path`, load every version in it and check that they fit together.

    `models` is where they are, if not where the INI says; `known` is the rollout that is taken for
    the last one where the history cannot be read. They must fit into the memory that this process
    has left, and into that of `beside`. Raises `ConfigError` or `BundleError`.
    """
    options = config.load(path, base=base)
    if models is not None:
        options = replace(options, data=replace(options.data, models=models))
    return assemble(options, source=path, known=known, beside=beside)


def assemble(
    options: config.Config,
    *,
    source: Path,
    known: Rollout | None = None,
    beside: Iterable[Room] = (),
) -> Snapshot:
    """Load the versions of an accepted configuration; `source` is named in errors."""
    return with_rollout(options, newest(options, known), source=source, beside=beside)


def with_rollout(
    options: config.Config, rollout: Rollout | None, *, source: Path, beside: Iterable[Room] = ()
) -> Snapshot:
    """Do the same with a rollout that the history may not have yet."""
    names = needed(options, rollout)
    where = f"{source}: [split] {', '.join(names)}"
    refuse_too_large(_footprints(options, names), [*rooms("self"), *beside], where=where)
    bundles = {name: _load(options, name, source) for name in names}
    _refuse_different(bundles, options, source)
    _refuse_unknown_classes(bundles[options.control], options, source)
    return _dealt(options, rollout, bundles)


def in_force(options: config.Config, rollout: Rollout | None) -> config.Config:
    """Return what an accepted configuration comes to with a rollout; loads no models."""
    names = needed(options, rollout)
    manifests = {name: bundle.read_manifest(options.data.models, name) for name in names}
    hashes = {name: each["sha256"] for name, each in manifests.items() if each}
    return effective(options, rollout, hashes)


def dealt(serving: Snapshot, rollout: Rollout | None) -> Snapshot | None:
    """Return a snapshot of the same INI and bundles as a rollout has it dealt.

    None where that needs a version that is not loaded.
    """
    if not serving.bundles.keys() >= {*needed(serving.written, rollout)}:
        return None
    return _dealt(serving.written, rollout, serving.bundles)


def dealt_anew(serving: Snapshot) -> Snapshot | None:
    """Do that with the rollout as it is now."""
    return dealt(serving, newest(serving.written, serving.rollout))


def newest(options: config.Config, known: Rollout | None = None) -> Rollout | None:
    """Return the last rollout; `known` where the history cannot be read, which is logged."""
    try:
        return rollouts.newest(options.data.history)
    except HistoryError as error:
        log.error("%s; the split stays as it was", error)
        return known


def _dealt(
    options: config.Config, rollout: Rollout | None, loaded: Mapping[str, Bundle]
) -> Snapshot:
    hashes = {name: each.sha256 for name, each in loaded.items()}
    serving = effective(options, rollout, hashes)
    bundles = {name: loaded[name] for name in serving.split}
    return Snapshot(
        config=serving,
        written=options,
        rollout=rollout,
        revision_id=_revision_id(serving, bundles),
        bundles=bundles,
        split=Split(serving.split, salt=serving.experiment.name),
    )


def _load(options: config.Config, version: str, source: Path) -> Bundle:
    try:
        loaded = bundle.load(options.data.models, version)
    except BundleError as error:
        raise BundleError(f"{_line(options, version, source)}: {error}") from error
    made = candidate.of(version, loaded.manifest)
    if made is not None and made.decision == "reject":
        raise BundleError(
            f"{_line(options, version, source)}: was rejected by its exam, and gets no traffic: "
            f"{made.reason}"
        )
    return loaded


def _footprints(options: config.Config, names: Iterable[str]) -> dict[str, Footprint]:
    """Return what versions will take of memory; loading says what is wrong with the others."""
    footprints = {}
    for version in names:
        manifest = bundle.read_manifest(options.data.models, version)
        with suppress(OSError, LookupError, TypeError, ValueError):
            folder = options.data.models / version / bundle.CURRENT
            footprints[version] = footprint(folder, manifest or {})
    return footprints


def _line(options: config.Config, version: str, source: Path) -> str:
    if version not in options.split:
        return f"{source}: the rollout of {version}"
    return f"{source}: [split] {version} = {options.split[version]:g}"


def _refuse_different(bundles: Mapping[str, Bundle], options: config.Config, source: Path) -> None:
    control = options.control
    expected = bundles[control]
    for version, each in bundles.items():
        for what, ours, theirs in (
            ("features", each.feature_names, expected.feature_names),
            ("types of features", _types(each), _types(expected)),
            ("tasks", (each.task,), (expected.task,)),
            ("classes", each.class_names, expected.class_names),
            ("class numbers", each.class_numbers, expected.class_numbers),
        ):
            if ours != theirs:
                raise BundleError(
                    f"{_line(options, version, source)}: has other {what} than {control}: "
                    f"{', '.join(map(str, ours))}, not {', '.join(map(str, theirs))}; "
                    "versions that share traffic must be trained on the same columns and classes"
                )


def _types(bundle: Bundle) -> tuple[str, ...]:
    return tuple(feature.type for feature in bundle.features)


def _refuse_unknown_classes(control: Bundle, options: config.Config, source: Path) -> None:
    experiment = options.experiment
    try:
        chosen(
            experiment.metric,
            experiment.weights,
            names=control.class_names,
            numbers=control.class_numbers,
        )
    except ValueError as error:
        raise ConfigError(f"{source}: [experiment] weights: {error}") from None


def _revision_id(options: config.Config, bundles: Mapping[str, Bundle]) -> str:
    identity = {
        "split": dict(options.split),
        "models": {name: each.sha256 for name, each in bundles.items()},
        "control": options.control,
        "experiment": options.experiment.name,
    }
    if options.experiment.tie:  # it changes what counts as the same answer
        identity["tie"] = options.experiment.tie
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
