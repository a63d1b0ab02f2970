"""Reports as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from irisab.cli.typed import typed
from irisab.serving.report import NOT_ENOUGH, OK, WARNING

# More are in --json.
CLASSES = 20

Json = Mapping[str, Any]


def drift_text(drift: Json, *, now: datetime) -> str:
    """Render a drift report for a terminal; `now` knows its zone."""
    bar, moment = "=" * 50, now.isoformat(timespec="seconds").replace("+00:00", "Z")
    head = [bar, f"Drift Detection Report - {moment}", bar]
    return "\n".join([*head, *_drift_lines(drift), bar])


def _drift_lines(drift: Json) -> list[str]:
    if drift["status"] == NOT_ENOUGH:
        return [f"Status: {NOT_ENOUGH} ({drift['rows']} of {drift['window']} rows)"]
    threshold = drift["threshold"]
    lines = [
        f"Drift Score: {drift['score']:.2f}{_mark(drift['score'], drift['limit'], threshold)}",
        f"Threshold: {threshold:.2f}",
        f"Status: {drift['status']}",
        "",
        *_advice(drift),
    ]
    width = max(map(len, drift["features"]))
    return lines + [
        f"{name:<{width}}  {score:.2f}{_mark(score, drift['limits'][name], threshold)}"
        for name, score in drift["features"].items()
    ]


def _mark(score: float, limit: float, threshold: float) -> str:
    """Say which line warns, and why one does not that is above the threshold."""
    if score > limit:
        return f"  above {limit:.2f}"
    return f"  chance alone reaches {limit:.2f}" if score > threshold else ""


_ADVICE = {
    OK: ["✅ No significant drift detected."],
    WARNING: [
        "⚠️  WARNING: Potential model drift detected!",
        "   Consider retraining the model with recent data.",
    ],
}


def _advice(drift: Json) -> list[str]:
    """Say what to do; where something is done already, say that."""
    lines = _ADVICE[drift["status"]]
    if drift["status"] == WARNING and drift.get("candidate"):
        return [lines[0], f"   A candidate is under way: {drift['candidate']} has learned from it."]
    return lines


def verdict_text(experiment: Json, comparison: Json, *, config: Path) -> str:
    """Render the comparison of one challenger for a terminal; `config` is named in what to do."""
    challenger, control = comparison["challenger"], experiment["control"]
    lines = [
        f"{challenger} against {control} (revision {experiment['revision']})",
        f"Verdict: {comparison['verdict']}",
        f"  {comparison['reason']}",
        *next_lines(comparison["next"], config),
        *_pair_lines(comparison, control, experiment["versions"][control]),
        "In this split alone:",
        *(_version_line(name, experiment["versions"][name]) for name in (control, challenger)),
        *_class_lines(experiment["versions"], (control, challenger)),
    ]
    if not experiment["sample_ratio"]["ok"]:
        lines.append("Users are not spread as the split says: find out why before you decide")
    return "\n".join(lines)


def next_lines(step: str, config: Path) -> list[str]:
    if step.startswith("["):
        indented = [f"  {line}".rstrip() for line in step.split("\n")]
        return [f"Next, in {config}:", *indented, f"then: {typed(config, 'reload')}"]
    if step.startswith("irisab "):
        return [f"Next: {typed(config, step.removeprefix('irisab '))}"]
    return [f"Next: {step}"]


def _pair_lines(comparison: Json, control: str, version: Json) -> Iterator[str]:
    low, high = comparison["difference"]["low"], comparison["difference"]["high"]
    rate, unit = comparison["disagreement_rate"], comparison["unit"]
    # Without shadow each version is judged by what it answered since the split.
    paired = comparison["challenger_right"] is not None
    yield "In every split so far:" if paired else "In this split:"
    yield f"  {comparison['labelled']} labels"
    compared = f"Accuracy of {comparison['challenger']} minus {control}"
    if version["per_class"] is None:  # a regression
        compared = f"{comparison['challenger']} is closer more often by"
    yield f"  {compared}: {low:+.2%} to {high:+.2%}"
    yield f"  Evidence (e-value): {comparison['e_value']:.3g}"
    if rate is not None:
        yield f"  They disagree {'for' if unit == 'user' else 'on'} {rate:.2%} of {unit}s"
    sampled = comparison["sampling_rate"]
    if sampled is not None and sampled < 1:
        scored = f"{sampled:.1%} of the newest requests"
        yield f"  Both scored {scored}; labels of the others tell nothing"
    if comparison["labels_needed"]:
        yield f"  Labels needed at these rates: about {comparison['labels_needed']} more"


def _version_line(name: str, version: Json) -> str:
    right = ""
    if version["mae"] is not None:
        right = f", MAE {version['mae']:.4g}, RMSE {version['rmse']:.4g}"
    elif version["labelled"]:
        right = f", {version['accuracy']:.2%} right"
    p95 = version["latency_ms"]["p95"]
    latency = "" if p95 is None else f", p95 {p95:.2f} ms"
    return (
        f"  {name}: {version['requests']} requests, {version['errors']} errors{latency}, "
        f"{version['labelled']} labels{right}"
    )


def _class_lines(versions: Json, names: Sequence[str]) -> Iterator[str]:
    """Say what each version has found of each class that labels name."""
    per_class = [versions[name]["per_class"] or {} for name in names]
    labelled = [
        each for each in per_class[0] if any(classes[each]["labelled"] for classes in per_class)
    ]
    for each in labelled[:CLASSES]:
        counts = [(name, classes[each]) for name, classes in zip(names, per_class, strict=True)]
        recalls = [_recall(name, count) for name, count in counts if count["labelled"]]
        yield f"  where the truth is {each}: {', '.join(recalls)}"
    if more := labelled[CLASSES:]:
        yield f"  ... and {len(more)} more classes: see --json"


def _recall(name: str, counts: Json) -> str:
    return f"{name} right in {counts['correct']} of {counts['labelled']}"


def rollout_text(
    rollout: Json,
    written: Json,
    effective: Json,
    *,
    title: str,
    config: Path,
    permanent: bool,
) -> str:
    """Render where a rollout is; `permanent` where the INI file should say what it has come to."""
    version, state = rollout["version"], rollout["state"]
    words = {"step": f"step {rollout['step']} of {len(rollout['steps'])}"}
    lines = [
        f"{title} {version}: {words.get(state, state.replace('_', ' '))}, since {rollout['since']}",
        f"  {rollout['reason']}",
    ]
    if rollout["hold"]:
        lines.append(f"  It waits: {rollout['hold']}")
    lines.append(f"Split: {_split(effective)}")
    if effective != written:
        lines.append(f"  ([split] in {config} says {_split(written)})")
    if state == "paused":
        verbs = [typed(config, f"rollout {verb}") for verb in ("resume", "promote", "abort")]
        lines += ["Next, one of:", *(f"  {verb}" for verb in verbs)]
    if permanent:
        text = f"[split]\n{version} = 100\n\n[experiment]\ncontrol = {version}"
        lines += ["To make it permanent:", *next_lines(text, config)]
    return "\n".join(lines)


def _split(shares: Json) -> str:
    return ", ".join(f"{name} {share:g} %" for name, share in shares.items())
