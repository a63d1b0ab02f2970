"""What the versions that were not chosen say of the same rows. Start at `score_in_shadow()`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest

from irisab.model.answer import Row
from irisab.serving.prepared import Prepared, ServedVersion, Vote, answers

# Different combinations of what the versions said; few, unless there are many classes.
VOTES_MEMO = 4096


def _shadow(arm: ServedVersion, rows: Sequence[Row]) -> Sequence[int]:
    """Return the classes another version gives; none where it fails, which is counted."""
    try:
        return [index for index, _ in answers(arm, rows)]
    except Exception:
        arm.shadow_errors.inc(len(rows))
        return ()


def score_in_shadow(
    serving: Prepared,
    arm: ServedVersion,
    rows: Sequence[Row],
    predictions: Sequence[int],
    forced: bool,
) -> list[str]:
    """Let the other versions score the same rows; count and render who said what."""
    shadow = serving.snapshot.config.experiment.shadow and not forced
    columns = [
        predictions if other is arm else _shadow(other, rows) if shadow else ()
        for other in serving.arms.values()
    ]
    texts = []
    for said in zip_longest(*columns):
        vote = serving.votes.get(said) or _new_vote(serving, said)
        texts.append(vote.text)
        for counter in vote.disagreements:
            counter.inc()
    return texts


def _new_vote(serving: Prepared, said: tuple[int | None, ...]) -> Vote:
    by_version = dict(zip(serving.arms, said, strict=True))
    known = {name: each for name, each in by_version.items() if each is not None}
    control = known.get(serving.revision.control)
    vote = Vote(
        text=json.dumps(known),
        disagreements=tuple(
            arm.disagreements
            for name, arm in serving.arms.items()
            if arm.disagreements is not None
            and control is not None
            and known.get(name, control) != control
        ),
    )
    if len(serving.votes) >= VOTES_MEMO:
        serving.votes.clear()
    serving.votes[said] = vote
    return vote
