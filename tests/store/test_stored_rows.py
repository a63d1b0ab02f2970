"""Rows of any types through the history and back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traffic import prediction, revision

from irisab.store import export
from irisab.store.history import History
from irisab.store.recorder import Recorder
from irisab.store.rows import decode, encoder

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.floats(allow_infinity=False),
    "boolean": st.sampled_from([0.0, 1.0, math.nan]),
    "category": st.none() | st.text(),
    "text": st.none() | st.text(),
}
rows = st.lists(st.sampled_from(sorted(VALUES)), min_size=1).flatmap(
    lambda types: st.tuples(st.just(types), st.tuples(*(VALUES[each] for each in types)))
)


@given(rows)
def test_a_row_comes_back_as_it_was(case: tuple[list[str], tuple[Any, ...]]) -> None:
    """To the last bit and character, with its gaps."""
    types, row = case
    for blob in encoder(types)([row, row]):
        assert [*map(repr, decode(blob, types))] == [*map(repr, row)]


MIXED = {
    "features": ["age", "alone", "port"],
    "types": ("number", "boolean", "category"),
}


@pytest.fixture
def mixed(path, history: History) -> Any:
    writer = Recorder(path, keep_rows=1000)
    writer.announce(revision(**MIXED))
    yield writer
    writer.close()


def test_rows_with_text_are_read_back(mixed: Recorder, history: History) -> None:
    """In the drift window they are objects, in the training rows cells that train reads."""
    mixed.record(prediction(rows=[[22.5, 1.0, "C"]]))
    mixed.record(prediction(rows=[[math.nan, 0.0, None]]))
    mixed.flush()
    window = history.window(10, features=MIXED["features"], types=MIXED["types"])
    assert window.shape == (2, 3) and window[1].tolist() == [22.5, 1.0, "C"]
    assert math.isnan(window[0, 0]) and window[0, 2] is None
    for row in [*history.rows()]:
        assert history.label(row["request_id"], [0])
    assert [*export.training_rows(history)] == [
        ["age", "alone", "port", "label"],
        [22.5, "true", "C", "a"],
        ["", "false", "", "a"],
    ]


def test_rows_of_other_types_are_not_mixed(mixed: Recorder, history: History) -> None:
    """A column that was a number before it became a category is another column."""
    mixed.record(prediction(rows=[[22.5, 1.0, "C"]]))
    numbers = revision("r2", features=MIXED["features"], types=("number", "boolean", "number"))
    mixed.announce(numbers)
    mixed.record(prediction(rows=[[1.0, 0.0, 3.0]], revision="r2"))
    mixed.flush()
    assert history.window(10, features=MIXED["features"]).tolist() == [[1.0, 0.0, 3.0]]
    assert len([*export.prediction_rows(history)]) == 2
