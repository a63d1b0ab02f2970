"""The verdict: right formulas, right words, and few mistakes however often one looks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import growthbook
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from irisab.stats import comparison, sequential, votes
from irisab.stats.comparison import Comparison
from irisab.stats.disagreement import Asked, Disagreement, Failures
from irisab.stats.paired import Evidence, compare_paired
from irisab.stats.ratio import sample_ratio
from irisab.stats.tally import Arm, Shown, Tally
from irisab.stats.unpaired import Arms, compare_unpaired

ALPHA, MARGIN = 0.05, 0.01
counts = st.integers(0, 60)


def judge_paired(
    shown_control: tuple[int, int],
    shown_challenger: tuple[int, int],
    *,
    scored: int | None = None,
    disagreed: int = 0,
    shown_other: tuple[int, int] = (0, 0),
    classes: Mapping[str, Shown] | None = None,
    shown: Shown | None = None,
    sampling_rate: float | None = None,
    failures: Failures | None = None,
    **options: Any,
) -> Comparison:
    """Compare from (challenger right, control right) counts per version shown.

    Unless `disagreed` says otherwise, every disagreement is labelled.
    """
    shown = shown or shown_by(shown_control, shown_challenger, shown_other)
    disagreed = max(disagreed, int(shown.all.decided))
    evidence = Evidence(
        shown=shown,
        disagreement=Disagreement(
            scored=disagreed * 10 if scored is None else scored,
            disagreed=disagreed,
            differed=disagreed,
            sampling_rate=sampling_rate,
            failures=failures or Failures(),
        ),
        classes=classes or {},
    )
    judged = {"alpha": ALPHA, "margin": MARGIN, "names": ("v1", "v2"), **options}
    return compare_paired(evidence, **judged)


def all_labelled(scored: int, disagreed: int) -> Disagreement:
    return Disagreement(scored=scored, disagreed=disagreed, differed=disagreed)


def shown_by(
    control: tuple[int, int], challenger: tuple[int, int], other: tuple[int, int] = (0, 0)
) -> Shown:
    """Sort (challenger right, control right) by who was shown, each with a label of its own."""
    tallies = [Tally(challenger_only=a, control_only=b) for a, b in (control, challenger, other)]
    units = sum(tally.decided for tally in tallies)
    return Shown(control=tallies[0], challenger=tallies[1], other=tallies[2], units=units)


def judge_unpaired(
    control: tuple[int, int],
    challenger: tuple[int, int],
    *,
    asked: tuple[Asked, Asked] = (Asked(), Asked()),
    **options: Any,
) -> Comparison:
    """Compare from (labelled, correct) of each arm, and what each was asked."""
    arms = Arms(
        control=Arm(labelled=control[0], correct=control[1]),
        challenger=Arm(labelled=challenger[0], correct=challenger[1]),
        asked=asked,
    )
    judged = {"alpha": ALPHA, "margin": MARGIN, "names": ("v1", "v2"), **options}
    return compare_unpaired(arms, **judged)


class TestFormulas:
    @given(counts, counts)
    def test_e_value_is_the_beta_binomial_bayes_factor(self, right: int, wrong: int) -> None:
        """The e-value is the beta-binomial probability over that of a fair coin."""
        mixture = stats.betabinom.logpmf(right, right + wrong, 1, 1)
        fair = stats.binom.logpmf(right, right + wrong, 0.5)
        assert sequential.log_e_value(right, wrong) == pytest.approx(mixture - fair, abs=1e-8)

    @given(counts, counts, counts, counts)
    def test_fisher_equals_scipys(self, a: int, b: int, c: int, d: int) -> None:
        """Fisher's p-value equals scipy's for any two by two table."""
        expected = stats.fisher_exact([[a, b], [c, d]]).pvalue
        assert votes.fisher_exact(a, b, c, d) == pytest.approx(expected, rel=1e-6)

    @given(counts, counts, counts, counts, st.floats(0.01, 0.99))
    def test_no_single_rate_explains_more_than_the_likeliest(
        self, a: int, b: int, c: int, d: int, rate: float
    ) -> None:
        """Against every reporting habit the evidence is at least what is claimed."""
        mixture = stats.betabinom.logpmf(a, a + b, 1, 1) + stats.betabinom.logpmf(c, c + d, 1, 1)
        habit = stats.binom.logpmf(a, a + b, rate) + stats.binom.logpmf(c, c + d, rate)
        assert sequential.log_e_two_rates((a, b), (c, d)) <= mixture - habit + 1e-8

    @given(st.integers(0, 300), st.integers(0, 300))
    def test_rate_bounds_are_where_the_evidence_reaches_one_over_alpha(
        self, successes: int, failures: int
    ) -> None:
        """Each bound is 0, 1, or the rate whose evidence against it is exactly 1/alpha."""
        trials = successes + failures
        for bound in sequential.rate_bounds(successes, trials, ALPHA):
            if not 0 < bound < 1:
                continue
            against = stats.betabinom.logpmf(successes, trials, 1, 1)
            against -= stats.binom.logpmf(successes, trials, bound)
            assert against == pytest.approx(math.log(1 / ALPHA), abs=1e-6)

    def test_sample_ratio_is_the_dirichlet_multinomial_bayes_factor(self) -> None:
        """A mismatch is called exactly where the integral over all splits reaches 1,000."""

        def log_e(n: int, m: int) -> float:
            likelihood = stats.binom.pmf(n, n + m, 0.9)
            mixture, _ = integrate.quad(lambda p: stats.binom.pmf(n, n + m, p), 0, 1)
            return math.log(mixture / likelihood)

        for n in range(500, 1000, 10):
            expected = log_e(n, 1000 - n) < math.log(1000)
            users = {"v1": n, "v2": 1000 - n}
            assert sample_ratio(users, {"v1": 90, "v2": 10}) == expected

    @pytest.mark.parametrize(
        ("control", "challenger", "alpha", "low", "high", "p"), growthbook.CASES
    )
    def test_unpaired_interval_equals_growthbooks(
        self,
        control: tuple[int, int],
        challenger: tuple[int, int],
        alpha: float,
        low: float,
        high: float,
        p: float,
    ) -> None:
        """The interval and the e-value are those of GrowthBook's sequential test."""
        comparison = judge_unpaired(control, challenger, alpha=alpha)
        assert comparison.difference.low == pytest.approx(low, abs=1e-12)
        assert comparison.difference.high == pytest.approx(high, abs=1e-12)
        assert min(1.0, 1 / comparison.e_value) == pytest.approx(p, rel=1e-9)


