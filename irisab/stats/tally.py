"""Who was right on the labelled rows of a pair of versions, by whose answer was shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Labelled rows of one control and challenger.

    Disagreements are `challenger_only` and `control_only` (the version that was right alone) and
    `neither_differ` (two answers, both wrong); they hold at most one row per user, so that nobody
    votes twice.
    """

    both: float = 0
    challenger_only: float = 0
    control_only: float = 0
    neither: float = 0
    neither_differ: float = 0

    @property
    def decided(self) -> float:
        """Disagreements in which one version was right."""
        return self.challenger_only + self.control_only

    @property
    def labelled(self) -> float:
        return self.both + self.neither + self.neither_differ + self.decided

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            both=self.both + other.both,
            challenger_only=self.challenger_only + other.challenger_only,
            control_only=self.control_only + other.control_only,
            neither=self.neither + other.neither,
            neither_differ=self.neither_differ + other.neither_differ,
        )

    def __mul__(self, times: float) -> Tally:
        return Tally(
            both=self.both * times,
            challenger_only=self.challenger_only * times,
            control_only=self.control_only * times,
            neither=self.neither * times,
            neither_differ=self.neither_differ * times,
        )


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Tallies by whose answer the user saw: the control's, the challenger's, a third version's.

    `units` are the users (else requests) whose first labelled row is counted here.
    """

    control: Tally = field(default_factory=Tally)
    challenger: Tally = field(default_factory=Tally)
    other: Tally = field(default_factory=Tally)
    units: float = 0

    @cached_property
    def all(self) -> Tally:
        return self.control + self.challenger + self.other

    def __add__(self, other: Shown) -> Shown:
        return Shown(
            control=self.control + other.control,
            challenger=self.challenger + other.challenger,
            other=self.other + other.other,
            units=self.units + other.units,
        )

    def __mul__(self, times: float) -> Shown:
        return Shown(
            control=self.control * times,
            challenger=self.challenger * times,
            other=self.other * times,
            units=self.units * times,
        )


# The unpaired interval rests on the normal approximation: the spread of an arm is taken as if it
# had at least so many right and so many wrong answers.
MIN_EACH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Labelled users (or requests) that one version answered, and how often it was right."""

    labelled: float = 0
    correct: float = 0

    @property
    def accuracy(self) -> float:
        return self.correct / self.labelled

    @property
    def wrong(self) -> float:
        """Wrong answers, as if at least MIN_EACH were right and MIN_EACH wrong."""
        least = min(MIN_EACH, self.labelled / 2)
        return min(max(self.labelled - self.correct, least), self.labelled - least)

    @property
    def variance(self) -> float:
        """Variance of one answer."""
        return self.wrong * (self.labelled - self.wrong) / self.labelled**2

    def __add__(self, other: Arm) -> Arm:
        return Arm(labelled=self.labelled + other.labelled, correct=self.correct + other.correct)

    def __mul__(self, times: float) -> Arm:
        return Arm(labelled=self.labelled * times, correct=self.correct * times)
