"""The API's description against the API."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from processes import ROW, Process, Served, free_port, running, write_config
from sklearn.dummy import DummyClassifier
from traffic import wait_until

from irisab.lifecycle import training
from irisab.lifecycle.dataset import load_iris


def document() -> dict[str, Any]:
    """Return the description of a service of two versions of Iris; batches stay small."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        for version in ("v1", "v2"):
            training.fit(models, version, load_iris(), estimator=DummyClassifier())
        served = Served(write_config(Path(folder), models, max_rows=100))
        try:
            found: dict[str, Any] = served.client.get("/openapi.json").json
        finally:
            served.close()
    # Which labels a known request takes depends on its rows, and no schema can say that; names that
    # callers choose are easily met by chance.
    feedback = found["components"]["schemas"]["FeedbackRequest"]
    feedback["oneOf"] = [form for form in feedback["oneOf"] if "id" not in form["properties"]]
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
