"""Stop where a trained model is not as good as it must be: `make train MIN_ACCURACY=0.9`.

    irisab models --json | python3 accuracy.py MINIMUM

It judges the five-fold accuracy of the model that each version has now.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def judge(models: list[dict[str, Any]], minimum: float) -> list[str]:
    """Return the versions whose current model falls short, or has no accuracy at all."""
    return [
        model["version"]
        for model in models
        if model["current"] and not (model["accuracy"] or 0.0) >= minimum
    ]


def main(minimum: str) -> int:
    models = json.load(sys.stdin)
    poor = judge(models, float(minimum))
    if not any(model["current"] for model in models):
        print("accuracy: there is no model yet: make train", file=sys.stderr)
        return 1
    if poor:
        print(f"accuracy: below {minimum}, so this stops here: {', '.join(poor)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
