"""The browser page's logic, without a browser: words, sliders, and each view against a service."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import altair
import api
import bundles
import charts
import course
import curves
import drifted
import explained
import grammar
import latest
import life
import pytest
import scores
import sliders
import verdicts
import words
from hypothesis import example, given
from hypothesis import strategies as st
from processes import ROW, Answer, Process, free_port, irisab, replace_in, running, write_config
from sklearn.svm import LinearSVC
from streamlit.testing.v1 import AppTest

from irisab import keys
from irisab.lifecycle import training
from irisab.lifecycle.dataset import load_iris

MAIN = str(Path(words.__file__).with_name("main.py"))
PETAL = {"name": "petal_length", "unit": "cm", "min": 1.0, "max": 6.9, "mean": 3.76}

sizes = st.floats(-1e30, 1e30)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, iris_models: Path) -> Iterator[Process]:
    port = free_port()
    folder = tmp_path_factory.mktemp("ui")
    config = write_config(folder, iris_models, "[drift]\nwindow = 10\n", listen=f"127.0.0.1:{port}")
    with running(config, port) as process:
        yield process


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service on a busy machine is not one that is away."""
    monkeypatch.setattr(api, "CONNECT", 30)
    monkeypatch.setattr(api, "ANSWER", {"GET": 30, "POST": 30})


@pytest.fixture
def address(service: Process, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("IRISAB_API", f"http://127.0.0.1:{service.port}")
    return api.address()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page look for a service where none is."""
    monkeypatch.setenv("IRISAB_API", f"http://127.0.0.1:{free_port()}")


def test_the_page_has_a_key_of_its_own(
    tmp_path: Path, iris_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From systemd's credential, else from $IRISAB_KEY; without it the API's sentence is shown."""
    port, secret = free_port(), keys.generate()
    page = keys.Key("page", keys.fingerprint(secret), ("predict", "feedback", "read", "force"))
    keys.edit(tmp_path / "keys", lambda _: [page])
    locked = "[auth]\nrequire = all\n"
    config = write_config(tmp_path, iris_models, locked, listen=f"127.0.0.1:{port}")
    monkeypatch.setenv("IRISAB_API", f"http://127.0.0.1:{port}")
    with running(config, port) as process:
        with pytest.raises(api.Refused, match="needs a valid key"):
            api.get("/config")
        monkeypatch.setenv("IRISAB_KEY", secret)
        assert api.get("/config").value["auth"] == {"require": "all"}
        monkeypatch.setenv("IRISAB_KEY", "another")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        (tmp_path / "key").write_text(f"{secret}\n")
        said = api.predict([5.1, 3.5, 1.4, 0.2], model_version="v2")
        assert said["model_version"] == "v2"
        assert api.feedback(said["request_id"], label=0) == {"status": "matched"}
        assert secret not in process.log.read_text()


def view(name: str) -> AppTest:
    """Draw one view the way main.py does."""
    latest.forget()
    script = f"import latest\nfrom views import {name}\n{name}.draw(latest.look().value('/config'))"
    page = AppTest.from_string(script, default_timeout=60).run()
    assert not page.exception
    assert "can't be shown" not in texts(page)
    return page


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.header, *page.info, *page.warning]
    return "\n".join(str(part.value) for part in parts)


def comparison(verdict: str, **more: Any) -> dict[str, Any]:
    return {
        "challenger": "v2",
        "verdict": verdict,
        "reason": "why it is so.",
        "disagreement_rate": 0.007,
        "scored": 1700,
        "sampling_rate": 1.0,
        "labelled": 40,
        "challenger_right": 8,
        "control_right": 4,
        "e_value": 1.3,
        "difference": {"estimate": None, "low": -1.0, "high": 1.0},
        "labels_needed": None,
        "reason_code": "chance",
        "unit": "request",
        "worse_on": [],
        "next": "irisab verdict v2",
    } | more


def drift(score: float | None, *, status: str, petal: float | None = 0.1) -> dict[str, Any]:
    features = {"petal_length": petal}
    return {
        "score": score,
        "limit": None if score is None else 0.3,
        "above": [name for name, score in features.items() if score and score > 0.3],
        "status": status,
        "candidate": None,
        "rows": 37,
        "window": 100,
        "features": features,
    }


