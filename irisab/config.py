"""The INI file as frozen dataclasses. Start at `load()`.

Every option is a field below with its default and its bounds; nothing else is accepted. An error
names file, section, option, value and reason, and nothing is applied.
"""

from __future__ import annotations

import configparser
import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, get_type_hints

from irisab.errors import ConfigError

# A version is a folder, a metric label and a word in a URL or a log line.
VERSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
STATE = Path("/var/lib/irisab")
# waitress stops reading here by itself, and answers without us.
HARD_BODY_LIMIT = 16 * 1024 * 1024
DEFAULT_ESTIMATORS = {"v1": 50, "v2": 100}


def _bounded(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
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
class Data:
    models: Path = STATE / "models"
    history: Path = STATE / "history.sqlite3"
    keep_rows: int = _bounded(1_000_000, 1, 1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """How `train` builds a version: the parameters of scikit-learn's RandomForestClassifier."""

    n_estimators: int = _bounded(100, 1, 100_000)
    max_depth: int | None = _bounded(None, 1, 10_000)
    min_samples_leaf: int = _bounded(1, 1, 1_000_000)
    random_state: int = _bounded(42, 0, 2**32 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    name: str = "experiment"
    control: str | None = None
    shadow: bool = True
    alpha: float = _bounded(0.05, 1e-6, 0.5)
    margin: float = _bounded(0.01, 1e-6, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    window: int = _bounded(100, 10, 100_000)
    threshold: float = _bounded(0.3, 1e-6, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One accepted INI file. `text` is what was read, so that exactly this can be kept."""

    server: Server
    data: Data
    split: Mapping[str, float]
    models: Mapping[str, Model]
    experiment: Experiment
    drift: Drift
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
    sections = _sections(text, source)
    _refuse_unknown_sections(sections, source)
    config = Config(
        server=_section(Server, "server", sections, source, base),
        data=_section(Data, "data", sections, source, base),
        split=_split(sections, source),
        models=_models(sections, source, base),
        experiment=_section(Experiment, "experiment", sections, source, base),
        drift=_section(Drift, "drift", sections, source, base),
        text=text,
    )
    _check_together(config, source)
    return config


def history_path(text: str, *, base: Path) -> Path:
    """Where an INI that cannot be accepted says its history is: last-good.ini lies beside it."""
    pattern = r"^[ \t]*history[ \t]*=[ \t]*([^\s#].*?)[ \t]*(?:\s#.*)?$"
    found = re.search(pattern, text, re.MULTILINE)
    return base / found[1] if found else Data().history


_Sections = Mapping[str, Mapping[str, str]]


def _sections(text: str, source: Path) -> _Sections:
    parser = configparser.ConfigParser(
        interpolation=None,
        delimiters=("=",),
        inline_comment_prefixes=("#",),
        empty_lines_in_values=False,
        # [DEFAULT] would leak its options into every section; unnamable, it is an ordinary one.
        default_section="\0",
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    # configparser's own pattern drops what stands behind the bracket.
    parser.SECTCRE = re.compile(r"\[(?P<header>.+)\]$")
    try:
        parser.read_string(text, source=str(source))
    except configparser.DuplicateOptionError as error:
        raise ConfigError(
            f"{source}: [{error.section}] {error.option}: is there twice (line {error.lineno})"
        ) from error
    except configparser.DuplicateSectionError as error:
        raise ConfigError(
            f"{source}: [{error.section}]: is there twice (line {error.lineno})"
        ) from error
    except configparser.MissingSectionHeaderError as error:
        raise ConfigError(
            f"{source}: line {error.lineno}: {error.line.strip()!r} stands before any [section]"
        ) from error
    except configparser.ParsingError as error:
        number, _ = error.errors[0]
        line = text.splitlines()[number - 1].strip()
        raise ConfigError(f"{source}: line {number}: {line!r} is not 'option = value'") from error
    sections = {name: dict(parser[name]) for name in parser.sections()}
    for option in (option for options in sections.values() for option in options):
        if option.startswith("["):
            raise ConfigError(f"{source}: {option} ...: a [section] needs a line of its own")
    return sections


def _refuse_unknown_sections(sections: _Sections, source: Path) -> None:
    known = ("server", "data", "split", "experiment", "drift")
    for name in sections:
        if name not in known and not name.startswith("model."):
            raise ConfigError(
                f"{source}: [{name}]: unknown section; there are "
                f"{', '.join(f'[{each}]' for each in known)} and [model.VERSION]"
            )


def _section(cls: type[Any], name: str, sections: _Sections, source: Path, base: Path) -> Any:
    options = sections.get(name, {})
    fields = {each.name: each for each in dataclasses.fields(cls)}
    types = get_type_hints(cls)
    values = {}
    for option, text in options.items():
        where = f"{source}: [{name}] {option} = {_one_line(text)}"
        if option not in fields:
            raise ConfigError(f"{where}: unknown option; there are {', '.join(fields)}")
        try:
            values[option] = _convert(text, types[option], base)
            _check_bounds(values[option], fields[option].metadata)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None
    return cls(**values)


def _convert(text: str, kind: Any, base: Path) -> Any:
    if kind == int | None or kind == str | None:
        return _convert(text, int if kind == int | None else str, base) if text else None
    if not text:
        raise ValueError("needs a value")
    if "\n" in text:
        raise ValueError("goes on in an indented line; write each option at the start of its line")
    return _CONVERTERS[kind](text, base)


def _bool(text: str, _: Path) -> bool:
    try:
        return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]
    except KeyError:
        raise ValueError("must be yes or no") from None


def _int(text: str, _: Path) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError("must be a whole number")
    return int(text)


def _float(text: str, _: Path) -> float:
    try:
        return float(_decimal(text))
    except InvalidOperation:
        raise ValueError("must be a number") from None


def _decimal(text: str) -> Decimal:
    """Read a number; Python also takes 1_0 and digits of other scripts for one."""
    if not re.fullmatch(r"[0-9.eE+-]+", text):
        raise InvalidOperation(text)
    return Decimal(text)


def _str(text: str, _: Path) -> str:
    return text


def _path(text: str, base: Path) -> Path:
    return base / text


_CONVERTERS = {bool: _bool, int: _int, float: _float, str: _str, Path: _path}


def _check_bounds(value: Any, bounds: Mapping[str, Any]) -> None:
    if value is None or not bounds:
        return
    if not bounds["low"] <= value <= bounds["high"]:
        raise ValueError(f"must be between {bounds['low']} and {bounds['high']}")


def _split(sections: _Sections, source: Path) -> dict[str, float]:
    # Of the sample only the [split] line may be left.
    shares = dict(_shares(sections.get("split") or {"v1": "50", "v2": "50"}, source))
    total = sum(shares.values())
    if total != 100:
        lines = ", ".join(f"{name} = {share}" for name, share in shares.items())
        raise ConfigError(f"{source}: [split] {lines}: the percentages add up to {total}, not 100")
    return {name: float(shares[name]) for name in sorted(shares)}


def _shares(options: Mapping[str, str], source: Path) -> Iterator[tuple[str, Decimal]]:
    for name, text in options.items():
        where = f"{source}: [split] {name} = {_one_line(text)}"
        if not VERSION_NAME.fullmatch(name):
            raise ConfigError(f"{where}: {_VERSION_NAME_RULE}")
        try:
            share = _decimal(text)
        except InvalidOperation:
            raise ConfigError(f"{where}: must be a percentage such as 50 or 33.3") from None
        # A NaN refuses to be compared.
        if not (share.is_finite() and 0 <= share <= 100):
            raise ConfigError(f"{where}: must be between 0 and 100")
        yield name, share


_VERSION_NAME_RULE = "a version's name is 1 to 64 letters, digits, '.', '_' or '-'"


def _models(sections: _Sections, source: Path, base: Path) -> dict[str, Model]:
    names = [name.removeprefix("model.") for name in sections if name.startswith("model.")]
    if not names:
        return {name: Model(n_estimators=count) for name, count in DEFAULT_ESTIMATORS.items()}
    for name in names:
        if not VERSION_NAME.fullmatch(name):
            raise ConfigError(f"{source}: [model.{name}]: {_VERSION_NAME_RULE}")
    return {name: _section(Model, f"model.{name}", sections, source, base) for name in names}


def _check_together(config: Config, source: Path) -> None:
    control = config.experiment.control
    if control is not None and control not in config.split:
        raise ConfigError(
            f"{source}: [experiment] control = {control}: is not in [split], "
            f"which has {', '.join(config.split)}"
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


def _one_line(text: str) -> str:
    return " ".join(text.split())
