"""Answers to JSON bytes. Start at `Encoder`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from irisab.model.answer import Answer

# Rendered probabilities worth keeping: forests give few different ones, other models never stop.
MEMO = 4096


class Encoder:
    """Renders the answers of one version; what never changes is prepared here.

    A template costs a fifth of `json.dumps`. Names are rendered by `json.dumps` all the same.
    """

    def __init__(
        self, version: str, *, class_names: Sequence[str], class_numbers: Sequence[int]
    ) -> None:
        self._version = json.dumps(version)
        self._names = [json.dumps(name) for name in class_names]
        self._numbers = class_numbers
        self._memo: dict[Answer, tuple[str, str, str]] = {}

    def one(self, scored: Answer, *, timestamp: str, latency_ms: float, request_id: str) -> bytes:
        """Render the answer to a single row."""
        number, name, probabilities = self._memo.get(scored) or self._render(scored)
        return (
            f'{{"prediction":{number},"model_version":{self._version},'
            f'"timestamp":"{timestamp}","latency_ms":{latency_ms:.3f},'
            f'"class_name":{name},"probabilities":{probabilities},"request_id":"{request_id}"}}'
        ).encode()

    def many(
        self,
        answers: Sequence[Answer],
        *,
        timestamp: str,
        latency_ms: float,
        request_id: str,
    ) -> bytes:
        """Render the answer to a batch."""
        known = self._memo.get
        rendered = [known(scored) or self._render(scored) for scored in answers]
        numbers, names, probabilities = map(",".join, zip(*rendered, strict=True))
        return (
            f'{{"predictions":[{numbers}],"model_version":{self._version},'
            f'"timestamp":"{timestamp}","latency_ms":{latency_ms:.3f},'
            f'"class_names":[{names}],"probabilities":[{probabilities}],'
            f'"request_id":"{request_id}"}}'
        ).encode()

    def _render(self, scored: Answer) -> tuple[str, str, str]:
        """Return number, name and probabilities, and remember them."""
        index, probabilities = scored
        # repr of a float is JSON, and the shortest text that reads back as the same float.
        listed = f"[{','.join(map(repr, probabilities))}]"
        rendered = str(self._numbers[index]), self._names[index], listed
        if len(self._memo) >= MEMO:
            self._memo.clear()
        self._memo[scored] = rendered
        return rendered
