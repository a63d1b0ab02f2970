"""Where a feature's slider begins, ends and stops, worked out from its training range."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, NamedTuple

# A slider reaches this share of the training range beyond either end, so that one can try what
# the model has never seen.
BEYOND = 0.25
# Fine enough to be exact on measured data, coarse enough for the arrow keys.
STEPS = 500
# A feature that hardly varies still needs a slider with more than one stop: this part of its size.
NARROWEST = 1e-6
# Below this a float32, which is what the model sees, is as good as zero.
NOTHING = 1e-30


class Scale(NamedTuple):
    low: float
    high: float
    step: float
    decimals: int

    def snap(self, value: float) -> float:
        """Give the nearest stop; a slider accepts no value between two."""
        stop = round(round(value / self.step) * self.step, self.decimals)
        return min(max(stop, self.low), self.high)

    def known(self, feature: dict[str, Any]) -> tuple[float, float]:
        """Give the stops for the ends of the training range."""
        return self.snap(feature["min"]), self.snap(feature["max"])


def scale(feature: dict[str, Any], examples: list[float]) -> Scale:
    """Fit a scale to a feature and to the values its examples have."""
    known = [feature["min"], feature["max"], *examples]
    width = max(feature["max"] - feature["min"], abs(feature["max"]) * NARROWEST)
    width = width if width > NOTHING else 1.0
    decimals = min(max(map(_decimals, known)), _decimals(_round_step(width / STEPS)))
    step = max(_round_step(width / STEPS), 10.0**-decimals)
    low = math.floor((min(known) - BEYOND * width) / step) * step
    high = math.ceil((max(known) + BEYOND * width) / step) * step
    if feature["min"] >= 0:  # a measurement that is never negative
        low = max(low, 0.0)
    return Scale(round(low, decimals), round(high, decimals), round(step, decimals), decimals)


def _decimals(value: float) -> int:
    exponent = Decimal(str(value)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _round_step(width: float) -> float:
    """Give the largest of 1, 2 and 5 times a power of ten that is not above `width`."""
    power = 10.0 ** math.floor(math.log10(width))
    return float(f"{max(m for m in (1, 2, 5) if m * power <= width * (1 + 1e-9)) * power:.1g}")
