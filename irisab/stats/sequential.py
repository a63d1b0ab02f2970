"""Evidence that holds however often and whenever one looks ("anytime-valid").

An e-value is large where a hypothesis is false; a true one lifts it above 1/alpha with probability
at most alpha, over all looks together (Ville's inequality). Start at `log_e_value`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

# A forecast beyond this many times the labels so far helps nobody.
MAX_FORECAST = 10_000
# Any set of bets fixed beforehand is fair. These are what a uniform prior would place, fine enough
# that a hundred thousand votes lose nothing by it.
BETS: NDArray[np.float64] = (np.arange(2000) + 0.5) / 1000 - 1
STAKES: NDArray[np.float64] = (np.arange(250) + 0.5) / 250

# The weight of a class, and how often each side was right where it is the truth.
Vote = tuple[float, float, float]


def log_e_value(successes: float, failures: float) -> float:
    """Log evidence against a fair coin: beta-binomial mixture with a uniform prior."""
    return log_beta(successes, failures) + (successes + failures) * math.log(2)


def log_e_votes(votes: Sequence[Vote], heaviest: float) -> float:
    """Log evidence that what one side wins, weighed, is not what the other wins.

    A mixture of bets: with bet b a win in a class of weight w multiplies the stake by
    1 + b w / heaviest, a loss by 1 - b w / heaviest. If the weighed wins are worth the weighed
    losses nobody gains by it, whatever the rates within each class. No weight is above `heaviest`,
    which must not depend on the votes. Where all weigh as much it is `log_e_value`.
    """
    seen = [vote for vote in votes if vote[1] or vote[2]]
    if all(weight == heaviest for weight, *_ in seen):
        return log_e_value(sum(wins for _, wins, _ in seen), sum(lost for *_, lost in seen))
    capital = np.zeros_like(BETS)
    for weight, wins, losses in seen:
        bet = BETS * (weight / heaviest)
        capital += wins * np.log1p(bet) + losses * np.log1p(-bet)
    return _log_mean(capital)


def log_e_two_rates(one: tuple[float, float], two: tuple[float, float]) -> float:
    """Log evidence that two rates differ, from (failures, successes) of each.

    Universal inference (Wasserman, Ramdas and Balakrishnan, PNAS 2020): a uniform mixture over two
    rates against the likeliest single one.
    """
    failures, successes = (a + b for a, b in zip(one, two, strict=True))
    total = failures + successes or 1
    return (
        log_beta(*one)
        + log_beta(*two)
        - xlogy(failures, failures / total)
        - xlogy(successes, successes / total)
    )


def rate_bounds(successes: int, trials: int, alpha: float) -> tuple[float, float]:
    """Anytime-valid bounds of a rate: those the beta-binomial mixture has not refuted yet.

    Robbins' confidence sequence: the rates p whose likelihood is above alpha times the mixture's.
    """
    failures = trials - successes
    limit = log_beta(successes, failures) + math.log(alpha)

    def refuted(p: float) -> bool:
        return xlogy(successes, p) + xlogy(failures, 1 - p) <= limit

    seen = successes / trials if trials else 0.5
    low = 0.0 if not refuted(0.0) else _boundary(refuted, 0.0, seen)
    high = 1.0 if not refuted(1.0) else _boundary(refuted, 1.0, seen)
    return low, high


def mean_bounds(values: Sequence[tuple[float, float]], alpha: float) -> tuple[float, float]:
    """Anytime-valid bounds of the mean of a quantity from -1 to 1, given as (value, times seen).

    The means against which no mixture of bets has won 1/alpha (Waudby-Smith and Ramdas, JRSSB
    2024, section 4: half of the stake is on a larger mean, half on a smaller one).
    """
    seen = sum(value * times for value, times in values) / sum(times for _, times in values)

    def refuted(mean: float) -> bool:
        larger, smaller = np.zeros_like(STAKES), np.zeros_like(STAKES)
        for value, times in values:
            larger += times * np.log1p(STAKES * (value - mean) / (1 + mean))
            smaller += times * np.log1p(-STAKES * (value - mean) / (1 - mean))
        return _log_mean(np.concatenate([larger, smaller])) >= -math.log(alpha)

    edge = 1 - 1e-9
    low = -1.0 if seen <= -edge or not refuted(-edge) else _boundary(refuted, -edge, seen)
    high = 1.0 if seen >= edge or not refuted(edge) else _boundary(refuted, edge, seen)
    return low, high


def forecast(settled: Callable[[float], bool], labels: int) -> int | None:
    """Find how many further labels settle it, as the rates seen so far promise."""
    if not settled(MAX_FORECAST):
        return None
    few, enough = labels - 1, labels * MAX_FORECAST
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if settled(middle / labels) else (middle, enough)
    return enough - labels


def _boundary(refuted: Callable[[float], bool], outside: float, inside: float) -> float:
    """Bisect to the last rate on the refuted side: the bounds err on the wide side."""
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if refuted(middle) else (outside, middle)
    return outside


def _log_mean(logs: NDArray[np.float64]) -> float:
    top = logs.max()
    return float(top + np.log(np.exp(logs - top).mean()))


def log_beta(a: float, b: float) -> float:
    """Log of the integral of p^a (1-p)^b over p from 0 to 1."""
    return math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2)


def xlogy(x: float, y: float) -> float:
    if not x:
        return 0.0
    return x * math.log(y) if y > 0 else -math.inf


def e_value(x: float) -> float:
    """e**x, at most about 1e300: JSON and Prometheus need a finite number."""
    return math.exp(min(x, 690.0))
