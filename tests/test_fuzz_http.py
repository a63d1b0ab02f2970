"""A short edition of `make fuzz-http`: spoilt bodies and bytes against a running service."""

from __future__ import annotations

from pathlib import Path

from processes import free_port, running, write_config

from bench.fuzz_http import Attack


def test_nothing_that_is_sent_breaks_an_answer(tmp_path: Path, iris_models: Path) -> None:
    """No 5xx, and each answer belongs to its own request, on sound connections and on others."""
    port = free_port()
    config = write_config(tmp_path, iris_models, listen=f"127.0.0.1:{port}")
    with running(config, port) as process:
        attack = Attack(port, seed=1)
        attack.bodies(1000)
        attack.sockets(150)
        assert {200, 400, 404} <= attack.statuses.keys() and attack.statuses[200] > 1150
        assert process.get("/health").status == 200
        assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()
