"""Whoever may vote decides: it is said where somebody acts on votes, while anybody may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Served, write_config
from sklearn.dummy import DummyClassifier
from sklearn.tree import DecisionTreeClassifier

from irisab import keys
from irisab.__main__ import run
from irisab.http.auth import ANYBODY_ASKS, ANYBODY_VOTES
from irisab.keys import Key
from irisab.lifecycle import training
from irisab.lifecycle.dataset import load_iris

IRIS = load_iris()
OPEN = "[auth]\nrequire = no\n"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A good v1 and a v2 that always says the same, with labels enough to tell."""
    training.fit(tmp_path / "models", "v1", IRIS, estimator=DecisionTreeClassifier())
    training.fit(tmp_path / "models", "v2", IRIS, estimator=DummyClassifier(strategy="prior"))
    made = Served(write_config(tmp_path, tmp_path / "models", OPEN))
    for row, label in zip(IRIS.rows[::2].tolist(), IRIS.labels[::2].tolist(), strict=True):
        request_id = made.predict(row)["request_id"]
        made.flush()
        vote = {"request_id": request_id, "label": label}
        assert made.client.post("/feedback", vote).status == 200
    yield made
    made.close()


def test_a_decided_verdict_says_that_anybody_votes(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, in the last line; never to programs, and no longer when labels need a key."""
    command = ["--config", str(served.config), "verdict"]
    assert run(command) == 1
    printed = capsys.readouterr().out
    assert "Verdict: worse" in printed
    assert printed.endswith(f"\n{ANYBODY_VOTES}\n") and printed.count(ANYBODY_VOTES) == 1
    assert run([*command, "--json"]) == 1
    json.loads(capsys.readouterr().out)
    served.config.write_text(served.config.read_text().replace("= no", "= feedback"))
    assert run(command) == 1
    assert "key" not in capsys.readouterr().out


def test_an_undecided_verdict_says_nothing_of_votes(
    tmp_path: Path, iris_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody acts on it, so nobody needs to be warned."""
    config = write_config(tmp_path, iris_models)
    assert run(["--config", str(config), "verdict"]) == 3
    assert ANYBODY_VOTES not in capsys.readouterr().out


def test_check_says_whether_anybody_votes(
    tmp_path: Path, iris_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, gone with its reason; and it refuses keys that cannot be read."""
    config = write_config(tmp_path, iris_models, OPEN)
    command = ["--config", str(config), "check"]
    assert run(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == ANYBODY_VOTES
    config.write_text(config.read_text().replace("= no", "= feedback"))
    assert run(command) == 2
    assert "[auth] require = feedback: " in capsys.readouterr().err
    keys.edit(tmp_path / "keys", lambda _: [Key("shop", "1" * 64, ("feedback",))])
    assert run(command) == 0
    assert ANYBODY_VOTES not in capsys.readouterr().out


def test_an_odd_spread_of_users_says_who_could_have_made_it(
    tmp_path: Path, iris_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """150 users chosen so that one version gets them all; with keys for predictions nobody can."""
    served = Served(write_config(tmp_path, iris_models, OPEN))
    choose = served.service.snapshot.split.choose
    chosen = [name for name in map(str, range(400)) if choose(name) == "v1"][:150]
    for name in chosen:
        served.predict(user_id=name)
    served.flush()
    served.close()
    command = ["--config", str(served.config), "verdict"]
    assert run(command) == 3
    assert ANYBODY_ASKS in capsys.readouterr().out
    served.config.write_text(served.config.read_text().replace("= no", "= all"))
    assert run(command) == 3
    printed = capsys.readouterr().out
    assert "Users are not spread as the split says" in printed and ANYBODY_ASKS not in printed
