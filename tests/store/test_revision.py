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


def test_the_history_keeps_the_names_it_always_had() -> None:
    """What this irisab writes, the first one reads: its key for the id is revision."""
    assert json.loads(revision("abc").to_json())["revision"] == "abc"
