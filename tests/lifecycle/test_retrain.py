"""irisab retrain: a candidate from old rows and new labels, through the service and its files."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lives import CLASSES, WORLDS, Life, World, truth
from processes import Served, irisab, replace_in, write_config
from sklearn.tree import DecisionTreeClassifier

from irisab import config as settings
from irisab.__main__ import run
from irisab.errors import DataError
from irisab.lifecycle import due, exam, kept, labelled, training
from irisab.lifecycle.retrain import retrain
from irisab.model import bundle, candidate
from irisab.serving import candidates, gauges, snapshot
from irisab.store import rollouts
from irisab.store.events import EventLog

SHIFT, CONCEPT = WORLDS["covariate shift"], WORLDS["concept shift"]


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A life whose input has moved, with labels of it: to be copied, not to be changed."""
    life = Life(tmp_path_factory.mktemp("life"), np.random.default_rng(4))
    life.live(SHIFT)
    life.served.close()
    return life


@pytest.fixture
def life(shifted: Life, tmp_path: Path) -> Iterator[Life]:
    """A copy of it that goes on."""
    found = object.__new__(Life)
    found.folder = Path(shutil.copytree(shifted.folder, tmp_path / "life", symlinks=True))
    found.config = found.folder / shifted.config.name
    replace_in(found.config, str(shifted.folder), str(found.folder))
    found.random, found.serving = np.random.default_rng(6), "v1"
    found.served = Served(found.config)
    yield found
    found.served.close()


def command(life: Life, *arguments: str) -> int:
    return run(["--config", str(life.config), *arguments])


def manifest(life: Life, version: str) -> Any:
    return bundle.read_manifest(life.folder / "models", version)


def files(life: Life) -> dict[str, bytes | None]:
    """Return what every file of the models holds, and the links."""
    return {
        str(path.relative_to(life.folder)): None if path.is_symlink() else path.read_bytes()
        for path in sorted((life.folder / "models").rglob("*"))
        if path.is_symlink() or path.is_file()
        if not path.is_symlink() or path.name == "current"
        if path.name != ".retrain"
    }


