"""Requests and answers: what is accepted, what is said of the rest, and that JSON is JSON."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisab.errors import RequestError, TooLarge
from irisab.model.schema import Feature
from irisab.serving import payload
from irisab.serving.encoder import ENTRY_BYTES, MEMO_BYTES, Encoder
from irisab.serving.payload import Parser

NAMES = ["sepal_length", "petal length (cm)", "c"]
LISTED = "sepal_length, petal length (cm), c"


def number(name: str, **options: Any) -> Feature:
    return Feature(name=name, unit=None, min=0.0, max=1.0, mean=0.5, **options)


PARSER = Parser([number(name) for name in NAMES], max_rows=3)
FLOAT32_MAX = float(np.finfo(np.float32).max)

accepted = st.integers(-(10**30), 10**30) | st.floats(-FLOAT32_MAX, FLOAT32_MAX)
rows = st.lists(accepted, min_size=3, max_size=3)
users = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)


def parse(value: Any) -> payload.PredictRequest:
    return PARSER.prediction(json.dumps(value).encode())


# -- accepted -------------------------------------------------------------------------------


@given(rows)
def test_a_row_is_read_to_the_last_bit(row: list[float]) -> None:
    """What the client sent is what the model gets, as floats, in the model's order."""
    expected = payload.PredictRequest([[float(each) for each in row]], True, None, None)
    assert parse({"features": row}) == expected
    by_name = dict(reversed([*zip(NAMES, row, strict=True)]))
    assert parse({"features": by_name}) == expected
    assert all(type(each) is float for each in parse({"features": row}).rows[0])


@given(st.lists(rows, min_size=1, max_size=3), users, st.text())
def test_a_batch_is_read_with_its_options(batch: list[Any], user: str, version: str) -> None:
    """A list of rows is a batch, also of one; options may be there or not, or null."""
    found = parse({"model_version": version, "features": batch, "user_id": user})
    floats = [[float(each) for each in row] for row in batch]
    assert found == payload.PredictRequest(floats, False, user, version)
    assert parse({"features": batch, "user_id": None, "model_version": None}).user_id is None


@pytest.mark.parametrize("value", [FLOAT32_MAX, -FLOAT32_MAX, int(FLOAT32_MAX), 0, -0.0, 5e-324])
def test_the_ends_of_float32_are_accepted(value: float) -> None:
    """Every finite number that float32 can hold is a feature."""
    assert parse({"features": [value, 1, 2]}).rows[0][0] == value


@given(st.floats() | st.integers() | st.booleans() | st.none() | st.text() | st.lists(st.floats()))
def test_exactly_the_finite_numbers_of_float32_are_accepted(value: Any) -> None:
    """No NaN, no infinity, no text of digits, no true: scikit-learn would take them all."""
    body = json.dumps({"features": [0.0, value, 1.0]}).encode()
    fits = type(value) in (int, float) and math.isfinite(value) and abs(value) <= FLOAT32_MAX
    if fits:
        assert PARSER.prediction(body).rows == [[0.0, float(value), 1.0]]
    else:
        with pytest.raises(RequestError):
            PARSER.prediction(body)


# -- refused --------------------------------------------------------------------------------

