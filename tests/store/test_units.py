"""Who counts as one: the user, else the request. However often somebody asks or labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import AGREE, DIFFER, prediction, revision

from irisab.store import counters
from irisab.store.history import History
from irisab.store.recorder import Recorder

Record = Callable[..., bytes]


def agreement(history: History) -> tuple[int, int, int]:
    found = history.agreement("hash-1", "hash-2")
    return found["scored"], found["disagreed"], found["differed"]


def units(history: History) -> dict[int, int]:
    """Return how many users (or requests) have their first label in each class."""
    tallies = history.class_tally("hash-1", "hash-2")
    return {
        label: sum(each["units"] for each in shown.values()) for label, shown in tallies.items()
    }


def test_a_user_who_asks_again_and_again_counts_once(history: History, record: Record) -> None:
    """The rate of disagreement is of users; whoever gives no name is somebody new each time."""
    for _ in range(1300):
        record([AGREE], user_id="ann")
    assert agreement(history) == (1, 0, 0)
    assert history.has_users("hash-1", "hash-2")
    record([DIFFER], user_id="bob")
    record([DIFFER], user_id="bob")
    record([DIFFER])
    record([AGREE])
    assert agreement(history) == (4, 2, 2)


def test_requests_without_a_name_are_units(history: History, record: Record) -> None:
    """Nothing changes for who sends no user ids, and the report says that requests count."""
    for votes in ([AGREE], [DIFFER], [AGREE, DIFFER]):
        record(votes)
    assert agreement(history) == (3, 1, 2)
    assert not history.has_users("hash-1", "hash-2")


def test_a_user_may_differ_later(history: History, record: Record) -> None:
    """The first request tells whether they disagree; that one differs is noticed in any, once."""
    record([AGREE], user_id="ann")
    assert agreement(history) == (1, 0, 0)
    record([AGREE, DIFFER], user_id="ann")
    record([DIFFER], user_id="ann")
    assert agreement(history) == (1, 0, 1)


def test_a_flush_with_many_requests_of_a_user_counts_the_first(
    history: History, writer: Recorder
) -> None:
    """What is written together is counted in its order, as if it came one by one."""
    for votes in ([AGREE], [DIFFER], [AGREE]):
        writer.record(prediction(votes, user_id="ann"))
        writer.record(prediction(votes[::-1], user_id="bob"))
    writer.flush()
    assert agreement(history) == (2, 0, 2)


def test_a_user_is_new_to_another_pair(history: History, writer: Recorder, record: Record) -> None:
    """Another challenger begins with nobody; another split of the same models goes on."""
    writer.announce(revision("r2", split={"v1": 90.0, "v2": 10.0}))
    writer.announce(revision("r3", models={"v1": "hash-1", "v2": "hash-3"}))
    for name in ("r1", "r2", "r3"):
        record([DIFFER], user_id="ann", revision=name)
    assert agreement(history) == (1, 1, 1)
    assert history.agreement("hash-1", "hash-3")["scored"] == 1


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "ann", "bob", "cy"]),
            st.lists(st.booleans(), min_size=1, max_size=3),
            st.booleans(),
        ),
        max_size=15,
    )
)
def test_agreement_is_what_a_recount_gives(
    tmp_path_factory: pytest.TempPathFactory,
    requests: Sequence[tuple[str | None, Sequence[bool], bool]],
) -> None:
    """Whoever asks what, and whenever it is written, each unit counts by the rules."""
    path = tmp_path_factory.mktemp("units") / "history.sqlite3"
    writer, history = Recorder(path, keep_rows=3), History(path)
    writer.announce(revision())
    first: dict[object, bool] = {}
    differed: set[object] = set()
    for number, (user, rows, flush) in enumerate(requests):
        writer.record(prediction([DIFFER if each else AGREE for each in rows], user_id=user))
        if flush:
            writer.flush()
        unit = user or number
        first.setdefault(unit, rows[0])
        differed |= {unit} if any(rows) else set()
    writer.flush()
    assert agreement(history) == (len(first), sum(first.values()), len(differed))
    writer.close()
    history.close()


def test_the_first_label_of_a_user_counts(history: History, record: Record) -> None:
    """For the shares of the classes, and for a version's own rows: a unit has one label."""
    for user, labels in (
        ("ann", [0, 1, 1]),
        ("ann", [1, 1, 1]),
        (None, [2, 0, 0]),
        (None, [0] * 3),
    ):
        history.label(record([AGREE] * 3, user_id=user), labels)
    assert units(history) == {0: 2, 1: 0, 2: 1}
    counts = history.class_counts("r1")["v1"]
    assert {label: (each["units"], each["units_correct"]) for label, each in counts.items()} == {
        0: (2, 2),
        1: (0, 0),
        2: (1, 0),
    }
    assert history.has_labellers("r1")


def test_labels_of_a_version_are_counted_by_class(history: History, record: Record) -> None:
    """All rows, of any user: what adds up to labelled and correct."""
    history.label(record([AGREE, DIFFER, AGREE], user_id="ann"), [0, 1, 2])
    history.label(record([AGREE], user_id="ann"), [0])
    history.label(record([DIFFER], version="v2"), [1])
    history.label(record([AGREE], forced=True), [0])
    counts = history.class_counts("r1")
    found = {
        version: {label: (each["labelled"], each["correct"]) for label, each in classes.items()}
        for version, classes in counts.items()
    }
    assert found == {"v1": {0: (2, 2), 1: (1, 0), 2: (1, 0)}, "v2": {1: (1, 1)}}
    assert not history.has_labellers("r2")


def test_the_tally_by_class_is_the_tally(history: History, record: Record) -> None:
    """Each vote is in both, and seen from the other side in both."""
    for user, votes, label in (
        ("ann", DIFFER, 0),
        ("ann", DIFFER, 1),
        ("bob", DIFFER, 1),
        (None, DIFFER, 2),
        (None, AGREE, 0),
        (None, AGREE, 1),
    ):
        history.label(record([votes], user_id=user), [label])
    for pair in (("hash-1", "hash-2"), ("hash-2", "hash-1")):
        whole = history.tally(*pair)["hash-1"]
        parts = [each["hash-1"] for each in history.class_tally(*pair).values()]
        assert {name: sum(part[name] for part in parts) for name in whole} == whole
    by_class = history.class_tally("hash-1", "hash-2")
    assert (by_class[0]["hash-1"]["control_only"], by_class[1]["hash-1"]["challenger_only"]) == (
        1,
        1,
    )
    assert by_class[2]["hash-1"]["neither_differ"] == 1


def test_a_pair_knows_only_so_many_users(
    history: History, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table ends somewhere: a user beyond is no longer counted, but for a difference, which is
    counted each time rather than never."""
    monkeypatch.setattr(counters, "MOST_USERS", 2)
    for user in ("ann", "bob", "cy"):
        record([AGREE], user_id=user)
    assert agreement(history) == (2, 0, 0)
    label = record([DIFFER], user_id="ann")
    beyond = [record([DIFFER], user_id="cy") for _ in range(2)]
    assert agreement(history) == (2, 0, 3)
    for each in (label, *beyond):
        history.label(each, [1])
    tally = history.tally("hash-1", "hash-2")["hash-1"]
    assert tally["challenger_only"] == 1
    assert units(history) == {1: 1}
    record([DIFFER])
    assert agreement(history) == (3, 1, 4)
