"""Answers to JSON bytes. Start at `Encoder`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from irisab.model.answer import Answer

# Bytes of rendered probabilities worth keeping: forests give few different ones, other models
# never stop, and with a thousand classes a single one has 20 kB.
MEMO_BYTES = 1 << 20
# What an entry takes beside its text.
ENTRY_BYTES = 500


class Encoder:
    """Renders the answers of one version; what never changes is prepared here.

    A template costs a fifth of `json.dumps`. Names are rendered by `json.dumps` all the same.
    A version without classes answers with numbers: a regression.
    """

    def __init__(
        self, version: str, *, class_names: Sequence[str], class_numbers: Sequence[int]
    ) -> None:
        self._version = json.dumps(version)
        self._names = [json.dumps(name) for name in class_names]
        self._numbers = class_numbers
        self._memo: dict[Answer, tuple[str, str, str]] = {}
        self._memo_bytes = 0

    def one(
        self,
        scored: Answer,
        timestamp: str,
        latency_ms: float,
        request_id: str,
        more: str = "",
    ) -> bytes:
        """Render the answer to a single row; `more` is what else it has, such as ,"id":"a"."""
        if not self._names:
            return (
                f'{{"prediction":{scored[0]!r},"model_version":{self._version},'
                f'"timestamp":"{timestamp}","latency_ms":{latency_ms:.3f},'
                f'"request_id":"{request_id}"{more}}}'
            ).encode()
        number, name, probabilities = self._memo.get(scored) or self._render(scored)
        return (
            f'{{"prediction":{number},"model_version":{self._version},'
            f'"timestamp":"{timestamp}","latency_ms":{latency_ms:.3f},'
            f'"class_name":{name},"probabilities":{probabilities},'
            f'"request_id":"{request_id}"{more}}}'
        ).encode()

    def many(
        self,
        answers: Sequence[Answer],
        timestamp: str,
        latency_ms: float,
        request_id: str,
        more: str = "",
    ) -> bytes:
        """Render the answer to a batch."""
        classes = ""
        if self._names:
            known = self._memo.get
            rendered = [known(scored) or self._render(scored) for scored in answers]
            said, names, probabilities = map(",".join, zip(*rendered, strict=True))
            classes = f'"class_names":[{names}],"probabilities":[{probabilities}],'
        else:
            said = ",".join(repr(value) for value, _ in answers)
        return (
            f'{{"predictions":[{said}],"model_version":{self._version},'
            f'"timestamp":"{timestamp}","latency_ms":{latency_ms:.3f},'
            f'{classes}"request_id":"{request_id}"{more}}}'
        ).encode()

    def _render(self, scored: Answer) -> tuple[str, str, str]:
        """Return number, name and probabilities, and remember them."""
        index, probabilities = scored
        # repr of a float is JSON, and the shortest text that reads back as the same float.
        listed = f"[{','.join(map(repr, probabilities))}]" if probabilities else "null"
        rendered = str(self._numbers[index]), self._names[index], listed
        size = ENTRY_BYTES + len(listed) + 40 * len(probabilities)
        self._memo_bytes += size
        if self._memo_bytes > MEMO_BYTES:
            self._memo.clear()
            self._memo_bytes = size
        self._memo[scored] = rendered
        return rendered
