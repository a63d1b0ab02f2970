"""The versions of the INI file: their names, shares and options. See `read_models()`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

from irisab.errors import ConfigError
from irisab.ini import Sections, decimal, one_line

# A version is a folder, a metric label and a word in a URL or a log line.
VERSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
VERSION_NAME_RULE = "a version's name is 1 to 64 letters, digits, '.', '_' or '-'"
DEFAULT_ESTIMATORS = {"v1": 50, "v2": 100}
KINDS = (
    "random_forest",
    "extra_trees",
    "decision_tree",
    "gradient_boosting",
    "hist_gradient_boosting",
    "logistic_regression",
    "linear_regression",
)
Value = int | float | bool | str | None


class ModelOptions:
    """How `train` builds a version: a kind of estimator, and options under scikit-learn's names.

    What a value may be is scikit-learn's to say, when a version is trained.
    """

    __slots__ = ("kind", "options")

    def __init__(self, /, *, kind: str = "random_forest", **options: Value) -> None:
        self.kind = kind
        self.options: Mapping[str, Value] = options

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModelOptions):
            return NotImplemented
        return (self.kind, self.options) == (other.kind, other.options)

    def __repr__(self) -> str:
        return f"ModelOptions(kind={self.kind!r}, **{self.options!r})"


def read_split(sections: Sections, source: Path) -> dict[str, float]:
    """Return the percentages of [split], by version."""
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
            raise ConfigError(f"{where}: {VERSION_NAME_RULE}")
        try:
            share = decimal(text)
        except InvalidOperation:
            raise ConfigError(f"{where}: must be a percentage such as 50 or 33.3") from None
        # Decimal raises where a NaN is compared, so it has to be asked first.
        if not (share.is_finite() and 0 <= share <= 100):
            raise ConfigError(f"{where}: must be between 0 and 100")
        yield name, share


def read_models(
    sections: Sections, split: Mapping[str, float], source: Path
) -> dict[str, ModelOptions]:
    """Return the options of every version: a section adds one, and never takes another away."""
    models = {name: default_model(name) for name in split}
    for section in sections:
        if section.startswith("model."):
            name = section.removeprefix("model.")
            if not VERSION_NAME.fullmatch(name):
                raise ConfigError(f"{source}: [{section}]: {VERSION_NAME_RULE}")
            models[name] = _model(section, sections[section], source)
    return dict(sorted(models.items()))


def default_model(version: str) -> ModelOptions:
    """Return the options of a version that no section describes."""
    if version in DEFAULT_ESTIMATORS:
        return ModelOptions(n_estimators=DEFAULT_ESTIMATORS[version])
    return ModelOptions()


def _model(section: str, options: Mapping[str, str], source: Path) -> ModelOptions:
    values = {}
    for option, text in options.items():
        where = f"{source}: [{section}] {option} = {one_line(text)}"
        if option == "kind" and text not in KINDS:
            raise ConfigError(f"{where}: unknown kind; there are {', '.join(KINDS)}")
        if "\n" in text or not option.isidentifier():
            raise ConfigError(f"{where}: is not 'option = value' in a line of its own")
        values[option] = text if option == "kind" else _value(text)
    return ModelOptions(**values)  # type: ignore[arg-type]


def _value(text: str) -> Value:
    """Return an option's value as scikit-learn takes it: a number, a truth value, None, a word."""
    words: dict[str, Value] = {"": None, "none": None, "true": True, "yes": True}
    words |= {"false": False, "no": False}
    if text.lower() in words:
        return words[text.lower()]
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    try:
        return float(decimal(text))
    except InvalidOperation:
        return text
