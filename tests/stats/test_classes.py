"""Classes that matter more: weights that hold at every look, and no lead at the cost of a class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from test_verdict import ALPHA, MARGIN, judge_paired, shown_by

from irisab.stats import harm, metric, sequential
from irisab.stats.comparison import Comparison
from irisab.stats.metric import Metric
from irisab.stats.paired import Disagreement, Evidence
from irisab.stats.tally import Arm, Shown, Tally
from irisab.stats.unpaired import Arms, compare_unpaired

CLASSES = ("ok", "fraud")
WEIGHED = Metric(kind="weights", classes=CLASSES, weights={"fraud": 20.0})
BALANCED = Metric(kind="balanced", classes=CLASSES)
votes = st.tuples(st.sampled_from([0.5, 1.0, 3.0]), st.integers(0, 30), st.integers(0, 30))


def judge(
    ok: tuple[int, int],
    fraud: tuple[int, int],
    *,
    agreed: tuple[int, int] = (0, 0),
    **options: object,
) -> Comparison:
    """Compare from (challenger right, control right) per class, shown half to each side.

    `agreed` are labelled rows of each class on which both were right.
    """
    classes = {}
    for name, (won, lost), both in zip(CLASSES, (ok, fraud), agreed, strict=True):
        sides = [
            Tally(both=both // 2, challenger_only=won // 2, control_only=lost // 2),
            Tally(
                both=both - both // 2, challenger_only=won - won // 2, control_only=lost - lost // 2
            ),
        ]
        units = sum(side.labelled for side in sides)
        classes[name] = Shown(control=sides[0], challenger=sides[1], units=units)
    whole = classes["ok"].all + classes["fraud"].all
    shown = sum(classes.values(), Shown())
    return judge_paired(
        (0, 0),
        (0, 0),
        shown=shown,
        disagreed=int(whole.decided),
        classes=classes,
        **options,
    )


class TestWeighedEvidence:
    @given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.2, 1.0, 7.0]))
    def test_equal_weights_are_no_weights(self, wins: int, losses: int, weight: float) -> None:
        """However much all classes weigh, the evidence is that of the fair coin."""
        parts = [(weight, wins // 2, losses // 3), (weight, wins - wins // 2, losses - losses // 3)]
        expected = sequential.log_e_value(wins, losses)
        assert sequential.log_e_votes(parts, weight) == pytest.approx(expected)

    @given(st.lists(votes, min_size=1, max_size=3))
    def test_it_is_the_mixture_of_all_bets(self, votes: list[tuple[float, int, int]]) -> None:
        """The evidence is what uniformly chosen bets win on average."""

        def capital(bet: float) -> float:
            parts = [(bet * weight / 3, wins, losses) for weight, wins, losses in votes]
            return math.prod((1 + b) ** wins * (1 - b) ** losses for b, wins, losses in parts)

        won, _ = integrate.quad(capital, -1, 1, limit=400)
        found = sequential.log_e_votes(votes, 3.0)
        assert found == pytest.approx(math.log(won / 2), rel=2e-3, abs=2e-3)

    @pytest.mark.parametrize("rate", [0.5, 0.6, 0.9])
    @pytest.mark.parametrize("labels", [1, 4, 8])
    def test_nobody_gains_where_the_weights_balance(self, labels: int, rate: float) -> None:
        """Over all that may happen in so many labels the evidence is 1 on average: a challenger
        that wins `rate` of the frauds, and loses elsewhere what these weigh, proves nothing."""
        weights, share = {"ok": 1.0, "fraud": 4.0}, {"ok": 0.8, "fraud": 0.2}
        right = {"fraud": rate, "ok": 1 - rate}
        assert sum(weights[c] * share[c] * (2 * right[c] - 1) for c in CLASSES) == pytest.approx(0)
        chances = {
            (name, won): share[name] * (right[name] if won else 1 - right[name])
            for name, won in product(CLASSES, (True, False))
        }
        expected = 0.0
        for counts in product(range(labels + 1), repeat=4):
            if sum(counts) != labels:
                continue
            chance = stats.multinomial.pmf(counts, labels, list(chances.values()))
            by_class = [
                (weights[name], counts[2 * i], counts[2 * i + 1]) for i, name in enumerate(CLASSES)
            ]
            expected += chance * math.exp(sequential.log_e_votes(by_class, 4.0))
        assert expected == pytest.approx(1, rel=1e-3)

    def test_a_large_weight_needs_few_labels(self) -> None:
        """Ten frauds found outweigh forty ordinary rows lost, at 20 to 1."""
        found = judge((0, 40), (14, 0), metric=WEIGHED)
        assert found.verdict == "better" and "by their weights" in found.reason
        assert judge((0, 40), (14, 0)).verdict == "worse"

    def test_millions_of_labels_are_quick(self) -> None:
        """Neither overflow nor a wrong sign."""
        found = judge((400_000, 300_000), (9_000, 10_000), metric=WEIGHED)
        assert found.verdict == "better" and math.isfinite(found.e_value)
        assert found.labels_needed == 0

    def test_the_forecast_keeps_its_word(self) -> None:
        """With the labels asked for, at the same rates, the verdict falls."""
        now = judge((20, 30), (6, 3), metric=WEIGHED)
        assert now.verdict == "inconclusive" and now.labels_needed
        times = math.ceil((now.labels_needed + now.labelled) / now.labelled)
        later = judge((20 * times, 30 * times), (6 * times, 3 * times), metric=WEIGHED)
        assert later.verdict == "better"


class TestMeanBounds:
    def test_each_bound_is_where_the_bets_have_won_enough(self) -> None:
        """It is the mean against which the mixture holds exactly 1/alpha."""
        values = [(1.0, 12.0), (-1.0, 5.0), (0.25, 30.0), (0.0, 9.0)]

        def won(mean: float) -> float:
            total = 0.0
            for sign, room in ((1, 1 + mean), (-1, 1 - mean)):

                def capital(stake: float, sign: int = sign, room: float = room) -> float:
                    return math.prod((1 + sign * stake * (x - mean) / room) ** n for x, n in values)

                total += integrate.quad(capital, 0, 1)[0] / 2
            return total

        seen = sum(x * n for x, n in values) / sum(n for _, n in values)
        low, high = sequential.mean_bounds(values, ALPHA)
        for bound, edge in ((low, -0.999), (high, 0.999)):
            expected = optimize.brentq(lambda mean: won(mean) - 1 / ALPHA, edge, seen)
            assert bound == pytest.approx(expected, abs=2e-3)

    @pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
    def test_one_value_only(self, value: float) -> None:
        """What is always the same is bounded on the other side."""
        low, high = sequential.mean_bounds([(value, 50.0)], ALPHA)
        assert low <= value <= high
        assert high - low < 0.3

    def test_they_cover_at_every_look(self) -> None:
        """In at least 95 of 100 experiments the bounds never lose the mean."""
        rng, lost = np.random.default_rng(8), 0
        values, chances = np.array([1.0, -1.0, 0.1, -0.1]), [0.05, 0.02, 0.4, 0.53]
        truth = float(values @ chances)
        for _ in range(100):
            looks = rng.multinomial(150, chances, size=5).cumsum(axis=0)
            bounds = [
                sequential.mean_bounds([*zip(values.tolist(), each.tolist(), strict=True)], ALPHA)
                for each in looks
            ]
            lost += not all(low <= truth <= high for low, high in bounds)
        assert lost <= 5


class TestWorseOnAClass:
    """A challenger that finds no fraud is right more often: there are few."""

    def test_better_is_withheld_and_the_class_is_named(self) -> None:
        """With figures, and what to do about it."""
        found = judge((60, 10), (0, 16))
        assert (found.verdict, found.reason_code) == ("inconclusive", "worse_on_class")
        assert found.worse_on == ["fraud"]
        assert found.reason == (
            "v2 was right in 60 and v1 in 26 labelled disagreements, more than chance explains, "
            "but where the truth is fraud, v2 was right in 0 and v1 in 16: keep v1, or say in "
            "[experiment] weights what a class is worth."
        )

    def test_equal_on_the_rare_class_is_no_harm(self) -> None:
        """Nor is what chance alone could do."""
        for fraud in ((5, 5), (0, 4), (9, 0)):
            found = judge((60, 10), fraud)
            assert (found.verdict, found.worse_on) == ("better", [])

    def test_weights_say_that_it_is_wanted(self) -> None:
        """Who has said what a class is worth gets the verdict by that, and is told all the same."""
        cheap = Metric(kind="weights", classes=CLASSES, weights={"fraud": 1.1})
        found = judge((80, 10), (0, 16), metric=cheap)
        assert (found.verdict, found.worse_on) == ("better", ["fraud"])
        assert judge((80, 10), (0, 16), metric=WEIGHED).verdict == "worse"

    def test_the_balance_of_the_classes_says_so_too(self) -> None:
        """A loss on the frequent class may be worth a gain on the rare one: that is what it asks,
        and the class is named all the same."""
        ok, fraud, agreed = (0, 60), (24, 0), (1900, 76)
        found = judge(ok, fraud, agreed=agreed, metric=BALANCED, scored=400)
        assert (found.verdict, found.worse_on) == ("better", ["ok"])
        assert judge(fraud, ok, agreed=agreed, metric=BALANCED, scored=400).verdict == "worse"

    def test_equivalent_is_withheld_too(self) -> None:
        """Versions that differ on one request in 500 differ on every fraud, if there are so few."""
        found = judge((0, 0), (0, 16), agreed=(3000, 4), scored=10_000)
        assert (found.verdict, found.reason_code) == ("inconclusive", "worse_on_class")
        assert found.reason.startswith("v1 and v2 differ on at most ")
        assert judge((0, 0), (16, 0), agreed=(3000, 4), scored=10_000).verdict == "equivalent"

    def test_a_loss_below_the_margin_is_none(self) -> None:
        """Sixteen of five thousand frauds lost are less than the margin cares about."""
        found = judge((0, 0), (0, 16), agreed=(3000, 5000), scored=10_000)
        assert (found.verdict, found.worse_on) == ("equivalent", [])

    def test_worse_names_the_classes_as_well(self) -> None:
        """And where nothing is known yet, none is named."""
        assert judge((10, 60), (0, 16)).worse_on == ["ok", "fraud"]
        assert judge((0, 0), (0, 0)).worse_on == []

    def test_labels_that_follow_the_answer_name_no_class(self) -> None:
        """Reported mistakes prove nothing, of any class."""
        classes = {"ok": Shown(), "fraud": shown_by((60, 0), (0, 20))}
        found = judge_paired((60, 0), (0, 20), classes=classes)
        assert (found.reason_code, found.worse_on) == ("labels_depend_on_answer", [])

    def test_many_classes_are_not_all_spelt_out(self) -> None:
        """Three are, and how many more there are."""
        classes: Mapping[str, Shown] = {
            f"c{n}": shown_by((0, 8), (0, 8)) if n < 5 else shown_by((60, 0), (60, 0))
            for n in range(8)
        }
        shown = sum(classes.values(), Shown())
        found = judge_paired((0, 0), (0, 0), shown=shown, classes=classes, disagreed=440)
        assert found.worse_on == [f"c{n}" for n in range(5)]
        assert "c2, v2 was right in 0 and v1 in 16; and so on for 2 more classes" in found.reason

    def test_equal_versions_are_seldom_said_to_be_worse_on_a_class(self) -> None:
        """Of 200 experiments looked at 40 times, in at most 5 % any of the classes is named."""
        rng, named = np.random.default_rng(9), 0
        for _ in range(200):
            drawn = rng.multinomial(12, [0.45, 0.45, 0.05, 0.05], size=40).cumsum(axis=0)
            named += any(
                harm.lost_votes(
                    {"ok": shown_by((a, b), (0, 0)), "fraud": shown_by((c, d), (0, 0))},
                    alpha=ALPHA,
                    margin=MARGIN,
                    names=("v1", "v2"),
                )
                for a, b, c, d in drawn.tolist()
            )
        assert named <= 10


class TestBalanced:
    def test_a_rare_class_counts_as_much_as_a_frequent_one(self) -> None:
        """One in ten of each class: the challenger gains more of the rare one than it loses."""
        ok, fraud, agreed = (0, 60), (24, 0), (1900, 76)
        assert judge(ok, fraud, agreed=agreed).verdict == "worse"
        assert judge(ok, fraud, agreed=agreed, metric=BALANCED, scored=400).verdict == "better"

    def test_the_estimate_is_the_difference_of_mean_recalls(self) -> None:
        """Where every request has a label, it is what counting gives."""
        found = judge((10, 30), (20, 5), agreed=(860, 75), metric=BALANCED, scored=1000)
        expected = ((10 - 30) / 900 + (20 - 5) / 100) / 2
        assert found.difference.estimate == pytest.approx(expected)
        assert found.difference.low < expected < found.difference.high

    def test_a_class_with_too_few_labels_is_named(self) -> None:
        """Its weight is not known, so nothing is: not even that they hardly differ."""
        for options in ({}, {"scored": 10_000}):
            found = judge((40, 5), (2, 3), metric=BALANCED, **options)
            assert (found.verdict, found.reason_code) == ("inconclusive", "class_unlabelled")
            assert "5 labels say that fraud is the truth" in found.reason
            assert found.labels_needed is None
            assert (found.difference.low, found.difference.high) == (-1, 1)

    def test_equal_recalls_are_seldom_judged(self) -> None:
        """Right more often where 80 % are, less often where 20 % are, by as much of each class: at
        most 5 of 100 experiments, looked at 30 times, end better or worse."""
        rng, ended = np.random.default_rng(10), 0
        # Recall +0.3 in one class, -0.3 in the other: balanced, they are equal.
        chances = [0.8 * 0.3, 0.8 * 0.7, 0.2 * 0.3, 0.2 * 0.7]
        for _ in range(100):
            looks = rng.multinomial(40, chances, size=30).cumsum(axis=0)
            ended += any(
                settled(Tally(challenger_only=a, both=n), Tally(control_only=b, both=m))
                for a, n, b, m in looks.tolist()
            )
        assert ended <= 5


def settled(ok: Tally, fraud: Tally) -> bool:
    """Whether the labels, half of them of each version's answers, decide in the balance."""
    classes = {
        name: Shown(control=tally * 0.5, challenger=tally * 0.5, units=tally.labelled)
        for name, tally in zip(CLASSES, (ok, fraud), strict=True)
    }
    evidence = Evidence(
        shown=sum(classes.values(), Shown()),
        disagreement=Disagreement(scored=0, disagreed=0, differed=int(ok.decided + fraud.decided)),
        classes=classes,
    )
    known = BALANCED.unknown(evidence.units) is None
    return known and evidence.votes(BALANCED, ALPHA).settled()


