"""Which of two versions is better where each request was seen by one.

Start at `compare_unpaired`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from irisab.stats import harm
from irisab.stats.comparison import Comparison, Difference, Reason, Unit, Verdict, advice, idle
from irisab.stats.disagreement import Asked, fails_more
from irisab.stats.metric import ACCURACY, MIN_CLASS, Metric, unlabelled
from irisab.stats.sequential import e_value, forecast
from irisab.stats.tally import Arm

# The unpaired interval is tightest after this many labels.
TIGHTEST_AT = 2_000
# It rests on the normal approximation: not before this many labels for each version.
MIN_ARM = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """The first labelled row of each user (or request), by the version that answered.

    `classes` has the control's and the challenger's by true class, `asked` all that each was
    asked, with a label or without.
    """

    control: Arm
    challenger: Arm
    classes: Mapping[str, tuple[Arm, Arm]] = field(default_factory=dict)
    asked: tuple[Asked, Asked] = (Asked(), Asked())
    unit: Unit = "request"

    @property
    def labelled(self) -> float:
        return self.control.labelled + self.challenger.labelled

    @property
    def few(self) -> bool:
        return min(self.control.labelled, self.challenger.labelled) < MIN_ARM

    def fewest(self, name: str) -> float:
        """Return how many labels of a class the version has that has fewer."""
        return min(arm.labelled for arm in self.classes.get(name, (Arm(),)))

    def __mul__(self, times: float) -> Arms:
        return replace(
            self,
            control=self.control * times,
            challenger=self.challenger * times,
            classes={name: (a * times, b * times) for name, (a, b) in self.classes.items()},
        )


def compare_unpaired(
    arms: Arms,
    *,
    alpha: float,
    margin: float,
    names: tuple[str, str] = ("the control", "the challenger"),
    shares: tuple[float, float] = (50.0, 50.0),
    metric: Metric = ACCURACY,
) -> Comparison:
    """Judge a challenger by its own requests against the control's own (no shadow).

    Asymptotic confidence sequence on the difference of accuracies: Waudby-Smith et al.,
    arXiv 2103.06476v7, equations 9 and 155, with rho from equation 161. `names` and `shares`
    (percent of the traffic) are the control's, then the challenger's.
    """
    pair = _Pair(arms, alpha, margin, names, shares, metric)
    harms = pair.harms()
    difference, log_e = pair.difference()
    verdict, reason = pair.judge(difference, harms)
    return Comparison(
        verdict=verdict,
        reason=f"{reason.text}.",
        reason_code=reason.code,
        unit=arms.unit,
        worse_on=[each.name for each in harms],
        disagreement_rate=None,
        scored=None,
        sampling_rate=None,
        labelled=int(arms.labelled),
        challenger_right=None,
        control_right=None,
        e_value=e_value(log_e),
        difference=difference,
        labels_needed=pair.labels_needed(),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """A control and a challenger, and what is asked of them."""

    arms: Arms
    alpha: float
    margin: float
    names: tuple[str, str]
    shares: tuple[float, float]
    metric: Metric

    def harms(self) -> list[harm.Harm]:
        return harm.lower_recall(
            self.arms.classes,
            among=self.metric.among(self.arms.classes),
            alpha=self.alpha,
            margin=self.margin,
            names=self.names,
        )

    def judge(self, difference: Difference, harms: list[harm.Harm]) -> tuple[Verdict, Reason]:
        if missing := self._missing():
            return "inconclusive", missing
        # Whoever weighs the classes has said what one is worth against the others.
        careful, points = self.metric.kind == "accuracy", _points(difference)
        if difference.low > 0 or difference.high < 0:
            verdict: Verdict = "better" if difference.low > 0 else "worse"
            proven = Reason("proven", f"{points} for {self.names[1]}")
            gain = min(self.margin, difference.estimate or 0.0)
            if verdict == "better" and (failing := self._failing(gain)):
                return "inconclusive", failing
            if verdict == "better" and careful and (held := self._held(proven, harms)):
                return "inconclusive", held
            what = advice(verdict, self.names, self.shares)
            return verdict, proven._replace(text=f"{proven.text}: {what}")
        if -self.margin < difference.low and difference.high < self.margin:
            if failing := self._failing(self.margin):
                return "inconclusive", failing
            alike = Reason("within_margin", f"{points}, within the margin of {self.margin:.2%}")
            if careful and harms:
                return "inconclusive", harm.but(alike, harms, self.names[0])
            return "equivalent", alike._replace(text=f"{alike.text}: choose by cost")
        return "inconclusive", idle(self.names, self.shares) or Reason(
            "too_wide", f"{points} for {self.names[1]}: too wide to tell, send more labels"
        )

    def _failing(self, bearable: float) -> Reason | None:
        return fails_more(*self.arms.asked, self.alpha, bearable=bearable, names=self.names)

    def _held(self, proven: Reason, harms: list[harm.Harm]) -> Reason | None:
        """Say which class keeps "better" back."""
        if harms:
            return harm.but(proven, harms, self.names[0])
        among = self.metric.among(self.arms.classes)
        doubts = harm.never_found(self.arms.classes, among=among, names=self.names)
        return harm.not_yet(proven, doubts) if doubts else None

    def _missing(self) -> Reason | None:
        """Say which labels are missing, if there are too few to look at."""
        control, challenger = self.arms.control, self.arms.challenger
        if self.arms.few:
            return idle(self.names, self.shares) or Reason(
                "few_labels",
                f"{control.labelled} labels for {self.names[0]} and {challenger.labelled} for "
                f"{self.names[1]}: send at least {MIN_ARM} for each to POST /feedback",
            )
        if scarce := self._scarce():
            return idle(self.names, self.shares) or unlabelled(*scarce)
        if not control.correct and not challenger.correct:
            return Reason(
                "never_right",
                "every label says that the answer was wrong: send labels for right answers too",
            )
        return None

    def _scarce(self) -> tuple[str, float] | None:
        """Name a class that weighs otherwise and has too few labels, and how many."""
        fewest = {name: self.arms.fewest(name) for name in self.metric.apart}
        return next(((name, n) for name, n in fewest.items() if n < MIN_CLASS), None)

    def difference(self) -> tuple[Difference, float]:
        """Return the difference with its interval and the log e-value of "no difference"."""
        arms = self.arms
        if not arms.control.labelled or not arms.challenger.labelled or self._scarce():
            return Difference(), 0.0
        estimate, variance = self._estimate()
        if arms.few:
            return Difference(estimate=estimate), 0.0
        spread = -2 * math.log(self.alpha)
        x = arms.labelled * (spread + math.log(spread + 1)) / TIGHTEST_AT
        width = math.sqrt(variance * 2 * (x + 1) / x * math.log(math.sqrt(x + 1) / self.alpha))
        log_e = x * estimate**2 / variance / (2 * (x + 1)) - math.log(x + 1) / 2
        low, high = max(estimate - width, -1.0), min(estimate + width, 1.0)
        return Difference(estimate=estimate, low=low, high=high), log_e

    def _estimate(self) -> tuple[float, float]:
        """Return how much less the challenger loses, and the variance of this estimate."""
        control, challenger = self.arms.control, self.arms.challenger
        if self.metric.kind == "accuracy":
            variance = (
                control.variance / control.labelled + challenger.variance / challenger.labelled
            )
            return challenger.accuracy - control.accuracy, variance
        weights = self.metric.weigh(
            {name: a.labelled + b.labelled for name, (a, b) in self.arms.classes.items()}
        )
        (lost, one), (lost_too, two) = (
            _loss([(weights[name], arms[side]) for name, arms in self.arms.classes.items()])
            for side in (0, 1)
        )
        return lost - lost_too, one + two

    def labels_needed(self) -> int | None:
        if self.arms.few or self._scarce():
            return None

        def settled(times: float) -> bool:
            difference, _ = replace(self, arms=self.arms * times).difference()
            return difference.low > 0 or difference.high < 0

        return forecast(settled, int(self.arms.labelled))


def _loss(classes: list[tuple[float, Arm]]) -> tuple[float, float]:
    """Return the mean weight of what one version got wrong, and the variance of this mean.

    In each class as if at least MIN_EACH were right and MIN_EACH wrong, as in `Arm.variance`.
    """
    total = sum(arm.labelled for _, arm in classes)
    lost = sum(weight * (arm.labelled - arm.correct) for weight, arm in classes) / total
    spread = [(weight, arm.wrong / total) for weight, arm in classes]
    mean = sum(weight * share for weight, share in spread)
    return lost, (sum(weight**2 * share for weight, share in spread) - mean**2) / total


def _points(difference: Difference) -> str:
    return f"accuracy differs by {difference.low:+.2%} to {difference.high:+.2%}"
