"""The INI file as frozen dataclasses. Start at `load()`.

Every option is a field below with its default and its bounds; nothing else is accepted. An error
names file, section, option, value and reason, and nothing is applied."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irisab.errors import ConfigError
from irisab.files import read_regular
from irisab.ini import Seconds, Sections, read_section, read_sections
from irisab.versions import ModelOptions, read_models, read_split

STATE = Path("/var/lib/irisab")
# waitress stops reading here by itself, and answers without us.
HARD_BODY_LIMIT = 16 * 1024 * 1024


def _bounded(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _choice(*choices: str) -> Any:
    """An option that takes one of some words; the first is the default."""
    return field(default=choices[0], metadata={"choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    listen: str = "127.0.0.1:5000"
    threads: int = _bounded(4, 1, 64)
    max_body_bytes: int = _bounded(65536, 1, HARD_BODY_LIMIT)
    # The history's queue takes no larger request.
    max_rows: int = _bounded(1000, 1, 20_000)
    drain_seconds: float = _bounded(10.0, 0, 600)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthOptions:
    """Who may ask: see `irisab/keys.py` for what is in `file`."""

    require: str = _choice("no", "feedback", "all")
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    models: Path = STATE / "models"
    history: Path = STATE / "history.sqlite3"
    keep_rows: int = _bounded(1_000_000, 1, 1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What `train` learns from. `data` is None for Iris."""

    data: Path | None = None
    target: str | None = None
    ignore: tuple[str, ...] = ()
    group: str | None = None
    separator: str = _choice("auto", ",", ";", "tab", "|")
    decimal: str = _choice("auto", ".", ",")
    task: str = _choice("auto", "classification", "regression")
    class_weight: str | None = None
    salt: str = "irisab"
    keep_mb: int = _bounded(50, 0, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentOptions:
    name: str = "experiment"
    control: str | None = None
    shadow: bool = True
    alpha: float = _bounded(0.05, 1e-6, 0.5)
    margin: float = _bounded(0.01, 1e-6, 1)
    # Of a regression, in units of the target: answers no further apart are the same.
    tie: float = _bounded(0.0, 0, 1e30)
    metric: str = field(default="accuracy", metadata={"choices": ("accuracy", "balanced")})
    # By class name, or number; the classes are known where the models are.
    weights: Mapping[str, float] | None = _bounded(None, 1e-3, 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftOptions:
    window: int = _bounded(100, 10, 100_000)
    threshold: float = _bounded(0.3, 1e-6, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainOptions:
    """When irisab-retrain.timer makes a candidate, and what `retrain` asks of it."""

    when: str = _choice("never", "drift", "weekly", "labels")
    then: str = _choice("propose", "rollout")
    margin: float = _bounded(0.02, 0, 1)
    min_labels: int = _bounded(300, 20, 10_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutOptions:
    """How `irisab rollout` brings a version in: `steps` are percent of the traffic."""

    steps: tuple[float, ...] = (1.0, 5.0, 25.0, 50.0)
    interval: Seconds = _bounded(Seconds(3600), 0, 366 * 86400)
    min_requests: int = _bounded(200, 1, 1_000_000_000)
    max_slowdown: float = _bounded(3.0, 1, 1e6)
    on_failure: str = _choice("rollback", "pause")
    promote_on: str = _choice("better-or-equivalent", "better")
    deadline: Seconds = _bounded(Seconds(14 * 86400), 0, 3660 * 86400)
    on_deadline: str = _choice("pause", "promote", "rollback")
    bake: Seconds = _bounded(Seconds(86400), 0, 366 * 86400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One accepted INI file. `text` is what was read, so that exactly this can be kept.

    `models` has an entry for each version of [split] and of [model.*]. `names_data` tells whether
    [training] says what to learn from, or nobody does.
    """

    server: ServerOptions
    auth: AuthOptions
    data: DataOptions
    training: TrainingOptions
    split: Mapping[str, float]
    models: Mapping[str, ModelOptions]
    experiment: ExperimentOptions
    rollout: RolloutOptions
    drift: DriftOptions
    retrain: RetrainOptions = RetrainOptions()
    names_data: bool = field(compare=False)
    text: str = field(repr=False, compare=False)

    @property
    def control(self) -> str:
        """The version the others are compared with: as configured, else the first by name."""
        return self.experiment.control or min(self.split)


def load(path: Path, *, base: Path | None = None) -> Config:
    """Read the INI at `path`; relative paths in it start at `base` (default: its folder).

    Raises `ConfigError` for anything that is not understood completely.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: byte {error.start}") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return parse(lines, source=path, base=base or path.absolute().parent)


def parse(text: str, *, source: Path, base: Path) -> Config:
    """Turn INI text into a `Config`; `source` is the name used in errors."""
    if "\0" in text:
        raise ConfigError(f"{source}: is not text: it has a NUL byte")
    sections = read_sections(text, source)
    _refuse_unknown_sections(sections, source)
    split = read_split(sections, source)
    config = Config(
        server=read_section(ServerOptions, "server", sections, source, base),
        auth=read_section(AuthOptions, "auth", _with_keys(sections, base), source, base),
        data=read_section(DataOptions, "data", sections, source, base),
        training=read_section(TrainingOptions, "training", sections, source, base),
        split=split,
        models=read_models(sections, split, source),
        experiment=read_section(ExperimentOptions, "experiment", sections, source, base),
        rollout=read_section(RolloutOptions, "rollout", sections, source, base),
        drift=read_section(DriftOptions, "drift", sections, source, base),
        retrain=read_section(RetrainOptions, "retrain", sections, source, base),
        names_data="data" in sections.get("training", {}),
        text=text,
    )
    _check_together(config, source)
    return config


def history_path(text: str, *, base: Path) -> Path:
    """Where an INI that cannot be accepted says its history is: last-good.ini lies beside it."""
    path = _value(text, "history")
    return base / path if path else DataOptions().history


def keys_path(text: str, *, base: Path) -> Path:
    """Where an INI, also one that cannot be accepted, says the keys are: revoking must not wait."""
    return base / (_value(text, "file") or _usual_keys(base))


def _value(text: str, option: str) -> str | None:
    pattern = rf"^[ \t]*{option}[ \t]*=[ \t]*([^\s#].*?)[ \t]*(?:\s#.*)?$"
    line = re.search(pattern, text, re.MULTILINE)
    return line[1] if line else None


def _usual_keys(base: Path) -> str:
    # On a host the INI is /etc/irisab.ini, and what belongs to it lies in /etc/irisab.
    return "irisab/keys" if base == Path("/etc") else "keys"


def _with_keys(sections: Sections, base: Path) -> Sections:
    return {**sections, "auth": {"file": _usual_keys(base), **sections.get("auth", {})}}


def refusal(error: str) -> str:
    """Return what everybody may read of a refusal: where the INI file is at fault, and not why.

    What stands there may have been pasted by mistake, and be a secret.
    """
    return f"{_place(error)} was refused; on the host, irisab check and the journal say why"


def _place(error: str) -> str:
    """Return section and option, as far as these are irisab's own words."""
    named = re.match(r"(?:|[^\n]*?: )\[([a-z]+)[^\]\n]*\](?: ([a-z_]+) = )?", error)
    if named is None or named[1] not in _SECTIONS:
        return "the configuration, or a model of it,"
    options = getattr(_SECTIONS[named[1]], "__slots__", ())
    return f"[{named[1]}] {named[2]}" if named[2] in options else f"[{named[1]}]"


_SECTIONS: Mapping[str, type | None] = {
    "server": ServerOptions,
    "auth": AuthOptions,
    "data": DataOptions,
    "training": TrainingOptions,
    "split": None,
    "experiment": ExperimentOptions,
    "rollout": RolloutOptions,
    "drift": DriftOptions,
    "retrain": RetrainOptions,
    "model": None,
}


def _refuse_unknown_sections(sections: Sections, source: Path) -> None:
    known = [name for name in _SECTIONS if name != "model"]
    for name in sections:
        if name not in known and not name.startswith("model."):
            raise ConfigError(
                f"{source}: [{name}]: unknown section; there are "
                f"{', '.join(f'[{each}]' for each in known)} and [model.VERSION]"
            )


def _check_together(config: Config, source: Path) -> None:
    _check_training(config.training, source)
    control = config.experiment.control
    if control is not None and control not in config.split:
        raise ConfigError(
            f"{source}: [experiment] control = {control}: is not in [split], "
            f"which has {', '.join(config.split)}"
        )
    if config.experiment.weights and config.experiment.metric == "balanced":
        raise ConfigError(
            f"{source}: [experiment] metric = balanced: weighs the classes by itself; "
            "leave out metric or weights"
        )
    if config.data.keep_rows < config.drift.window:
        raise ConfigError(
            f"{source}: [data] keep_rows = {config.data.keep_rows}: is less than "
            f"[drift] window = {config.drift.window}, so drift could never be seen"
        )
    try:
        host, port = config.server.address
        host.encode("idna")  # as the socket module will, with errors of its own
    except ValueError:
        host, port = "", 0
    if not host or not 0 <= port <= 65535:
        raise ConfigError(
            f"{source}: [server] listen = {config.server.listen}: must be ADDRESS:PORT, "
            "such as 127.0.0.1:5000"
        )


def _check_training(training: TrainingOptions, source: Path) -> None:
    if training.data is not None and training.target is None:
        raise ConfigError(
            f"{source}: [training] data = {training.data}: needs target = COLUMN, the title of the "
            "column to predict"
        )
    for option, text in (("target", training.target), ("group", training.group)):
        if text is not None and text in training.ignore:
            raise ConfigError(f"{source}: [training] ignore = {text}: is the {option}")
