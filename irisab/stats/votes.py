"""What the labelled disagreements of two versions prove, and what could have faked it.

Start at `Votes.settled`. Only where two versions disagree does a label tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from irisab.stats.comparison import Difference
from irisab.stats.sequential import (
    Vote,
    forecast,
    log_e_two_rates,
    log_e_votes,
    mean_bounds,
    rate_bounds,
)
from irisab.stats.tally import Shown, Tally

# Labels follow the answer shown where users report mistakes more readily than right answers.
MIN_SHOWN = 3
# Fisher's test may be looked at all day too, but a false alarm only delays a verdict. At 0.05 it
# would hide one real difference in twenty.
FISHER_LEVEL = 0.01
# Below this many labelled disagreements a forecast is guesswork.
MIN_FORECAST = 10
# The rate of disagreement is known from every request, and how often one version is right there
# from every labelled one, so their bounds can do with small parts of alpha; which one it is gets
# the rest.
DISAGREEMENT_SHARE = 0.1
DECIDED_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """Labelled disagreements of a control and a challenger, at most one per user (or request).

    `classes` has them by true class, with what a row of it weighs (one on average, at most
    `heaviest`), or all together with weight 1; `shown` is the sum. `differed` counts the users with
    a disagreement, labelled or not.
    """

    classes: Mapping[str, tuple[float, Shown]]
    heaviest: float
    shown: Shown
    differed: float
    alpha: float

    @property
    def log_e(self) -> float:
        return log_e_votes(self._of("all"), self.heaviest)

    @property
    def lead(self) -> float:
        """What the challenger has won more than the control, weighed."""
        return _lead(self._of("all"))

    @property
    def weighed(self) -> tuple[float, float]:
        """What the challenger and the control have won."""
        votes = self._of("all")
        return (
            sum(weight * wins for weight, wins, _ in votes),
            sum(weight * losses for weight, _, losses in votes),
        )

    @property
    def enough(self) -> float:
        """The log of the evidence that a verdict takes."""
        return math.log(1 / self.alpha)

    @property
    def few_shown(self) -> float:
        """Decided disagreements of the version whose answer was shown on fewer of them."""
        return min(self.shown.control.decided, self.shown.challenger.decided)

    @property
    def habit_suspected(self) -> bool:
        """Whether who was right depends on whose answer was shown."""
        control, challenger = self.shown.control, self.shown.challenger
        p = fisher_exact(
            int(control.challenger_only),
            int(control.control_only),
            int(challenger.challenger_only),
            int(challenger.control_only),
        )
        return p < FISHER_LEVEL

    def settled(self) -> bool:
        """Whether these decide between better and worse.

        Beyond chance, and not by a habit of the users: either the lead survives if every
        disagreement without a label is counted against it, or the evidence allows for a habit.
        """
        if self.few_shown < MIN_SHOWN or self.log_e < self.enough:
            return False
        return self._survives_the_unlabelled() or self._beyond_habit()

    def labels_needed(self) -> int | None:
        """Return how many more labels would settle it at these rates, None where none would."""
        everything = self.shown.all
        if everything.decided < MIN_FORECAST or self.habit_suspected:
            return None
        return forecast(lambda times: self._times(times).settled(), int(everything.labelled))

    def difference(
        self, disagreement_rate: float | None, bounds: tuple[float, float], *, trusted: bool
    ) -> Difference:
        """Interval of the difference: how often they disagree, times the lead of the challenger in
        a disagreement.

        `bounds` are those of the rate. Labels that are not trusted leave only what needs none:
        versions cannot differ more in accuracy than in answers.
        """
        everything = self.shown.all
        rare, often = bounds
        most = min(often * self.heaviest, 1.0)
        if not everything.decided or disagreement_rate is None:
            return Difference(low=-most, high=most)
        disagreements = everything.decided + everything.neither_differ
        estimate = disagreement_rate * self.lead / disagreements
        if self.log_e >= self.enough and not trusted:
            return Difference(estimate=estimate, low=-most, high=most)
        low, high = self._lead_bounds(everything)
        low, high = low * (rare if low > 0 else often), high * (often if high > 0 else rare)
        if trusted:
            # The verdict has excluded the other sign already.
            low, high = (max(low, 0.0), high) if self.lead > 0 else (low, min(high, 0.0))
        return Difference(estimate=estimate, low=max(low, -1.0), high=min(high, 1.0))

    def _lead_bounds(self, everything: Tally) -> tuple[float, float]:
        """Bound the lead of the challenger in a disagreement."""
        if len(self.classes) > 1:
            values = [(0.0, everything.neither_differ)]
            for weight, wins, losses in self._of("all"):
                part = weight / self.heaviest
                values += [(part, wins), (-part, losses)]
            low, high = mean_bounds(values, self.alpha * (1 - DISAGREEMENT_SHARE))
            return low * self.heaviest, high * self.heaviest
        decided, alpha = int(everything.decided), self.alpha
        some, most = rate_bounds(
            decided, decided + int(everything.neither_differ), alpha * DECIDED_SHARE
        )
        right = rate_bounds(
            int(everything.challenger_only),
            decided,
            alpha * (1 - DISAGREEMENT_SHARE - DECIDED_SHARE),
        )
        low, high = (2 * bound - 1 for bound in right)
        return low * (some if low > 0 else most), high * (most if high > 0 else some)

    def _survives_the_unlabelled(self) -> bool:
        """Whether the lead is proven if every disagreement without a label is counted against it,
        as one of the class that weighs most."""
        everything, votes = self.shown.all, self._of("all")
        missing = max(self.differed - everything.decided - everything.neither_differ, 0.0)
        ahead = self.lead > 0
        votes.append((self.heaviest, 0.0, missing) if ahead else (self.heaviest, missing, 0.0))
        still = _lead(votes)
        return (still > 0) == ahead and log_e_votes(votes, self.heaviest) >= self.enough

    def _beyond_habit(self) -> bool:
        """Whether no habit of reporting, the same for every class, explains the lead.

        If users report mistakes r times as often as right answers, equally good versions are wrong
        in r/(r+1) of *their own* labelled disagreements: one unknown rate, equal for both whatever
        r is. Where classes weigh differently r alone does not say so much: then each version's own
        disagreements must prove the lead, which a habit turns into opposite ones. What a third
        version answered takes no part: a habit may follow the one it resembles.
        """
        control, challenger = self.shown.control, self.shown.challenger
        if len(self.classes) > 1:
            sides = [self._of("control"), self._of("challenger")]
            return all(
                (_lead(votes) > 0) == (self.lead > 0)
                and log_e_votes(votes, self.heaviest) >= self.enough
                for votes in sides
            )
        errs_less = (
            control.challenger_only / control.decided > challenger.control_only / challenger.decided
        )
        return (self.lead > 0) == errs_less and self.enough <= log_e_two_rates(
            (control.challenger_only, control.control_only),
            (challenger.control_only, challenger.challenger_only),
        )

    def _of(self, side: str) -> list[Vote]:
        """Return the votes by class, of all or of those who saw one version's answer."""
        bets = []
        for weight, shown in self.classes.values():
            tally: Tally = getattr(shown, side)
            bets.append((weight, tally.challenger_only, tally.control_only))
        return bets

    def _times(self, times: float) -> Votes:
        classes = {name: (weight, shown * times) for name, (weight, shown) in self.classes.items()}
        return replace(
            self, classes=classes, shown=self.shown * times, differed=self.differed * times
        )


def _lead(votes: list[Vote]) -> float:
    return sum(weight * (wins - losses) for weight, wins, losses in votes)


def fisher_exact(a: int, b: int, c: int, d: int) -> float:
    """Two-sided p-value of Fisher's exact test for the table [[a, b], [c, d]]."""
    least, most = max(0, a - d), min(a + b, a + c)
    x = np.arange(least, most)
    # The hypergeometric probabilities by the ratio of neighbours: quick for large tables too.
    steps = np.log((a + b - x) * (a + c - x) / ((x + 1.0) * (d - a + x + 1)))
    log_p = np.concatenate([[0.0], np.cumsum(steps)])
    p = np.exp(log_p - log_p.max())
    # As likely as the table seen, but for rounding.
    return float(p[p <= p[a - least] * (1 + 1e-7)].sum() / p.sum())