class TestUnpaired:
    """Each version by its own rows: the same questions without shadow."""

    def test_weights_move_the_verdict(self) -> None:
        """Fewer frauds found is worse, though more is right altogether."""
        classes = arms(ok=((2000, 1700), (2000, 1900)), fraud=((200, 180), (200, 100)))
        assert judge_arms(classes).verdict == "inconclusive"  # worse on fraud
        assert judge_arms(classes, metric=WEIGHED).verdict == "worse"
        cheap = Metric(kind="weights", classes=CLASSES, weights={"fraud": 1.5})
        assert judge_arms(classes, metric=cheap).verdict == "better"

    def test_the_estimate_is_the_weighed_difference(self) -> None:
        """Of weighed accuracy, and balanced of mean recall."""
        classes = arms(ok=((900, 810), (900, 855)), fraud=((100, 80), (100, 60)))
        by_weight = judge_arms(classes, metric=WEIGHED).difference
        expected = (900 * 0.05 + 20 * 100 * -0.2) / (900 + 20 * 100)
        assert by_weight.estimate == pytest.approx(expected)
        balanced = judge_arms(classes, metric=BALANCED).difference
        assert balanced.estimate == pytest.approx((0.05 - 0.2) / 2)

    def test_weights_of_one_are_no_weights(self) -> None:
        """The interval is the unweighed one, but for the caution about few wrong answers."""
        classes = arms(ok=((900, 810), (900, 855)), fraud=((100, 80), (100, 60)))
        ones = Metric(kind="weights", classes=CLASSES, weights={"fraud": 1.0})
        plain, weighed = judge_arms(classes), judge_arms(classes, metric=ones)
        assert weighed.difference.estimate == pytest.approx(plain.difference.estimate)
        assert weighed.difference.low == pytest.approx(plain.difference.low, abs=1e-3)
        assert weighed.e_value == pytest.approx(plain.e_value, rel=0.01)

    def test_better_is_withheld_where_a_class_is_found_less(self) -> None:
        """With both rates."""
        classes = arms(ok=((2000, 1700), (2000, 1900)), fraud=((21, 16), (15, 0)))
        found = judge_arms(classes)
        assert (found.verdict, found.reason_code) == ("inconclusive", "worse_on_class")
        assert found.worse_on == ["fraud"]
        assert "v2 was right in 0 of 15 and v1 in 16 of 21" in found.reason
        alike = arms(ok=((90_000, 88_000), (90_000, 88_050)), fraud=((21, 16), (15, 0)))
        assert judge_arms(alike).reason_code == "worse_on_class"
        fine = arms(ok=((90_000, 88_000), (90_000, 88_050)), fraud=((21, 16), (15, 12)))
        assert judge_arms(fine).verdict == "equivalent"

    @pytest.mark.parametrize("chosen", [WEIGHED, BALANCED])
    def test_a_class_that_weighs_needs_labels_in_each_arm(self, chosen: Metric) -> None:
        """Nothing is said of it before, and the class is named."""
        found = judge_arms(
            arms(ok=((500, 400), (500, 450)), fraud=((30, 20), (9, 6))), metric=chosen
        )
        assert (found.verdict, found.reason_code) == ("inconclusive", "class_unlabelled")
        assert "9 labels say that fraud is the truth" in found.reason
        assert found.e_value == 1 and found.labels_needed is None

    @pytest.mark.parametrize("chosen", [WEIGHED, BALANCED])
    def test_the_interval_covers_at_every_look(self, chosen: Metric) -> None:
        """In at least 95 of 100 experiments it never loses the true difference, where one class is
        rare and the versions differ in opposite ways."""
        rng, lost = np.random.default_rng(11), 0
        recalls, shares = np.array([[0.9, 0.8], [0.95, 0.6]]), [0.9, 0.1]
        weights = np.array([1.0, 20.0]) * shares if chosen is WEIGHED else np.array([0.5, 0.5])
        truth = float(weights / weights.sum() @ (recalls[1] - recalls[0]))
        for _ in range(100):
            n = rng.multinomial(100, shares, size=(24, 2))
            right = rng.binomial(n, recalls)
            looks = zip(n.cumsum(axis=0).tolist(), right.cumsum(axis=0).tolist(), strict=True)
            found = [
                judge_arms(
                    arms(
                        ok=((ns[0][0], ks[0][0]), (ns[1][0], ks[1][0])),
                        fraud=((ns[0][1], ks[0][1]), (ns[1][1], ks[1][1])),
                    ),
                    metric=chosen,
                ).difference
                for ns, ks in looks
            ]
            lost += not all(d.low <= truth <= d.high for d in found)
        assert lost <= 5


