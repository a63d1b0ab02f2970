"""Draw the pictures of the pages: `make figures`.

Those of the course are in figures_forest and figures_change. Each of docs/verdict.md follows many
simulated experiments whose truth is known. Every label is looked at by three tests: the textbook
z-test, irisab without shadow, and irisab with shadow, and a line shows how many experiments a test
has decided after so many labels. What was decided when is kept in figures.json, so that
tests/test_figures.py can tell whether pictures and table are still those of this irisab.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import figures_change
import figures_forest
import numpy as np

from irisab.stats.paired import Disagreement, Evidence, compare_paired
from irisab.stats.tally import Arm, Shown, Tally
from irisab.stats.unpaired import Arms, compare_unpaired

ALPHA, MARGIN = 0.05, 0.01
EXPERIMENTS, EVERY, LABELS = 400, 25, 5000
HERE = Path(__file__).parent
SIMULATED = HERE / "figures.json"
# Of each world and test, the labels after which each experiment was first decided, inf if never.
Decided = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class World:
    """What both versions answer to one labelled request; the rest they get right together."""

    challenger_only: float
    control_only: float
    neither: float
    control_share: float = 0.5

    def looks(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield counts so far, shape (2, 4): shown control or challenger; as in Tally."""
        both = 1 - self.challenger_only - self.control_only - self.neither
        outcome = np.array([both, self.challenger_only, self.control_only, self.neither])
        shown = np.array([self.control_share, 1 - self.control_share])
        drawn = rng.multinomial(EVERY, np.outer(shown, outcome).ravel(), size=LABELS // EVERY)
        yield from drawn.cumsum(axis=0).reshape(-1, 2, 4)


def z_test(counts: np.ndarray) -> bool:
    """Tell whether the textbook's test of two proportions says p < 0.05."""
    (n, k), (m, j) = arms(counts)
    pooled = (k + j) / max(n + m, 1)
    error = math.sqrt(pooled * (1 - pooled) * (1 / max(n, 1) + 1 / max(m, 1)))
    return error > 0 and abs(k / max(n, 1) - j / max(m, 1)) > 1.959964 * error


def without_shadow(counts: np.ndarray) -> bool:
    control, challenger = (Arm(labelled=n, correct=k) for n, k in arms(counts))
    both = Arms(control=control, challenger=challenger)
    answer = compare_unpaired(both, alpha=ALPHA, margin=MARGIN)
    return answer.verdict in ("better", "worse")


def with_shadow(counts: np.ndarray) -> bool:
    tallies = [
        Tally(both=both, challenger_only=challenger, control_only=control, neither=neither)
        for both, challenger, control, neither in counts.tolist()
    ]
    disagreed = sum(tally.decided for tally in tallies)
    scored = int(counts.sum())
    evidence = Evidence(
        shown=Shown(control=tallies[0], challenger=tallies[1]),
        disagreement=Disagreement(scored=scored, disagreed=disagreed, differed=disagreed),
    )
    answer = compare_paired(evidence, alpha=ALPHA, margin=MARGIN)
    return answer.verdict in ("better", "worse")


def arms(counts: np.ndarray) -> list[tuple[int, int]]:
    """Return (labelled, correct) of the control's and the challenger's own requests."""
    both, challenger, control, _ = counts.T.tolist()
    return [
        (int(counts[0].sum()), both[0] + control[0]),
        (int(counts[1].sum()), both[1] + challenger[1]),
    ]


TESTS = {"z-test": z_test, "without shadow": without_shadow, "with shadow": with_shadow}


def decided(world: World, *, seed: int, experiments: int = EXPERIMENTS) -> dict[str, np.ndarray]:
    """Return per test the labels after which each experiment was first decided, inf if never."""
    rng = np.random.default_rng(seed)
    first = {name: np.full(experiments, np.inf) for name in TESTS}
    for i in range(experiments):
        for counts in world.looks(rng):
            for name, test in TESTS.items():
                if np.isinf(first[name][i]) and test(counts):
                    first[name][i] = counts.sum()
    return first


def worlds() -> Iterator[tuple[str, World, int]]:
    """Yield the name, the truth and the seed of each world."""
    yield "equal", World(challenger_only=0.035, control_only=0.035, neither=0.015), 1
    for only_challenger, only_control in ((0.05, 0.0), (0.06, 0.01), (0.1, 0.05)):
        for share in (0.5, 0.9):
            name = (
                f"{only_challenger + only_control:.0%}, {share * 100:.0f}/{100 - share * 100:.0f}"
            )
            world = World(
                challenger_only=only_challenger,
                control_only=only_control,
                neither=0.05 - only_control,
                control_share=share,
            )
            yield name, world, 2


def simulate() -> None:
    """Write what all experiments come to; the rest is drawn from that."""
    found = {
        name: {
            test: [int(n) if np.isfinite(n) else None for n in first]
            for test, first in decided(world, seed=seed).items()
        }
        for name, world, seed in worlds()
    }
    SIMULATED.write_text(json.dumps(found) + "\n")


def simulated() -> Decided:
    """Read what `simulate` wrote."""
    return {
        name: {
            test: np.array([np.inf if n is None else n for n in first])
            for test, first in tests.items()
        }
        for name, tests in json.loads(SIMULATED.read_text()).items()
    }


@dataclass(frozen=True, kw_only=True)
class Line:
    label: str
    colour: str
    first: np.ndarray
    dashed: bool = False


def chart(title: str, lines: list[Line], *, top: int, y_title: str, guide: float = 0) -> str:
    """Return an SVG of the share of experiments decided, over the labels seen."""
    left, right, head, foot, width, height = 62, 220, 44, 46, 800, 360
    x = lambda n: left + n / LABELS * (width - left - right)  # noqa: E731
    y = lambda share: height - foot - share * 100 / top * (height - head - foot)  # noqa: E731
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="24" font-size="16" font-weight="600">{escape(title)}</text>',
    ]
    for percent in range(0, top + 1, top // 4):
        at = y(percent / 100)
        out.append(f'<path d="M{left} {at:.1f}H{width - right}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{percent} %</text>')
    for n in range(0, LABELS + 1, 1000):
        out.append(f'<text x="{x(n):.1f}" y="{height - 26}" text-anchor="middle">{n:,}</text>')
    out.append(
        f'<text x="{x(LABELS / 2):.1f}" y="{height - 8}" text-anchor="middle">labels so far</text>'
        f'<text x="16" y="{(height - foot + head) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 16 {(height - foot + head) / 2})">{escape(y_title)}</text>'
    )
    if guide:
        out.append(
            f'<path d="M{left} {y(guide):.1f}H{width - right}" stroke="#888" '
            f'stroke-dasharray="2 4"/><text x="{left + 6}" y="{y(guide) - 5:.1f}" fill="#666">'
            f"promised: at most {guide:.0%}</text>"
        )
    taken: list[float] = []
    for line in sorted(lines, key=lambda line: -(line.first <= LABELS).mean()):
        steps = np.arange(0, LABELS + 1, EVERY * 2)
        share = [(line.first <= n).mean() for n in steps]
        path = " ".join(f"{x(n):.1f},{y(s):.1f}" for n, s in zip(steps, share, strict=True))
        dash = ' stroke-dasharray="7 4"' if line.dashed else ""
        out.append(
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" '
            f'stroke-width="2.5"{dash}/>'
        )
        at = max([y(share[-1]) + 4, *(above + 17 for above in taken)])
        taken.append(at)
        out.append(
            f'<text x="{width - right + 8}" y="{at:.1f}" fill="{line.colour}">'
            f"{escape(line.label)}: {share[-1]:.0%}</text>"
        )
    return "\n".join([*out, "</svg>", ""])


COLOURS = {"z-test": "#c0392b", "without shadow": "#2471a3", "with shadow": "#1e8449"}


def draw_peeking() -> str:
    lines = [
        Line(label=name, colour=COLOURS[name], first=first)
        for name, first in simulated()["equal"].items()
    ]
    title = "Two equally good versions, looked at every 25 labels"
    return chart(title, lines, top=40, y_title="a winner was declared", guide=ALPHA)


def draw_pairing() -> str:
    """Draw the second of the three worlds."""
    found = simulated()
    lines = [
        Line(
            label=f"{name}, {split}",
            colour=COLOURS[name],
            first=found[f"7%, {split}"][name],
            dashed=split != "50/50",
        )
        for split in ("50/50", "90/10")
        for name in ("with shadow", "without shadow")
    ]
    title = "A real difference: 95 % right against 90 %, differing on 7 % of requests"
    return chart(title, lines, top=100, y_title="difference found")


def medians() -> list[str]:
    """Return the end of each line of the page's table: labels with shadow, without, their ratio."""
    rows = []
    for name, first in simulated().items():
        paired, unpaired = (np.median(first[test]) for test in ("with shadow", "without shadow"))
        if name != "equal":
            rows.append(f"| {paired:,.0f} | {unpaired:,.0f} | {unpaired / paired:.1f} |")
    return rows


# By their path below docs/.
PICTURES: Mapping[str, Callable[[], str]] = {
    "figures/peeking.svg": draw_peeking,
    "figures/pairing.svg": draw_pairing,
    "course/figures/petals.svg": figures_forest.draw_petals,
    "course/figures/iris.svg": figures_forest.draw_iris,
    "course/figures/tree.svg": figures_forest.draw_tree,
    "course/figures/votes.svg": figures_forest.draw_votes,
    "course/figures/rollout.svg": figures_change.draw_rollout,
    "course/figures/drift.svg": figures_change.draw_drift,
    "course/figures/loop.svg": figures_change.draw_loop,
}


def main() -> None:
    simulate()
    for path, draw in PICTURES.items():
        (HERE / path).write_text(draw())
    print("for the table of docs/verdict.md:", *medians(), sep="\n")


if __name__ == "__main__":
    main()
