"""Who is let in: keys, scopes, expiry, and what they are told who are not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from processes import ROW, Answer, Served, free_port, replace_in, running, write_config

from irisab import config, keys
from irisab.config import AuthOptions
from irisab.errors import KeysError
from irisab.http import auth
from irisab.keys import Key

PAST = 1_000_000_000.0
CALLS: dict[str, tuple[str, bytes | None]] = {
    "/predict": ("POST", json.dumps({"features": ROW}).encode()),
    "/feedback": ("POST", json.dumps({"request_id": "0" * 32, "label": 0}).encode()),
    "/config": ("GET", None),
    "/report": ("GET", None),
    "/timeline": ("GET", None),
    "/versions": ("GET", None),
}
OPEN = ("/health", "/openapi.json", "/metrics")


class Locked:
    """A service that asks for keys, and the keys."""

    def __init__(self, folder: Path, models: Path, require: str) -> None:
        self.file = folder / "keys"
        self.secrets: dict[str, str] = {}
        keys.edit(self.file, lambda _: [])
        text = f"[auth]\nrequire = {require}\n"
        self.served = Served(write_config(folder, models, text))

    def add(self, name: str, *scopes: str, expires: float | None = None) -> str:
        """Add a key, and return it."""
        self.secrets[name] = secret = keys.generate()
        key = Key(name, keys.fingerprint(secret), scopes, expires)
        keys.edit(self.file, lambda before: [*before, key])
        return secret

    def look(self) -> None:
        """Let half a second pass."""
        assert self.served.app._door is not None
        self.served.app._door._file._next = 0.0

    def call(self, path: str, key: str | None = None, **headers: str) -> Answer:
        method, body = CALLS.get(path, ("GET", None))
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self.look()
        return self.served.client.request(method, path, body, headers=headers)


@pytest.fixture
def locked(tmp_path: Path, iris_models: Path) -> Iterator[Locked]:
    found = Locked(tmp_path, iris_models, "all")
    yield found
    found.served.close()


def test_without_keys_nothing_is_asked_for(tmp_path: Path, iris_models: Path) -> None:
    """require = no: no key is needed, a wrong one does not matter, and nothing is counted."""
    served = Served(write_config(tmp_path, iris_models))
    for path, (method, body) in CALLS.items():
        answer = served.client.request(method, path, body, headers={"X-API-Key": "wrong"})
        assert answer.status in (200, 404)
    assert served.sample("auth_failures_total", reason="unknown") == 0
    assert served.client.get("/health").json["keys_ok"] is True
    served.close()


@pytest.mark.parametrize("path", CALLS)
def test_each_path_asks_for_its_scope(path: str, locked: Locked) -> None:
    """The key with the scope is let in, keys with all the others are told which scope they lack."""
    scope = auth.SCOPES[path]
    others = [each for each in keys.SCOPES if each != scope]
    right, wrong = locked.add("right", scope), locked.add("wrong", *others)
    assert locked.call(path, right).status in (200, 404)
    refused = locked.call(path, wrong)
    assert refused.status == 403
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json["detail"] == f"This key may not do that: it lacks the scope {scope}."
    assert refused.headers["WWW-Authenticate"] == (
        f'Bearer realm="irisab", error="insufficient_scope", scope="{scope}"'
    )


def test_feedback_alone_can_be_locked(tmp_path: Path, iris_models: Path) -> None:
    """require = feedback: everybody predicts and reads, who votes needs a key."""
    locked = Locked(tmp_path, iris_models, "feedback")
    statuses = {path: locked.call(path).status for path in (*CALLS, *OPEN)}
    assert {path for path, status in statuses.items() if status == 401} == {"/feedback"}
    forced = {"features": ROW, "model_version": "v2"}
    assert locked.served.client.post("/predict", forced).status == 200
    assert locked.call("/feedback", locked.add("shop", "feedback")).status == 404
    locked.served.close()


@pytest.mark.parametrize("path", OPEN)
def test_some_paths_stay_open(path: str, locked: Locked) -> None:
    """Whether it serves, and how to ask it, anybody may know; nginx guards /metrics."""
    assert locked.call(path).status == 200


def test_all_who_have_no_valid_key_are_told_the_same(locked: Locked) -> None:
    """None, an unknown, an expired, a malformed key: one body, so that nothing can be learned."""
    locked.add("shop", "predict")
    over = locked.add("over", "predict", expires=PAST)
    answers = [
        locked.call("/predict"),
        locked.call("/predict", keys.generate()),
        locked.call("/predict", over),
        locked.call("/predict", "x"),
        locked.call("/predict", locked.secrets["shop"] + "A"),
        locked.call("/predict", locked.secrets["shop"].upper()),
        locked.call("/predict", "\xff\xfe"),
        locked.call("/predict", keys.fingerprint(locked.secrets["shop"])),
        locked.call("/predict", Authorization="Basic aXJpc2FiOng="),
        locked.call("/predict", Authorization="Bearer"),
        locked.call("/predict", X_API_Key=""),
        locked.call("/predict", X_API_Key="k" * 10_000),
    ]
    assert {answer.status for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer realm="irisab"'}
    assert len({answer.body for answer in answers}) == 1
    assert "Authorization: Bearer KEY" in answers[0].json["detail"]
    reasons = ("missing", "unknown", "expired")
    counted = [locked.served.sample("auth_failures_total", reason=each) for each in reasons]
    assert sum(counted) == len(answers) and counted[2] == 1
    assert locked.served.sample("prediction_errors_total", reason="unauthorized") == len(answers)
    assert locked.served.sample("prediction_requests_total") == 0


def test_a_key_comes_in_either_header(locked: Locked) -> None:
    """Authorization: Bearer, in any case, or X-API-Key, also beside a password for a proxy."""
    key = locked.add("shop", "read")
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key} "},
        {"X-API-Key": key},
        {"Authorization": "Basic aXJpc2FiOng=", "X-API-Key": key},
    ):
        assert locked.call("/config", **headers).status == 200, headers
    assert locked.call(f"/config?key={key}").status == 404
    environ = {"QUERY_STRING": f"key={key}&api_key={key}"}
    assert locked.served.client.get("/config", environ=environ).status == 401


def test_a_version_is_chosen_with_the_scope_force_only(locked: Locked) -> None:
    """Who may predict may not leave the experiment, unless the key says so."""
    body = {"features": ROW, "model_version": "v2"}
    ordinary, forcing = locked.add("shop", "predict"), locked.add("lab", "predict", "force")
    locked.look()
    refused = locked.served.client.post("/predict", body, headers={"X-API-Key": ordinary})
    assert refused.status == 403 and "scope force" in refused.json["detail"]
    assert 'scope="force"' in refused.headers["WWW-Authenticate"]
    answer = locked.served.client.post("/predict", body, headers={"X-API-Key": forcing})
    assert answer.status == 200 and answer.json["model_version"] == "v2"
    assert locked.call("/predict", ordinary).status == 200


def test_a_revoked_key_is_dead_and_its_successor_lives(locked: Locked) -> None:
    """Two lines of one name are both valid; a line that is gone, or over, opens nothing."""
    old, new = locked.add("shop", "read"), locked.add("shop", "read")
    assert [locked.call("/config", key).status for key in (old, new)] == [200, 200]
    first = keys.fingerprint(old)

    def ended(before: tuple[Key, ...]) -> list[Key]:
        return [replace(key, expires=PAST) if key.sha256 == first else key for key in before]

    keys.edit(locked.file, ended)
    assert [locked.call("/config", key).status for key in (old, new)] == [401, 200]
    keys.edit(locked.file, lambda _: [])
    assert [locked.call("/config", key).status for key in (old, new)] == [401, 401]


@pytest.mark.parametrize("damage", ["broken", "gone"])
def test_a_broken_file_lets_nobody_in(damage: str, locked: Locked) -> None:
    """Fail closed: 503 to all alike, /health says so and still serves, until it is mended."""
    key = locked.add("shop", *keys.SCOPES)
    assert locked.call("/report", key).status == 200
    good = locked.file.read_text()
    if damage == "broken":
        locked.file.write_text(good + "a line\n")
    else:
        locked.file.unlink()
    for path in CALLS:
        answers = [locked.call(path, key), locked.call(path)]
        assert {answer.status for answer in answers} == {503}
        assert (
            answers[0].body == answers[1].body and str(locked.file) not in answers[0].body.decode()
        )
    health = locked.call("/health")
    assert health.status == 200 and health.json["keys_ok"] is False
    locked.file.write_text(good)
    assert locked.call("/report", key).status == 200
    assert locked.call("/health").json["keys_ok"] is True


def test_nothing_but_the_name_of_a_key_is_shown(
    locked: Locked, caplog: pytest.LogCaptureFixture
) -> None:
    """The name is a label; neither key nor hash is in any answer, in the metrics or in the log."""
    key = locked.add("shop", *keys.SCOPES)
    shown = [locked.call(path, key).body for path in (*CALLS, *OPEN)]
    shown += [locked.call(path, key[:-1]).body for path in CALLS]
    locked.file.write_text(f"{locked.file.read_text()}{key}\n")
    shown += [locked.call(path, key).body for path in (*CALLS, *OPEN)]
    everything = b"".join(shown).decode() + caplog.text
    assert f'key_requests_total{{key="shop"}} {len(CALLS)}.0' in everything
    assert key[:-1] not in everything and keys.fingerprint(key) not in everything


def test_the_last_use_is_noted(locked: Locked) -> None:
    """The day on which a key was let in is in a file beside the history; a refused one has none."""
    locked.call("/config", locked.add("shop", "read"))
    locked.call("/config", locked.add("over", "read", expires=PAST))
    history = locked.served.service.snapshot.config.data.history
    days = json.loads(history.with_name("keys-used.json").read_text())
    assert set(days) == {"shop"} and days["shop"][:2] == "20"


def test_a_reload_locks_and_unlocks(tmp_path: Path, iris_models: Path) -> None:
    """[auth] counts from the reload on, without a restart."""
    locked = Locked(tmp_path, iris_models, "no")
    locked.file.unlink()
    served = locked.served
    assert served.client.get("/config").status == 200
    key = locked.add("shop", "read")
    replace_in(served.config, "require = no", "require = all")
    served.reload()
    assert served.client.get("/config").status == 401
    assert locked.call("/config", key).status == 200
    replace_in(served.config, "require = all", "require = no")
    served.reload()
    assert served.client.get("/config").status == 200
    served.close()


def test_a_lock_without_keys_is_refused(tmp_path: Path) -> None:
    """Asking for keys that cannot be read is a sentence; asking for none reads nothing."""
    auth.refuse_unusable(AuthOptions(require="no", file=tmp_path / "keys"))
    with pytest.raises(KeysError, match=r"^\[auth\] require = all: .*No such file"):
        auth.refuse_unusable(AuthOptions(require="all", file=tmp_path / "keys"))


def test_the_description_says_who_needs_a_key(locked: Locked) -> None:
    """OpenAPI has the schemes, the scope of each path, and 401 and 403; only while keys are on."""
    document = locked.call("/openapi.json").json
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    for path, methods in document["paths"].items():
        (operation,) = methods.values()
        scope = auth.SCOPES.get(path)
        needed = [{"bearer": [scope]}, {"header": [scope]}]
        assert operation.get("security", []) == (needed if path in CALLS else []), path
        assert {"401", "403", "503"} <= set(operation["responses"]) or path not in CALLS
    replace_in(locked.served.config, "require = all", "require = no")
    locked.served.reload()
    document = locked.served.client.get("/openapi.json").json
    assert "securitySchemes" not in document["components"]
    assert not any(
        "401" in op["responses"] for m in document["paths"].values() for op in m.values()
    )


def test_no_path_is_open_by_mistake(locked: Locked) -> None:
    """Each needs a scope, or is one of those that stay open; a new one is given its place here."""
    assert set(locked.served.app._open) == {*auth.SCOPES, *OPEN} == {*CALLS, *OPEN}


def test_every_scope_is_asked_for_somewhere() -> None:
    """No scope can be given that opens nothing."""
    assert {*auth.SCOPES.values(), "force"} == set(keys.SCOPES)


# -- real processes -------------------------------------------------------------------------


def run(process: Any, *command: str) -> str:
    done = process.run("key", *command)
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


def test_a_revoked_key_is_dead_within_a_second_and_over_a_restart(
    tmp_path: Path, iris_models: Path
) -> None:
    """With the INI file refused, too: last-good.ini serves, and does not bring the key back."""
    port = free_port()
    text = "[auth]\nrequire = all\n"
    path = write_config(tmp_path, iris_models, text, listen=f"127.0.0.1:{port}")
    keys.edit(config.load(path).auth.file, lambda _: [])
    with running(path, port) as process:
        stays, goes = (run(process, "add", name, "--scope", "read") for name in ("stays", "goes"))
        assert [status(process, key) for key in (stays, goes)] == [200, 200]
        late = run(process, "add", "late", "--scope", "read")
        assert status(process, late) == 200, "a key opens as soon as it is printed"
        opened = process.connect()
        assert ask(opened, goes) == 200
        replace_in(path, "require = all", "require = all\nnonsense = 1")
        run(process, "revoke", "goes")
        revoked = time.monotonic()
        while status(process, goes) != 401:
            pass
        # Half a second, and what a busy machine adds.
        assert time.monotonic() - revoked < 10
        assert ask(opened, goes) == 401
        opened.close()
        assert status(process, stays) == 200
    with running(path, port) as process:
        assert process.get("/health").json["reload"]["ok"] is False
        assert [status(process, key) for key in (stays, goes)] == [200, 401]
        locked = process.run("reload")
        assert locked.returncode == 2


def status(process: Any, key: str) -> int:
    with closing(process.connect()) as connection:
        return ask(connection, key)


def ask(connection: HTTPConnection, key: str) -> int:
    connection.request("GET", "/config", headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    response.read()
    return response.status


def test_a_reload_that_would_lock_everybody_out_is_refused(
    tmp_path: Path, iris_models: Path
) -> None:
    """require = all and no keys file: the open service serves on, and reload says why."""
    port = free_port()
    path = write_config(tmp_path, iris_models, "[auth]\nrequire = no\n", listen=f"127.0.0.1:{port}")
    with running(path, port) as process:
        replace_in(path, "require = no", "require = all")
        refused = process.run("reload")
        assert refused.returncode == 2 and "[auth] require = all: " in refused.stderr
        assert process.get("/config").status == 200
        run(process, "add", "shop", "--scope", "read")
        assert process.run("reload").returncode == 0
        assert process.get("/config").status == 401