BAD: dict[str, tuple[bytes, str]] = {
    # not JSON
    "not JSON": (b"features=1", "the body is not JSON: Expecting value (line 1, column 1)"),
    "nothing": (b" ", "the body is not JSON: Expecting value (line 1, column 2)"),
    "two values": (b"{} {}", "the body is not JSON: Extra data (line 1, column 4)"),
    "cut off": (b'{"features": [1, 2', "the body is not JSON: Expecting ',' delimiter (line 1, c"),
    "NaN": (b'{"features": [NaN, 1, 2]}', "the body is not JSON: NaN is not a JSON number"),
    "infinite": (b'{"features": [-Infinity, 1, 2]}', "not JSON: -Infinity is not a JSON number"),
    "latin-1": ('{"features": "ü"}'.encode("latin-1"), "the body is not UTF-8 text (byte 14)"),
    "utf-16": ('{"features": [1, 2, 3]}'.encode("utf-16"), "the body is not UTF-8 text (byte 0)"),
    "surrogate bytes": (b'{"user_id": "\xed\xa0\x80"}', "the body is not UTF-8 text (byte 13)"),
    "deep": (b"[" * 100_000, "the body is nested too deeply"),
    "deep objects": (b'{"features":' * 100_000, "the body is nested too deeply"),
    "digits": (b'{"features": [%s, 1, 2]}' % (b"9" * 5000), "a number with too many digits"),
    # not an object
    "a list": (
        b"[1, 2, 3]",
        'the body must be a JSON object, such as {"features": [...]}, not a l',
    ),
    "null": (b"null", ", not null"),
    "text": (b'"x"', ", not text"),
    "true": (b"true", ", not true or false"),
    "a number": (b"1.5", ", not a number"),
    # features
    "no features": (b"{}", f"'features' is missing: send the 3 values {LISTED}"),
    "null features": (b'{"features": null}', "'features' must be a list or an object of values,"),
    "text features": (b'{"features": "1,2,3"}', "must be a list or an object of values, not text"),
    "no values": (b'{"features": []}', f"'features' has 0 values, the model needs 3: {LISTED}"),
    "short": (b'{"features": [1, 2]}', f"'features' has 2 values, the model needs 3: {LISTED}"),
    "long": (b'{"features": [1, 2, 3, 4]}', "'features' has 4 values, the model needs 3"),
    "text cell": (
        b'{"features": [1, "2", 3]}',
        "'features': petal length (cm) must be a number, n",
    ),
    "true cell": (
        b'{"features": [true, 2, 3]}',
        "sepal_length must be a number, not true or false",
    ),
    "null cell": (b'{"features": [1, 2, null]}', "'features': c must be a number, not null"),
    "list cell": (b'{"features": [1, [2], 3]}', "petal length (cm) must be a number, not a list"),
    "object cell": (b'{"features": [1, {}, 3]}', "must be a number, not an object"),
    "1e39": (
        b'{"features": [1, 2, 1e39]}',
        "c is too large: the model computes with numbers up to",
    ),
    "-1e999": (b'{"features": [-1e999, 2, 3]}', "sepal_length is too large"),
    "huge": (b'{"features": [1, %s, 3]}' % (b"9" * 4000), "petal length (cm) is too large"),
    # by name
    "no name": (b'{"features": {}}', f"'features' has no 'sepal_length'; the model needs {LISTED}"),
    "missing name": (b'{"features": {"sepal_length": 1, "c": 1}}', "has no 'petal length (cm)'"),
    "unknown name": (
        b'{"features": {"sepal_length": 1, "petal length (cm)": 1, "c": 1, "\\ud800\\n": 1}}',
        f"'features' has an unknown '\\ud800\\n'; the model knows {LISTED}",
    ),
    # batches
    "no values in a row": (b'{"features": [[]]}', "'features' row 0 has 0 values, the model needs"),
    "a short row": (b'{"features": [[1, 2, 3], [1]]}', "'features' row 1 has 1 values, the model"),
    "a row that is none": (
        b'{"features": [[1, 2, 3], 4]}',
        "row 1 must be a list as row 0 is, not a number",
    ),
    "a row by name": (
        b'{"features": [[1, 2, 3], {}]}',
        "row 1 must be a list as row 0 is, not an object",
    ),
    "a bad cell": (b'{"features": [[1, 2, 3], [1, 2, "x"]]}', "'features' row 1: c must be a num"),
    "rows by name": (b'{"features": [{"a": 1}]}', "row 0 has no 'sepal_length'; the model needs"),
    # options
    "unknown key": (
        b'{"features": [1, 2, 3], "feature": 1}',
        "unknown key 'feature': there are features, user_id, id and model_version",
    ),
    "long key": (b'{"features": [], "%s": 1}' % (b"k" * 999), "unknown key '%s...'" % ("k" * 61)),
    "user number": (
        b'{"features": [1, 2, 3], "user_id": 5}',
        "'user_id' must be text, not a number",
    ),
    "empty user": (b'{"features": [1, 2, 3], "user_id": ""}', "'user_id' must have 1 to 128 char"),
    "long user": (b'{"features": [1, 2, 3], "user_id": "%s"}' % (b"u" * 129), "must have 1 to 128"),
    "half a user": (
        b'{"features": [1, 2, 3], "user_id": "\\udc00"}',
        "half a character (a lone su",
    ),
    "version number": (
        b'{"features": [1, 2, 3], "model_version": 1}',
        "'model_version' must be text, not a number",
    ),
}


