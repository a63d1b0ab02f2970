"""Evidence: a label is kept once, counted once, and never forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import AGREE, DIFFER, prediction, revision

from irisab.store.history import History
from irisab.store.recorder import Recorder

NOBODY = dict.fromkeys(("both", "challenger_only", "control_only", "neither", "neither_differ"), 0)

Record = Callable[..., bytes]


def test_a_label_is_kept(history: History, record: Record) -> None:
    """It is in its row, and counted for the version that answered."""
    wrong, right, other = record(), record(), record([DIFFER], version="v2")
    record()
    assert history.label(wrong, [2]) is True
    assert history.label(right, [0]) is True
    assert history.label(other, [1]) is True
    assert [row["label"] for row in history.rows()] == [2, 0, 1, None]
    counts = history.version_counts("r1")
    assert {name: (each["labelled"], each["correct"]) for name, each in counts.items()} == {
        "v1": (2, 1),
        "v2": (1, 1),
    }


def test_the_same_label_again_changes_nothing(history: History, record: Record) -> None:
    """Reporting is idempotent: a client may repeat what it is not sure of."""
    each = record([DIFFER])
    assert history.label(each, [1]) is True
    before = (history.version_counts("r1"), history.tally("hash-1", "hash-2"))
    assert history.label(each, [1]) is False
    assert (history.version_counts("r1"), history.tally("hash-1", "hash-2")) == before


@pytest.mark.parametrize(("first", "second"), [([1, 1], [1, 2]), ([0, 0], [2, 2])])
def test_another_label_is_refused(
    first: list[int], second: list[int], history: History, record: Record
) -> None:
    """The first one stays, in the row and in the counts."""
    each = record([DIFFER, AGREE])
    history.label(each, first)
    before = history.tally("hash-1", "hash-2")
    with pytest.raises(ValueError, match=str(first[0])):
        history.label(each, second)
    assert [row["label"] for row in history.rows()] == first
    assert history.tally("hash-1", "hash-2") == before


@pytest.mark.parametrize("labels", [[], [0, 0]])
def test_what_is_not_known_cannot_be_labelled(
    labels: list[int], history: History, record: Record
) -> None:
    """Neither an unknown request nor another number of rows changes anything."""
    each = record()
    with pytest.raises(LookupError):
        history.label(each, labels)
    with pytest.raises(LookupError):
        history.label(bytes(16), [0])
    assert [row["label"] for row in history.rows()] == [None]


@pytest.mark.parametrize("shown", ["v1", "v2"])
def test_the_tally_says_who_was_right(shown: str, history: History, record: Record) -> None:
    """Five outcomes, counted under the model that was shown; seen from the other one as well."""
    for votes, label, times in (
        *((AGREE, 0, 1), (AGREE, 1, 2), (DIFFER, 0, 3)),
        *((DIFFER, 1, 4), (DIFFER, 2, 5)),
    ):
        for _ in range(times):
            history.label(record([votes], version=shown), [label])
    hashes = {"v1": "hash-1", "v2": "hash-2"}
    rest = {"both": 1, "neither": 2, "neither_differ": 5}
    assert history.tally("hash-1", "hash-2") == {
        hashes[shown]: {**rest, "control_only": 3, "challenger_only": 4}
    }
    assert history.tally("hash-2", "hash-1") == {
        hashes[shown]: {**rest, "control_only": 4, "challenger_only": 3}
    }


def test_a_user_has_one_vote(history: History, record: Record) -> None:
    """Of all labelled disagreements of a user one is evidence; agreements and requests without a
    user all count."""
    for user in ("ann", "ann", "bob", None, None):
        history.label(record([DIFFER], user_id=user), [1])
        history.label(record([AGREE], user_id=user), [0])
    assert history.tally("hash-1", "hash-2") == {
        "hash-1": NOBODY | {"both": 5, "challenger_only": 4}
    }
    assert history.version_counts("r1")["v1"]["labelled"] == 10


def test_a_vote_is_for_a_pair_of_models(history: History, record: Record, writer: Recorder) -> None:
    """Another split of the same models gives no second vote, another challenger does."""
    models = {"v1": "hash-1", "v2": "hash-2", "v3": "hash-3"}
    writer.announce(revision("r2", models=models))
    history.label(record([DIFFER], user_id="ann"), [1])
    votes = {"v1": 0, "v2": 1, "v3": 1}
    history.label(record([votes], user_id="ann", revision="r2", version="v3"), [1])
    assert history.tally("hash-1", "hash-2") == {"hash-1": NOBODY | {"challenger_only": 1}}
    assert history.tally("hash-1", "hash-3") == {"hash-3": NOBODY | {"challenger_only": 1}}


def test_versions_of_one_model_share_a_vote(
    history: History, record: Record, writer: Recorder
) -> None:
    """Two challengers with the same model do not make two labels of one."""
    models = {"v1": "hash-1", "v2": "hash-2", "v3": "hash-2"}
    writer.announce(revision("r2", models=models))
    history.label(record([{"v1": 0, "v2": 1, "v3": 1}], revision="r2"), [1])
    assert history.tally("hash-1", "hash-2") == {"hash-1": NOBODY | {"challenger_only": 1}}


def test_a_batch_has_one_vote(history: History, record: Record) -> None:
    """Rows of one request are not independent: its first labelled disagreement counts."""
    history.label(record([AGREE, DIFFER, DIFFER, AGREE, DIFFER]), [0, 1, 0, 2, 0])
    assert history.tally("hash-1", "hash-2") == {
        "hash-1": NOBODY | {"both": 1, "challenger_only": 1, "neither": 1}
    }
    assert history.version_counts("r1")["v1"]["labelled"] == 5
    assert history.version_counts("r1")["v1"]["correct"] == 3


def test_a_failed_shadow_is_no_outcome(history: History, record: Record) -> None:
    """Where a version did not score, the pair learns nothing and the answer is still judged."""
    history.label(record([{"v1": 0}]), [0])
    assert history.tally("hash-1", "hash-2") == {}
    assert history.version_counts("r1")["v1"]["correct"] == 1


def test_forced_rows_are_no_evidence(history: History, record: Record) -> None:
    """Who chose the version takes no part: the label is kept, and not counted."""
    each = record([DIFFER], forced=True)
    assert history.label(each, [1]) is True
    assert history.label(each, [1]) is False
    assert history.tally("hash-1", "hash-2") == {}
    counts = history.version_counts("r1").get("v1", {"labelled": 0})
    assert counts["labelled"] == 0


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["v1", "v2"]),
            st.sampled_from([None, "ann", "bob"]),
            st.lists(st.sampled_from([*product((0, 1, 2), repeat=3)]), min_size=1, max_size=3),
        ),
        max_size=12,
    )
)
def test_the_evidence_is_what_a_recount_gives(
    tmp_path_factory: pytest.TempPathFactory,
    requests: Sequence[tuple[str, str | None, Sequence[tuple[int, int, int]]]],
) -> None:
    """Whatever is asked and labelled, the tally is what counting by the rules gives."""
    path = tmp_path_factory.mktemp("recount") / "history.sqlite3"
    writer, history = Recorder(path, keep_rows=1000), History(path)
    writer.announce(revision())
    expected: dict[str, dict[str, int]] = {}
    voted = set()
    for shown, user, rows in requests:
        item = prediction(
            [{"v1": one, "v2": two} for one, two, _ in rows], version=shown, user_id=user
        )
        writer.record(item)
        writer.flush()
        history.label(item.request_id, [label for _, _, label in rows])
        tally = expected.setdefault({"v1": "hash-1", "v2": "hash-2"}[shown], dict(NOBODY))
        used = False
        for one, two, label in rows:
            alone = {one: "control_only", two: "challenger_only"}
            if one == two:
                tally["both" if one == label else "neither"] += 1
            elif not used:
                used = True
                if user is None or user not in voted:
                    voted.add(user)
                    tally[alone.get(label, "neither_differ")] += 1
    found = history.tally("hash-1", "hash-2")
    writer.close()
    history.close()
    assert found == {shown: each for shown, each in expected.items() if any(each.values())}


def test_evidence_survives_pruning(history: History, writer: Recorder, record: Record) -> None:
    """Rows are cut off, counts are not: a verdict is about everything that ever happened."""
    each = record([DIFFER], user_id="ann")
    history.label(each, [1])
    evidence = [
        lambda: history.tally("hash-1", "hash-2"),
        lambda: history.agreement("hash-1", "hash-2"),
        lambda: history.version_counts("r1"),
        lambda: history.user_counts("r1"),
    ]
    before = [read() for read in evidence]
    writer.keep_rows = 1
    writer.record(prediction([DIFFER], forced=True))
    writer.flush()
    assert history.find(each) is None
    assert [read() for read in evidence] == before
    with pytest.raises(LookupError):
        history.label(each, [1])
    history.label(record([DIFFER], user_id="ann"), [1])
    assert history.tally("hash-1", "hash-2") == before[0]
