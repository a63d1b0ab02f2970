"""Whether users are spread over the versions as the split says."""

from __future__ import annotations

import math
from collections.abc import Mapping

# A sample-ratio mismatch is a fault of the set-up, so it must be beyond doubt.
SAMPLE_RATIO_LIMIT = 1_000.0


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
