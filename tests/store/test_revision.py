"""A revision: what was served together."""

from __future__ import annotations

import json

from traffic import revision

from irisab.store.revision import Revision


def test_a_revision_pairs_each_challenger_with_the_control() -> None:
    """The control is compared with everybody else, and with nobody where it is alone."""
    models = {"v1": "1", "v2": "2", "v3": "3"}
    assert [*revision(control="v2", models=models).pairs()] == [("v2", "v1"), ("v2", "v3")]
    assert [*revision(models={"v1": "1"}).pairs()] == []


def test_a_revision_of_a_newer_irisab_can_be_read() -> None:
    """Keys that came later are passed over, so that going back a release works."""
    content = json.loads(revision().to_json()) | {"invented": 1, "rollout": None}
    assert Revision.from_json(json.dumps(content)) == revision()


def test_the_first_irisab_finds_the_keys_it_knows() -> None:
    """And no other, where there was nothing else yet: it refuses what it does not know."""
    first = {
        *("revision", "control", "split", "models", "features", "class_names", "class_numbers"),
        "experiment",
    }
    served = revision("abc", types=["number", "number"], tie=0.5)
    assert json.loads(served.to_json()).keys() == first
    assert json.loads(served.to_json())["revision"] == "abc"
    assert Revision.from_json(served.to_json()).feature_types == served.types
    for news in {"types": ("text", "number")}, {"task": "regression", "tie": 0.5}:
        assert Revision.from_json(revision(**news).to_json()) == revision(**news)
