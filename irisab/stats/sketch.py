"""Quantiles of what was seen long ago, from counts that can be added up. See `quantile()`.

DDSketch (Masson, Rim and Lee, PVLDB 12, 2019): each bin is `GROWTH` times as wide as the one below,
so that a quantile is off by at most 5 % of itself, however many values there were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

GROWTH = 1.1
_LOG_GROWTH = math.log(GROWTH)
# Below a microsecond nothing is measured.
LEAST = 1e-6


def bin_of(value: float) -> int:
    """Return the number of the bin of a value: those from GROWTH**(bin - 1) to GROWTH**bin."""
    return math.ceil(math.log(max(value, LEAST)) / _LOG_GROWTH)


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the value below which a share of all lies, from counts by bin; None of nothing."""
    rank, seen = share * (sum(counts.values()) - 1), 0
    for number in sorted(counts):
        seen += counts[number]
        if seen > rank:
            return 2 * GROWTH**number / (GROWTH + 1)
    return None