class TestAnswers:
    def test_better_and_worse_mirror_each_other(self) -> None:
        """Where the challenger was right clearly more often it is better, the other way worse."""
        better, worse = judge_paired((30, 10), (28, 12)), judge_paired((10, 30), (12, 28))
        assert (better.verdict, worse.verdict) == ("better", "worse")
        assert better.e_value == worse.e_value > 1 / ALPHA
        assert better.difference.low == -worse.difference.high > 0
        assert better.labels_needed == worse.labels_needed == 0
        assert better.reason == (
            "v2 was right in 58 and v1 in 22 labelled disagreements, more than chance explains: "
            "give v2 all the traffic."
        )

    def test_nothing_known(self) -> None:
        """Without labels the interval says nothing, and the reason says what to send."""
        empty = judge_paired((0, 0), (0, 0))
        assert empty.as_dict() == {
            "verdict": "inconclusive",
            "reason": "no labels yet: send labels to POST /feedback.",
            "reason_code": "no_labels",
            "unit": "request",
            "worse_on": [],
            "disagreement_rate": None,
            "scored": 0,
            "sampling_rate": None,
            "labelled": 0,
            "challenger_right": 0,
            "control_right": 0,
            "e_value": 1.0,
            "difference": {"estimate": None, "low": -1.0, "high": 1.0},
            "labels_needed": None,
        }

    def test_chance(self) -> None:
        """A lead that chance could cause is inconclusive, with a forecast of what is missing."""
        narrow = judge_paired((12, 8), (12, 8))
        assert narrow.verdict == "inconclusive"
        assert narrow.labels_needed is not None and 50 < narrow.labels_needed < 500
        assert f"about {narrow.labels_needed} more labels" in narrow.reason

    def test_of_a_slow_challenger_few_labels_count(self) -> None:
        """Where both score a quarter of the requests, four times as many labels have to be sent;
        where they score none, nobody knows how many."""
        needed = judge_paired((12, 8), (12, 8), sampling_rate=1.0).labels_needed
        assert needed
        sampled = judge_paired((12, 8), (12, 8), sampling_rate=0.25)
        assert sampled.labels_needed == 4 * needed
        assert f"about {4 * needed} more labels" in sampled.reason
        assert judge_paired((12, 8), (12, 8), sampling_rate=0.0).labels_needed is None
        none = judge_paired((0, 0), (0, 0), sampling_rate=0.25)
        assert none.reason.startswith("no labels yet for the 25.0% of requests that both scored: ")

    @given(st.integers(5, 40), st.integers(5, 40), st.integers(5, 40), st.integers(5, 40))
    def test_forecast_keeps_its_word(self, a: int, b: int, c: int, d: int) -> None:
        """With the labels asked for, at the same rates, the verdict falls (but for Fisher's)."""
        now = judge_paired((a, b), (c, d))
        if not now.labels_needed or now.labels_needed > 100_000:
            return
        k = math.ceil((now.labels_needed + now.labelled) / now.labelled)
        later = judge_paired((a * k, b * k), (c * k, d * k))
        assert later.verdict in ("better", "worse") or "depends on which version" in later.reason

    def test_no_forecast_from_few_disagreements(self) -> None:
        """Below ten labelled disagreements nobody can tell how many are needed."""
        assert judge_paired((3, 1), (4, 1)).labels_needed is None

    def test_no_forecast_where_labels_do_not_help(self) -> None:
        """Equally often right: no number of labels at these rates would decide."""
        assert judge_paired((10, 10), (10, 10)).labels_needed is None

    def test_few_of_one_side(self) -> None:
        """No verdict before each version was the one shown on three labelled disagreements."""
        lopsided = judge_paired((28, 2), (2, 0))
        assert lopsided.verdict == "inconclusive" and lopsided.e_value > 1 / ALPHA
        assert lopsided.reason.startswith("v2 was the version shown on only 2 of 32")
        assert lopsided.difference.low < 0 < lopsided.difference.high

    @pytest.mark.parametrize("shown", [((90, 0), (0, 10)), ((70, 0), (0, 30)), ((50, 0), (0, 50))])
    def test_only_mistakes_reported(self, shown: tuple[tuple[int, int], tuple[int, int]]) -> None:
        """Labels that only ever say "wrong" give no verdict, and the reason says what to label."""
        report = judge_paired(*shown)
        assert report.verdict == "inconclusive" and report.labels_needed is None
        assert "label a random sample of requests, right answers too" in report.reason

    def test_mistakes_reported_more_often(self) -> None:
        """Too little to see the habit, enough to be fooled by it: the reason says so."""
        report = judge_paired((80, 40), (6, 7), disagreed=200)
        assert report.verdict == "inconclusive" and report.e_value > 1 / ALPHA
        assert "users who report mistakes more readily" in report.reason
        assert report.difference.low < 0 < report.difference.high

    def test_every_disagreement_labelled(self) -> None:
        """Where no label is missing, no habit can have chosen them: the lead counts as it is."""
        assert judge_paired((80, 40), (6, 7)).verdict == "better"

    def test_uneven_split_with_few_labels(self) -> None:
        """A clear lead whoever was shown counts, however many labels are missing."""
        assert judge_paired((180, 60), (20, 7), disagreed=10_000).verdict == "better"

    def test_equivalent_needs_no_labels(self) -> None:
        """Versions that hardly ever differ are equivalent, but not before enough was seen."""
        assert judge_paired((0, 0), (0, 0), scored=900).verdict == "inconclusive"
        equal = judge_paired((0, 0), (0, 0), scored=1_400)
        assert equal.verdict == "equivalent"
        assert equal.difference.high < MARGIN and equal.difference.low > -MARGIN

    def test_equivalent_goes_first(self) -> None:
        """A proven lead on fewer requests than the margin cares about is equivalent."""
        tiny = judge_paired((30, 10), (28, 12), scored=100_000)
        assert tiny.verdict == "equivalent" and tiny.e_value > 1 / ALPHA
        assert 0 < tiny.difference.low < tiny.difference.high < MARGIN

    @pytest.mark.parametrize(("shares", "name"), [((100, 0), "v2"), ((0, 100), "v1")])
    def test_no_traffic(self, shares: tuple[float, float], name: str) -> None:
        """Where a version at 0 % is not judged yet, it needs traffic more than labels."""
        report = judge_paired((12, 8), (12, 8), shares=shares)
        assert (report.verdict, report.reason_code) == ("inconclusive", "no_traffic")
        assert report.reason.startswith(f"no traffic for {name}: give it a share")
        assert judge_unpaired((500, 450), (0, 0), shares=shares).reason_code == "no_traffic"

    @pytest.mark.parametrize(
        ("shares", "better", "worse"),
        [
            ((50, 50), "give v2 all the traffic", "give v1 all the traffic"),
            ((30, 20), "give v2 the traffic of v1", "give v1 the traffic of v2"),
            ((0, 100), "v1 has no traffic any more", "give v1 all the traffic"),
            ((100, 0), "give v2 all the traffic", "v2 has no traffic any more"),
            ((0, 0), "v1 has no traffic any more", "v2 has no traffic any more"),
        ],
    )
    def test_a_verdict_stays_when_the_traffic_has_moved(
        self, shares: tuple[float, float], better: str, worse: str
    ) -> None:
        """What was proven is proven at any split, and the advice is what is left to do."""
        for right, verdict, advice in (
            (((30, 10), (28, 12)), "better", better),
            (((10, 30), (12, 28)), "worse", worse),
        ):
            found = judge_paired(*right, shares=shares)
            assert (found.verdict, found.reason_code) == (verdict, "proven")
            assert found.reason.endswith(f"more than chance explains: {advice}.")
        found = judge_unpaired((2000, 1800), (2000, 1900), shares=shares)
        assert found.verdict == "better" and found.reason.endswith(f": {better}.")

    def test_unpaired_answers(self) -> None:
        """Without shadow: better, worse, equivalent and inconclusive, never from a few labels."""
        assert judge_unpaired((2000, 1800), (2000, 1900)).verdict == "better"
        assert judge_unpaired((2000, 1900), (2000, 1800)).verdict == "worse"
        assert judge_unpaired((90_000, 88_000), (90_000, 88_050)).verdict == "equivalent"
        assert judge_unpaired((500, 450), (500, 455)).verdict == "inconclusive"
        assert judge_unpaired((10_000, 9_000), (19, 19)).verdict == "inconclusive"
        assert judge_unpaired((20, 20), (20, 20)).verdict == "inconclusive"
        assert "right answers too" in judge_unpaired((9_000, 0), (9_000, 0)).reason
        assert judge_unpaired((0, 0), (0, 0)).difference == comparison.Difference()

    def test_unpaired_forecast(self) -> None:
        """The forecast is where the interval leaves zero, at the same accuracies."""
        now = judge_unpaired((500, 450), (500, 470))
        assert now.verdict == "inconclusive" and now.labels_needed is not None
        times = (now.labels_needed + 1000) / 1000 * 1.05
        later = judge_unpaired(
            (round(500 * times), round(450 * times)), (round(500 * times), round(470 * times))
        )
        assert later.verdict == "better"

    def test_sample_ratio_answers(self) -> None:
        """Users beyond doubt off the split are a mismatch; so is one at a weight of 0."""
        weights = {"v1": 90, "v2": 10, "v3": 0}
        assert sample_ratio({}, weights)
        assert sample_ratio({"v1": 910, "v2": 90}, weights)
        assert not sample_ratio({"v1": 800, "v2": 200}, weights)
        assert not sample_ratio({"v1": 900, "v2": 100, "v3": 1}, weights)
        assert sample_ratio({"v1": 5}, {"v1": 100})

    def test_who_fails_alone_differs(self) -> None:
        """A request that only one of both answers is no agreement: few of these are borne by the
        margin, more are not, whichever of both it is that fails."""
        few, more = (Failures(control=n, challenger=n, answered=10_000) for n in (5, 60))
        alike = judge_paired((0, 0), (0, 0), scored=10_000, failures=few)
        assert alike.verdict == "equivalent"
        assert alike.reason_code == "rarely_differ"
        apart = judge_paired((0, 0), (0, 0), scored=10_000, failures=more)
        assert (apart.verdict, apart.reason_code) == ("inconclusive", "no_labels")

    def test_who_often_fails_is_neither_better_nor_equivalent(self) -> None:
        """However often it is right where it answers; the reason has the figures. Where it fails
        less often than it gains, or as often as the control, it is better."""
        often = Failures(control=2, challenger=300, answered=10_000)
        found = judge_paired((60, 20), (60, 20), scored=10_000, failures=often)
        assert (found.verdict, found.reason_code) == ("inconclusive", "fails_alone")
        assert "v2 failed on 300 requests that v1 answered, and v1 on 2" in found.reason
        rarely = Failures(challenger=9, answered=10_000)
        assert judge_paired((60, 20), (60, 20), scored=10_000, failures=rarely).verdict == "better"
        both = Failures(control=300, challenger=300, answered=10_000)
        assert judge_paired((60, 20), (60, 20), scored=10_000, failures=both).verdict == "better"

    def test_a_gain_that_failures_eat_up_is_none(self) -> None:
        """It need not fail on more than the margin, if it gains less than that."""
        seen: dict[str, Any] = {"scored": 100_000, "disagreed": 1_500}
        shown = shown_by((500, 250), (500, 250))
        assert judge_paired((0, 0), (0, 0), shown=shown, **seen).verdict == "better"
        eaten = Failures(challenger=700, answered=100_000)
        found = judge_paired((0, 0), (0, 0), shown=shown, failures=eaten, **seen)
        assert found.difference.estimate < MARGIN
        assert (found.verdict, found.reason_code) == ("inconclusive", "fails_alone")

    def test_without_shadow_each_fails_by_itself(self) -> None:
        """By the share of its own requests, however uneven the split; not by what chance does."""
        often = Asked(20, 20_000), Asked(60, 2_000)
        found = judge_unpaired((2000, 1800), (2000, 1900), asked=often)
        assert (found.verdict, found.reason_code) == ("inconclusive", "fails_alone")
        assert "v2 failed on 60 of 2060 requests, and v1 on 20 of 20020" in found.reason
        alike = judge_unpaired((90_000, 88_000), (90_000, 88_050), asked=often)
        assert (alike.verdict, alike.reason_code) == ("inconclusive", "fails_alone")
        same = Asked(200, 20_000), Asked(20, 2_000)
        assert judge_unpaired((2000, 1800), (2000, 1900), asked=same).verdict == "better"
        assert judge_unpaired((2000, 1900), (2000, 1800), asked=often).verdict == "worse"

    def test_a_challenger_that_is_worse_stays_worse(self) -> None:
        """That it fails besides takes nothing away from what the labels say."""
        often = Failures(challenger=300, answered=10_000)
        found = judge_paired((20, 60), (20, 60), scored=10_000, failures=often)
        assert (found.verdict, found.reason_code) == ("worse", "proven")

    def test_what_a_third_version_answered_counts(self) -> None:
        """Its labels tell who was right of the two, and are not missing."""
        few = judge_paired((6, 2), (5, 3))
        more = judge_paired((6, 2), (5, 3), shown_other=(60, 20))
        assert few.verdict == "inconclusive"
        assert (more.verdict, more.challenger_right, more.labelled) == ("better", 71, 96)
        missing = judge_paired((60, 20), (5, 3), disagreed=500)
        labelled = judge_paired((60, 20), (5, 3), shown_other=(250, 160), disagreed=500)
        assert (missing.reason_code, labelled.verdict) == ("habit_possible", "better")

    @pytest.mark.parametrize("other", [(300, 20), (20, 300)])
    def test_a_third_version_cannot_fake_a_lead(self, other: tuple[int, int]) -> None:
        """If only its mistakes are reported they speak against whichever it resembles: such labels
        prove nothing by themselves, as the versions' own do not."""
        found = judge_paired((5, 4), (4, 5), shown_other=other, disagreed=2000)
        assert (found.verdict, found.reason_code) == ("inconclusive", "habit_possible")
        assert found.e_value > 1 / ALPHA
        assert found.difference.low < 0 < found.difference.high

    def test_a_third_version_alone_gives_no_verdict(self) -> None:
        """Each of the two must have been the one shown, as ever."""
        found = judge_paired((0, 0), (0, 0), shown_other=(60, 10))
        assert (found.verdict, found.reason_code) == ("inconclusive", "rarely_shown")

    def test_a_user_is_called_a_user(self) -> None:
        """The unit is told, and the sentence is about it."""
        seen = Disagreement(scored=1_400, disagreed=0, differed=0, unit="user")
        found = compare_paired(
            Evidence(shown=Shown(), disagreement=seen), alpha=ALPHA, margin=MARGIN
        )
        assert (found.verdict, found.unit) == ("equivalent", "user")
        assert "differ for at most 0." in found.reason and "% of users" in found.reason

    def test_large_counts(self) -> None:
        """Millions of labels neither overflow nor take long."""
        report = judge_paired((400_000, 300_000), (400_000, 300_000))
        assert report.verdict == "better" and math.isfinite(report.e_value)


