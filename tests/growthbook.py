"""What GrowthBook's gbstats says to the cases below: `make growthbook` asks it again.

gbstats 0.8.0, the newest on PyPI, asks for numpy below 2 and pandas below 2, so it can't be
installed beside irisab and gets an environment of its own.
"""

from __future__ import annotations

from math import isclose

# SequentialTwoSidedTTest on ProportionStatistic, difference_type "absolute", tuned to 2,000 labels.
# Control and challenger (labelled, correct), alpha; low, high and p-value as gbstats gave them.
CASES = (
    ((1000, 900), (1000, 950), 0.05, 0.014409019792954, 0.085590980207046, 9.316637281579e-4),
    ((250, 240), (30, 20), 0.05, -0.604474760560072, 0.017808093893405, 0.072723953028703),
    ((90000, 81000), (10000, 9200), 0.05, 0.009980834117257, 0.030019165882743, 8.632451771714e-10),
    ((600, 300), (400, 260), 0.01, 0.036594888209919, 0.263405111790081, 1.548032045768e-4),
    ((5000, 4985), (5000, 4990), 0.025, -0.002386257225683, 0.004386257225683, 1.0),
)


def main() -> None:
    """Fail where gbstats says anything else."""
    from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
    from gbstats.models.statistics import ProportionStatistic

    for control, challenger, alpha, *recorded in CASES:
        result = SequentialTwoSidedTTest(
            ProportionStatistic(n=control[0], sum=control[1]),
            ProportionStatistic(n=challenger[0], sum=challenger[1]),
            SequentialConfig(
                alpha=alpha, difference_type="absolute", sequential_tuning_parameter=2000
            ),
        ).compute_result()
        found = [float(value) for value in (*result.ci, result.p_value)]
        print(control, challenger, alpha, *found)
        assert all(isclose(a, b, rel_tol=1e-9) for a, b in zip(found, recorded, strict=True))


if __name__ == "__main__":
    main()
