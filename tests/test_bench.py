"""What README and RESULTS.md say of speed is what was measured."""

from __future__ import annotations

import json

from bench import document

MEASURED = json.loads((document.RESULTS.parent / "results.json").read_text())


def test_results_are_the_measured_ones() -> None:
    """RESULTS.md is rendered from results.json, not edited."""
    assert document.RESULTS.read_text() == document.results(MEASURED)


def test_promises_are_kept() -> None:
    """No measured figure is on the wrong side of what irisab promises."""
    promises = list(document.promises(MEASURED))
    assert len(promises) >= 15
    for words, *promise in promises:
        assert document.is_kept(*promise), (words, promise)


def test_readme_shows_the_measured_table() -> None:
    """README's table is the one of RESULTS.md."""
    _, _, rest = document.README.read_text().partition(document.BEGIN)
    table, _, _ = rest.partition(document.END)
    assert table.strip() == document.comparison(MEASURED)
    assert table.strip() in document.RESULTS.read_text()
