"""Which of two versions is better where both scored every request. Start at `compare_paired`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil

from irisab.stats import harm
from irisab.stats.comparison import Comparison, Difference, Reason, Verdict, advice, idle
from irisab.stats.disagreement import Disagreement
from irisab.stats.metric import ACCURACY, Metric
from irisab.stats.sequential import e_value
from irisab.stats.tally import Shown
from irisab.stats.votes import DISAGREEMENT_SHARE, MIN_SHOWN, Votes

# What decides a labelled request: of two classes, and of two numbers.
_DECIDED = {"right": "right and the other wrong", "closer": "closer by more than the tie"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of a pair: its labelled rows, together and by true class, and the rest.

    `classes` may hold less than `shown`: an older irisab did not count by class.
    """

    shown: Shown
    disagreement: Disagreement
    classes: Mapping[str, Shown] = field(default_factory=dict)

    @property
    def units(self) -> dict[str, float]:
        """How many labelled users (or requests) there are of each class."""
        return {name: shown.units for name, shown in self.classes.items()}

    def votes(self, metric: Metric, alpha: float) -> Votes:
        """Return the labelled disagreements as the metric weighs them."""
        differed = self.disagreement.differed
        if metric.kind == "accuracy":
            classes = {"": (1.0, self.shown)}
            return Votes(
                classes=classes, heaviest=1.0, shown=self.shown, differed=differed, alpha=alpha
            )
        weights = metric.weigh(self.units)
        return Votes(
            classes={
                name: (weight, self.classes.get(name, Shown())) for name, weight in weights.items()
            },
            heaviest=max(weights.values()),
            shown=sum(self.classes.values(), Shown()),
            differed=differed,
            alpha=alpha,
        )


def compare_paired(
    evidence: Evidence,
    *,
    alpha: float,
    margin: float,
    names: tuple[str, str] = ("the control", "the challenger"),
    shares: tuple[float, float] = (50.0, 50.0),
    metric: Metric = ACCURACY,
) -> Comparison:
    """Judge a challenger by the requests on which it and the control disagree.

    `names` and `shares` (percent of the traffic) are the control's, then the challenger's.
    """
    pair = _Pair(evidence, evidence.votes(metric, alpha), alpha, margin, names, shares, metric)
    verdict, reason = pair.judge()
    everything = evidence.shown.all
    return Comparison(
        verdict=verdict,
        reason=f"{reason.text}.",
        reason_code=reason.code,
        unit=evidence.disagreement.unit,
        worse_on=[each.name for each in pair.harms],
        disagreement_rate=evidence.disagreement.rate,
        scored=evidence.disagreement.scored,
        sampling_rate=evidence.disagreement.sampling_rate,
        labelled=int(everything.labelled),
        challenger_right=int(everything.challenger_only),
        control_right=int(everything.control_only),
        e_value=e_value(pair.votes.log_e),
        difference=pair.difference(),
        labels_needed=pair.labels_needed,
    )


