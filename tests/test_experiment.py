"""From labels to a verdict: the API, the command line and the gauges say the same."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import Served, replace_in, replace_model, write_config
from simulate import train_on_noise
from sklearn.datasets import load_iris

from irisab.__main__ import run
from irisab.cli.typed import typed

EVEN = "[split]\nv1 = 50\nv2 = 50\n"
ROWS = np.random.default_rng(3).uniform(-3, 3, (200, 2)).tolist()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles v1, v2 and v3 that know nothing and often disagree."""
    folder = tmp_path_factory.mktemp("noise") / "models"
    noise = np.random.default_rng(1)
    for version in ("v1", "v2", "v3"):
        train_on_noise(folder, version, noise)
    return folder


class Experiment(Served):
    """A service whose users ask for rows on which v1 and v2 disagree."""

    def __init__(self, config: Path) -> None:
        super().__init__(config)
        # One deal of the requests in a hundred is so lopsided that a verdict waits.
        random.seed(1)
        said = [self.predict(ROWS, model_version=name)["predictions"] for name in ("v1", "v2")]
        answers = list(zip(ROWS, *said, strict=True))
        self.disputed = [(row, v1, v2) for row, v1, v2 in answers if v1 != v2]
        self.agreed = [(row, v1) for row, v1, v2 in answers if v1 == v2]

    def vote(self, winner: str, times: int, **options: Any) -> None:
        """Label `times` disagreements such that `winner` was right."""
        for i in range(times):
            row, v1, v2 = self.disputed[i % len(self.disputed)]
            answer = self.predict(row, **options)
            self.label(answer, label=v1 if winner == "v1" else v2)

    def label(self, answer: Any, **labels: Any) -> None:
        body = {"request_id": answer["request_id"], **labels}
        assert self.client.post("/feedback", body).json == {"status": "matched"}

    @property
    def report(self) -> Any:
        self.flush()
        return self.client.get("/report").json

    @property
    def comparison(self) -> Any:
        (found,) = self.report["comparisons"]
        return found


Start = Callable[..., Experiment]


@pytest.fixture
def start(tmp_path: Path, models: Path) -> Iterator[Start]:
    """Start a service on the noise forests with some text at the end of its INI file."""
    started: list[Experiment] = []

    def begin(text: str = EVEN) -> Experiment:
        started.append(Experiment(write_config(tmp_path, models, text)))
        return started[-1]

    yield begin
    for each in started:
        each.close()


