"""Evidence that holds however often and whenever one looks ("anytime-valid").

An e-value is large where a hypothesis is false; a true one lifts it above 1/alpha with probability
at most alpha, over all looks together (Ville's inequality). Start at `log_e_value`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

# A forecast beyond this many times the labels so far helps nobody.
MAX_FORECAST = 10_000


def log_e_value(successes: float, failures: float) -> float:
    """Log evidence against a fair coin: beta-binomial mixture with a uniform prior."""
    return log_beta(successes, failures) + (successes + failures) * math.log(2)


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