@dataclass(frozen=True, kw_only=True)
class World:
    """Traffic with known truth: what users see and how readily they report it."""

    challenger_right: float = 0.5
    control_share: float = 0.5
    report_right: float = 1.0

    def ends(self, *, experiments: int, seed: int, labels: int = 500, every: int = 25) -> list[str]:
        """Return the first verdict of each experiment, looked at after `every` labels."""
        rng = np.random.default_rng(seed)
        return [self._end(rng, labels, every) for _ in range(experiments)]

    def _end(self, rng: np.random.Generator, labels: int, every: int) -> str:
        tallies, disagreed = {"control": [0, 0], "challenger": [0, 0]}, 0
        for count in range(1, labels + 1):
            reported = False
            while not reported:
                shown = "control" if rng.random() < self.control_share else "challenger"
                challenger_right = rng.random() < self.challenger_right
                shown_right = challenger_right == (shown == "challenger")
                reported = not shown_right or rng.random() < self.report_right
                disagreed += 1
            tallies[shown][not challenger_right] += 1
            if count % every:
                continue
            control, challenger = tallies.values()
            answer = judge_paired(
                (control[0], control[1]),
                (challenger[0], challenger[1]),
                scored=disagreed * 10,
                disagreed=disagreed,
            )
            if answer.verdict != "inconclusive":
                return answer.verdict
        return "inconclusive"