@dataclass(frozen=True)
class _Pair:
    """A control and a challenger, and what is asked of them."""

    evidence: Evidence
    votes: Votes
    alpha: float
    margin: float
    names: tuple[str, str]
    shares: tuple[float, float]
    metric: Metric

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The rate of disagreement, at least and at most."""
        return self.evidence.disagreement.bounds(self.alpha * DISAGREEMENT_SHARE)

    @cached_property
    def harms(self) -> list[harm.Harm]:
        # While labels follow the answer they prove nothing of a class either.
        if self.votes.habit_suspected:
            return []
        return harm.lost_votes(
            self.evidence.classes,
            among=self.metric.among(self.evidence.classes),
            alpha=self.alpha,
            margin=self.margin,
            names=self.names,
        )

    @property
    def doubts(self) -> list[harm.Harm]:
        among = self.metric.among(self.evidence.classes)
        return harm.never_won(self.evidence.classes, among=among, names=self.names)

    @cached_property
    def unknown(self) -> Reason | None:
        """Why the classes cannot be weighed yet."""
        return self.metric.unknown(self.evidence.units)

    @cached_property
    def labels_needed(self) -> int | None:
        """Labels to send, of which those count whose request both have scored."""
        needed = None if self.unknown else self.votes.labels_needed()
        if needed is None or not self.sampled:
            return None
        return ceil(needed / self.sampled)

    @property
    def sampled(self) -> float:
        rate = self.evidence.disagreement.sampling_rate
        return 1.0 if rate is None else rate

    def judge(self) -> tuple[Verdict, Reason]:
        # Whoever weighs the classes has said what one is worth against the others.
        careful = self.metric.kind == "accuracy"
        harms = self.harms if careful else []
        if alike := self._alike():
            if harms:
                return "inconclusive", harm.but(alike, harms, self.names[0])
            return "equivalent", Reason(alike.code, f"{alike.text}: choose by cost")
        if self.withheld:
            return "inconclusive", self._failing(self.margin) or self.withheld
        verdict: Verdict = "better" if self.votes.lead > 0 else "worse"
        gain = self.difference().estimate
        if verdict == "better" and (failing := self._failing(min(self.margin, gain or 0.0))):
            return "inconclusive", failing
        proven = Reason("proven", f"{self._score()}, more than chance explains")
        if verdict == "better" and harms:
            return "inconclusive", harm.but(proven, harms, self.names[0])
        if verdict == "better" and careful and self.doubts:
            return "inconclusive", harm.not_yet(proven, self.doubts)
        return verdict, Reason(
            proven.code, f"{proven.text}: {advice(verdict, self.names, self.shares)}"
        )

    def _alike(self) -> Reason | None:
        """Say how seldom they differ, if that is too seldom to matter."""
        often = self.evidence.disagreement.at_most(self.alpha * DISAGREEMENT_SHARE)
        most = self.metric.greatest(self.evidence.units)
        if often * most >= self.margin:
            return None
        where = {"user": "for", "request": "on"}[self.evidence.disagreement.unit]
        text = (
            f"{self.names[0]} and {self.names[1]} differ {where} at most {often:.2%} of "
            f"{self.evidence.disagreement.unit}s, "
        )
        if most > 1:
            text += f"which weigh up to {most:.3g} times as much as others, "
        return Reason("rarely_differ", f"{text}below the margin of {self.margin:.2%}")

    def _failing(self, bearable: float) -> Reason | None:
        """Say that the challenger fails where the control answers, if that is too often."""
        failures = self.evidence.disagreement.failures
        too_many = failures.too_many(self.alpha, bearable=bearable)
        return failures.reason(self.names) if too_many else None

    @cached_property
    def withheld(self) -> Reason | None:
        """Say why these labels do not allow better or worse; None if they do."""
        votes = self.votes
        if not self.unknown and not votes.habit_suspected and votes.settled():
            return None
        return (
            idle(self.names, self.shares)
            or self._too_few()
            or self._follows_the_answer()
            or self._not_proven()
        )

    def _too_few(self) -> Reason | None:
        if not self.evidence.shown.all.labelled:
            of = f" for the {self.sampled:.1%} of requests that both scored"
            which = of if self.sampled < 1 else ""
            return Reason("no_labels", f"no labels yet{which}: send labels to POST /feedback")
        if self.unknown:
            return self.unknown
        if not self.votes.shown.all.decided:
            labelled = int(self.evidence.shown.all.labelled)
            return Reason(
                "none_decided",
                f"labels for this pair so far: {labelled}, none where one was "
                f"{_DECIDED[self.metric.right]}",
            )
        return None

    def _follows_the_answer(self) -> Reason | None:
        if not self.votes.habit_suspected:
            return None
        return Reason(
            "labels_depend_on_answer",
            "who was right depends on which version was shown, as when users report mistakes "
            "and not right answers: label a random sample of requests, right answers too",
        )

    def _not_proven(self) -> Reason:
        votes = self.votes
        if votes.log_e < votes.enough:
            text = f"{self._score()}, which chance alone could do: {self._more_labels()}"
            return Reason("chance", text)
        if votes.few_shown < MIN_SHOWN:
            by_control, by_challenger = votes.shown.control.decided, votes.shown.challenger.decided
            rare = self.names[0 if by_control < by_challenger else 1]
            return Reason(
                "rarely_shown",
                f"{rare} was the version shown on only {votes.few_shown} of "
                f"{votes.shown.all.decided} labelled disagreements: label at least {MIN_SHOWN} "
                "that it answered, or raise its share",
            )
        return Reason(
            "habit_possible",
            f"{self._score()}, but users who report mistakes more readily than right answers "
            f"could cause that at an uneven split: {self._more_labels()}, fewer at an even "
            "split or with a label for every disagreement",
        )

    def _score(self) -> str:
        votes = self.votes.shown.all
        score = (
            f"{self.names[1]} was {self.metric.right} in {votes.challenger_only} and "
            f"{self.names[0]} in {votes.control_only} labelled disagreements"
        )
        if self.metric.kind == "accuracy":
            return score
        won, lost = self.votes.weighed
        return f"{score}, by their weights {won:.3g} to {lost:.3g}"

    def _more_labels(self) -> str:
        needed = self.labels_needed
        return f"about {needed} more labels would settle it" if needed else "send more labels"

    def difference(self) -> Difference:
        if self.unknown:
            return Difference()
        rate, trusted = self.evidence.disagreement.rate, not self.withheld
        return self.votes.difference(rate, self.bounds, trusted=trusted)