def refusal(error: pytest.ExceptionInfo[RequestError]) -> str:
    """Return the sentence, which must be one line that any terminal and JSON can carry."""
    sentence = str(error.value)
    assert sentence.isprintable()
    assert len(sentence) < 300
    sentence.encode("ascii")
    return sentence


@pytest.mark.parametrize(("body", "reason"), BAD.values(), ids=BAD)
def test_a_bad_request_gets_a_sentence(body: bytes, reason: str) -> None:
    """Each kind of mistake has a sentence of its own that says what would be right."""
    with pytest.raises(RequestError) as caught:
        PARSER.prediction(body)
    assert reason in refusal(caught)
    assert caught.value.status == 400


def test_a_batch_may_come_by_name() -> None:
    """A list of objects is a batch, in any order of the names."""
    row = dict(zip(NAMES, (1, 2.5, 3), strict=True))
    request = PARSER.prediction(
        json.dumps({"features": [row, dict(reversed(row.items()))]}).encode()
    )
    assert request.rows == [[1.0, 2.5, 3.0]] * 2 and not request.single


MIXED = Parser(
    [
        number("age", missing=True),
        number("fare"),
        number("alone", type="boolean", missing=True),
        number("port", type="category", categories=("C", "Q", "7"), missing=True),
        number("deck", type="category", categories=("A", "B")),
        number("name", type="text"),
    ],
    max_rows=10,
)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([22, 7.25, True, "C", "A", "Owen"], [22.0, 7.25, 1.0, "C", "A", "Owen"]),
        ([22, 7.25, 0, "unseen", "A", ""], [22.0, 7.25, 0.0, "unseen", "A", ""]),
        ([1, 2, 1.0, 7, "A", "x"], [1.0, 2.0, 1.0, "7", "A", "x"]),
    ],
)
def test_values_have_the_types_of_their_features(row: list[Any], expected: list[Any]) -> None:
    """Numbers are floats, booleans 1 or 0, categories text: an unseen one, too, and a code."""
    (parsed,) = MIXED.prediction(json.dumps({"features": row}).encode()).rows
    assert parsed == expected and [*map(type, parsed)] == [*map(type, expected)]


def test_null_is_a_gap_where_there_may_be_one() -> None:
    """A missing number or boolean is NaN, a missing category None."""
    row = [None, 7.25, None, None, "A", "Owen"]
    (parsed,) = MIXED.prediction(json.dumps({"features": row}).encode()).rows
    assert math.isnan(parsed[0]) and math.isnan(parsed[2]) and parsed[3] is None


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (1, None, "fare must be a number, not null"),
        (1, True, "fare must be a number, not true or false"),
        (0, "22", "age must be a number, not text"),
        (2, 2, "alone must be true or false, not a number"),
        (2, "yes", "alone must be true or false, not text"),
        (3, 3, "port must be text such as 'C', 'Q', '7', not a number"),
        (4, None, "deck must be text such as 'A', 'B', not null"),
        (5, 5, "name must be text, not a number"),
        (5, "x" * 10_001, "name has 10001 characters, the limit is 10000"),
        (5, "\ud800", "name holds half a character"),
    ],
)
def test_another_type_gets_a_sentence(place: int, value: Any, reason: str) -> None:
    """It names the feature, what it must be and what was sent."""
    row: list[Any] = [22, 7.25, True, "C", "A", "Owen"]
    row[place] = value
    with pytest.raises(RequestError) as error:
        MIXED.prediction(json.dumps({"features": row}).encode())
    assert reason in str(error.value)