@pytest.mark.parametrize(
    ("correct", "labelled", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_accuracy_interval(correct: int, labelled: int, low: float, high: float) -> None:
    """The interval is Wilson's: as in Newcombe, Statistics in Medicine 17 (1998), table I."""
    assert (low, high) == pytest.approx(scores.wilson(correct, labelled), abs=5e-5)


@pytest.mark.parametrize(
    ("verdict", "headline"),
    [
        ("better", "v2 is better than v1."),
        ("worse", "v2 is worse than v1."),
        ("equivalent", "v2 and v1 are as good as each other."),
        ("inconclusive", "It is too early to say whether v2 or v1 is better."),
    ],
)
def test_verdict_in_words(verdict: str, headline: str) -> None:
    """Each verdict is one sentence for a manager, with the service's own reason below."""
    message = verdicts.verdict(
        comparison(verdict), control="v1", split={"v1": 50, "v2": 50}, command=HERE
    )
    assert headline == message.headline
    assert message.because == "Why it is so."


def test_names_keep_their_case() -> None:
    """A reason that begins with a version's name leaves the name as it is."""
    reason = "v2 was right in 60 and v1 in 20 labelled disagreements."
    message = verdicts.verdict(
        comparison("better", reason=reason), control="v1", split={}, command=HERE
    )
    assert message.because == reason


def test_what_would_decide_it() -> None:
    """While nothing is decided the page says how many labels would do it, if that is known."""
    even = {"v1": 50, "v2": 50}
    known = comparison("inconclusive", labels_needed=900)
    assert "900 more labels" in verdicts.verdict(known, control="v1", split=even, command=HERE).todo
    assert (
        verdicts.verdict(comparison("inconclusive"), control="v1", split=even, command=HERE).todo
        == ""
    )


def test_what_is_next_is_typed_as_here() -> None:
    """A command as the service is called, lines of the INI file with what puts them in force, and
    a sentence where a rollout decides. Of a version that fails, labels are not asked for."""
    even = {"v1": 50, "v2": 50}

    def said(step: str, **more: Any) -> words.Message:
        judged = comparison("inconclusive", next=step, **more)
        return verdicts.verdict(judged, control="v1", split=even, command=HERE)

    assert said("irisab verdict v2").typed == f"{HERE} verdict v2"
    lines = said("[split]\nv1 = 100\nv2 = 0")
    assert (
        verdicts.where_typed(lines) == f"Next, write in irisab.ini, and then type `{HERE} reload`:"
    )
    assert verdicts.where_typed(said("curl ...")) == "Next, type:"
    rolled = said("irisab rollout status", labels_needed=900)
    assert rolled.todo == "A rollout is under way, and decides by itself what follows."
    assert rolled.typed == f"{HERE} rollout status"
    assert said("curl ...", labels_needed=900, reason_code="fails_alone").todo == ""


def test_said_once() -> None:
    """What the service says of the labels it needs, the page does not say again."""
    reason = "it is open: about 30 more labels would settle it."
    known = comparison("inconclusive", labels_needed=30, reason=reason)
    assert (
        verdicts.verdict(known, control="v1", split={"v1": 50, "v2": 50}, command=HERE).todo == ""
    )
    none = comparison("inconclusive", labelled=0, reason="no labels yet: send some.")
    message = verdicts.verdict(none, control="v1", split={"v1": 50, "v2": 50}, command=HERE)
    assert message.because == "No labels yet."


@pytest.mark.parametrize(
    ("verdict", "weight", "help"),
    [("inconclusive", 50, True), ("inconclusive", 0, False), ("better", 50, False)],
)
def test_when_labels_help(verdict: str, weight: int, help: bool) -> None:
    """The page asks for labels while they would decide something; traffic comes first."""
    split = {"v1": 100 - weight, "v2": weight}
    assert help == verdicts.labels_help(comparison(verdict), control="v1", split=split)


BASE = {
    "experiment": {"control": "v1"},
    "split": {"v1": 100},
    "effective_split": {"v1": 95, "v2": 5},
    "versions": {
        "v1": {"exam": {"rows": 30, "accuracy": 0.9}, "trained_at": "2026-01-31T12:00:00Z"},
        "v2": {"exam": None, "trained_at": "2026-02-28T12:00:00Z"},
    },
}
AT = "2026-03-01T09:30:12.345Z"
HERE = "sudo /usr/local/bin/irisab"


def rolled(state: str, **more: Any) -> dict[str, Any]:
    history = [{"at": AT, "state": "shadow", "percent": 0, "reason": "started"}]
    if state != "shadow":
        history.append({"at": AT, "state": state, "percent": 5, "reason": "as it was"})
    return {
        "version": "v2",
        "state": state,
        "step": 0 if state == "shadow" else 2,
        "steps": [1, 5, 25],
        "percent": 5,
        "since": AT,
        "hold": None,
        "reason": "as it was",
        "history": history,
    } | more


def told(rollout: dict[str, Any] | None, *models: dict[str, Any]) -> dict[str, Any]:
    return {"command": HERE, "rollout": rollout, "models": models, "events": []}


def model(version: str, **more: Any) -> dict[str, Any]:
    return {
        "version": version,
        "bundle": "0123456789ab",
        "current": True,
        "estimator": "SVC",
        "dataset": "Iris",
        "rows": 120,
        "exam": {"rows": 30, "accuracy": 0.9, "per_class": {"a": {"rows": 30}}},
        "accuracy": 0.95,
        "mae": None,
        "trained_at": "2026-01-31T12:00:00Z",
        "candidate": None,
        "reason": None,
        "error": None,
    } | more


@pytest.mark.parametrize(
    ("state", "headline"),
    [
        ("shadow", "v2 is being rolled out: so far it only scores in the shadow."),
        ("step", "v2 is being rolled out: step 2 of 3, 5% of the requests."),
        ("waiting", "v2 has done its steps and waits for a verdict, at 5%."),
        ("paused", "The rollout of v2 is paused at 5%: a person must decide."),
        ("baking", "v2 answers everything, and is still being watched."),
        ("promoted", "v2 was promoted: its rollout is over."),
        ("rolled_back", "v2 was rolled back."),
        ("aborted", "The rollout of v2 was ended by a person."),
        ("superseded", "The rollout of v2 is past: what the INI file says serves."),
    ],
)
def test_rollout_in_words(state: str, headline: str) -> None:
    """Each state is a sentence, with since when and why; who can do something reads what."""
    message = life.rollout(told(rolled(state)), BASE)
    assert headline == message.headline
    assert message.because == "Since 2026-03-01 09:30 UTC: as it was."
    assert message.typed.startswith(f"{HERE} rollout resume") == (state == "paused")
    permanent = "[split]\nv2 = 100\n\n[experiment]\ncontrol = v2"
    assert (message.typed == permanent) == (state in ("baking", "promoted"))
    under_way = state in ("shadow", "step", "waiting", "baking")
    assert (message.todo == life.by_itself(HERE)) == under_way


def test_what_a_rollout_waits_for() -> None:
    """A hold is said as it is, and nothing is asked of anybody who has done it all."""
    held = life.rollout(told(rolled("step", hold="12 of 200 requests")), BASE)
    assert held.todo.startswith("It waits: 12 of 200 requests. ")
    assert f"`{HERE} rollout pause`" in held.todo
    permanent = BASE | {"split": BASE["effective_split"]}
    assert life.rollout(told(rolled("promoted")), permanent).typed == ""


@pytest.mark.parametrize(
    ("others", "typed"),
    [
        ([model("v3")], f"{HERE} rollout start v3"),
        ([model("v3"), model("v4", candidate="rejected")], f"{HERE} rollout start v3"),
        ([model("v2")], ""),
        ([model("v3", current=False)], ""),
        ([model("v3", error="damaged")], ""),
    ],
)
def test_which_rollout_could_begin(others: list[dict[str, Any]], typed: str) -> None:
    """Where there is none, a version is named that has no traffic and could get some; or none."""
    assert life.rollout(told(None, model("v1"), *others), BASE).typed == typed


MARKED = {
    "shadow": ["now", *["next"] * 5],
    "step": ["done", "done", "now", *["next"] * 3],
    "paused": ["done", "done", "held", *["next"] * 3],
    "promoted": ["done"] * 6,
    "rolled_back": ["done", "done", "ended", *["never"] * 3],
}


@pytest.mark.parametrize("state", MARKED)
def test_where_a_rollout_is(state: str) -> None:
    """Of its parts each is behind it, ahead, or where it is; an end is told from a stop."""
    at = rolled(state)
    if state == "rolled_back":
        at["history"].insert(1, {"at": AT, "state": "step", "percent": 5, "reason": ""})
    assert [each.mark for each in life.stages(at)] == MARKED[state]


@pytest.mark.parametrize("last", ["baking", "paused"])
def test_a_rollout_that_failed_late(last: str) -> None:
    """One that had everything and lost it has not ended at its last step."""
    at = rolled("rolled_back", step=3)
    at["history"].insert(1, {"at": AT, "state": last, "percent": 100, "reason": ""})
    assert [each.mark for each in life.stages(at)] == [*["done"] * 4, "ended", "never"]


def test_which_exam_is_the_same() -> None:
    """Scores on other data or other rows are not set side by side; all may sit the same."""
    models = [
        model("v1"),
        model("v2"),
        model("v3", dataset="other"),
        model("v4", exam=None),
        model("v5", exam=model("v5")["exam"] | {"per_class": {"b": {"rows": 30}}}),
        model("v6", current=False),
    ]
    sat = bundles.exam(models, control="v1", task="classification")
    assert sat is not None and sat.scores == {"v1": 0.9, "v2": 0.9}
    said = bundles.on_the_exam(sat, control="v1", task="classification", command=HERE)
    assert said.startswith("v1 90.0% (74.4% to 96.5%), v2 90.0% (74.4% to 96.5%) (right answers, ")
    assert "on the same 30 rows" in said
    assert said.endswith(f"`{HERE} evaluate v1 v2 v3 v4 v5`")
    none = bundles.exam(models, control="v4", task="classification")
    said = bundles.on_the_exam(none, control="v4", task="classification", command=HERE)
    assert "v4 sat no exam" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "current, 95%"),
        ({"version": "v9"}, "current, gets no traffic"),
        ({"version": "v2"}, "current, serves after a reload"),
        ({"current": False}, "older"),
        ({"candidate": "rejected", "reason": "*worse*"}, "gets no traffic**: \\*worse\\*"),
        ({"error": "manifest.json: is missing"}, "cannot be read: manifest.json"),
    ],
)
def test_what_is_kept(more: dict[str, Any], said: str) -> None:
    """Each bundle says whether it serves, and if not, why not."""
    assert said in bundles.kept(model(**{"version": "v1"} | more), BASE).replace("\\:", ":")


