"""The API's description against the API."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from processes import ROW, Process, free_port, running, write_config
from traffic import wait_until

FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def document() -> dict[str, Any]:
    """Return the description, narrowed to what a static file cannot know: the model."""
    path = Path(__file__).parents[2] / "irisab" / "http" / "openapi.json"
    found: dict[str, Any] = json.loads(path.read_text())
    properties = found["components"]["schemas"]["PredictRequest"]["properties"]
    row, by_name, rows = properties["features"]["anyOf"]
    number = row["items"]
    row |= {"minItems": len(FEATURES), "maxItems": len(FEATURES)}
    by_name |= {
        "properties": dict.fromkeys(FEATURES, number),
        "required": FEATURES,
        "additionalProperties": False,
    }
    rows |= {"items": row, "maxItems": 100}
    properties["model_version"] |= {"enum": ["v1", "v2", None]}
    return found


schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("openapi")


@pytest.fixture(scope="module")
def process(folder: Path, iris_models: Path) -> Iterator[Process]:
    port = free_port()
    config = write_config(folder, iris_models, listen=f"127.0.0.1:{port}")
    with running(config, port) as found:
        found.post("/predict", {"features": ROW})
        yield found


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_description_is_true(case: schemathesis.Case, process: Process) -> None:
    """Whatever the description allows or forbids, no answer is undescribed or a 5xx."""
    case.call_and_validate(base_url=f"http://127.0.0.1:{process.port}")


def test_the_description_of_feedback_is_true(process: Process, folder: Path) -> None:
    """So are the answers that a label of a real prediction gets, one after the other."""
    operation = schema["/feedback"]["POST"]

    def tell(label: int) -> tuple[int, str]:
        body = {"request_id": request_id, "label": label}
        answer = operation.Case(body=body).call(base_url=f"http://127.0.0.1:{process.port}")
        operation.validate_response(answer)
        return answer.status_code, answer.json().get("status")

    request_id = process.post("/predict", {"features": ROW}).json["request_id"]
    assert tell(0) == (200, "matched")
    assert tell(0) == (200, "duplicate")
    assert tell(1) == (409, 409)
    request_id = process.post("/predict", {"features": ROW}).json["request_id"]
    with closing(sqlite3.connect(folder / "h.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert tell(0) == (503, 503)
    # The writer waited for the lock as well, and may be first.
    wait_until(lambda: tell(0) == (200, "matched"))