def test_an_answer_may_be_a_number_or_have_no_probabilities() -> None:
    """A regression answers its value; a classifier without predict_proba says null."""
    stamp = {"timestamp": "now", "latency_ms": 0.5, "request_id": "id"}
    regression = Encoder("v1", class_names=[], class_numbers=[])
    assert json.loads(regression.one((152.3, ()), **stamp)) == {
        "prediction": 152.3, "model_version": "v1", **stamp,
    }  # fmt: skip
    assert json.loads(regression.many([(1.5, ()), (2.0, ())], **stamp))["predictions"] == [1.5, 2.0]
    voting = Encoder("v1", class_names=["a", "b"], class_numbers=[0, 1])
    assert json.loads(voting.one((1, ()), **stamp))["probabilities"] is None
    assert json.loads(voting.many([(1, ())] * 2, **stamp))["probabilities"] == [None, None]


def test_too_many_rows_are_refused() -> None:
    """The limit is the configuration's, and rows are not looked at beyond it."""
    with pytest.raises(TooLarge) as caught:
        parse({"features": [[1, 2, 3]] * 3 + [["x"]]})
    assert "'features' has 4 rows, the limit is 3" in refusal(caught)
    assert caught.value.status == 413


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)
keys = st.sampled_from(["features", "user_id", "model_version", "request_id", "label", "labels"])
bodies = st.dictionaries(keys | st.text(max_size=3), values).map(lambda v: json.dumps(v).encode())


@given(bodies | values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20))
def test_no_body_gives_another_error(body: bytes) -> None:
    """Whatever comes is accepted or refused as the client's mistake."""
    for read in (PARSER.prediction, payload.feedback):
        try:
            read(body)
        except RequestError as error:
            assert error.status in (400, 413)


# -- feedback -------------------------------------------------------------------------------

REQUEST = "01902f3e5c7b7abc8123456789abcdef"


A_LABEL = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.booleans()
)


@given(st.binary(min_size=16, max_size=16), A_LABEL, st.lists(st.none() | A_LABEL))
def test_labels_are_read(request_id: bytes, first: Any, others: list[Any]) -> None:
    """Numbers, names or null, one for a row or a list for a batch; hexadecimal in either case."""
    labels = [first, *others]
    body = {"request_id": request_id.hex(), "labels": labels}
    assert payload.feedback(json.dumps(body).encode()) == payload.FeedbackRequest(
        request_id, labels
    )
    body = {"request_id": request_id.hex().upper(), "label": labels[0]}
    assert payload.feedback(json.dumps(body).encode()) == payload.FeedbackRequest(
        request_id, labels[:1]
    )


BAD_FEEDBACK: dict[str, tuple[dict[str, Any], str]] = {
    "no id": ({"label": 0}, "send either 'request_id' as /predict answered it, or the 'id'"),
    "two ids": ({"request_id": REQUEST, "id": "a", "label": 0}, "send either 'request_id' as"),
    "null id": ({"id": None, "label": 0}, "'id' must be text, not null"),
    "empty id": ({"id": "", "label": 0}, "'id' must have 1 to 128 characters"),
    "correct as text": (
        {"id": "a", "label": 0, "correct": "yes"},
        "must be true or false, not text",
    ),
    "unknown key": ({"request_id": REQUEST, "lable": 0}, "unknown key 'lable': there are request_"),
    "no label": (
        {"request_id": REQUEST},
        "send either 'label' for one row or 'labels' for a batch",
    ),
    "both": ({"request_id": REQUEST, "label": 0, "labels": [0]}, "send either 'label'"),
    "no labels": (
        {"request_id": REQUEST, "labels": []},
        "'labels' is empty: send a label per row",
    ),
    "labels as text": ({"request_id": REQUEST, "labels": "setosa"}, "per row, not text"),
    "null label": ({"request_id": REQUEST, "label": None}, "no label is there, all are null"),
    "null labels": ({"request_id": REQUEST, "labels": [None, None]}, "no label is there, all are"),
    "list label": ({"request_id": REQUEST, "label": [0]}, "a class or a number, not a list"),
    "number id": ({"request_id": 5, "label": 0}, "'request_id' must be the 32 hexadecimal digits"),
    "short id": ({"request_id": REQUEST[:-1], "label": 0}, "must be the 32 hexadecimal digits"),
    "spaces": (
        {"request_id": REQUEST[:30] + "  ", "label": 0},
        "must be the 32 hexadecimal digits",
    ),
    "not hexadecimal": ({"request_id": "g" * 32, "label": 0}, "must be the 32 hexadecimal digits"),
    "other digits": ({"request_id": "٣" * 32, "label": 0}, "must be the 32 hexadecimal digits"),
}


