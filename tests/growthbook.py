"""Print what GrowthBook's gbstats says to the cases of test_verdict.py: `make growthbook`.

gbstats 0.8.0, the newest on PyPI, asks for numpy below 2, so it gets an environment of its own.
"""

from __future__ import annotations

from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import ProportionStatistic
from test_verdict import TestFormulas

for control, challenger, alpha, *_ in TestFormulas.GROWTHBOOK:
    result = SequentialTwoSidedTTest(
        ProportionStatistic(n=control[0], sum=control[1]),
        ProportionStatistic(n=challenger[0], sum=challenger[1]),
        SequentialConfig(alpha=alpha, difference_type="absolute", sequential_tuning_parameter=2000),
    ).compute_result()
    print(control, challenger, alpha, *(float(x) for x in (*result.ci, result.p_value)))