def test_how_to_go_back() -> None:
    """The command names an older model that can be read; there need not be one."""
    older = model("v2", bundle="ba9876543210", current=False)
    typed = f"{HERE} models use v2 ba9876543210\n{HERE} reload"
    assert bundles.going_back([model("v1"), older], HERE) == typed
    assert bundles.going_back([model("v1"), older | {"error": "damaged"}], HERE) == ""


def test_what_serves() -> None:
    """A share that the INI file does not say is shown beside what it says."""
    shown = bundles.serving(BASE)
    assert shown["v1"]["Share of requests"] == "95% (irisab.ini: 100%)"
    assert shown["v2"]["Share of requests"] == "5% (irisab.ini: none)"
    assert (shown["v1"]["On the exam"], shown["v2"]["On the exam"]) == ("90.0% of 30 right", "–")


def test_an_event_in_a_line() -> None:
    """When, what, of which version, by whom; a kind of a newer service is shown as it is."""
    event = {"at": AT, "kind": "train", "version": "v3", "text": "a_b", "by": "x"}
    assert life.happened(event) == "2026-03-01 09:30 UTC · **Training** · v3 · a\\_b (by x)"
    assert "**New kind** · a" in life.happened(event | {"kind": "new kind", "version": None})


def test_one_time() -> None:
    """What happened once is not called "1 times"."""
    facts = verdicts.evidence(comparison("better", control_right=1), control="v1", alpha=0.05)
    assert facts["Where they disagree, v2 was right"] == "8 times"
    assert facts["Where they disagree, v1 was right"] == "1 time"


def test_who_disagrees_and_how_many_were_asked() -> None:
    """The rate is of users where these count, and a version too slow to score all is told."""
    facts = verdicts.evidence(comparison("better"), control="v1", alpha=0.05)
    assert facts["Requests on which they disagree"] == "0.70% of 1,700"
    assert facts["Which of them count"] == "of every split so far"
    assert not any("scored" in name for name in facts)
    slow = comparison("better", unit="user", sampling_rate=0.125)
    facts = verdicts.evidence(slow, control="v1", alpha=0.05)
    assert facts["Users for whom they disagree"] == "0.70% of 1,700"
    assert facts["Requests that both have scored"].startswith("12.5% of the newest")