@pytest.mark.parametrize(("value", "reason"), BAD_FEEDBACK.values(), ids=BAD_FEEDBACK)
def test_bad_feedback_gets_a_sentence(value: dict[str, Any], reason: str) -> None:
    """As bad requests do."""
    with pytest.raises(RequestError) as caught:
        payload.feedback(json.dumps(value).encode())
    assert reason in refusal(caught)


# -- answers --------------------------------------------------------------------------------

probabilities = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(tuple)
scored = st.tuples(st.integers(0, 2), probabilities)
texts = st.text(st.characters(exclude_categories=["Cs"]))
triples = st.lists(texts, min_size=3, max_size=3)
numbers = st.lists(st.integers(), min_size=3, max_size=3)


@given(texts, triples, numbers, scored, st.floats(0, 1e6))
def test_an_answer_reads_back_as_what_was_said(
    version: str, names: list[str], classes: list[int], answer: Any, latency: float
) -> None:
    """The template is JSON whatever the names are, and probabilities are kept to the last bit."""
    encoder = Encoder(version, class_names=names, class_numbers=classes)
    for _ in range(2):
        body = encoder.one(answer, timestamp="now", latency_ms=latency, request_id="id")
        assert json.loads(body) == {
            "prediction": classes[answer[0]],
            "model_version": version,
            "timestamp": "now",
            "latency_ms": round(latency, 3),
            "class_name": names[answer[0]],
            "probabilities": list(answer[1]),
            "request_id": "id",
        }


@given(texts, triples, numbers, st.lists(scored, min_size=1, max_size=5))
def test_a_batch_reads_back_as_what_was_said(
    version: str, names: list[str], classes: list[int], answers: list[Any]
) -> None:
    """So is a batch."""
    encoder = Encoder(version, class_names=names, class_numbers=classes)
    body = encoder.many(answers, timestamp="now", latency_ms=0.0371, request_id="id")
    assert json.loads(body) == {
        "predictions": [classes[index] for index, _ in answers],
        "model_version": version,
        "timestamp": "now",
        "latency_ms": 0.037,
        "class_names": [names[index] for index, _ in answers],
        "probabilities": [list(each) for _, each in answers],
        "request_id": "id",
    }


def test_the_memo_is_bounded() -> None:
    """A model that never answers the same twice costs no memory without end."""
    encoder = Encoder("v1", class_names=["a", "b"], class_numbers=[0, 1])
    for classes in (2, 1000):
        for count in range(2 * MEMO_BYTES // ENTRY_BYTES // classes):
            answer = (0, (count / MEMO_BYTES, *[0.0] * (classes - 1)))
            body = encoder.one(answer, timestamp="now", latency_ms=0, request_id="id")
            assert json.loads(body)["probabilities"] == list(answer[1])
    tracemalloc.start()
    try:
        for count in range(500):
            answer = (0, tuple(count / (count + place + 1) for place in range(1000)))
            encoder.one(answer, timestamp="now", latency_ms=0, request_id="id")
        assert tracemalloc.get_traced_memory()[0] < 2 * MEMO_BYTES
    finally:
        tracemalloc.stop()