@pytest.mark.slow
class TestLookingAllDay:
    @pytest.mark.parametrize("share", [0.5, 0.9])
    def test_equal_versions_rarely_get_a_verdict(self, share: float) -> None:
        """Of 100 A/A experiments looked at 20 times, at most 5 end better or worse."""
        ends = World(control_share=share).ends(experiments=100, seed=1)
        assert len(ends) - ends.count("inconclusive") <= 5

    @pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
    @pytest.mark.parametrize("report_right", [0.95, 1.0])
    def test_a_real_difference_is_found(self, share: float, report_right: float) -> None:
        """Right in 75 % of the disagreements: at least 95 of 100 experiments end better."""
        world = World(control_share=share, challenger_right=0.75, report_right=report_right)
        assert world.ends(experiments=100, seed=2).count("better") >= 95

    @pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
    @pytest.mark.parametrize("report_right", [0.0, 0.1, 0.5])
    def test_a_habit_of_the_users_gives_no_verdict(self, share: float, report_right: float) -> None:
        """Users who report (mostly) mistakes: at most 1 of 100 ends better or worse."""
        ends = World(control_share=share, report_right=report_right).ends(experiments=100, seed=3)
        assert len(ends) - ends.count("inconclusive") <= 1

    @pytest.mark.parametrize(
        ("accuracies", "share"), [((0.9, 0.9), 0.5), ((0.95, 0.95), 0.9), ((0.9, 0.95), 0.9)]
    )
    def test_unpaired_interval_covers_at_every_look(
        self, accuracies: tuple[float, float], share: float
    ) -> None:
        """In at least 95 of 100 experiments the interval never loses the true difference."""
        rng = np.random.default_rng(4)
        truth = accuracies[1] - accuracies[0]
        lost = 0
        for _ in range(100):
            n = rng.multinomial(25, [share, 1 - share], size=80)
            right = rng.binomial(n, accuracies)
            looks = np.stack([n.cumsum(axis=0), right.cumsum(axis=0)], axis=-1).tolist()
            found = [judge_unpaired(tuple(a), tuple(b)).difference for a, b in looks]
            lost += not all(d.low <= truth <= d.high for d in found)
        assert lost <= 5

    @pytest.mark.parametrize("decided", [1.0, 0.5, 0.1])
    def test_paired_interval_covers_at_every_look(self, decided: float) -> None:
        """In at least 95 of 100 experiments the interval never loses the true difference, also
        where both are wrong in most disagreements, as happens with many classes."""
        rng = np.random.default_rng(5)
        # Of the requests 20 % disagree; the challenger is right in 65 % of those that one gets.
        shares = [0.2 * decided * each / 2 for each in (0.65, 0.35, 0.65, 0.35)]
        neither = 0.2 * (1 - decided)
        lost = 0
        for _ in range(100):
            drawn = rng.multinomial(50, [0.8, *shares, neither], size=40)
            found = [
                compare_paired(
                    Evidence(
                        shown=Shown(
                            control=Tally(challenger_only=a, control_only=b),
                            challenger=Tally(challenger_only=c, control_only=d, neither_differ=n),
                        ),
                        disagreement=all_labelled(sum(look), a + b + c + d + n),
                    ),
                    alpha=0.05,
                    margin=0.01,
                ).difference
                for look in drawn.cumsum(axis=0).tolist()
                for same, a, b, c, d, n in [look]
            ]
            lost += not all(d.low <= 0.2 * decided * 0.3 <= d.high for d in found)
        assert lost <= 5

    def test_disagreements_that_both_get_wrong_are_no_lead(self) -> None:
        """Labelled, they count against nobody, and make the difference smaller."""
        tallies = [Tally(challenger_only=20, neither_differ=n) for n in (0, 180)]
        few, many = (
            compare_paired(
                Evidence(
                    shown=Shown(control=tally, challenger=tally),
                    disagreement=all_labelled(1000, 400),
                ),
                alpha=0.05,
                margin=0.01,
            )
            for tally in tallies
        )
        assert few.difference.estimate == pytest.approx(0.4)
        assert many.difference.estimate == pytest.approx(0.04)
        assert many.difference.high < 0.1 and many.labelled == 400
        assert (few.verdict, many.verdict) == ("better", "better")
