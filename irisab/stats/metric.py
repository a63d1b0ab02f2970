"""What a right answer is worth, by the true class. Start at `Metric.weigh`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from irisab.stats.comparison import Reason

# Below this many labelled users (or requests) the share of a class is a guess, and so is what one
# of its rows weighs in the balance.
MIN_CLASS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How answers are counted: each alike, each class alike, or by weights that somebody chose.

    `classes` are the names of all classes; a class that `weights` does not name weighs 1. `right`
    is what the better of two answers is called: that of two numbers is closer.
    """

    kind: Literal["accuracy", "balanced", "weights"] = "accuracy"
    classes: Sequence[str] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    right: Literal["right", "closer"] = "right"

    def among(self, seen: Collection[str]) -> int:
        """Return how many classes there are, at least those seen."""
        return max(len(self.classes), len(seen), 1)

    def weigh(self, units: Mapping[str, float]) -> dict[str, float]:
        """Return the weight of a row by its true class, one on average.

        `units` counts, by class, the users (or requests) with a label; the average is theirs.
        """
        counts = {name: units.get(name, 0) for name in self.classes}
        total = sum(counts.values())
        if self.kind == "balanced":
            return {name: total / len(counts) / max(count, 1) for name, count in counts.items()}
        plain = {name: self.weights.get(name, 1.0) for name in counts}
        mean = sum(plain[name] * count for name, count in counts.items()) / (total or 1)
        return {name: weight / (mean or 1) for name, weight in plain.items()}

    def greatest(self, units: Mapping[str, float]) -> float:
        """Return how much more than an average one a row can weigh; needs no label but for
        "balanced", where a class without enough labels may weigh anything."""
        if self.kind == "accuracy":
            return 1.0
        weights = self.weigh(units).values()
        if self.kind == "weights":
            return max(weights) / min(weights)
        return math.inf if self.unknown(units) else max(weights)

    @property
    def apart(self) -> Sequence[str]:
        """The classes that weigh otherwise than a row does by itself."""
        if self.kind == "balanced":
            return self.classes
        return [name for name in self.classes if name in self.weights]

    def unknown(self, units: Mapping[str, float]) -> Reason | None:
        """Name a class with too few labels for its weight to be known, if there is one."""
        if self.kind != "balanced":
            return None
        counts = ((name, units.get(name, 0)) for name in self.classes)
        return next((unlabelled(name, n) for name, n in counts if n < MIN_CLASS), None)


def unlabelled(name: str, count: float) -> Reason:
    return Reason(
        "class_unlabelled",
        f"{count:g} labels say that {name} is the truth: label at least {MIN_CLASS} of it, so that "
        "the classes can be weighed",
    )


ACCURACY = Metric()


def chosen(
    kind: str, weights: Mapping[str, float] | None, *, names: Sequence[str], numbers: Sequence[int]
) -> Metric:
    """Return what [experiment] asks for; raises `ValueError` for a class that does not exist.

    A regression has no classes, so each of its answers counts alike.
    """
    if not names and not weights:
        return Metric(right="closer")
    if not weights:
        return Metric(kind="balanced" if kind == "balanced" else "accuracy", classes=names)
    known = {str(number): name for number, name in zip(numbers, names, strict=True)}
    known |= {name: name for name in names}
    for each in weights:
        if each not in known:
            raise ValueError(f"there is no class {each}; there are {', '.join(names)}")
    by_index = {known[each]: weight for each, weight in weights.items()}
    return Metric(kind="weights", classes=names, weights=by_index)
