"""What was served together, as the history remembers it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from irisab.store.rows import columns

# Fields that the history knows by another name.
_KEYS = {"id": "revision"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What was served together: enough to read old rows after everything has changed."""

    id: str
    control: str
    split: Mapping[str, float]
    models: Mapping[str, str]
    features: Sequence[str]
    class_names: Sequence[str]
    class_numbers: Sequence[int]
    experiment: str
    types: Sequence[str] = ()
    task: str = "classification"
    tie: float = 0.0

    @property
    def feature_types(self) -> Sequence[str]:
        """The type of each feature; before there were types, all were numbers."""
        return self.types or ["number"] * len(self.features)

    def alike(self, one: float, two: float) -> bool:
        """Tell whether two answers, or an answer and the truth, are the same.

        Numbers are where they are no more than `tie` apart.
        """
        return one == two if self.task == "classification" else abs(one - two) <= self.tie

    @property
    def columns(self) -> str:
        """What revisions share whose rows can be read together, as JSON."""
        return columns(self.features, self.feature_types)

    def to_json(self) -> str:
        """Return the value as the `content` column keeps it.

        What irisab 0.1.0 does not know is left out where it says nothing new: that release reads no
        revision with a key that it does not know.
        """
        content = {_KEYS.get(name, name): getattr(self, name) for name in self.__slots__}
        left_out = {"types"} if set(self.types) <= {"number"} else set()
        # Of classes a tie says nothing.
        left_out |= {"task", "tie"} if self.task == "classification" else set()
        return json.dumps({key: value for key, value in content.items() if key not in left_out})

    @classmethod
    def from_json(cls, text: str) -> Revision:
        """Read what any irisab has written: a newer one may have added what this one cannot use."""
        content = json.loads(text)
        content["types"] = tuple(content.get("types", ()))
        keys = {name: _KEYS.get(name, name) for name in cls.__slots__}
        # What an older irisab has not written has a default.
        return cls(**{name: content[key] for name, key in keys.items() if key in content})

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield (control, challenger) for each challenger, as version names."""
        return ((self.control, name) for name in self.models if name != self.control)

    def model_pairs(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """Return `pairs()` by the hashes of their models, both in the order of the hashes.

        So evidence outlives a change of the control, and versions of one model are one pair.
        """
        pairs = (sorted((self.models[name], name) for name in pair) for pair in self.pairs())
        return {(one, two): (name_one, name_two) for (one, name_one), (two, name_two) in pairs}
