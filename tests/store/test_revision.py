"""A revision: what was served together."""

from __future__ import annotations

from traffic import revision


def test_a_revision_pairs_each_challenger_with_the_control() -> None:
    """The control is compared with everybody else, and with nobody where it is alone."""
    models = {"v1": "1", "v2": "2", "v3": "3"}
    assert [*revision(control="v2", models=models).pairs()] == [("v2", "v1"), ("v2", "v3")]
    assert [*revision(models={"v1": "1"}).pairs()] == []