def test_a_better_candidate_is_proposed(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, both exams, what to type next; models and the drift alarm say that it waits."""
    before = files(life)
    assert command(life, "drift") == 1
    assert "Consider retraining" in capsys.readouterr().out
    assert command(life, "retrain") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "PROPOSE: v2 is not worse than v1 on old rows nor on new"
    assert said[1].startswith("  old rows, ") and said[2].startswith("  new rows, ")
    assert said[3].startswith("Next: ") and said[3].endswith(" rollout start v2")
    assert {name: each for name, each in files(life).items() if name in before} == before
    assert command(life, "models") == 0
    listed = capsys.readouterr().out
    assert "v2 is a candidate" in listed and "rollout start v2" in listed
    assert command(life, "drift") == 1
    assert "A candidate is under way: v2" in capsys.readouterr().out
    (told,) = [each for each in EventLog(life.folder / "h.sqlite3").list() if each.version == "v2"]
    assert (told.kind, told.by) == ("retrain", "operator")


def test_no_exam_row_is_ever_fitted(life: Life) -> None:
    """Old rows keep their side, and the tree knows by heart only the others."""
    assert life.retrain().version == "v2"
    one, two = (bundle.load(life.folder / "models", name) for name in ("v1", "v2"))
    old, both = kept.unpack(one.folder, one.manifest), kept.unpack(two.folder, two.manifest)
    assert len(both.rows) == len(old.rows) + 600
    members = exam.members(both, salt="irisab")
    assert (members[: len(old.rows)] == exam.members(old, salt="irisab")).all()
    assert two.manifest["rows"] == (~members).sum()
    said = np.array([answer for answer, _ in two.model.score_rows(both.rows.tolist())])
    assert (said == both.labels)[~members].all()
    assert 0.5 < (said == both.labels)[members].mean() < 0.9


def test_its_section_is_its_parents(life: Life) -> None:
    """A version without a section goes on as it was made, however many retrainings later."""
    life.retrain()
    life.promote("v2")
    life.live(SHIFT, 400)
    assert life.retrain().version == "v3"
    story = manifest(life, "v3")["retrain"]
    assert (story["from"], story["model"], story["labels"]) == (
        "v2",
        {"kind": "decision_tree"},
        400,
    )
    assert manifest(life, "v3")["estimator"] == "DecisionTreeClassifier"


def test_a_label_is_learned_from_once_and_corrected_later(life: Life) -> None:
    """The rows of a later version are those of its parent and the labels since; what was corrected
    meanwhile is what it says now."""
    life.retrain()
    life.promote("v2")
    request = life.served.predict(life.draw(1, 2.5).tolist()[0])["request_id"]
    life.served.flush()
    told = {"request_id": request, "label": "ash"}
    assert life.served.client.post("/feedback", told).status == 200
    life.live(SHIFT, 400)
    life.retrain()
    three = bundle.load(life.folder / "models", "v3")
    ids = labelled.unpack(three.folder, three.manifest["retrain"]["labelled"])
    assert len(ids) == len({*ids}) == 600 + 1 + 400
    assert manifest(life, "v3")["training"]["rows"] == 600 + len(ids)
    life.promote("v3")
    life.live(SHIFT, 400)
    told |= {"label": "cedar", "correct": True}
    assert life.served.client.post("/feedback", told).status == 200
    life.retrain()
    four = bundle.load(life.folder / "models", "v4")
    rows = kept.unpack(four.folder, four.manifest)
    seat = len(rows.rows) - 400 - len(ids) + ids.index(f"{request.replace('-', '')} 0")
    assert rows.class_names[rows.labels[seat]] == "cedar"


def test_drift_is_measured_against_the_new_rows(life: Life) -> None:
    """Once it is the control, today's input is no drift any more; each turn is one event."""
    assert command(life, "drift") == command(life, "drift") == 1
    life.retrain()
    life.promote("v2")
    assert command(life, "drift") == command(life, "drift") == 0
    turns = [
        each.text for each in EventLog(life.folder / "h.sqlite3").list() if each.kind == "drift"
    ]
    assert [text.partition(":")[0] for text in turns] == ["WARNING", "OK"]
    assert "above its limit: height" in turns[0]


def test_a_worse_candidate_is_kept_and_gets_no_traffic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1; a split that names it is refused with the reason, and it can still be examined."""
    life = Life(tmp_path, np.random.default_rng(7))
    life.live(CONCEPT)
    capsys.readouterr()
    assert command(life, "retrain", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert {*found} == {"version", "decision", "reason_code", "reason", "exam"}
    assert (found["version"], found["decision"]) == ("v2", "reject")
    assert found["reason_code"] == "worse_on_old" and found["exam"]["old"]["worse"]
    assert command(life, "models") == 0
    assert "v2 was rejected, and gets no traffic: v2 is worse" in capsys.readouterr().out
    assert command(life, "models", "--json") == 0
    listed = {each["version"]: each for each in json.loads(capsys.readouterr().out)}
    assert (listed["v1"]["candidate"], listed["v2"]["candidate"]) == (None, "rejected")
    assert command(life, "evaluate", "v1", "v2") in (1, 3)
    capsys.readouterr()
    assert command(life, "rollout", "start", "v2") == 2
    assert "the rollout of v2: was rejected by its exam" in capsys.readouterr().err
    replace_in(life.config, "v1 = 100", "v1 = 100\nv2 = 0")
    capsys.readouterr()
    assert command(life, "check") == 2
    assert "v2 = 0: was rejected by its exam, and gets no traffic" in capsys.readouterr().err
    life.served.close()


def test_a_veto_writes_nothing(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3, one sentence and a code."""
    replace_in(life.config, "[split]", "[retrain]\nmin_labels = 601\n[split]")
    before = files(life)
    assert command(life, "retrain", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["decision"], found["exam"]) == (None, "veto", None)
    assert found["reason_code"] == "too_few_labels" and "min_labels = 601" in found["reason"]
    assert files(life) == before
    assert command(life, "retrain") == 3
    assert capsys.readouterr().out.startswith("VETO: 600 labels have come")


def test_no_version_is_written_over(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    """Run twice there are two candidates, of which the newest waits; a taken name is told."""
    assert command(life, "retrain") == command(life, "retrain", "--as", "next") == 0
    assert bundle.versions(life.folder / "models") == ["next", "v1", "v2"]
    before = files(life)
    capsys.readouterr()
    assert command(life, "retrain", "--as", "v2") == 2
    assert "v2 is there, or was: choose a new name" in capsys.readouterr().err
    assert command(life, "retrain", "--as", "a/b") == 2
    assert files(life) == before


@pytest.mark.parametrize(
    ("event", "nth"), [("mkdir", 1), ("rename", 1), ("symlink", 1), ("rename", 2)]
)
def test_a_kill_leaves_a_whole_candidate_or_none(life: Life, event: str, nth: int) -> None:
    """Whenever it comes nothing that was there is gone, and the next retraining is as good."""
    before = files(life)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, event, str(nth), *irisab(life.config, "retrain")[3:]],
        capture_output=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    found = files(life)
    assert {name: found[name] for name in before} == before
    assert bundle.versions(life.folder / "models") in (["v1"], ["v1", "v2"])
    assert life.retrain().decision == "propose"


# Die at the nth change of the models' folder of one kind.
KILLED = """
import os, signal, sys
from irisab.__main__ import run
kind, left = sys.argv[1], int(sys.argv[2])
def hook(event, arguments):
    global left
    if event == f"os.{kind}" and "/models/" in str(arguments[0]) + str(arguments[1]):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
run(sys.argv[3:])
"""


def test_a_full_disk_costs_nothing(life: Life) -> None:
    """What cannot be written whole is not written, and said."""
    before = files(life)
    done = subprocess.run(
        irisab(life.config, "retrain"),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert done.returncode == 2 and "the model cannot be written" in done.stderr, done.stderr
    assert files(life) == before
    assert life.retrain().version == "v2"


def test_one_at_a_time(life: Life) -> None:
    """A second one that is started meanwhile says so."""
    import fcntl

    with (life.folder / "models" / ".retrain").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another retraining is under way"):
            life.retrain()


def test_what_cannot_be_fitted_again_is_told(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that irisab has not made, rows that were not kept, rows that could not be kept."""
    one = bundle.load(life.folder / "models", "v1")
    rows = kept.unpack(one.folder, one.manifest)
    training.fit(
        life.folder / "models", "own", rows, estimator=DecisionTreeClassifier(),
        options=training.TrainingOptions(keep_mb=0),
    )  # fmt: skip
    assert command(life, "retrain", "--from", "own") == 2
    assert "was a DecisionTreeClassifier, and" in capsys.readouterr().err
    replace_in(life.config, "[model.v1]", "[model.own]\nkind = decision_tree\n[model.v1]")
    assert command(life, "retrain", "--from", "own") == 2
    assert "are not kept" in capsys.readouterr().err
    assert command(life, "retrain", "--from", "none") == 2
    replace_in(life.config, "[training]", "[training]\nkeep_mb = 0")
    assert command(life, "retrain") == 2
    assert "keep_mb = 0 is too little for 1200 rows" in capsys.readouterr().err


def test_a_changed_list_of_labels_is_refused(life: Life) -> None:
    """Rows would be learned from twice."""
    life.retrain()
    life.promote("v2")
    (bundle.load(life.folder / "models", "v2").folder / labelled.FILE).write_bytes(b"")
    with pytest.raises(DataError, match=r"labelled\.txt\.gz"):
        life.retrain()


def test_the_timer_waits_for_its_reason(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    """Never; on drift; not while a candidate waits; and not again at once."""
    assert command(life, "retrain", "--due") == 0
    assert capsys.readouterr().out == "not due: [retrain] when = never\n"
    replace_in(life.config, "[split]", "[retrain]\nwhen = drift\nmin_labels = 601\n[split]")
    assert command(life, "retrain", "--due", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["decision"], found["reason_code"]) == ("none", "not_due")
    replace_in(life.config, "min_labels = 601", "min_labels = 600")
    assert command(life, "retrain", "--due") == 0
    assert capsys.readouterr().out.startswith("PROPOSE")
    assert command(life, "retrain", "--due") == 0
    assert capsys.readouterr().out.startswith("not due: v2 is a candidate already")


@pytest.mark.parametrize(
    ("when", "days", "why"),
    [
        ("drift", 0.9, "less than 1 day"),
        ("drift", 1.1, "no drift"),
        ("labels", 0.9, "less than 1 day"),
        ("labels", 1.1, None),
        ("weekly", 6.9, "less than 7 day"),
        ("weekly", 7.1, None),
    ],
)
def test_reasons_of_the_timer(life: Life, when: str, days: float, why: str | None) -> None:
    """A calm week, and what was tried before."""
    life.live(World(expected=""))
    replace_in(life.config, "[split]", f"[retrain]\nwhen = {when}\n[split]")
    log = EventLog(life.folder / "h.sqlite3")
    log.add("retrain", "veto", by="timer")
    found = due.why_not(
        snapshot.build(life.config), life.served.history, log.list(),
        now=log.list()[-1].at + days * due.DAY,
    )  # fmt: skip
    assert (why is None) == (found is None) and (why or "") in (found or "")


def test_a_candidate_that_served_and_does_no_more_is_closed(life: Life) -> None:
    """It waits until it is tried, is under way as long as it is in the split, and no longer; GET
    /report names it beside the drift as long."""
    assert named(life) is None
    life.retrain()
    assert (named(life), waits(life)) == ("v2", {"v2": 1})
    replace_in(life.config, "v1 = 100", "v1 = 90\nv2 = 10")
    life.served.reload()
    assert waits(life) == {}
    serving = life.served.service.snapshot
    waiting = candidates.under_way(serving, life.served.history)
    assert isinstance(waiting, candidate.Candidate) and waiting.version == "v2"
    assert named(life) == "v2"
    life.served.predict(life.draw(1).tolist()[0])
    life.served.flush()
    replace_in(life.config, "v1 = 90\nv2 = 10", "v1 = 100")
    life.served.reload()
    assert candidates.under_way(life.served.service.snapshot, life.served.history) is None
    assert (named(life), waits(life)) == (None, {})


def named(life: Life) -> str | None:
    found: str | None = life.served.client.get("/report").json["drift"]["candidate"]
    return found


def waits(life: Life) -> dict[str, float]:
    """Return what is scraped of candidates, by version."""
    families = gauges.collect(life.served.service).families
    (found,) = [each for each in families if each.name == "retrain_candidate_waiting"]
    return {each.labels["version"]: each.value for each in found.samples}


def test_a_candidate_can_be_rolled_out_at_once(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --then, or by the INI; programs still read one object, and one waits at a time."""
    assert command(life, "retrain", "--then", "rollout", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["version"] == "v2" and "Rollout of v2" in said.err
    at = rollouts.newest(life.folder / "h.sqlite3")
    assert at is not None and (at.version, at.state) == ("v2", "shadow")
    replace_in(life.config, "[split]", "[retrain]\nwhen = labels\nthen = rollout\n[split]")
    assert command(life, "retrain", "--due") == 0
    assert "not due: v2 is a candidate already" in capsys.readouterr().out


def test_numbers_are_retrained_too(tmp_path: Path) -> None:
    """A regression sits its exam by mean error, and the margin is a part of the control's."""
    random = np.random.default_rng(8)
    rows = random.normal(size=(500, 2))
    path = tmp_path / "numbers.csv"
    values = 3 * rows[:, 0] + rows[:, 1] + random.normal(size=500) / 4
    lines = [f"{a},{b},{c}" for (a, b), c in zip(rows.tolist(), values.tolist(), strict=True)]
    path.write_text("\n".join(["one,two,price", *lines]))
    text = (
        f"[training]\ndata = {path}\ntarget = price\n[split]\nv1 = 100\n"
        "[model.v1]\nkind = decision_tree\nmax_depth = 6\n"
    )
    config = write_config(tmp_path, tmp_path / "models", text)
    assert run(["--config", str(config), "train", "v1"]) == 0
    served = Served(config)
    new = random.normal(size=(400, 2)) + [2.5, 0]
    answer = served.predict(new.tolist())
    served.flush()
    told = {"request_id": answer["request_id"], "labels": (3 * new[:, 0] + new[:, 1]).tolist()}
    assert served.client.post("/feedback", told).status == 200
    accepted = settings.load(config)
    found = retrain(accepted, served.history, origin="v1", where="[model.v1]")
    assert found.decision == "propose" and found.exam is not None
    better = found.exam["new"]
    assert better["candidate"]["mae"] < better["control"]["mae"] * 0.6
    served.close()


def test_noise_is_what_the_lives_say() -> None:
    """The truth of a simulated row is seldom another class than the clear one."""
    rows = np.random.default_rng(1).normal(size=(5000, 4))
    one, two = (truth(rows, np.random.default_rng(seed)) for seed in (1, 2))
    assert 0.8 < (one == two).mean() < 0.95 and len({*one}) == len(CLASSES)
