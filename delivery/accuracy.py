"""Stop where a trained model is not as good as it must be: `make train MIN_ACCURACY=0.9`.

    python3 accuracy.py MODELS MINIMUM

It judges the five-fold accuracy of each version in the folder MODELS: of the thirty rows that are
held out when Iris is trained, one more or less is 3 %.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def accuracies(models: Path) -> dict[str, float]:
    """Return the accuracy (0 to 1) of each version's current model."""
    found = {}
    for manifest in sorted(models.glob("*/current/manifest.json")):
        found[manifest.parts[-3]] = float(json.loads(manifest.read_text())["cv_accuracy"])
    return found


def main(models: str, minimum: str) -> int:
    found = accuracies(Path(models))
    if not found:
        print(f"accuracy: there is no model in {models}: make train", file=sys.stderr)
        return 1
    for version, accuracy in found.items():
        print(f"Model {version}: five-fold accuracy {accuracy:.4f}, at least {minimum} wanted")
    poor = [version for version, accuracy in found.items() if accuracy < float(minimum)]
    if poor:
        print(f"accuracy: not good enough to go on with: {', '.join(poor)}", file=sys.stderr)
    return 1 if poor else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