def test_evidence_without_shadow() -> None:
    """Without shadow nobody counts disagreements, and none are shown."""
    unknown = ("disagreement_rate", "scored", "sampling_rate", "challenger_right", "control_right")
    blind = comparison("better", **dict.fromkeys(unknown))
    facts = verdicts.evidence(blind, control="v1", alpha=0.05)
    assert "1.3; a verdict takes 20" in facts.values()
    assert not any("disagree" in name for name in facts)
    assert facts["Which of them count"] == "of this split"


@pytest.mark.parametrize(
    ("report", "tone", "part"),
    [
        (drift(None, status="NOT ENOUGH DATA", petal=None), "open", "37 of 100 rows"),
        (drift(0.1, status="OK"), "good", "still looks like"),
        (drift(0.4, status="WARNING", petal=0.5), "bad", "Most changed: Petal length (0.50)"),
        (drift(0.4, status="WARNING"), "bad", "The score is 0.40; the alarm is at 0.30."),
        (drift(0.1, status="WARNING", petal=0.5), "bad", "averages are much the same"),
    ],
)
def test_drift_in_words(report: dict[str, Any], tone: str, part: str) -> None:
    """Each state of the drift report has its words, also a single feature that moved."""
    message = drifted.drift(report)
    assert tone == message.tone
    assert part in " ".join(message)


def test_a_candidate_is_named_where_one_is_under_way() -> None:
    """Nobody is told to train what has been trained already."""
    message = drifted.drift(drift(0.4, status="WARNING") | {"candidate": "v3"})
    assert message.todo == "A candidate is under way: v3 has learned from it."
    calm = drifted.drift(drift(0.1, status="OK") | {"candidate": "v3"})
    assert calm.todo == "Nothing to do."


def test_three_features_are_named() -> None:
    """Of many features that moved the headline names the three that moved most."""
    features = {f"f{number}": 0.4 + number / 100 for number in range(29)}
    report = drift(0.5, status="WARNING") | {"features": features, "above": list(features)}
    said = drifted.drift(report).because
    assert said.endswith("F28 (0.68), F27 (0.67), F26 (0.66) and 26 more.")


def test_drift_in_numbers() -> None:
    """What the pictures of drift show is there as text: scores and alarms, and where values lie."""
    numbers = {"edges": [1.0, 2.5, 4.0], "training": [0.25, 0.75], "window": [0.5, 0.5]}
    colours = {"categories": ["red", "blue"], "training": [1.0, 0.0], "window": None}
    report = {
        "score": 0.2,
        "limit": 0.3,
        "features": {"petal_length": 0.1, "colour": 0.4},
        "limits": {"petal_length": 0.3, "colour": 0.35},
        "distributions": {"petal_length": numbers, "colour": colours},
    }
    assert drifted.in_numbers(report) == {
        "Score": {"All together": "0.20", "Colour": "0.40", "Petal length": "0.10"},
        "Alarm": {"All together": "0.30", "Colour": "0.35", "Petal length": "0.30"},
    }
    places = ["Petal length: 1 to 2.5", "Petal length: 2.5 to 4", "Colour: red", "Colour: blue"]
    features = [{"name": name} for name in report["features"]]
    shares = drifted.spread(report, features)
    assert list(shares["Now"]) == places
    assert list(shares["In training"].values()) == ["25%", "75%", "100%", "0%"]
    assert list(shares["Now"].values()) == ["50%", "50%", "–", "–"]


@pytest.mark.parametrize(
    ("rate", "verdict", "said"),
    [
        (None, "inconclusive", "v2 answered 1."),
        (0.0, "inconclusive", "too early"),
        (0.0, "equivalent", "makes no difference"),
        (0.05, "better", "disagreed on 5.0%"),
    ],
)
def test_agreement_in_words(rate: float | None, verdict: str, said: str) -> None:
    """One request on which versions agree is not yet a reason to call them the same."""
    report = {
        "control": "v1",
        "versions": {"v1": {"requests": 0}, "v2": {"requests": 1}},
        "comparisons": [comparison(verdict, disagreement_rate=rate)],
    }
    assert said in explained.split_here(report)


@pytest.mark.parametrize("value", [1.0, 3.0, 6.9])
def test_within_the_training_range(value: float) -> None:
    """Nothing is said about a value the model knows."""
    assert words.outside(PETAL, value, known=(1.0, 6.9)) is None


def test_rounded_values_are_no_guess() -> None:
    """The stop nearest to the least value of the training data belongs to it."""
    feature = PETAL | {"min": -1.8179, "max": 1.8179}
    known = sliders.scale(feature, []).known(feature)
    assert known[0] < feature["min"]
    assert words.outside(feature, known[0], known=known) is None


def test_a_constant_has_one_value() -> None:
    """A feature that never varied in training has no range to speak of."""
    assert words.trained_on({"min": 7.5, "max": 7.5}) == "7.5 only"


@pytest.mark.parametrize(("value", "side"), [(0.9, "below"), (7.0, "above")])
def test_outside_the_training_range(value: float, side: str) -> None:
    """A value outside the training range is called a guess, with its name and the range."""
    said = words.outside(PETAL, value, known=(1.0, 6.9))
    assert said is not None
    assert said.startswith("Petal length: ")
    assert side in said
    assert "1 to 6.9" in said


def test_iris_slider() -> None:
    """Iris' sliders stop at every tenth, as the flowers were measured."""
    found = sliders.scale(PETAL, [1.4, 4.7])
    assert found == (0.0, 8.4, 0.1, 1)


@given(st.lists(sizes, min_size=3, max_size=6))
@example([0.0, 0.0, 0.0])
@example([2700.0, 6300.0, 3725.0])
@example([1e9, 1e9, 1e9])
@example([0.0, 0.0, 5e-324])
def test_sliders_reach_every_example(values: list[float]) -> None:
    """Whatever a model was trained on, a slider has enough stops and reaches all of it."""
    low, *others, high = sorted(values)
    found = sliders.scale({"min": low, "max": high}, others)
    assert found.low <= low <= high <= found.high
    assert 1 <= (found.high - found.low) / found.step < 5000
    for value in values:
        assert found.low <= found.snap(value) <= found.high
        assert abs(found.snap(value) - value) <= found.step


