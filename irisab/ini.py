"""INI text to typed options, or a sentence that says what is wrong. Start at `read_sections()`."""

from __future__ import annotations

import configparser
import dataclasses
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from irisab.errors import ConfigError

Sections = Mapping[str, Mapping[str, str]]


class Seconds(float):
    """A length of time; the INI has it with its unit: 1s, 30m, 1h, 14d."""


def read_sections(text: str, source: Path) -> Sections:
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


def read_section(cls: type[Any], name: str, sections: Sections, source: Path, base: Path) -> Any:
    options = sections.get(name, {})
    fields = {each.name: each for each in dataclasses.fields(cls)}
    types = get_type_hints(cls)
    values = {}
    for option, text in options.items():
        where = f"{source}: [{name}] {option} = {one_line(text)}"
        if option not in fields:
            raise ConfigError(f"{where}: unknown option; there are {', '.join(fields)}")
        try:
            values[option] = _convert(text, types[option], base)
            _check_bounds(values[option], fields[option].metadata)
            _check_choice(values[option], fields[option].metadata)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None
    return cls(**values)


def _convert(text: str, kind: Any, base: Path) -> Any:
    if not text and kind == tuple[str, ...]:
        return ()
    if isinstance(kind, UnionType) and kind not in _CONVERTERS:
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
        return _convert(text, kind, base) if text else None
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
        return float(decimal(text))
    except InvalidOperation:
        raise ValueError("must be a number") from None


def decimal(text: str) -> Decimal:
    """Read a number; Python also takes 1_0 and digits of other scripts for one."""
    if not re.fullmatch(r"[0-9.eE+-]+", text):
        raise InvalidOperation(text)
    return Decimal(text)


def _seconds(text: str, _: Path) -> Seconds:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([smhd])", text)
    if not match:
        raise ValueError("must be a number with its unit, such as 30s, 10m, 1h or 14d")
    return Seconds(float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]])


def _steps(text: str, base: Path) -> tuple[float, ...]:
    """Read percentages, each above the one before."""
    steps = tuple(_float(word, base) for word in _words(text, base))
    if not all(low < high for low, high in zip((0, *steps), (*steps, 100), strict=True)):
        raise ValueError("must be percentages above 0 and below 100, each above the one before")
    return steps


def _str(text: str, _: Path) -> str:
    return text


def _path(text: str, base: Path) -> Path:
    return base / text


def _words(text: str, _: Path) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if "" in words:
        raise ValueError("must be names with a comma between two")
    return words


def _iris_or_path(text: str, base: Path) -> Path | None:
    return None if text == "iris" else base / text


def _numbers(text: str, base: Path) -> Mapping[str, float]:
    """Read NAME: NUMBER, NAME: NUMBER; a name may have colons, but no commas."""
    numbers: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = (each.strip() for each in part.rpartition(":"))
        if not (colon and name and number):
            raise ValueError("must be NAME: NUMBER, NAME: NUMBER")
        if name in numbers:
            raise ValueError(f"has {name} twice")
        numbers[name] = _float(number, base)
    return numbers


_CONVERTERS: Mapping[Any, Callable[[str, Path], Any]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    Mapping[str, float]: _numbers,
    tuple[str, ...]: _words,
    tuple[float, ...]: _steps,
    Seconds: _seconds,
    Path: _path,
    Path | None: _iris_or_path,
}


def _check_bounds(value: Any, bounds: Mapping[str, Any]) -> None:
    if value is None or "low" not in bounds:
        return
    for each in value.values() if isinstance(value, Mapping) else [value]:
        if not bounds["low"] <= each <= bounds["high"]:
            raise ValueError(f"must be between {bounds['low']} and {bounds['high']}")


def _check_choice(value: Any, metadata: Mapping[str, Any]) -> None:
    choices = metadata.get("choices", (value,))
    if value not in choices:
        raise ValueError(f"must be {', '.join(choices[:-1])} or {choices[-1]}")


def one_line(text: str) -> str:
    return " ".join(text.split())
