"""The next step after a verdict: the very command or INI lines to type. Start at `Situation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from irisab.stats.comparison import Comparison

# Percent for a version that has no traffic: enough to learn from, little to lose.
FIRST_SHARE = 10.0
# What a class may weigh that somebody cares for, to begin with.
FIRST_WEIGHT = 10

Split = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What serves while a challenger is judged.

    `spelled` says how the INI names a class, `feedback` is the command that sends a label.
    """

    control: str
    challenger: str
    split: Split
    spelled: Mapping[str, str]
    feedback: str

    def next_step(self, judged: Comparison) -> str:
        """Return a command, or lines of the INI file; commands of irisab begin with "irisab"."""
        match judged.reason_code:
            case "proven" | "rarely_differ" | "within_margin":
                return self._settled(self._winner(judged))
            case "fails_alone":
                return self._settled(self.control)
            case "worse_on_class":
                return self._weights(judged.worse_on)
            case "no_traffic":
                return _split_lines(self._first_shares())
            case "rarely_shown" | "habit_possible":
                even = self._even()
                return self.feedback if even == self.split else _split_lines(even)
            case "labels_depend_on_answer":
                return "irisab history > history.csv"  # to draw a random sample from
            case _:
                return self.feedback

    def _winner(self, judged: Comparison) -> str:
        ahead = self.split[self.challenger] > self.split[self.control]
        better = judged.verdict == "better" or (judged.verdict == "equivalent" and ahead)
        return self.challenger if better else self.control

    def _settled(self, winner: str) -> str:
        """Give all of both to the winner; where it has it already, leave the other one out."""
        loser = self.control if winner == self.challenger else self.challenger
        if self.split[loser]:
            both = self.split[winner] + self.split[loser]
            return _split_lines({**self.split, winner: both, loser: 0.0})
        lines = _split_lines({name: n for name, n in self.split.items() if name != loser})
        if winner == self.challenger:
            lines += f"\n\n[experiment]\ncontrol = {winner}"
        return lines

    def _weights(self, classes: Sequence[str]) -> str:
        named = ", ".join(f"{self.spelled[name]}: {FIRST_WEIGHT}" for name in classes)
        return f"[experiment]\nweights = {named}"

    def _first_shares(self) -> Split:
        """Give a share to each of both that has none, out of the largest."""
        idle = [name for name in (self.control, self.challenger) if not self.split[name]]
        donor = max(self.split, key=lambda name: self.split[name])
        share = min(FIRST_SHARE, self.split[donor] / (len(idle) + 1))
        given = dict.fromkeys(idle, share)
        return {**self.split, donor: self.split[donor] - share * len(idle), **given}

    def _even(self) -> Split:
        half = (self.split[self.control] + self.split[self.challenger]) / 2
        return {**self.split, self.control: half, self.challenger: half}


def _split_lines(split: Split) -> str:
    # The sum must be 100 to the last digit, which that of floats need not be.
    return "\n".join(["[split]", *(f"{name} = {share:.10g}" for name, share in split.items())])