Counted = tuple[tuple[int, int], tuple[int, int]]


def arms(**classes: Counted) -> dict[str, tuple[Arm, Arm]]:
    """Return arms from ((labelled, correct) of the control, of the challenger) by class."""
    return {
        name: tuple(Arm(labelled=labelled, correct=correct) for labelled, correct in each)
        for name, each in classes.items()
    }


def judge_arms(classes: Mapping[str, tuple[Arm, Arm]], **options: object) -> Comparison:
    control, challenger = (sum((each[side] for each in classes.values()), Arm()) for side in (0, 1))
    both = Arms(control=control, challenger=challenger, classes=classes)
    return compare_unpaired(
        both, **{"alpha": ALPHA, "margin": MARGIN, "names": ("v1", "v2"), **options}
    )


class TestChosen:
    def test_a_class_is_named_by_its_name_or_number(self) -> None:
        """As in a label."""
        names, numbers = ("ok", "fraud, large"), (0, 7)
        found = metric.chosen("accuracy", {"7": 5.0, "ok": 2.0}, names=names, numbers=numbers)
        assert found.weights == {"fraud, large": 5, "ok": 2}
        with pytest.raises(ValueError, match="there is no class fruad; there are ok, fraud, large"):
            metric.chosen("accuracy", {"fruad": 5.0}, names=names, numbers=numbers)

    def test_equivalent_reckons_with_the_largest_weight(self) -> None:
        """What is rare enough at weight 1 is not at 20, and the reason says so."""
        assert judge((0, 0), (0, 0), scored=2_000).verdict == "equivalent"
        assert judge((0, 0), (0, 0), scored=2_000, metric=WEIGHED).verdict == "inconclusive"
        found = judge((0, 0), (0, 0), scored=60_000, metric=WEIGHED)
        assert found.verdict == "equivalent"
        assert "which weigh up to 20 times as much as others" in found.reason
