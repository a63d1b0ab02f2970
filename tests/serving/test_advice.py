"""The next step: typed as it is, it leads on, in every split."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from processes import write_config

from irisab import config
from irisab.serving.advice import Situation
from irisab.stats.comparison import Comparison, Difference, ReasonCode

FEEDBACK = "curl ..."
CONTROL_V2 = "\n\n[experiment]\ncontrol = v2"


def found(code: ReasonCode, verdict: str = "inconclusive", **changes: Any) -> Comparison:
    return Comparison(
        **{
            "verdict": verdict,
            "reason": "because.",
            "reason_code": code,
            "unit": "request",
            "worse_on": [],
            "disagreement_rate": 0.1,
            "scored": 90,
            "sampling_rate": 1.0,
            "labelled": 9,
            "challenger_right": 5,
            "control_right": 4,
            "e_value": 1.0,
            "difference": Difference(),
            "labels_needed": None,
            **changes,
        }
    )


BETTER, WORSE = found("proven", "better"), found("proven", "worse")
EQUIVALENT = found("rarely_differ", "equivalent")


def situation(**split: float) -> Situation:
    return Situation(
        control="v1",
        challenger="v2",
        split=split,
        spelled={"ok": "ok", "a, b": "7"},
        feedback=FEEDBACK,
    )


def lines(**split: float) -> str:
    return "\n".join(["[split]", *(f"{name} = {share:g}" for name, share in split.items())])


@pytest.mark.parametrize(
    ("comparison", "split", "expected"),
    [
        (BETTER, {"v1": 50, "v2": 50}, lines(v1=0, v2=100)),
        (BETTER, {"v1": 40, "v2": 30, "v3": 30}, lines(v1=0, v2=70, v3=30)),
        (BETTER, {"v1": 100, "v2": 0}, lines(v1=0, v2=100)),
        (WORSE, {"v1": 90, "v2": 10}, lines(v1=100, v2=0)),
        (WORSE, {"v1": 0, "v2": 100}, lines(v1=100, v2=0)),
        (EQUIVALENT, {"v1": 50, "v2": 50}, lines(v1=100, v2=0)),
        (EQUIVALENT, {"v1": 10, "v2": 90}, lines(v1=0, v2=100)),
        # What is left where the traffic has moved already: the loser scores for nothing.
        (BETTER, {"v1": 0, "v2": 100}, f"{lines(v2=100)}{CONTROL_V2}"),
        (BETTER, {"v1": 0, "v2": 0, "v3": 100}, f"{lines(v2=0, v3=100)}{CONTROL_V2}"),
        (WORSE, {"v1": 100, "v2": 0}, lines(v1=100)),
        (WORSE, {"v1": 60, "v2": 0, "v3": 40}, lines(v1=60, v3=40)),
        (EQUIVALENT, {"v1": 0, "v2": 100}, f"{lines(v2=100)}{CONTROL_V2}"),
        (found("no_traffic"), {"v1": 100, "v2": 0}, lines(v1=90, v2=10)),
        (found("no_traffic"), {"v1": 0, "v2": 100}, lines(v1=10, v2=90)),
        (found("no_traffic"), {"v1": 0, "v2": 0, "v3": 100}, lines(v1=10, v2=10, v3=80)),
        (found("no_traffic"), {"v1": 8, "v2": 0, **{f"v{n}": 92 / 8 for n in range(3, 11)}}, None),
        (found("rarely_shown"), {"v1": 98, "v2": 2}, lines(v1=50, v2=50)),
        (found("habit_possible"), {"v1": 33, "v2": 1, "v3": 66}, lines(v1=17, v2=17, v3=66)),
        (found("habit_possible"), {"v1": 50, "v2": 50}, FEEDBACK),
        (found("chance"), {"v1": 50, "v2": 50}, FEEDBACK),
        (found("fails_alone"), {"v1": 90, "v2": 10}, lines(v1=100, v2=0)),
        (found("fails_alone"), {"v1": 100, "v2": 0}, lines(v1=100)),
        (found("labels_depend_on_answer"), {"v1": 90, "v2": 10}, "irisab history > history.csv"),
        (
            found("worse_on_class", worse_on=["ok", "a, b"]),
            {"v1": 50, "v2": 50},
            "[experiment]\nweights = ok: 10, 7: 10",
        ),
    ],
)  # fmt: skip
def test_the_next_step_fits_the_split(
    comparison: Comparison, split: dict[str, float], expected: str | None, tmp_path: Path
) -> None:
    """It is what the reason asks for, and an INI with these lines is accepted."""
    step = situation(**split).next_step(comparison)
    assert expected is None or step == expected
    if step.startswith("["):
        text = step if "[split]" in step else f"{lines(**split)}\n{step}"
        accepted = config.load(write_config(tmp_path, tmp_path, text))
        assert sum(accepted.split.values()) == pytest.approx(100)


@pytest.mark.parametrize("code", get_args(ReasonCode))
def test_every_reason_has_a_next_step(code: ReasonCode) -> None:
    """Whatever the verdict says, there is something to do."""
    verdict = {"proven": "better", "rarely_differ": "equivalent", "within_margin": "equivalent"}
    comparison = found(code, verdict.get(code, "inconclusive"), worse_on=["ok"])
    assert situation(v1=90.0, v2=10.0).next_step(comparison)


@pytest.mark.parametrize("comparison", [BETTER, WORSE, EQUIVALENT])
def test_following_it_comes_to_an_end(comparison: Comparison) -> None:
    """Done twice, one version is left: no step undoes the one before."""
    split, seen = {"v1": 60.0, "v2": 40.0}, []
    while len(split) > 1:
        step = situation(**split).next_step(comparison)
        seen.append(step)
        rows = [line.split(" = ") for line in step.split("\n\n")[0].split("\n")[1:]]
        split = {name: float(share) for name, share in rows}
        assert len(seen) <= 2
    assert split == {"v2" if comparison.verdict == "better" else "v1": 100}


def test_a_share_with_odd_digits_stays_whole() -> None:
    """Sums of floats have digits that the INI would refuse."""
    step = situation(v1=33.3, v2=33.4, v3=33.3).next_step(BETTER)
    assert step == lines(v1=0, v2=66.7, v3=33.3)
