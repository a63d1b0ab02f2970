"""irisab events, through real processes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import joblib
import pytest
from processes import free_port, replace_in, running, write_config
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from irisab.__main__ import run
from irisab.store.events import EventLog


@pytest.fixture
def config(tmp_path: Path, iris_models: Path) -> Path:
    split = "[split]\nv1 = 50\nv2 = 50\n"
    return write_config(tmp_path, iris_models, split, listen=f"127.0.0.1:{free_port()}")


def test_the_service_says_what_happened_to_it(config: Path, tmp_path: Path) -> None:
    """A start, a reload, where one was refused, and what commands did meanwhile."""
    port = int(config.read_text().partition("127.0.0.1:")[2].split()[0])
    with running(config, port) as process:
        replace_in(config, "v1 = 50\nv2 = 50", "v1 = 90\nv2 = 10")
        assert process.run("reload").returncode == 0
        replace_in(config, "v2 = 10", "v2 = 20")
        assert process.run("reload").returncode == 2
        assert process.run("backup", str(tmp_path / "b.tar.gz")).returncode == 2  # the INI
        replace_in(config, "v2 = 20", "v2 = 10")
        assert process.run("backup", str(tmp_path / "b.tar.gz")).returncode == 0
        found = json.loads(process.run("events", "--json").stdout)
        text = process.run("events").stdout.splitlines()
    assert [(each["kind"], each["by"]) for each in found] == [
        ("start", "irisab"),
        ("reload", "irisab"),
        ("refused", "irisab"),
        ("backup", "operator"),
    ]
    assert found[1]["text"].startswith("serving v1 90 %, v2 10 %")
    assert found[2]["text"].startswith("[split] was refused; ")
    assert len(text) == 4 and text[3].endswith("and 2 models are kept (by operator)")
    assert set(found[0]) == {"at", "kind", "version", "text", "by"}


def test_a_training_is_an_event_where_there_is_a_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without one none is made; whoever runs it for a person says so."""
    config = write_config(tmp_path, tmp_path / "models", "[model.v1]\n[model.v2]\n")
    history = tmp_path / "h.sqlite3"
    assert run(["--config", str(config), "train", "v1"]) == 0
    assert not history.exists()
    EventLog(history).add("start", "x", by="irisab")
    monkeypatch.setenv("IRISAB_BY", "timer")
    assert run(["--config", str(config), "train", "v2"]) == 0
    found = EventLog(history).list()[-1]
    assert (found.kind, found.version, found.text, found.by) == (
        "train", "v2", "from Iris, 150 rows", "timer",
    )  # fmt: skip


def test_an_imported_model_is_an_event(tmp_path: Path, iris_models: Path) -> None:
    """Of the version, with what it is; a refused file is none."""
    models = Path(shutil.copytree(iris_models, tmp_path / "models", symlinks=True))
    config, history = write_config(tmp_path, models), EventLog(tmp_path / "h.sqlite3")
    iris = load_iris()
    file = tmp_path / "tree.joblib"
    joblib.dump(DecisionTreeClassifier(random_state=0).fit(iris.data, iris.target), file)
    told = ["--config", str(config), "import", str(file), "--version", "v3"]
    history.add("start", "x", by="irisab")
    assert run(told) == 2  # without --trust
    assert [each.kind for each in history.list()] == ["start"]
    assert run([*told, "--trust"]) == 0
    found = history.list()[-1]
    assert (found.kind, found.version, found.text, found.by) == (
        "train", "v3", "imported a DecisionTreeClassifier", "operator",
    )  # fmt: skip


def test_going_back_to_a_kept_model_is_an_event(tmp_path: Path) -> None:
    """Of the version, with the hash of the model; a slip is none."""
    config = write_config(tmp_path, tmp_path / "models", "[model.v1]\nkind = decision_tree\n")
    history, typed = EventLog(tmp_path / "h.sqlite3"), ["--config", str(config)]
    assert run([*typed, "train", "v1"]) == 0
    old = (tmp_path / "models/v1/current").resolve().name
    replace_in(config, "decision_tree", "decision_tree\nmax_depth = 1")
    assert run([*typed, "train", "v1", "--force"]) == 0
    history.add("start", "x", by="irisab")
    assert run([*typed, "models", "use", "v1", "nothing"]) == 2
    assert [each.kind for each in history.list()] == ["start"]
    assert run([*typed, "models", "use", "v1", old]) == 0
    found = history.list()[-1]
    assert (found.kind, found.version, found.text, found.by) == (
        "train", "v1", f"{old}, a kept model, is the current one", "operator",
    )  # fmt: skip


def test_a_training_does_not_fail_for_its_event(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model is made, and why it is not among the events is said."""
    config = write_config(tmp_path, tmp_path / "models", "[model.v1]\n")
    history = tmp_path / "h.sqlite3"
    with closing(sqlite3.connect(history)) as newer:
        newer.execute("PRAGMA user_version = 99")
    assert run(["--config", str(config), "train", "v1"]) == 0
    said = capsys.readouterr()
    assert "Training complete!" in said.out
    assert "not among the events" in said.err and "newer irisab" in said.err


def test_nothing_has_happened_yet(
    tmp_path: Path, iris_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a history the list is empty, and no error."""
    config = write_config(tmp_path, iris_models)
    assert run(["--config", str(config), "events"]) == 0
    assert capsys.readouterr().out == "nothing has happened yet\n"
    assert run(["--config", str(config), "events", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
