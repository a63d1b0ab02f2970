"""Which of two versions is better where both scored every request. Start at `compare_paired`.

Only where they disagree does a label tell them apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from irisab.stats.comparison import Comparison, Difference, Verdict, idle, next_step
from irisab.stats.sequential import e_value, forecast, log_beta, log_e_value, rate_bounds, xlogy

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
class Tally:
    """Labelled rows of one control and challenger while one version was the one shown.

    Disagreements are `challenger_only` and `control_only` (the version that was right alone) and
    `neither_differ` (two answers, both wrong); they hold at most one row per user, so that nobody
    votes twice.
    """

    both: int = 0
    challenger_only: int = 0
    control_only: int = 0
    neither: int = 0
    neither_differ: int = 0

    @property
    def decided(self) -> int:
        """Disagreements in which one version was right."""
        return self.challenger_only + self.control_only

    @property
    def labelled(self) -> int:
        return self.both + self.neither + self.neither_differ + self.decided


def compare_paired(
    *,
    shown_control: Tally,
    shown_challenger: Tally,
    scored: int,
    disagreed: int,
    differed: int,
    alpha: float,
    margin: float,
    names: tuple[str, str] = ("the control", "the challenger"),
    weights: tuple[float, float] = (1.0, 1.0),
) -> Comparison:
    """Judge a challenger by the requests on which it and the control disagree.

    `scored` requests were scored by both. They differ in the first row of `disagreed` and in some
    row of `differed` of them; no label is needed for these three. `names` and `weights` are the
    control's, then the challenger's.
    """
    pair = _Pair(shown_control, shown_challenger, differed, alpha, names)
    differ = rate_bounds(disagreed, scored, alpha * DISAGREEMENT_SHARE)
    rate = disagreed / scored if scored else None
    withheld = pair.withheld()
    verdict: Verdict = "inconclusive"
    if nobody := idle(names, weights):
        reason = nobody
    elif differ[1] < margin:
        verdict = "equivalent"
        reason = (
            f"{names[0]} and {names[1]} differ on at most {differ[1]:.2%} of requests, "
            f"below the margin of {margin:.2%}: choose by cost"
        )
    elif withheld:
        reason = withheld
    else:
        verdict = "better" if pair.challenger_right > pair.control_right else "worse"
        reason = f"{pair.score()}, more than chance explains: {next_step(verdict, names)}"
    return Comparison(
        verdict=verdict,
        reason=f"{reason}.",
        disagreement_rate=rate,
        labelled=shown_control.labelled + shown_challenger.labelled,
        challenger_right=pair.challenger_right,
        control_right=pair.control_right,
        e_value=e_value(pair.log_e),
        difference=pair.difference(rate, differ, trusted=not withheld),
        labels_needed=pair.labels_needed(),
    )


def log_e_value_shown(
    shown_control: tuple[float, float], shown_challenger: tuple[float, float]
) -> float:
    """Log evidence that the versions differ which no habit of the users explains.

    Each argument counts labelled disagreements (shown one wrong, shown one right). If users report
    mistakes r times as often as right answers, equally good versions are wrong in r/(r+1) of
    *their own* labelled disagreements: one unknown rate, equal for both whatever r is. The e-value
    is universal inference (Wasserman, Ramdas and Balakrishnan, PNAS 2020): a uniform mixture over
    two rates against the likeliest single one.
    """
    wrong, right = (a + b for a, b in zip(shown_control, shown_challenger, strict=True))
    return (
        log_beta(*shown_control)
        + log_beta(*shown_challenger)
        - xlogy(wrong, wrong / (wrong + right or 1))
        - xlogy(right, right / (wrong + right or 1))
    )


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


@dataclass(frozen=True, slots=True)
class _Pair:
    """The labelled disagreements of a control and a challenger."""

    shown_control: Tally
    shown_challenger: Tally
    differed: int
    alpha: float
    names: tuple[str, str]

    @property
    def challenger_right(self) -> int:
        return self.shown_control.challenger_only + self.shown_challenger.challenger_only

    @property
    def control_right(self) -> int:
        return self.shown_control.control_only + self.shown_challenger.control_only

    @property
    def log_e(self) -> float:
        return log_e_value(self.challenger_right, self.control_right)

    @property
    def habit_suspected(self) -> bool:
        control, challenger = self.shown_control, self.shown_challenger
        p = fisher_exact(
            control.challenger_only,
            control.control_only,
            challenger.challenger_only,
            challenger.control_only,
        )
        return p < FISHER_LEVEL

    def withheld(self) -> str | None:
        """Say why these labels do not allow better or worse; None if they do."""
        control, challenger = self.names
        disagreements = self.challenger_right + self.control_right
        labelled = self.shown_control.labelled + self.shown_challenger.labelled
        few = min(self.shown_control.decided, self.shown_challenger.decided)
        if not disagreements:
            if not labelled:
                return "no labels yet: send labels to POST /feedback"
            return f"labels so far: {labelled}, none where one was right and the other wrong"
        if self.habit_suspected:
            return (
                "who was right depends on which version was shown, as when users report mistakes "
                "and not right answers: label a random sample of requests, right answers too"
            )
        if self.log_e < math.log(1 / self.alpha):
            return f"{self.score()}, which chance alone could do: {self._more_labels()}"
        if few < MIN_SHOWN:
            rare = (
                control
                if self.shown_control.decided < self.shown_challenger.decided
                else challenger
            )
            return (
                f"{rare} was the version shown on only {few} of {disagreements} labelled "
                f"disagreements: label at least {MIN_SHOWN} that it answered, or raise its weight"
            )
        if not self.settled(1):
            return (
                f"{self.score()}, but users who report mistakes more readily than right answers "
                f"could cause that at an uneven split: {self._more_labels()}, fewer at an even "
                "split or with a label for every disagreement"
            )
        return None

    def score(self) -> str:
        return (
            f"{self.names[1]} was right in {self.challenger_right} and {self.names[0]} in "
            f"{self.control_right} labelled disagreements"
        )

    def settled(self, times: float) -> bool:
        """Whether `times` as many labels of the same kind decide between better and worse.

        Beyond chance, and not by a habit of the users: either the lead survives if every
        disagreement without a label is counted against it, or the evidence allows for a habit.
        """
        control_wrong = self.shown_control.challenger_only * times
        control_right = self.shown_control.control_only * times
        challenger_wrong = self.shown_challenger.control_only * times
        challenger_right = self.shown_challenger.challenger_only * times
        n_control, n_challenger = control_wrong + control_right, challenger_wrong + challenger_right
        if min(n_control, n_challenger) < MIN_SHOWN:
            return False
        wins, losses = control_wrong + challenger_right, control_right + challenger_wrong
        ahead, behind = max(wins, losses), min(wins, losses)
        neither = self.shown_control.neither_differ + self.shown_challenger.neither_differ
        behind_at_worst = max((self.differed - neither) * times, ahead + behind) - ahead
        enough = math.log(1 / self.alpha)
        if ahead > behind_at_worst and log_e_value(ahead, behind_at_worst) >= enough:
            return True
        errs_less = control_wrong / n_control > challenger_wrong / n_challenger
        shown = (control_wrong, control_right), (challenger_wrong, challenger_right)
        return (
            (wins > losses) == errs_less
            and log_e_value(wins, losses) >= enough
            and log_e_value_shown(*shown) >= enough
        )

    def labels_needed(self) -> int | None:
        disagreements = self.challenger_right + self.control_right
        if disagreements < MIN_FORECAST or self.habit_suspected:
            return None
        return forecast(self.settled, self.shown_control.labelled + self.shown_challenger.labelled)

    def _more_labels(self) -> str:
        needed = self.labels_needed()
        return f"about {needed} more labels would settle it" if needed else "send more labels"

    def difference(
        self, disagreement_rate: float | None, bounds: tuple[float, float], *, trusted: bool
    ) -> Difference:
        """Interval of the difference: how often they disagree, times how often one of them is right
        there, times the lead of the challenger among these.

        Labels that are not trusted leave only what needs none: versions cannot differ more in
        accuracy than in answers.
        """
        rare, often = bounds
        decided = self.challenger_right + self.control_right
        if not decided or disagreement_rate is None:
            return Difference(low=-often, high=often)
        neither = self.shown_control.neither_differ + self.shown_challenger.neither_differ
        lead = (self.challenger_right - self.control_right) / decided
        estimate = lead * disagreement_rate * decided / (decided + neither)
        if self.log_e >= math.log(1 / self.alpha) and not trusted:
            return Difference(estimate=estimate, low=-often, high=often)
        some, most = rate_bounds(decided, decided + neither, self.alpha * DECIDED_SHARE)
        rare, often = rare * some, often * most
        right = rate_bounds(
            self.challenger_right,
            decided,
            self.alpha * (1 - DISAGREEMENT_SHARE - DECIDED_SHARE),
        )
        low, high = (2 * bound - 1 for bound in right)
        low, high = low * (rare if low > 0 else often), high * (often if high > 0 else rare)
        if trusted:
            # The verdict has excluded the other sign already.
            low, high = (max(low, 0.0), high) if lead > 0 else (low, min(high, 0.0))
        return Difference(estimate=estimate, low=low, high=high)
