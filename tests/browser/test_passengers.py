"""A table as people have it, of words, gaps, numbers and yes or no, from CSV to a third version."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from conftest import Tab, website
from playwright.sync_api import Page, expect
from processes import Process, free_port, irisab, replace_in, running, write_config
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from irisab.config import TrainingOptions
from irisab.lifecycle import exam
from irisab.lifecycle.dataset import load_csv

HEADER = ("passenger", "sex", "port", "age", "class", "fare", "deck", "alone", "survived")
# The first version guesses: it asks four questions about whatever it comes across.
VERSIONS = """[training]
data = passengers.csv
target = survived
ignore = passenger
[split]
v1 = 50
v2 = 50
[model.v1]
kind = decision_tree
splitter = random
max_features = 1
max_depth = 4
[model.v2]
n_estimators = 20
[drift]
window = 50
"""


def passengers(count: int, *, seed: int) -> Iterator[list[Any]]:
    """Yield rows like those of the Titanic's passengers; a gap is None."""
    random = np.random.default_rng(seed)
    for number in range(count):
        sex, port = str(random.choice(["female", "male"])), str(random.choice(["C", "Q", "S"]))
        age, of = max(0.5, round(random.normal(30, 13), 1)), int(random.integers(1, 4))
        fare, deck = round(random.lognormal(3, 1), 2), str(random.choice(["A", "B", "C", "D"]))
        alone, luck = bool(random.random() < 0.5), random.normal(0, 0.3)
        survived = 2 * (sex == "female") - of - (age > 45) + 0.5 * alone + luck > -1
        no_age, no_port, no_deck = random.random(3) < (0.2, 0.02, 0.5)
        yield [
            f"P{number:04}", sex, None if no_port else port, None if no_age else age, of, fare,
            None if no_deck else deck, alone, "yes" if survived else "no",
        ]  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Two versions that were trained on the CSV file by the command line alone."""
    folder, port = tmp_path_factory.mktemp("passengers"), free_port()
    with (folder / "passengers.csv").open("w") as file:
        csv.writer(file).writerows([HEADER, *passengers(600, seed=1)])
    path = write_config(folder, folder / "models", VERSIONS, listen=f"127.0.0.1:{port}")
    said = command(path, "train")
    assert "600 rows, 7 features: 3 categories, 3 numbers, 1 boolean" in said
    assert re.search("deck: one-hot, 4 categories, 5. % missing, taken as missing", said)
    with running(path, port) as process:
        yield process


def command(config: Path, *words: str) -> str:
    done = subprocess.run(irisab(config, *words), capture_output=True, text=True, check=True)
    return done.stdout


def test_accuracy_is_that_of_a_pipeline_by_hand(service: Process) -> None:
    """scikit-learn, told the same by somebody who knows it, is as good on the same exam."""
    path = service.config.with_name("passengers.csv")
    table = pandas.read_csv(path).drop(columns="passenger")
    target, texts = table.pop("survived"), ["sex", "port", "deck"]
    ours, _ = load_csv(path, target="survived", options=TrainingOptions(ignore=("passenger",)))
    sits = exam.members(ours, salt="irisab")
    front = ColumnTransformer(
        [("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts)],
        remainder="passthrough",
    )
    pipeline = make_pipeline(front, RandomForestClassifier(20, random_state=42))
    pipeline.fit(table[~sits], target[~sits])
    found = json.loads(command(service.config, "evaluate", "v2", "--json"))
    assert found["rows"] == sits.sum()
    assert found["versions"]["v2"]["accuracy"] == pipeline.score(table[sits], target[sits])


def test_from_the_first_question_to_a_third_version(
    service: Process, new_tab: Callable[..., Tab]
) -> None:
    """Asked and told on the page, then by name over HTTP: verdict, drift, and what is learnt."""
    with website(service.port, service.config.parent) as base:
        page = new_tab(base).open("try")
        ask_about_a_woman_of_unknown_age(page)
        for row in passengers(250, seed=2):
            features = dict(zip(HEADER[1:-1], row[1:-1], strict=True))
            # By name, as one deal by lot in a hundred is so lopsided that the verdict waits.
            body = {"features": features, "user_id": row[0]}
            answer = service.post("/predict", body).json
            told = {"request_id": answer["request_id"], "label": row[-1]}
            assert service.post("/feedback", told).json == {"status": "matched"}
        page.goto(f"{base}/ab-test")
        expect(page.get_by_role("heading", name="v2 is better than v1.")).to_be_visible()
        page.goto(f"{base}/drift")
        expect(page.get_by_text("The input still looks like the training data.")).to_be_visible()
        for row in passengers(50, seed=3):
            answer = service.post("/predict", {"features": [row[1], "Belfast", *row[3:-1]]})
            assert answer.status == 200
        expect(page.get_by_text("The input no longer looks like")).to_be_visible()
        expect(page.get_by_text(re.compile(r"Port \(\d\.\d\d\)"))).to_be_visible()
        unseen = b'feature_unseen_values_total{feature="port"} 50.0\n'
        assert unseen in service.get("/metrics").body
        learn_from_the_labels(service)
        page.goto(f"{base}/try")
        expect(page.get_by_test_id("stMetricLabel").filter(has_text="v3")).to_be_visible()
        page.close()


def ask_about_a_woman_of_unknown_age(page: Page) -> None:
    """Set select boxes, a switch and a gap, ask, and say that the answer was right."""
    expect(page.get_by_role("slider")).to_have_count(3)
    expect(page.get_by_role("combobox")).to_have_count(3)
    for name, value in (("Sex", "female"), ("Port", "Q")):
        box = page.get_by_role("combobox", name=re.compile(name))
        box.fill(value)
        box.press("Enter")
    page.get_by_text("Alone", exact=True).click()
    page.get_by_text("Age is unknown").click()
    expect(page.get_by_role("slider", name=re.compile("Age"))).to_be_disabled()
    page.get_by_text("Deck is unknown").click()
    expect(page.get_by_role("combobox", name=re.compile("Deck"))).to_be_disabled()
    page.get_by_role("button", name="Get Prediction").click()
    expect(page.get_by_role("heading", name=re.compile(r"(Yes|No), \d+%"))).to_be_visible()
    page.locator(".st-key-right button").click()
    expect(page.get_by_text("Thank you, noted")).to_be_visible()


def learn_from_the_labels(service: Process) -> None:
    """Train v3 on what the history knows, the page's passenger among it, and let it serve."""
    config = service.config
    labels = config.with_name("labels.csv")
    labels.write_text(command(config, "history", "--training"))
    table = pandas.read_csv(labels)
    assert len(table) == 251
    first = table.iloc[0]
    assert (first["sex"], first["port"]) == ("female", "Q")
    assert first[["age", "deck"]].isna().all()
    replace_in(config, "[split]\nv1 = 50\nv2 = 50", "[model.v3]\n[split]\nv2 = 50\nv3 = 50")
    command(config, "train", "v3", "--data", str(labels), "--target", "label")
    assert "reloaded" in command(config, "reload")
    assert set(service.get("/config").json["split"]) == {"v2", "v3"}
