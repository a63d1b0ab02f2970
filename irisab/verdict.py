"""Which of two versions is better, from counts alone, at any time one cares to look.

Start with `compare_paired` (both versions scored every request) or `compare_unpaired` (each request
was seen by one version). Both answers hold however often and whenever one looks ("anytime-valid"):
evidence is an e-value, which a false hypothesis makes large and a true one lifts above 1/alpha with
probability at most alpha, over all looks together (Ville's inequality).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]

# Labels follow the answer shown where users report mistakes more readily than right answers.
MIN_SHOWN = 3
# Fisher's test may be looked at all day too, but a false alarm only delays a verdict. At 0.05 it
# would hide one real difference in twenty.
FISHER_LEVEL = 0.01
# Below this many labelled disagreements a forecast is guesswork.
MIN_FORECAST = 10
# A forecast beyond this many times the labels so far helps nobody.
MAX_FORECAST = 10_000
# The unpaired interval is tightest after this many labels.
TIGHTEST_AT = 2_000
# The unpaired interval rests on the normal approximation: not before this many labels for each
# version, and the spread of an arm as if it had at least so many right and so many wrong answers.
MIN_ARM = 20
MIN_EACH = 5
# The rate of disagreement is known from every request, and how often one version is right there
# from every labelled one, so their bounds can do with small parts of alpha; which one it is gets
# the rest.
DISAGREEMENT_SHARE = 0.1
DECIDED_SHARE = 0.1
# A sample-ratio mismatch is a fault of the set-up, so it must be beyond doubt.
SAMPLE_RATIO_LIMIT = 1_000.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Labelled rows that one version answered, and how many of its answers were right."""

    labelled: int = 0
    correct: int = 0

    @property
    def accuracy(self) -> float:
        return self.correct / self.labelled

    @property
    def variance(self) -> float:
        """Variance of one answer, as if at least MIN_EACH were right and MIN_EACH wrong."""
        least = min(MIN_EACH, self.labelled / 2)
        wrong = min(max(self.labelled - self.correct, least), self.labelled - least)
        return wrong * (self.labelled - wrong) / self.labelled**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Accuracy of the challenger minus accuracy of the control, with its anytime-valid interval."""

    estimate: float | None = None
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is known about one challenger; `reason` is a sentence a person can act on.

    Without shadow (unpaired) the fields about disagreements are None. `labels_needed` are further
    labels, at the rates seen so far; None where nobody can tell.
    """

    verdict: Verdict
    reason: str
    disagreement_rate: float | None
    labelled: int
    challenger_right: int | None
    control_right: int | None
    e_value: float
    difference: Difference
    labels_needed: int | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


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
    if idle := _idle(names, weights):
        reason = idle
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
        reason = f"{pair.score()}, more than chance explains: {_next_step(verdict, names)}"
    return Comparison(
        verdict=verdict,
        reason=f"{reason}.",
        disagreement_rate=rate,
        labelled=shown_control.labelled + shown_challenger.labelled,
        challenger_right=pair.challenger_right,
        control_right=pair.control_right,
        e_value=_exp(pair.log_e),
        difference=pair.difference(rate, differ, trusted=not withheld),
        labels_needed=pair.labels_needed(),
    )


def compare_unpaired(
    *,
    control: Arm,
    challenger: Arm,
    alpha: float,
    margin: float,
    names: tuple[str, str] = ("the control", "the challenger"),
    weights: tuple[float, float] = (1.0, 1.0),
) -> Comparison:
    """Judge a challenger by its own requests against the control's own (no shadow).

    Asymptotic confidence sequence on the difference of accuracies: Waudby-Smith et al.,
    arXiv 2103.06476v7, equations 9 and 155, with rho from equation 161.
    """
    difference, log_e = _unpaired_difference(control, challenger, alpha)
    verdict: Verdict = "inconclusive"
    if idle := _idle(names, weights):
        reason = idle
    elif min(control.labelled, challenger.labelled) < MIN_ARM:
        reason = (
            f"{control.labelled} labels for {names[0]} and {challenger.labelled} for {names[1]}: "
            f"send at least {MIN_ARM} for each to POST /feedback"
        )
    elif not control.correct and not challenger.correct:
        reason = "every label says that the answer was wrong: send labels for right answers too"
    elif difference.low > 0 or difference.high < 0:
        verdict = "better" if difference.low > 0 else "worse"
        reason = f"{_points(difference)} for {names[1]}: {_next_step(verdict, names)}"
    elif -margin < difference.low and difference.high < margin:
        verdict = "equivalent"
        reason = f"{_points(difference)}, within the margin of {margin:.2%}: choose by cost"
    else:
        reason = f"{_points(difference)} for {names[1]}: too wide to tell, send more labels"
    return Comparison(
        verdict=verdict,
        reason=f"{reason}.",
        disagreement_rate=None,
        labelled=control.labelled + challenger.labelled,
        challenger_right=None,
        control_right=None,
        e_value=_exp(log_e),
        difference=difference,
        labels_needed=_unpaired_labels_needed(control, challenger, alpha),
    )


