"""Which of two versions is better where each request was seen by one.

Start at `compare_unpaired`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from irisab.stats.comparison import Comparison, Difference, Verdict, idle, next_step
from irisab.stats.sequential import e_value, forecast

# The unpaired interval is tightest after this many labels.
TIGHTEST_AT = 2_000
# The unpaired interval rests on the normal approximation: not before this many labels for each
# version, and the spread of an arm as if it had at least so many right and so many wrong answers.
MIN_ARM = 20
MIN_EACH = 5


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
    if nobody := idle(names, weights):
        reason = nobody
    elif min(control.labelled, challenger.labelled) < MIN_ARM:
        reason = (
            f"{control.labelled} labels for {names[0]} and {challenger.labelled} for {names[1]}: "
            f"send at least {MIN_ARM} for each to POST /feedback"
        )
    elif not control.correct and not challenger.correct:
        reason = "every label says that the answer was wrong: send labels for right answers too"
    elif difference.low > 0 or difference.high < 0:
        verdict = "better" if difference.low > 0 else "worse"
        reason = f"{_points(difference)} for {names[1]}: {next_step(verdict, names)}"
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
        e_value=e_value(log_e),
        difference=difference,
        labels_needed=_unpaired_labels_needed(control, challenger, alpha),
    )


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

    return forecast(settled, control.labelled + challenger.labelled)


def _points(difference: Difference) -> str:
    return f"accuracy differs by {difference.low:+.2%} to {difference.high:+.2%}"