@pytest.mark.parametrize(("winner", "verdict", "code"), [("v2", "better", 0), ("v1", "worse", 1)])
def test_api_command_line_and_gauges_agree(
    winner: str, verdict: str, code: int, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """One verdict, by /report, by `verdict` and its exit code, and by the gauges."""
    found = start()
    found.vote(winner, 40)
    comparison = found.comparison
    assert comparison["verdict"] == verdict and comparison["labelled"] == 40
    assert run(["--config", str(found.config), "verdict"]) == code
    assert f"Verdict: {verdict}\n  {comparison['reason']}" in capsys.readouterr().out
    assert run(["--config", str(found.config), "verdict", "v2", "--json"]) == code
    printed = json.loads(capsys.readouterr().out)
    assert printed["comparisons"] == [comparison]
    assert found.sample("experiment_e_value", version="v2") == comparison["e_value"] > 20
    assert found.sample("experiment_verdict", version="v2", verdict=verdict) == 1
    assert found.sample("experiment_verdict", version="v2", verdict="inconclusive") == 0


def test_no_labels_is_exit_3(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing known: inconclusive, and what to do."""
    found = start()
    assert run(["--config", str(found.config), "verdict"]) == 3
    assert "send labels to POST /feedback" in capsys.readouterr().out


def test_twins_are_equivalent_without_a_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Versions that never disagree are equivalent after 1,400 requests: exit 4."""
    for version in ("v1", "v2"):
        train_on_noise(tmp_path / "models", version, np.random.default_rng(8))
    found = Served(write_config(tmp_path, tmp_path / "models", EVEN))
    for row in ROWS * 7:
        found.predict(row)
    found.close()
    assert run(["--config", str(found.config), "verdict"]) == 4
    assert "choose by cost" in capsys.readouterr().out


class Slowly:
    """What another model says, after a tenth of a second."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def score_row(self, row: Any) -> Any:
        time.sleep(0.1)
        return self.model.score_row(row)


def slow_down(found: Served, version: str) -> None:
    replace_model(found, version, Slowly(found.service.snapshot.bundles[version].model))


def test_of_a_slow_challenger_a_part_is_judged(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above the shadow's budget requests are sampled: how many is told, each figure of the pair is
    of these alone, and of the labels that are asked for only so many will count."""
    found = start("[split]\nv1 = 100\nv2 = 0\n")
    slow_down(found, "v2")
    asked = []
    for i in range(120):
        row, *_, truth = found.disputed[i % len(found.disputed)] if i % 3 else found.agreed[0]
        asked.append((found.predict(row), truth))
    found.flush()
    said = [json.loads(row["votes"]) for row in found.history.rows()]
    both = [each for each in said if len(each) == 2]
    assert 5 < len(both) < 60
    for answer, label in asked:
        found.label(answer, label=label)
    report, comparison = found.report, found.comparison
    assert report["versions"]["v1"]["requests"] == report["versions"]["v1"]["labelled"] == 120
    assert comparison["scored"] == comparison["labelled"] == len(both)
    assert comparison["sampling_rate"] == pytest.approx(len(both) / 120)
    differed = sum(each["v1"] != each["v2"] for each in both)
    assert comparison["disagreement_rate"] == pytest.approx(differed / len(both))
    assert (comparison["challenger_right"], comparison["control_right"]) == (differed, 0)
    run(["--config", str(found.config), "verdict"])
    printed = capsys.readouterr().out
    assert f"  Both scored {len(both) / 120:.1%} of the newest requests" in printed


def test_a_slow_twin_is_not_soon_equivalent(tmp_path: Path) -> None:
    """1,400 requests of which few are scored are few: the twin that scored all was equivalent."""
    for version in ("v1", "v2"):
        train_on_noise(tmp_path / "models", version, np.random.default_rng(8))
    found = Served(write_config(tmp_path, tmp_path / "models", "[split]\nv1 = 100\nv2 = 0\n"))
    slow_down(found, "v2")
    for row in ROWS * 7:
        found.predict(row)
    found.flush()
    (comparison,) = found.client.get("/report").json["comparisons"]
    found.close()
    assert 5 < comparison["scored"] < 700 and comparison["disagreement_rate"] == 0
    assert comparison["verdict"] == "inconclusive"
    assert comparison["difference"]["high"] > 0.01


def test_several_challengers_must_be_named(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """With two challengers `verdict` asks which one, and both are in /report."""
    found = start("[split]\nv1 = 40\nv2 = 30\nv3 = 30\n")
    assert [each["challenger"] for each in found.report["comparisons"]] == ["v2", "v3"]
    assert run(["--config", str(found.config), "verdict"]) == 2
    assert "v2, v3" in capsys.readouterr().err
    assert run(["--config", str(found.config), "verdict", "v3"]) == 3


def test_challengers_share_alpha(start: Start) -> None:
    """What is enough for one challenger is not enough for one of two."""
    found = start()
    found.vote("v2", 8)
    alone = found.comparison["e_value"]
    assert 20 < alone < 40
    replace_in(found.config, EVEN, "[split]\nv1 = 40\nv2 = 40\nv3 = 20\n")
    found.reload()
    (v2, _) = found.report["comparisons"]
    assert v2["e_value"] == alone and v2["verdict"] == "inconclusive"


def test_a_user_has_one_vote(start: Start) -> None:
    """A user who labels thirty disagreements counts once, and agreements count each time."""
    found = start()
    found.vote("v2", 30, user_id="u-17")
    comparison = found.comparison
    assert comparison["challenger_right"] == comparison["labelled"] == 1
    assert comparison["disagreement_rate"] == 1
    for row, said in found.agreed[:5]:
        found.label(found.predict(row, user_id="u-17"), label=said)
    assert found.comparison["labelled"] == 6


def test_a_batch_has_one_vote(start: Start) -> None:
    """Of a batch with many labelled disagreements one counts; the rate looks at its first row."""
    found = start()
    batch = [(found.agreed[0][0], found.agreed[0][1]), *((r, v2) for r, _, v2 in found.disputed)]
    found.label(found.predict([row for row, _ in batch]), labels=[label for _, label in batch])
    comparison = found.comparison
    assert comparison["challenger_right"] == 1 and comparison["labelled"] == 2
    assert comparison["disagreement_rate"] == 0


def test_unlabelled_batches_count_against_the_leader(start: Start) -> None:
    """Disagreements in batches that nobody labels keep an uneven split from a verdict."""
    mostly_v1, mostly_v2 = "[split]\nv1 = 99\nv2 = 1\n", "[split]\nv1 = 1\nv2 = 99\n"
    found = start(mostly_v1)
    found.vote("v2", 80)
    found.vote("v1", 30)
    replace_in(found.config, mostly_v1, mostly_v2)
    found.reload()
    found.vote("v2", 3)
    found.vote("v1", 3)
    assert found.comparison["verdict"] == "better"
    for _ in range(500):
        found.predict([found.agreed[0][0], found.disputed[0][0]])
    assert found.comparison["verdict"] == "inconclusive"
    assert "at an uneven split" in found.comparison["reason"]


def test_a_forced_version_is_no_evidence(start: Start) -> None:
    """Labels of requests that asked for a version do not count."""
    found = start()
    found.vote("v2", 40, model_version="v2")
    assert found.comparison["labelled"] == 0
    assert found.report["versions"]["v2"]["labelled"] == 0


def test_paired_evidence_survives_a_new_split_and_pruning(start: Start) -> None:
    """The pair of models keeps its evidence; the figures of versions begin anew."""
    found = start(f"keep_rows = 100\n{EVEN}")
    found.vote("v2", 200)
    before = found.report
    replace_in(found.config, EVEN, "[split]\nv1 = 70\nv2 = 30\n")
    found.reload()
    after = found.report
    # What part both score is told of this split, in which nobody has asked yet.
    (now,), (then,) = after["comparisons"], before["comparisons"]
    assert then["sampling_rate"] == 1.0
    assert now == {**then, "sampling_rate": None}
    assert sum(each["labelled"] for each in before["versions"].values()) == 200
    assert sum(each["labelled"] for each in after["versions"].values()) == 0


def test_paired_evidence_survives_a_new_control(start: Start) -> None:
    """What was learnt of two models holds whichever the others are compared with."""
    running = start()
    running.vote("v2", 30)
    assert running.comparison["verdict"] == "better"
    control = "[experiment]\ncontrol = v2\n"
    turned = start(EVEN + control)
    assert turned.comparison["verdict"] == "worse"
    turned.vote("v2", 5)
    found = turned.comparison
    assert (found["challenger"], found["control_right"], found["challenger_right"]) == ("v1", 35, 0)
    back = start().comparison
    assert (back["challenger"], back["challenger_right"], back["labelled"]) == ("v2", 35, 35)
    assert back["disagreement_rate"] == found["disagreement_rate"]


def test_old_revisions_stay_readable(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """`verdict --revision` shows the figures of an earlier split; an unknown one is explained."""
    found = start()
    found.vote("v2", 40)
    old = found.report["revision"]
    replace_in(found.config, EVEN, "[split]\nv1 = 70\nv3 = 30\n")
    found.reload()
    assert found.report["comparisons"][0]["challenger"] == "v3"
    command = ["--config", str(found.config), "verdict", "--json", "--revision"]
    assert run([*command, old]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["revision"] == old
    assert sum(each["labelled"] for each in printed["versions"].values()) == 40
    assert run([*command, "nonsense"]) == 2
    assert old in capsys.readouterr().err
    # Whatever became of its models.
    replace_in(found.config, "v1 = 70\nv3 = 30", "v9 = 100")
    assert run([*command, old]) == 0


def test_a_version_without_traffic_gets_advice(start: Start) -> None:
    """At weight 0 a version scores in the shadow, and gets no verdict."""
    found = start("[split]\nv1 = 100\nv2 = 0\n")
    found.vote("v2", 40)
    assert found.comparison["disagreement_rate"] == 1
    assert found.comparison["verdict"] == "inconclusive"
    assert found.comparison["reason_code"] == "no_traffic"
    assert found.comparison["next"] == "[split]\nv1 = 90\nv2 = 10"


def test_without_shadow_each_version_is_judged_by_its_own_requests(start: Start) -> None:
    """With shadow = no the versions' own accuracies are compared, and their own failures."""
    found = start(f"{EVEN}[experiment]\nshadow = no\n")
    found.vote("v2", 150)
    comparison = found.comparison
    assert comparison["verdict"] == "better" and comparison["disagreement_rate"] is None
    assert comparison["difference"]["low"] > 0
    assert found.report["versions"]["v2"]["accuracy"] == 1
    replace_model(found, "v2", None)  # which fails on every request
    row, *_ = found.disputed[0]
    for number in range(60):
        found.predict(row, user_id=f"u-{number}")
    assert found.comparison["reason_code"] == "fails_alone"


def test_iris_has_no_winner(tmp_path: Path, iris_models: Path) -> None:
    """v1 and v2 on Iris, every row labelled: inconclusive or equivalent, and how they differ."""
    found = Served(write_config(tmp_path, iris_models))
    iris = load_iris()
    for row, label in zip(iris.data.tolist() * 2, iris.target.tolist() * 2, strict=True):
        request_id = found.predict(row)["request_id"]
        found.client.post("/feedback", {"request_id": request_id, "label": label})
    (comparison,) = found.client.get("/report").json["comparisons"]
    found.close()
    assert comparison["verdict"] in ("inconclusive", "equivalent")
    assert comparison["disagreement_rate"] < 0.03 and comparison["labelled"] == 300


def test_one_user_makes_no_versions_equivalent(start: Start) -> None:
    """Who sends one row 1,300 times has shown once that they agree; so have 1,300 users that many
    times."""
    found = start()
    row, _ = found.agreed[0]
    for _ in range(1300):
        found.predict(row, user_id="u-17")
    comparison = found.comparison
    assert (comparison["verdict"], comparison["unit"]) == ("inconclusive", "user")
    for number in range(1400):
        found.predict(row, user_id=f"u-{number}")
    assert found.comparison["verdict"] == "equivalent"
    assert "% of users" in found.comparison["reason"]


def test_alike_rows_of_a_batch_are_one(start: Start) -> None:
    """With shadow = no a request counts once, however many rows it has, and so does a user."""
    found = start(f"{EVEN}[experiment]\nshadow = no\n")
    for _ in range(6):
        row, v1, _ = found.disputed[0]
        found.label(found.predict([row] * 20), labels=[v1] * 20)
    comparison = found.comparison
    assert (comparison["labelled"], comparison["unit"]) == (6, "request")
    assert sum(each["labelled"] for each in found.report["versions"].values()) == 120
    for _ in range(5):
        found.vote("v2", 10, user_id="u-17")
    comparison = found.comparison
    assert (comparison["labelled"], comparison["unit"]) == (7, "user")


def test_labels_on_what_a_third_version_answered_count(start: Start) -> None:
    """For every pair that scored it: a third version with all the traffic helps to tell the two
    apart, and its disagreements are not taken for unlabelled ones."""
    even, mostly_v3 = (
        "[split]\nv1 = 34\nv2 = 33\nv3 = 33\n",
        "[split]\nv1 = 1\nv2 = 1\nv3 = 98\n",
    )
    found = start(even)
    for number in range(24):  # named, so that each is shown the same version in every run
        found.vote("v2", 1, user_id=f"u-{number}")
    before, _ = found.report["comparisons"]
    assert (before["challenger"], before["challenger_right"]) == ("v2", 24)
    shown = found.report["versions"]
    assert min(shown[name]["labelled"] for name in ("v1", "v2")) >= 3
    replace_in(found.config, even, mostly_v3)
    found.reload()
    found.vote("v2", 60)
    found.vote("v1", 15)
    after, _ = found.report["comparisons"]
    assert (after["challenger_right"], after["control_right"]) == (84, 15)
    assert (after["verdict"], after["labelled"]) == ("better", 99)
    assert after["next"] == "[split]\nv1 = 0\nv2 = 2\nv3 = 98"


def test_a_version_that_finds_no_fraud_is_not_better(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right nearly always, and never where it matters: by /report and the command line."""
    found = start()
    # What v2 calls "no" and v1 "yes" is nearly always "no", but for each fraud.
    ordinary = [row for row, v1, v2 in found.disputed if (v1, v2) == (1, 0)]
    assert len(ordinary) > 20

    def label(times: int, truth: str) -> None:
        for number in range(times):
            answer = found.predict(ordinary[number % len(ordinary)])
            found.label(answer, label=truth)

    label(80, "no")
    assert found.comparison["verdict"] == "better"
    label(16, "yes")
    comparison = found.comparison
    assert (comparison["verdict"], comparison["reason_code"]) == ("inconclusive", "worse_on_class")
    assert comparison["worse_on"] == ["yes"]
    assert comparison["next"] == "[experiment]\nweights = yes: 10"
    per_class = found.report["versions"]["v2"]["per_class"]
    assert per_class["yes"]["correct"] == 0 and per_class["no"]["recall"] == 1
    assert run(["--config", str(found.config), "verdict"]) == 3
    printed = capsys.readouterr().out
    assert "where the truth is yes, v2 was right in 0 and v1 in 16" in printed
    assert f"where the truth is yes: v1 right in {16 - per_class['yes']['labelled']} of " in printed
    replace_in(found.config, EVEN, f"{comparison['next'].replace('10', '40')}\n{EVEN}")
    found.reload()
    assert (found.comparison["verdict"], found.comparison["worse_on"]) == ("worse", ["yes"])


def test_the_balance_of_the_classes_can_be_asked_for(start: Start) -> None:
    """A challenger that is right more often, but finds less of the rare class, is then worse."""
    found = start(f"{EVEN}[experiment]\nmetric = balanced\n")
    lost = [row for row, v1, v2 in found.disputed if (v1, v2) == (1, 0)]

    def label(row: Any, times: int, truth: int) -> None:
        for _ in range(times):
            found.label(found.predict(row), label=truth)

    label(lost[0], 40, 0)
    assert found.comparison["reason_code"] == "class_unlabelled"
    label(lost[0], 30, 1)
    label(next(row for row, said in found.agreed if said == 0), 300, 0)
    comparison = found.comparison
    assert (comparison["challenger_right"], comparison["control_right"]) == (40, 30)
    assert comparison["verdict"] == "worse" and "by their weights" in comparison["reason"]


def test_a_finished_experiment_says_so(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """Following the next step leads to one that is true in the new split, and then to the end."""
    found = start()
    found.vote("v2", 40)
    for advice in ("give v2 all the traffic", "v1 has no traffic any more"):
        comparison = found.comparison
        assert comparison["verdict"] == "better" and comparison["reason"].endswith(f": {advice}.")
        split = found.config.read_text().split("[split]")[0]
        found.config.write_text(split + comparison["next"] + "\n")
        found.reload()
    assert found.report["comparisons"] == [] and found.report["control"] == "v2"
    assert run(["--config", str(found.config), "verdict"]) == 2
    assert "v2 is the only version in [split]" in capsys.readouterr().err


def test_an_earlier_revision_asks_for_nothing_in_this_split(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its figures can be read; what to do now is what the verdict of now says."""
    found = start()
    found.vote("v2", 40)
    old = found.report["revision"]
    replace_in(found.config, EVEN, "[split]\nv1 = 70\nv2 = 30\n")
    found.reload()
    assert run(["--config", str(found.config), "verdict", "--revision", old]) == 0
    assert f"Next: {typed(found.config, 'verdict v2')}" in capsys.readouterr().out


def test_the_feedback_command_labels_a_prediction(start: Start) -> None:
    """What the next step shows for more labels is what /feedback takes."""
    found = start()
    step = found.comparison["next"]
    command, _, body = step.partition(" -d ")
    port = found.service.snapshot.config.server.address[1]
    assert command.startswith(f"curl -sS http://127.0.0.1:{port}/feedback ")
    answer = found.predict(ROWS[0])
    body = body.strip("'").replace("REQUEST_ID", answer["request_id"]).replace("CLASS", "yes")
    assert found.client.post("/feedback", body.encode()).json == {"status": "matched"}