def sample_ratio(users: Mapping[str, int], weights: Mapping[str, float]) -> bool:
    """Tell whether distinct users are spread over the versions as the weights ask.

    Dirichlet-multinomial e-value with a uniform prior (Lindon and Malek, arXiv 2011.03567), so it
    may be looked at all day. A user at a version of weight 0 is a mismatch by itself.
    """
    served = {version: weight for version, weight in weights.items() if weight > 0}
    if any(count for version, count in users.items() if version not in served):
        return False
    total, k = sum(served.values()), len(served)
    log_e = math.lgamma(k) - math.lgamma(k + sum(users.values()))
    for version, weight in served.items():
        n = users.get(version, 0)
        log_e += math.lgamma(n + 1) - n * math.log(weight / total)
    return log_e < math.log(SAMPLE_RATIO_LIMIT)


def log_e_value(successes: float, failures: float) -> float:
    """Log evidence against a fair coin: beta-binomial mixture with a uniform prior."""
    return _log_beta(successes, failures) + (successes + failures) * math.log(2)


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
        _log_beta(*shown_control)
        + _log_beta(*shown_challenger)
        - _xlogy(wrong, wrong / (wrong + right or 1))
        - _xlogy(right, right / (wrong + right or 1))
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


def rate_bounds(successes: int, trials: int, alpha: float) -> tuple[float, float]:
    """Anytime-valid bounds of a rate: those the beta-binomial mixture has not refuted yet.

    Robbins' confidence sequence: the rates p whose likelihood is above alpha times the mixture's.
    """
    failures = trials - successes
    limit = _log_beta(successes, failures) + math.log(alpha)

    def refuted(p: float) -> bool:
        return _xlogy(successes, p) + _xlogy(failures, 1 - p) <= limit

    seen = successes / trials if trials else 0.5
    low = 0.0 if not refuted(0.0) else _boundary(refuted, 0.0, seen)
    high = 1.0 if not refuted(1.0) else _boundary(refuted, 1.0, seen)
    return low, high


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
        return _forecast(self.settled, self.shown_control.labelled + self.shown_challenger.labelled)

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


def _unpaired_difference(control: Arm, challenger: Arm, alpha: float) -> tuple[Difference, float]:
    """Return the difference with its interval and the log e-value of "no difference"."""
    if not control.labelled or not challenger.labelled:
        return Difference(), 0.0
    estimate = challenger.accuracy - control.accuracy
    if min(control.labelled, challenger.labelled) < MIN_ARM:
        return Difference(estimate=estimate), 0.0
    n = control.labelled + challenger.labelled
    variance = control.variance / control.labelled + challenger.variance / challenger.labelled
    spread = -2 * math.log(alpha)
    x = n * (spread + math.log(spread + 1)) / TIGHTEST_AT
    width = math.sqrt(variance * 2 * (x + 1) / x * math.log(math.sqrt(x + 1) / alpha))
    log_e = x * estimate**2 / variance / (2 * (x + 1)) - math.log(x + 1) / 2
    low, high = max(estimate - width, -1.0), min(estimate + width, 1.0)
    return Difference(estimate=estimate, low=low, high=high), log_e


def _unpaired_labels_needed(control: Arm, challenger: Arm, alpha: float) -> int | None:
    if min(control.labelled, challenger.labelled) < MIN_ARM:
        return None

    def settled(times: float) -> bool:
        more = [
            Arm(labelled=round(arm.labelled * times), correct=round(arm.correct * times))
            for arm in (control, challenger)
        ]
        difference, _ = _unpaired_difference(more[0], more[1], alpha)
        return difference.low > 0 or difference.high < 0

    return _forecast(settled, control.labelled + challenger.labelled)


def _forecast(settled: Callable[[float], bool], labels: int) -> int | None:
    """Find how many further labels settle it, as the rates seen so far promise."""
    if not settled(MAX_FORECAST):
        return None
    few, enough = labels - 1, labels * MAX_FORECAST
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if settled(middle / labels) else (middle, enough)
    return enough - labels


def _idle(names: tuple[str, str], weights: tuple[float, float]) -> str | None:
    idle = [name for name, weight in zip(names, weights, strict=True) if weight <= 0]
    if not idle:
        return None
    return f"no traffic for {' and '.join(idle)}: give it traffic in [split] to get a verdict"


def _next_step(verdict: Verdict, names: tuple[str, str]) -> str:
    return f"give {names[1] if verdict == 'better' else names[0]} all the traffic"


def _points(difference: Difference) -> str:
    return f"accuracy differs by {difference.low:+.2%} to {difference.high:+.2%}"


def _boundary(refuted: Callable[[float], bool], outside: float, inside: float) -> float:
    """Bisect to the last rate on the refuted side: the bounds err on the wide side."""
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if refuted(middle) else (outside, middle)
    return outside


def _log_beta(a: float, b: float) -> float:
    """Log of the integral of p^a (1-p)^b over p from 0 to 1."""
    return math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2)


def _xlogy(x: float, y: float) -> float:
    if not x:
        return 0.0
    return x * math.log(y) if y > 0 else -math.inf


def _exp(x: float) -> float:
    """e**x, at most about 1e300: JSON and Prometheus need a finite number."""
    return math.exp(min(x, 690.0))