def test_no_negative_lengths() -> None:
    """A slider doesn't offer what training data without negative values can't mean."""
    assert sliders.scale({"min": 0.1, "max": 2.5}, []).low == 0.0
    assert sliders.scale({"min": -5.0, "max": 5.0}, []).low < -5.0


def test_foreign_text_is_no_markup() -> None:
    """A class called like Markdown or HTML is shown as it is."""
    assert words.plain("**a** <b> :red[c]") == r"\*\*a\*\* \<b\> \:red\[c\]"


@pytest.mark.parametrize("voters", [None, 1, 3, 50, 100, 1000])
def test_votes_are_drawn(voters: int | None) -> None:
    """Any number of trees becomes at most a hundred dots, all in the picture."""
    (layer,) = charts.votes({"a": 0.9, "b": 0.1}, voters=voters)["layer"]
    dots = layer["data"]["values"]
    assert 1 <= len(dots) <= 100
    low, high = layer["encoding"]["y"]["scale"]["domain"][::-1]
    assert all(low < dot["y"] < high for dot in dots)


def test_many_classes_share_no_colour() -> None:
    """Past seven classes a picture shows the rest together, and none that got no vote."""
    shares = {f"c{number}": 0.1 for number in range(10)} | {"none": 0.0}
    shown = colours(charts.votes(shares, voters=50))
    assert [*list(shares)[:7], "all others"] == shown
    assert len(shown) <= len(grammar.CYCLE)
    assert colours(charts.votes({"a": 0.9, "b": 0.0, "c": 0.1}, voters=50)) == ["a", "c"]


def colours(votes: grammar.Spec) -> Any:
    """Name the classes that have a colour."""
    return votes["layer"][0]["encoding"]["color"]["scale"]["domain"]


@pytest.mark.parametrize(
    ("edges", "spelt", "whole"),
    [
        ([2007.0, 2008.2, 2009.0], "~f", True),
        ([0.0, 0.5, 1.0], "~f", False),
        ([0.1, 1.2, 2.5], "~f", False),
        ([0.0, 5e12, 1e13], "~s", True),
        ([0.0, 1e29, 1e30], "~e", True),
        ([0.0, 0.0, 0.0], "~f", False),
    ],
)
def test_axis_of_values(edges: list[float], spelt: str, whole: bool) -> None:
    """A year is written without a comma, and nothing takes twenty digits."""
    histogram = {"edges": edges, "training": [0.5, 0.5], "window": None}
    axis = charts.distribution(histogram)["layer"][0]["encoding"]["x"]["axis"]
    assert spelt == axis["format"]
    assert whole == ("tickMinStep" in axis)


HISTOGRAM = {"edges": [0.0, 1.0, 2.0], "training": [0.4, 0.6], "window": [0.1, 0.9]}
BARS = {"categories": ["Biscoe", "(others)"], "training": [1.0, 0.0], "window": [0.4, 0.6]}


def bucket(at: str, drift: float | None = None, **figures: Any) -> dict[str, Any]:
    """Give a bucket of two versions, in which only v1 did something."""
    nothing = {"requests": 0, "errors": 0, "labelled": 0, "correct": 0, "rows": 0}
    nothing |= dict.fromkeys(("p50", "p95", "mae", "rmse"))
    scores = {"petal_length": drift, "sepal_width": 0.1}
    return {
        "at": at,
        "versions": {"v1": nothing | figures, "v2": nothing},
        "drift": None if drift is None else {"score": drift, "features": scores},
    }


TOLD: dict[str, Any] = {
    "from": "2026-11-26T00:00:00.000Z",
    "to": "2026-11-29T00:00:00.000Z",
    "seconds": 86_400,
    "buckets": [
        bucket("2026-11-26T00:00:00.000Z", 0.05, requests=4, p50=0.1, p95=0.2),
        bucket("2026-11-27T00:00:00.000Z"),
        bucket("2026-11-28T00:00:00.000Z", 0.4, requests=9, labelled=8, correct=6),
    ],
    "events": [
        {
            "at": "2026-11-27T10:00:00.000Z",
            "kind": "reload",
            "version": None,
            "text": "serving v1",
            "by": "irisab",
        }
    ],
}
TOLD_ROWS = course.series(TOLD, ["v1", "v2"], course.share)


def test_what_is_not_known_over_time_is_a_gap() -> None:
    """Neither a share of no requests nor an accuracy without labels is drawn as 0, or listed."""
    assert [row["value"] for row in TOLD_ROWS] == [1, None, 1, 0, None, 0]
    right = course.accuracies(TOLD, "v1")
    assert [row["value"] for row in right] == [None, None, 0.75]
    assert (right[0]["low"], right[2]["low"]) == (None, scores.wilson(6, 8)[0])
    assert course.table(TOLD, ["v1", "v2"], course.right, any_of=["labelled"]) == {
        "v1": {"2026-11-28 00:00": "75.0% of 8 (40.9% to 92.9%)"},
        "v2": {"2026-11-28 00:00": "–"},
    }
    assert course.table(TOLD, ["v1"], course.drifted, any_of=["drift"]) == {
        "v1": {"2026-11-28 00:00": "–", "2026-11-26 00:00": "–"}
    }
    assert course.features(TOLD) == ["petal_length", "sepal_width"]
    (mark,) = course.marks(TOLD)
    assert (mark["letter"], mark["text"]) == ("R", "2026-11-27 10:00 UTC, Reload: serving v1")


def test_no_two_kinds_of_event_share_a_letter() -> None:
    """Each kind that there is has one of its own."""
    assert set(course.LETTERS) == set(life.KINDS)
    assert len({*course.LETTERS.values()}) == len(course.LETTERS)


