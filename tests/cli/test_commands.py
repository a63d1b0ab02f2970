"""The command line: what it prints and how it exits."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import ROW, Served, irisab, replace_in, write_config

from irisab import __version__
from irisab.__main__ import run
from irisab.cli.typed import typed
from irisab.lifecycle import source
from irisab.model import bundle


@pytest.fixture
def config(tmp_path: Path, iris_models: Path) -> Path:
    return write_config(tmp_path, iris_models)


@pytest.fixture
def served(config: Path) -> Iterator[Served]:
    found = Served(config)
    yield found
    found.close()


def training_rows(count: int) -> list[list[float]]:
    from sklearn.datasets import load_iris

    rows: list[list[float]] = load_iris().data.tolist()
    return [rows[number * 7 % len(rows)] for number in range(count)]


def command(config: Path, *arguments: str) -> int:
    return run(["--config", str(config), *arguments])


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """--help lists the commands of the contract, and exits 0."""
    with pytest.raises(SystemExit) as exit:
        run(["--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    for name in ("train", "serve", "check", "reload", "drift", "verdict", "history"):
        assert f"  {name} " in text


def test_what_serves_has_nothing_of_training_in_memory() -> None:
    """Python's own list of what it imports; a file that is called like a command is none."""
    for words in (["serve"], ["--config", "train", "check"]):
        listed = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "irisab", *words, "--help"],
            check=True, text=True, capture_output=True,
        ).stderr  # fmt: skip
        imported = set(re.findall(r"(?<=\| )\s*([\w.]+)$", listed, re.MULTILINE))
        assert {"irisab.cli.service", "numpy"} <= imported
        assert not {"irisab.lifecycle.training", "irisab.cli.train", "tarfile"} & imported
    with pytest.raises(SystemExit):
        run(["--config", "serve", "train", "--help"])


@pytest.mark.parametrize(
    "name", ["train", "serve", "check", "reload", "drift", "verdict", "history"]
)
def test_each_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """COMMAND --help explains itself."""
    with pytest.raises(SystemExit) as exit:
        run([name, "--help"])
    assert exit.value.code == 0 and f"irisab {name}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["train"], ["serve"], ["verdict"], ["history"]])
