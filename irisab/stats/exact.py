"""Exact answers about counts, for a look that is taken once. Start at `sign_test()`.

What is looked at again and again belongs to `sequential`.
"""

from __future__ import annotations

import math


def sign_test(ahead: int, behind: int) -> float:
    """Return the two-sided p-value that a fair coin gives so uneven a count (McNemar, exact)."""
    trials = ahead + behind
    tail = sum(math.comb(trials, k) for k in range(min(ahead, behind) + 1))
    # Whole numbers until the end: 2**trials is beyond a float from 1,024 on.
    return min(1.0, 2 * tail / 2**trials) if tail * 2 < 2**trials else 1.0


def upper_bound(successes: int, trials: int, alpha: float) -> float:
    """Return the one-sided upper bound of a rate (Clopper and Pearson 1934)."""
    if successes >= trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        low, high = (rate, high) if _at_most(successes, trials, rate) > alpha else (low, rate)
    return high


def _at_most(successes: int, trials: int, rate: float) -> float:
    """Return the probability of at most so many successes, 0 < rate < 1."""
    logs = [
        math.lgamma(trials + 1)
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(rate)
        + (trials - k) * math.log1p(-rate)
        for k in range(successes + 1)
    ]
    return math.fsum(map(math.exp, logs))