@pytest.mark.parametrize(
    "spec",
    [
        charts.shares({"v1": 3, "v2": 5}, {"v1": 50.0}),
        charts.accuracies({"v1": (0.9, 0.8, 0.95)}),
        charts.against_limits({"Score": (0.1, 0.3), "Petal length": (0.4, 0.3)}),
        charts.errors({"v1": 41.5, "v2": 0.0}),
        charts.distribution(HISTOGRAM, title="Petal length"),
        charts.distribution(HISTOGRAM | {"window": None}),
        charts.distribution(BARS, title="Island"),
        charts.distribution(BARS | {"window": None}),
        charts.votes({"a": 0.5, "b": 0.5}, voters=50),
        curves.course(TOLD_ROWS, course.marks(TOLD), course.across(TOLD), "Requests", share=True),
        curves.course(TOLD_ROWS, [], course.across(TOLD), "Drift", alarm=0.3),
        curves.course_of_accuracy(
            course.accuracies(TOLD, "v1"), course.marks(TOLD), course.across(TOLD), "Accuracy"
        ),
    ],
)
def test_pictures_are_vega_lite(spec: grammar.Spec) -> None:
    """Each picture keeps to the grammar that the browser draws it by."""
    altair.LayerChart.from_dict(spec)


def test_first_sight(address: str) -> None:
    """The bare address shows the Predict view: sliders at the means, no answer yet."""
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    assert not page.exception
    assert [title.value for title in page.title] == ["Try a prediction"]
    means = [feature["mean"] for feature in api.get("/config").value["features"]]
    assert means == pytest.approx([slider.value for slider in page.slider], abs=0.051)
    assert page.slider[0].label.startswith("Sepal length (cm)")
    assert page.header[0].value == "The answer appears here"


def test_predict_and_say_yes(address: str) -> None:
    """An example, a click, an answer in words; Yes is on record with the service."""
    before = api.get("/report").value["versions"]
    page = view("predict")
    page.button(key="example setosa").click().run()
    page.button(key="ask").click().run()
    sure = max(page.session_state["asked"]["answer"]["probabilities"])
    assert page.header[0].value == f"Setosa, {sure:.0%}"
    page.button(key="right").click().run()
    assert "Thank you, noted: Setosa." in texts(page)
    after = api.get("/report").value["versions"]
    for figure in ("requests", "labelled", "correct"):
        assert sum(after[name][figure] - before[name][figure] for name in before) == 1


def test_say_no(address: str) -> None:
    """Another class than the answer is recorded as the right one."""
    page = view("predict")
    page.button(key="ask").click().run()
    page.selectbox[0].select("setosa").run()
    assert "Thank you, noted: Setosa." in texts(page)


def test_examples_take_turns(address: str) -> None:
    """An example button pressed again gives the next example of its class."""
    page = view("predict")
    rows = []
    for _ in range(2):
        page.button(key="example virginica").click().run()
        rows.append([slider.value for slider in page.slider])
    examples = api.get("/config").value["examples"]
    known = [each for each in examples if each["class_name"] == "virginica"]
    assert [each["features"] for each in known[:2]] == rows


def test_a_guess_is_called_a_guess(address: str) -> None:
    """A slider beyond the training range says so, and still gets an answer."""
    page = view("predict")
    page.slider[2].set_value(page.slider[2].max).run()
    assert "it can only guess" in texts(page)
    page.button(key="ask").click().run()
    assert page.header


def test_old_answers_are_marked(address: str) -> None:
    """An answer for other values than those shown says so."""
    page = view("predict")
    page.button(key="ask").click().run()
    assert "have changed" not in texts(page)
    page.slider[0].set_value(page.slider[0].min).run()
    assert "The values have changed since this answer." in texts(page)


@pytest.mark.parametrize("name", ["ab_test", "drift", "over_time", "versions", "learn"])
def test_views_before_and_after_data(address: str, service: Process, name: str) -> None:
    """Every view can be drawn whatever the report holds, and then with a full window."""
    view(name)
    for _ in range(12):
        service.post("/predict", {"features": ROW})
    assert view(name).title


def test_who_may_vote_is_said_while_anybody_may(
    tmp_path: Path, iris_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the figures that votes have made, and gone with the reload that asks for keys."""
    (tmp_path / "models").symlink_to(iris_models)
    keys.edit(tmp_path / "keys", lambda _: [keys.Key("shop", "1" * 64, ("feedback",))])
    open_door = "[auth]\nrequire = no\n"
    with serving(tmp_path, open_door, monkeypatch=monkeypatch) as service:
        assert words.plain(words.ANYBODY) in texts(view("ab_test"))
        replace_in(service.config, "= no", "= feedback")
        assert service.run("reload").returncode == 0
        assert words.plain(words.ANYBODY) not in texts(view("ab_test"))


def test_drift_is_announced(address: str, service: Process) -> None:
    """One row sent again and again is drift, and the page says what to do about it."""
    strange = {"features": [7.9, 2.0, 6.9, 2.5]}
    for _ in range(11):
        service.post("/predict", strange)
    written(service, lambda: service.post("/predict", strange))
    page = view("drift")
    assert "no longer looks like the training data" in texts(page)
    assert "train the model on recent data" in texts(page)


@pytest.mark.usefixtures("nobody")
def test_nobody_answers() -> None:
    """Without a service the page is a quiet line, not a trace."""
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    assert not page.exception
    said = f"The service at {words.plain(api.address())} is not answering; trying again."
    assert f"{said} To look elsewhere, set `IRISAB_API`." in texts(page)


class Stranger(BaseHTTPRequestHandler):
    """Some other server at the service's address."""

    def do_GET(self) -> None:
        body = b'{"hello": "world"}' if self.server.server_name == "json" else b"<html></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "said"), [("html", "trying again"), ("json", "can't be shown just now")]
)
def test_somebody_else_answers(monkeypatch: pytest.MonkeyPatch, kind: str, said: str) -> None:
    """Whatever else answers at that address, the page shows a sentence and no trace."""
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        server.server_name = kind
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("IRISAB_API", f"http://127.0.0.1:{server.server_port}")
        try:
            page = AppTest.from_file(MAIN, default_timeout=60).run()
        finally:
            server.shutdown()
    assert not page.exception
    assert said in texts(page)