def test_version(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the package's, everywhere."""
    with pytest.raises(SystemExit) as exit:
        run([*command, "--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"irisab {__version__}\n"


def test_changelog_has_this_version() -> None:
    """The newest entry of the changelog is the version that is installed."""
    text = (Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    newest = next(line for line in text.splitlines() if line.startswith("## "))
    assert newest.split()[1] == __version__


def test_a_missing_config_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command says which file it wanted."""
    for name in ("train", "serve", "check", "reload", "drift", "verdict", "history"):
        assert command(tmp_path / "none.ini", name) == 2
        error = capsys.readouterr().err
        assert (
            error == f"irisab: {tmp_path / 'none.ini'}: cannot be read: No such file or directory\n"
        )


def test_the_config_comes_from_the_environment(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --config, $IRISAB_CONFIG names the file."""
    monkeypatch.setenv("IRISAB_CONFIG", str(config))
    assert run(["check"]) == 0
    assert str(config) in capsys.readouterr().out


def trained(config: Path, version: str) -> Any:
    found = config.parent / "models" / version / "current" / "manifest.json"
    return json.loads(found.read_text())


def test_train_prints_the_documented_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """train on Iris prints a line before and after each version, and how sure it is."""
    config = write_config(tmp_path, tmp_path / "models")
    assert command(config, "train") == 0
    lines = capsys.readouterr().out.splitlines()
    one, two = (trained(config, name) for name in ("v1", "v2"))
    assert lines == [
        "Loading Iris dataset...",
        "Training Model v1 (Random Forest with 50 estimators)...",
        f"Model v1 Accuracy: {one['accuracy']:.4f}",
        f"  of five folds, standard error {one['cv_standard_error']:.2g}; "
        f"exam of 38 rows: {one['exam']['accuracy']:.4f}",
        "Training Model v2 (Random Forest with 100 estimators)...",
        f"Model v2 Accuracy: {two['accuracy']:.4f}",
        f"  of five folds, standard error {two['cv_standard_error']:.2g}; "
        f"exam of 38 rows: {two['exam']['accuracy']:.4f}",
        "Training complete!",
    ]
    assert command(config, "train") == 0
    assert capsys.readouterr().out.startswith("Every version has a model already")
    assert command(config, "train", "v1") == 2
    assert "train --force v1" in capsys.readouterr().err


def write_table(folder: Path, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text("a,b,kind\n" + "".join(f"{n},{n % 7},{'xy'[n % 2]}\n" for n in range(40)))
    return path


def test_train_wants_data_it_can_use(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad training data exits 2 with column and line; --data needs --target."""
    table = write_table(tmp_path)
    table.write_text(table.read_text().replace("3,3,", "3,oops,"))
    options = ("train", "--force", "--data", str(table))
    assert command(config, *options) == 2
    assert "--data and --target" in capsys.readouterr().err
    assert command(config, *options, "--target", "kind") == 2
    error = capsys.readouterr().err
    assert "column 'b' has 1 of 40 cells" in error and "line 5" in error and "--drop" in error
    assert command(config, *options, "--target", "colour") == 2
    assert "no column 'colour'" in capsys.readouterr().err


def test_an_option_that_would_not_be_used_is_an_error(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who names a file is not left to believe that it was learned from."""
    table = str(write_table(tmp_path))
    assert command(config, "train", "--data", table, "--target", "kind", "--drop") == 2
    error = capsys.readouterr().err
    assert "--data and --target and --drop would not be used" in error
    assert "train --force VERSION" in error
    for option in (("--target", "kind"), ("--drop",)):
        assert command(config, "train", "--force", *option) == 2
        assert "Iris needs neither --target nor --drop" in capsys.readouterr().err


def test_train_refuses_unknown_versions(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A version that nobody has named is refused, with those there are."""
    assert command(config, "train", "v3") == 2
    error = capsys.readouterr().err
    assert "neither [split] nor a section [model.v3] has it; there are versions v1, v2" in error


def test_scikit_learn_judges_the_options_of_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every section, before anything is read or trained."""
    text = "[model.v1]\nn_estimators = 2\n[model.v2]\nkind = extra_trees\nmax_depth = 0\n"
    config = write_config(tmp_path, tmp_path / "models", text)
    assert command(config, "train") == 2
    said = capsys.readouterr()
    assert said.out == "" and not (tmp_path / "models").exists()
    assert said.err == (
        f"irisab: {config}: [model.v2] max_depth = 0: must be an int in the range [1, inf) or "
        "None\n"
    )


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Settings whose v1 and v2 were made from a table of one's own, as [training] says."""
    write_table(tmp_path)
    text = "[training]\ndata = table.csv\ntarget = kind\n"
    path = write_config(tmp_path, tmp_path / "models", text)
    for version in ("v1", "v2"):
        replace_in(path, "[training]", f"[model.{version}]\nn_estimators = 2\n[training]")
    assert command(path, "train") == 0
    return path


def test_train_learns_from_what_the_ini_says(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """[training] names the table once; what was found in it is said before."""
    assert command(own, "train", "--force") == 0
    assert f"Loading {own.parent / 'table.csv'}...\n40 rows, 2 features" in capsys.readouterr().out
    found = trained(own, "v1")
    assert found["training"]["source"] == str(own.parent / "table.csv")
    assert (found["training"]["target"], found["class_names"]) == ("kind", ["x", "y"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ignore = a", "[training] ignore: is about a CSV file, and data = iris is none"),
        ("group = a", "[training] group: is about a CSV file"),
        ("task = regression", "[training] task = regression: Iris has classes"),
    ],
)
def test_what_iris_has_no_use_for_is_refused(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that would do nothing is an error."""
    config = write_config(tmp_path, tmp_path / "models", f"[training]\n{line}\n")
    assert command(config, "train") == 2
    assert said in capsys.readouterr().err and not (tmp_path / "models").exists()


def test_train_builds_any_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Classes with text and gaps, with what is done to the columns said before."""
    lines = [f"{n * 7 % 50},{['red', 'blue', ''][n % 3]},{'xy'[n % 3 // 2]}" for n in range(90)]
    (tmp_path / "t.csv").write_text("\n".join(["size (cm),colour,kind", *lines]))
    kinds = {"random_forest": "n_estimators = 3", "extra_trees": "n_estimators = 3",
             "decision_tree": "max_depth = 4", "gradient_boosting": "n_estimators = 3",
             "hist_gradient_boosting": "max_iter = 3", "logistic_regression": "C = 10"}  # fmt: skip
    sections = [f"[model.{kind}]\nkind = {kind}\n{line}\n" for kind, line in kinds.items()]
    shares = "[split]\nrandom_forest = 100\n" + "".join(
        f"{kind} = 0\n" for kind in kinds if kind != "random_forest"
    )
    text = f"[training]\ndata = t.csv\ntarget = kind\nclass_weight = balanced\n{shares}"
    config = write_config(tmp_path, tmp_path / "models", text + "".join(sections))
    assert command(config, "train") == 0
    out = capsys.readouterr().out
    assert out.count("colour: one-hot, 2 categories, 33 % missing, taken as missing") == 5
    assert out.count("colour: by their numbers, 2 categories, 33 % missing") == 1
    assert "numbers: scaled" in out
    for kind in kinds:
        assert f"Model {kind} Accuracy: " in out
        assert trained(config, kind)["accuracy"] > 0.9
    assert command(config, "check") == 0


def test_train_says_how_far_off_a_regression_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MAE and RMSE in place of the accuracy, in train and check."""
    lines = [f"{n},{n * n % 101},{n / 3}" for n in range(120)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,price", *lines]))
    text = (
        "[training]\ndata = t.csv\ntarget = price\n[split]\nv1 = 50\nline = 50\n"
        "[model.v1]\nn_estimators = 5\n[model.line]\nkind = linear_regression\n"
    )
    config = write_config(tmp_path, tmp_path / "models", text)
    assert command(config, "train") == 0
    out = capsys.readouterr().out
    assert "they are taken as a quantity" in out and "price: from 0 to 39.6667" in out
    line = trained(config, "line")
    assert f"Model line MAE: {line['mae']:.4g}, RMSE: {line['rmse']:.4g}\n" in out
    assert line["mae"] < 1e-9 < trained(config, "v1")["mae"]
    assert command(config, "check") == 0
    assert "LinearRegression, MAE " in capsys.readouterr().out


def test_who_is_closer_by_more_than_the_tie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`evaluate` and `verdict` speak of closer numbers, and count none within [experiment] tie."""
    lines = [f"{n},{n * n % 101},{n / 3}" for n in range(120)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,price", *lines]))
    text = (
        "[training]\ndata = t.csv\ntarget = price\n[split]\nv1 = 50\nv2 = 50\n"
        "[model.v1]\nn_estimators = 1\nmax_depth = 1\n[model.v2]\nkind = linear_regression\n"
    )
    config = write_config(tmp_path, tmp_path / "models", text)
    assert command(config, "train") == 0
    assert command(config, "evaluate") == 0
    assert re.search(r"v2 is closer in \d\d and v1 in 0 \(", capsys.readouterr().out)
    config.write_text(config.read_text() + "[experiment]\ntie = 1000\n")
    assert command(config, "evaluate") == 3
    assert "v2 is closer in 0 and v1 in 0 (" in capsys.readouterr().out
    served = Served(config)
    answer = served.predict([60.0, 60 * 60 % 101])
    served.client.post("/feedback", {"request_id": answer["request_id"], "label": 20.0})
    served.flush()
    served.close()
    assert command(config, "verdict") == 3
    out = capsys.readouterr().out
    assert "pair so far: 1, none where one was closer by more than the tie." in out
    assert "v2 is closer more often by: -" in out and "Accuracy" not in out


def test_nothing_falls_back_to_iris(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where models were made from own data, no version is made from Iris, be it lost or new."""
    replace_in(own, "data = table.csv\ntarget = kind", "")
    shutil.rmtree(own.parent / "models" / "v2")
    for words in (["train"], ["train", "v2"], ["train", "--force", "v1"], ["train", "--force"]):
        assert command(own, *words) == 2
        error = capsys.readouterr().err
        assert f"{own.parent / 'table.csv'}" in error and "[training] is about iris" in error
        assert "--data FILE --target COLUMN" in error
    assert not (own.parent / "models" / "v2").exists()
    assert command(own, "train", "v2", "--data", "iris") == 0
    assert trained(own, "v2")["training"]["source"] == "iris"


def test_a_lost_model_that_has_served_is_not_replaced(
    tmp_path: Path, iris_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all models gone, the history still knows that there was one; who made it must say."""
    models = Path(shutil.copytree(iris_models, tmp_path / "models", symlinks=True))
    (models / "v1").rename(models / "v3")
    config = write_config(tmp_path, models, "[split]\nv3 = 100\n")
    service = Served(config)
    service.recorder.announce(service.service.snapshot.describe())
    service.predict()
    service.close()
    shutil.rmtree(models)
    for words in (["train"], ["train", "--first"], ["train", "v3"]):
        assert command(config, *words) == 2
        assert "version v3 has served before, and its model is gone" in capsys.readouterr().err
    assert not models.exists()


@pytest.mark.parametrize("data", ["no.csv", "short.csv"])
def test_a_failed_training_on_own_data_is_not_made_up_for_with_iris(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `make run` asks for says what was wanted, until it is there or somebody gives it up."""
    config = write_config(tmp_path, tmp_path / "models", "[split]\nv1 = 50\nv2 = 50\n")
    (tmp_path / "short.csv").write_text("a,kind\n1,x\n")
    table = tmp_path / data
    assert command(config, "train", "--data", str(table), "--target", "kind") == 2
    capsys.readouterr()
    for words in (["train", "--first"], ["train"], ["train", "v2"]):
        assert command(config, *words) == 2
        error = capsys.readouterr().err
        assert f"was to be made from {table}, and never was: type that command again" in error
        assert "--data iris for the example" in error
    assert bundle.versions(tmp_path / "models") == []
    assert command(config, "train", "--data", "iris") == 0
    assert command(config, "train", "--first") == 0
    assert source.wanted(tmp_path / "models") == {}
    again = ["train", "--force", "v1", "--data", str(table), "--target", "kind"]
    assert command(config, *again) == 2
    assert source.wanted(tmp_path / "models") == {}, "the model that is there is kept, and known"


def test_only_the_examples_take_iris_by_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version of another name is somebody's own: what it learns from has to be said."""
    config = write_config(tmp_path, tmp_path / "models", "[split]\nmine = 100\n")
    assert command(config, "train") == 2
    assert "nobody has said what version mine learns from" in capsys.readouterr().err
    replace_in(config, "[split]", "[training]\ndata = iris\n[split]")
    assert command(config, "train") == 0


def test_first_trains_only_where_there_is_no_model_at_all(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is what make run asks for: it replaces nothing that was lost."""
    shutil.rmtree(own.parent / "models" / "v2")
    capsys.readouterr()
    assert command(own, "train", "--first") == 0
    assert capsys.readouterr().out == "" and not (own.parent / "models" / "v2").exists()
    shutil.rmtree(own.parent / "models")
    assert command(own, "train", "--first") == 0
    assert trained(own, "v2")["dataset"] == "table.csv"


def test_the_config_may_stand_after_the_command(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before or after; the later one counts."""
    assert run(["check", "--config", str(config)]) == 0
    assert run(["--config", "none.ini", "check", "--config", str(config)]) == 0
    assert run(["--config", str(config), "check"]) == 0


def test_check_prints_what_would_serve(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """check shows each version with its share and accuracy; a bad file exits 2."""
    assert command(config, "check") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:4] == ["v1", "50", "%", "control,"]
    replace_in(config, "[data]", "[split]\nv1 = 50\nv3 = 50\n[data]")
    assert command(config, "check") == 2
    error = capsys.readouterr().err
    assert "[split] v3 = 50" in error and f"run '{typed(config, 'train v3')}'" in error


def test_drift_exits_by_what_it_found(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """drift exits 3 before the window is full, 0 when calm, 1 on drift."""
    for row in training_rows(37):
        served.predict(row)
    served.flush()
    assert command(served.config, "drift") == 3
    text = capsys.readouterr().out
    assert "Status: NOT ENOUGH DATA (37 of 100 rows)" in text and "Drift Score" not in text
    for row in training_rows(100):
        served.predict(row)
    served.flush()
    assert command(served.config, "drift") == 0
    text = capsys.readouterr().out
    assert "Status: OK" in text and "✅ No significant drift detected." in text
    for _ in range(100):
        served.predict(ROW)
    served.flush()
    assert command(served.config, "drift") == 1
    text = capsys.readouterr().out
    assert "⚠️  WARNING: Potential model drift detected!" in text
    assert "   Consider retraining the model with recent data." in text
    assert "sepal_length" in text


def test_json_is_the_part_of_the_report(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """drift --json and verdict --json print the same objects as GET /report."""
    served.predict(training_rows(120))
    served.flush()
    whole = served.client.get("/report").json
    command(served.config, "drift", "--json")
    assert json.loads(capsys.readouterr().out) == whole.pop("drift")
    command(served.config, "verdict", "--json")
    assert whole.pop("command").endswith("irisab.ini")  # which the command is itself
    assert json.loads(capsys.readouterr().out) == whole


def test_verdict_exits_3_without_evidence(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """verdict says inconclusive before there are labels, and makes no history file."""
    assert command(config, "verdict") == 3
    assert "Verdict: inconclusive" in capsys.readouterr().out
    assert not (config.parent / "h.sqlite3").exists()


def test_verdict_wants_a_known_challenger_and_revision(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown version or revision exits 2 and lists what there is."""
    served.predict()
    served.flush()
    assert command(served.config, "verdict", "v9") == 2
    assert "verdict v2" in capsys.readouterr().err
    assert command(served.config, "verdict", "--revision", "abc") == 2
    assert served.service.snapshot.revision_id in capsys.readouterr().err
    assert command(served.config, "verdict", "--revision", served.service.snapshot.revision_id) == 3


def test_verdict_says_what_to_type_where_there_is_nothing_to_judge(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control itself, or one version alone: both exit 2 and lead on."""
    assert command(served.config, "verdict", "v1") == 2
    typed_here = typed(served.config, "verdict v2")
    assert f"v1 is the control, which the others are compared with: run '{typed_here}'" in (
        capsys.readouterr().err
    )
    config = served.config.read_text()
    served.config.write_text(f"{config}[split]\nv2 = 100\n")
    assert command(served.config, "verdict") == 2
    said = capsys.readouterr().err
    assert "v2 is the only version in [split], so there is nothing to compare: write" in said
    assert "'v2 = 90' and 'v1 = 10' under [split]" in said
    assert f"run '{typed(served.config, 'reload')}'" in said
    served.config.write_text(f"{config}[split]\nv2 = 90\nv1 = 10\n")
    assert command(served.config, "verdict") == 3
    # Where no other version has a model, one is to be trained first.
    models = served.service.snapshot.config.data.models
    alone = served.config.parent / "alone"
    shutil.copytree(models / "v2", alone / "v2", symlinks=True)
    config = config.replace(str(models), str(alone))
    served.config.write_text(f"{config}[model.v2]\n[model.v7]\n[split]\nv2 = 100\n")
    assert command(served.config, "verdict") == 2
    said = capsys.readouterr().err
    assert f"run '{typed(served.config, 'train v7')}', write 'v2 = 90' and 'v7 = 10'" in said


def test_history_prints_csv(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """history has the documented columns, a line per row, and the label once it is known."""
    request_id = served.predict([ROW, ROW], user_id="u-1")["request_id"]
    served.client.post("/feedback", {"request_id": request_id, "labels": [0, 1]})
    assert command(served.config, "history") == 0
    header, *lines = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == [
        *("request_id", "timestamp", "revision", "version", "user"),
        *("sepal_length", "sepal_width", "petal_length", "petal_width"),
        *("prediction", "shadow_v1", "shadow_v2", "label"),
    ]
    assert [line[-1] for line in lines] == ["setosa", "versicolor"]
    assert [float(cell) for cell in lines[0][5:9]] == ROW
    assert command(served.config, "history", "--since", "2999-01-01T00:00:00Z") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    with pytest.raises(SystemExit):
        command(served.config, "history", "--since", "10m")
    assert "'10m' is no moment: write one like 2026-01-31T12:00:00Z" in capsys.readouterr().err


def test_labels_become_training_data(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """history --training is accepted by train as it is, and the result can be served."""
    from sklearn.datasets import load_iris

    iris = load_iris()
    request_id = served.predict(iris.data.tolist())["request_id"]
    labels = {"request_id": request_id, "labels": iris.target.tolist()}
    assert served.client.post("/feedback", labels).json == {"status": "matched"}
    served.predict()
    capsys.readouterr()
    assert command(served.config, "history", "--training") == 0
    table = tmp_path / "labels.csv"
    table.write_text(capsys.readouterr().out)
    replace_in(served.config, "[data]", "[model.v3]\nn_estimators = 10\n[data]")
    models = served.service.snapshot.config.data.models
    options = ("--data", str(table), "--target", "label")
    try:
        assert command(served.config, "train", "v3", *options) == 0
        replace_in(served.config, "[data]", "[split]\nv1 = 50\nv3 = 50\n[data]")
        assert command(served.config, "check") == 0
    finally:
        shutil.rmtree(models / "v3", ignore_errors=True)


def test_a_closed_pipe_is_no_error(served: Served) -> None:
    """`irisab history | head -1` ends quietly."""
    served.predict([ROW] * 1000)
    served.predict([ROW] * 1000)
    served.flush()
    shell = "set -o pipefail; " + " ".join(irisab(served.config, "history")) + " | head -1"
    found = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert found.stdout.startswith("request_id,") and found.stderr == ""
    assert found.returncode == 0


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """What is printed fails at once, or only at the end."""
    return os.environ | {"PYTHONUNBUFFERED": request.param}


@pytest.mark.parametrize(
    ("words", "code"),
    [(["verdict"], 3), (["verdict", "--json"], 3), (["drift"], 3), (["check"], 0), (["train"], 0)],
)
def test_the_exit_code_outlives_its_reader(
    words: list[str], code: int, config: Path, environment: dict[str, str]
) -> None:
    """In a pipe that nobody reads, the verdict is the verdict, and nobody complains."""
    with subprocess.Popen(
        irisab(config, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdout and child.stderr
        child.stdout.close()
        said = child.stderr.read()
    assert (child.returncode, said) == (code, b"")


def test_training_outlives_its_reader(tmp_path: Path, environment: dict[str, str]) -> None:
    """`train | head` writes every bundle, as its exit code says."""
    config = write_config(tmp_path, tmp_path / "models", "[model.v1]\nn_estimators = 2\n")
    with subprocess.Popen(
        irisab(config, "train"), stdout=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdout
        child.stdout.close()
    assert child.returncode == 0
    assert (tmp_path / "models/v1/current/manifest.json").exists()


@pytest.mark.parametrize("name", ["verdict", "drift", "history", "check", "train"])
def test_output_that_cannot_be_written_is_an_error(
    name: str, config: Path, environment: dict[str, str]
) -> None:
    """A full disk exits 2 with a sentence, and not with a code that means worse or drift."""
    with open("/dev/full", "w") as full:
        child = subprocess.run(
            irisab(config, name), stdout=full, stderr=subprocess.PIPE, text=True, env=environment,
            check=False,
        )  # fmt: skip
    assert (child.returncode, child.stderr) == (2, "irisab: [Errno 28] No space left on device\n")


def test_a_fault_of_ours_exits_2(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a traceback to report, and not with a code that means worse or drift."""
    monkeypatch.setattr("irisab.serving.report.drift_report", lambda *_: 1 / 0)
    assert command(config, "drift") == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_module_exits_with_the_code(config: Path) -> None:
    """python -m irisab exits with the command's code."""
    found = subprocess.run(
        [sys.executable, "-m", "irisab", "--config", str(config), "drift"],
        capture_output=True,
        check=False,
    )
    assert found.returncode == 3
