"""Reports as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from irisab.serving.report import NOT_ENOUGH, OK, WARNING


def drift_text(drift: Mapping[str, Any], *, now: datetime) -> str:
    """Render a drift report for a terminal."""
    bar = "=" * 50
    head = [bar, f"Drift Detection Report - {now.isoformat(timespec='seconds')}", bar]
    return "\n".join([*head, *_drift_lines(drift), bar])


def _drift_lines(drift: Mapping[str, Any]) -> list[str]:
    if drift["status"] == NOT_ENOUGH:
        return [f"Status: {NOT_ENOUGH} ({drift['rows']} of {drift['window']} rows)"]
    lines = [
        f"Drift Score: {drift['score']:.2f}",
        f"Threshold: {drift['threshold']:.2f}",
        f"Status: {drift['status']}",
        "",
        *_ADVICE[drift["status"]],
    ]
    width = max(map(len, drift["features"]))
    return lines + [f"{name:<{width}}  {value:.2f}" for name, value in drift["features"].items()]


_ADVICE = {
    OK: ["✅ No significant drift detected."],
    WARNING: [
        "⚠️  WARNING: Potential model drift detected!",
        "   Consider retraining the model with recent data.",
    ],
}


def verdict_text(experiment: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    """Render the comparison of one challenger for a terminal."""
    challenger, control = comparison["challenger"], experiment["control"]
    low, high = comparison["difference"]["low"], comparison["difference"]["high"]
    lines = [
        f"{challenger} against {control} (revision {experiment['revision']})",
        f"Verdict: {comparison['verdict']}",
        f"  {comparison['reason']}",
        f"Accuracy of {challenger} minus {control}: {low:+.2%} to {high:+.2%}",
        f"Evidence (e-value): {comparison['e_value']:.3g}",
    ]
    if comparison["disagreement_rate"] is not None:
        lines.append(f"They disagree on {comparison['disagreement_rate']:.2%} of requests")
    if comparison["labels_needed"]:
        lines.append(f"Labels needed at these rates: about {comparison['labels_needed']} more")
    lines += [_version_line(name, experiment["versions"][name]) for name in (control, challenger)]
    if not experiment["sample_ratio"]["ok"]:
        lines.append("Users are not spread as the split says: find out why before you decide")
    return "\n".join(lines)


def _version_line(name: str, version: Mapping[str, Any]) -> str:
    right = f", {version['accuracy']:.2%} right" if version["labelled"] else ""
    p95 = version["latency_ms"]["p95"]
    latency = "" if p95 is None else f", p95 {p95:.2f} ms"
    return (
        f"  {name}: {version['requests']} requests, {version['errors']} errors{latency}, "
        f"{version['labelled']} labels{right}"
    )