def test_service_goes_and_comes(
    tmp_path: Path, iris_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page once drawn keeps its place while the service is away, and goes on afterwards."""
    port = free_port()
    config = write_config(tmp_path, iris_models, listen=f"127.0.0.1:{port}")
    monkeypatch.setenv("IRISAB_API", f"http://127.0.0.1:{port}")
    with running(config, port):
        page = AppTest.from_file(MAIN, default_timeout=60).run()
        assert len(page.slider) == 4
    latest.forget()
    page.run()
    page.button(key="ask").click().run()
    assert not page.exception
    assert "trying again" in texts(page)
    assert "No answer this time" in texts(page)
    assert len(page.slider) == 4
    latest.forget()
    with running(config, port):
        page.button(key="ask").click().run()
        assert "trying again" not in texts(page)
        assert page.header


@contextmanager
def serving(folder: Path, text: str, *, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """Serve what is in `folder`/models, or is trained as the INI text says, to the page."""
    port = free_port()
    config = write_config(folder, folder / "models", text, listen=f"127.0.0.1:{port}")
    if "[training]" in text:
        subprocess.run(irisab(config, "train"), check=True, capture_output=True)
    monkeypatch.setenv("IRISAB_API", f"http://127.0.0.1:{port}")
    with running(config, port) as process:
        yield process


ANIMALS = """[split]
few = 50
many = 50
[model.few]
n_estimators = 5
[model.many]
kind = logistic_regression
[training]
data = table.csv
target = kind
[drift]
window = 10
"""


def write_animals(folder: Path) -> None:
    """Write a table with a number, a category and a boolean, each with gaps, and one without."""
    lines = ["weight,colour,home,tame,kind"]
    for number in range(90):
        weight = "" if number % 10 == 0 else f"{number % 3 * 2 + number / 100:.2f}"
        colour = "" if number % 11 == 0 else ("red", "*blue*", "green")[number % 3]
        tame = "" if number % 7 == 0 else ("yes", "no")[number % 2]
        home = ("sea", "land")[number % 2]
        lines.append(f"{weight},{colour},{home},{tame},{('cat', 'big_dog', 'big dog')[number % 3]}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")


def test_any_type_of_feature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Categories are chosen, booleans switched, gaps said; every view can be drawn, and labelled.

    Two classes that would be written alike are not, else the wrong one might be sent.
    """
    write_animals(tmp_path)
    with serving(tmp_path, ANIMALS, monkeypatch=monkeypatch) as service:
        page = view("predict")
        colour, home = page.selectbox
        assert sorted(colour.options) == ["*blue*", "green", "red"]
        assert sorted(home.options) == ["land", "sea"]
        assert len(page.slider) == len(page.toggle) == 1
        assert [box.label for box in page.checkbox] == [
            "Weight is unknown",
            "Colour is unknown",
            "Tame is unknown",
        ]
        for box in page.checkbox:
            box.check().run()
        assert page.slider[0].disabled and page.toggle[0].disabled and page.selectbox[0].disabled
        home.select("sea").run()
        page.button(key="ask").click().run()
        assert page.session_state["asked"]["row"] == [None, None, "sea", None]
        others = page.selectbox[2]
        assert set(others.options) < {"cat", "big_dog", "big dog", "Cat", "Big dog"}
        others.select(others.options[0]).run()
        assert "Thank you, noted" in texts(page)
        for example in ("cat", "big_dog", "big dog"):
            page.button(key=f"example {example}").click().run()
            assert not page.exception
        for name in ("ab_test", "drift", "over_time", "versions", "learn"):
            view(name)
        strange = {"features": [9.0, "grey", "moon", None]}
        for _ in range(11):
            service.post("/predict", strange)
        written(service, lambda: service.post("/predict", strange))
        assert "no longer looks like the training data" in texts(view("drift"))
        assert ":orange[above its alarm]" in texts(view("drift"))
        view("learn")
        view("ab_test")


def test_examples_bring_their_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example's values are those that are asked about, also the missing ones."""
    write_animals(tmp_path)
    with serving(tmp_path, ANIMALS, monkeypatch=monkeypatch):
        examples = [e for e in api.get("/config").value["examples"] if e["class_name"] == "cat"]
        page = view("predict")
        for each in examples:
            page.button(key="example cat").click().run()
            page.button(key="ask").click().run()
            assert page.session_state["asked"]["row"] == each["features"]
            assert page.header


LINE = """[split]
one = 50
two = 50
[model.one]
kind = linear_regression
[model.two]
n_estimators = 5
[training]
data = table.csv
target = price
[drift]
window = 10
"""


@pytest.mark.parametrize("shadow", ["yes", "no"])
def test_regression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shadow: str) -> None:
    """A number is the answer, a number is the label, and errors stand where accuracy did."""
    rows = [f"{n},{('old', 'new')[n % 2]},{1000.25 + 3 * n}" for n in range(80)]
    (tmp_path / "table.csv").write_text("\n".join(["size,state,price", *rows]) + "\n")
    text = f"{LINE}[experiment]\nshadow = {shadow}\n"
    with serving(tmp_path, text, monkeypatch=monkeypatch) as service:
        page = view("predict")
        for name in ("low", "middle", "high"):
            page.button(key=f"example {name}").click().run()
        page.button(key="ask").click().run()
        answer = page.session_state["asked"]["answer"]
        assert page.header[0].value == words.number(answer["prediction"])
        (send,) = (button for button in page.button if button.label == "Send")
        send.click().run()
        assert "noted" not in texts(page)
        page.number_input[0].set_value(1100.5)
        (send,) = (button for button in page.button if button.label == "Send")
        send.click().run()
        assert "Thank you, noted: 1100.5." in texts(page)
        tested = view("ab_test")
        (said,) = (v for v in api.get("/report").value["versions"].values() if v["labelled"])
        assert said["mae"] == pytest.approx(abs(answer["prediction"] - 1100.5))
        assert words.number(said["mae"]) in str(tested.table[0].value)
        assert "Mean error in use" in texts(tested)
        for _ in range(12):
            service.post("/predict", {"features": [500.0, "new"]})
        assert "one says **" in texts(view("learn"))
        assert view("drift").title and view("ab_test").title
        assert "(mean error: less is better" in texts(view("versions"))


