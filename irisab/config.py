"""The INI file as frozen dataclasses. Start at `load()`.

Every option is a field below with its default and its bounds; nothing else is accepted. An error
names file, section, option, value and reason, and nothing is applied."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from irisab.errors import ConfigError
from irisab.ini import Sections, decimal, one_line, read_section, read_sections

# A version is a folder, a metric label and a word in a URL or a log line.
VERSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
STATE = Path("/var/lib/irisab")
# waitress stops reading here by itself, and answers without us.
HARD_BODY_LIMIT = 16 * 1024 * 1024
DEFAULT_ESTIMATORS = {"v1": 50, "v2": 100}


def _bounded(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


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
class DataOptions:
    models: Path = STATE / "models"
    history: Path = STATE / "history.sqlite3"
    keep_rows: int = _bounded(1_000_000, 1, 1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How `train` builds a version: the parameters of scikit-learn's RandomForestClassifier."""

    n_estimators: int = _bounded(100, 1, 100_000)
    max_depth: int | None = _bounded(None, 1, 10_000)
    min_samples_leaf: int = _bounded(1, 1, 1_000_000)
    random_state: int = _bounded(42, 0, 2**32 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentOptions:
    name: str = "experiment"
    control: str | None = None
    shadow: bool = True
    alpha: float = _bounded(0.05, 1e-6, 0.5)
    margin: float = _bounded(0.01, 1e-6, 1)
    metric: str = field(default="accuracy", metadata={"choices": ("accuracy", "balanced")})
    # By class name, or number; the classes are known where the models are.
    weights: Mapping[str, float] | None = _bounded(None, 1e-3, 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftOptions:
    window: int = _bounded(100, 10, 100_000)
    threshold: float = _bounded(0.3, 1e-6, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One accepted INI file. `text` is what was read, so that exactly this can be kept."""

    server: ServerOptions
    data: DataOptions
    split: Mapping[str, float]
    models: Mapping[str, ModelOptions]
    experiment: ExperimentOptions
    drift: DriftOptions
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
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: byte {error.start}") from error
    return parse(text, source=path, base=base or path.absolute().parent)


def parse(text: str, *, source: Path, base: Path) -> Config:
    """Turn INI text into a `Config`; `source` is the name used in errors."""
    if "\0" in text:
        raise ConfigError(f"{source}: is not text: it has a NUL byte")
    sections = read_sections(text, source)
    _refuse_unknown_sections(sections, source)
    config = Config(
        server=read_section(ServerOptions, "server", sections, source, base),
        data=read_section(DataOptions, "data", sections, source, base),
        split=_split(sections, source),
        models=_models(sections, source, base),
        experiment=read_section(ExperimentOptions, "experiment", sections, source, base),
        drift=read_section(DriftOptions, "drift", sections, source, base),
        text=text,
    )
    _check_together(config, source)
    return config


def history_path(text: str, *, base: Path) -> Path:
    """Where an INI that cannot be accepted says its history is: last-good.ini lies beside it."""
    pattern = r"^[ \t]*history[ \t]*=[ \t]*([^\s#].*?)[ \t]*(?:\s#.*)?$"
    line = re.search(pattern, text, re.MULTILINE)
    return base / line[1] if line else DataOptions().history


def _refuse_unknown_sections(sections: Sections, source: Path) -> None:
    known = ("server", "data", "split", "experiment", "drift")
    for name in sections:
        if name not in known and not name.startswith("model."):
            raise ConfigError(
                f"{source}: [{name}]: unknown section; there are "
                f"{', '.join(f'[{each}]' for each in known)} and [model.VERSION]"
            )


def _split(sections: Sections, source: Path) -> dict[str, float]:
    # Of the sample only the [split] line may be left.
    shares = dict(_shares(sections.get("split") or {"v1": "50", "v2": "50"}, source))
    total = sum(shares.values())
    if total != 100:
        lines = ", ".join(f"{name} = {share}" for name, share in shares.items())
        raise ConfigError(f"{source}: [split] {lines}: the percentages add up to {total}, not 100")
    return {name: float(shares[name]) for name in sorted(shares)}


def _shares(options: Mapping[str, str], source: Path) -> Iterator[tuple[str, Decimal]]:
    for name, text in options.items():
        where = f"{source}: [split] {name} = {one_line(text)}"
        if not VERSION_NAME.fullmatch(name):
            raise ConfigError(f"{where}: {_VERSION_NAME_RULE}")
        try:
            share = decimal(text)
        except InvalidOperation:
            raise ConfigError(f"{where}: must be a percentage such as 50 or 33.3") from None
        # Decimal raises where a NaN is compared, so it has to be asked first.
        if not (share.is_finite() and 0 <= share <= 100):
            raise ConfigError(f"{where}: must be between 0 and 100")
        yield name, share


_VERSION_NAME_RULE = "a version's name is 1 to 64 letters, digits, '.', '_' or '-'"


def _models(sections: Sections, source: Path, base: Path) -> dict[str, ModelOptions]:
    names = [name.removeprefix("model.") for name in sections if name.startswith("model.")]
    if not names:
        return {
            name: ModelOptions(n_estimators=count) for name, count in DEFAULT_ESTIMATORS.items()
        }
    for name in names:
        if not VERSION_NAME.fullmatch(name):
            raise ConfigError(f"{source}: [model.{name}]: {_VERSION_NAME_RULE}")
    return {
        name: read_section(ModelOptions, f"model.{name}", sections, source, base) for name in names
    }


def _check_together(config: Config, source: Path) -> None:
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