def test_without_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that does not say how sure it is answers with a class, and nothing is made up."""
    training.fit(tmp_path / "models", "v1", load_iris(), estimator=LinearSVC())
    with serving(tmp_path, "[split]\nv1 = 100\n[model.v1]\n", monkeypatch=monkeypatch):
        page = view("predict")
        page.button(key="example setosa").click().run()
        page.button(key="ask").click().run()
        assert page.header[0].value == "Setosa"
        page.button(key="right").click().run()
        assert "Thank you, noted: Setosa." in texts(page)
        tested = view("ab_test")
        assert "Found of each class" in texts(tested)
        assert "100.0% of 1" in str(tested.table[1].value)
        assert "v1 says **" in texts(view("learn"))


FEATURE = {"name": "note", "unit": None, "min": None, "max": None, "mean": None}


@pytest.mark.parametrize(
    ("type", "categories", "usual", "other"),
    [
        ("text", None, "", "new"),
        ("category", [], "", "new"),
        ("category", ["b", "a"], "b", "a"),
        ("boolean", None, False, True),
        ("number", None, 0.0, 2.5),
    ],
)
@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("example", ["none", "with a gap", "whole"])
def test_little_is_known(
    type: str, categories: Any, usual: Any, other: Any, missing: bool, example: str
) -> None:
    """A feature of which the model says no more than its type has an input all the same."""
    start = {"none": {}, "with a gap": {"note": None}, "whole": {"note": other}}[example]
    feature = FEATURE | {"type": type, "missing": missing, "categories": categories}
    script = f"""
import inputs, streamlit
features = [{feature}]
known = inputs.scales({{"features": features, "examples": []}})
streamlit.session_state["row"] = inputs.draw(features, known, start={start}, key="k")
"""
    page = AppTest.from_string(script, default_timeout=60).run()
    assert not page.exception
    gap = None if missing else usual
    expected = {"none": usual, "with a gap": gap, "whole": other}[example]
    assert page.session_state["row"] == [expected]


def test_one_question_for_all(
    address: str, service: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks within a second of another sees the same; later only what changed is another."""
    monkeypatch.setattr(latest, "AGE", 3600)  # until it is told to forget
    latest.forget()
    first = latest.look()
    written(service, lambda: service.post("/predict", {"features": ROW}))
    assert latest.look() is first
    latest.forget()
    second = latest.look()
    assert second.value("/config") is first.value("/config")
    assert second.value("/report") is not first.value("/report")
    latest.forget()


def test_long_answers_are_asked_for_by_who_shows_them(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once when they are first wanted, then at most twice a minute, and for nobody else."""
    calls: list[str] = []

    def get(path: str, known: api.Answer | None = None, ask: Any = api.get) -> api.Answer:
        calls.append(path)
        answer: api.Answer = ask(path, known)
        return answer

    monkeypatch.setattr(api, "get", get)
    monkeypatch.setattr(latest, "AGE", 0)
    monkeypatch.setattr(latest, "LONG", 1e9)
    path = "/timeline?hours=24"
    latest.forget()
    latest.look()
    assert path not in calls
    assert latest.look(path).value(path)["seconds"] == 900
    stamp = latest.look(path).stamps[path]
    assert calls.count(path) == 1 and stamp
    monkeypatch.setattr(latest, "LONG", 0)
    latest.look(path)
    assert calls.count(path) == 2
    latest.look()
    assert calls.count(path) == 2
    assert {*course.PATHS} == {f"/timeline?hours={hours}" for hours in course.SPANS.values()}


def test_what_moves_the_stamps(address: str, service: Process) -> None:
    """A stamp moves with the part it is of and with no other: a label is not drift."""
    with moving() as nothing:
        pass
    assert nothing <= {"/health", "/health/timestamp"}
    with moving() as predicted:
        answer = written(service, lambda: service.post("/predict", {"features": [5, 3, 4, 1]}))
    assert {"/report/versions", "/report/drift"} <= predicted
    label = {"request_id": answer.json["request_id"], "label": "setosa"}
    with moving() as labelled:
        written(service, lambda: service.post("/feedback", label))
    assert "/report/versions" in labelled
    assert not {"/report/drift", "/config", "/health/reload", "answers"} & labelled


def written(service: Process, ask: Callable[[], Answer]) -> Answer:
    """Ask, and wait until the report knows of it: predictions are written in batches."""
    before = service.get("/report").body
    answer, deadline = ask(), time.monotonic() + 60
    while service.get("/report").body == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


@contextmanager
def moving() -> Iterator[set[str]]:
    """Collect the stamps that move meanwhile."""
    moved: set[str] = set()
    latest.forget()
    before = latest.look().stamps
    yield moved
    latest.forget()
    moved |= {name for name, stamp in latest.look().stamps.items() if before.get(name) != stamp}


def test_refusals_are_shown(address: str) -> None:
    """The service's own sentence reaches the page when it says no."""
    with pytest.raises(api.Refused, match="values"):
        api.predict([1.0])


def test_colours_differ() -> None:
    """No two classes of a picture share a colour."""
    assert all(a != b for a, b in itertools.combinations(grammar.CYCLE, 2))
