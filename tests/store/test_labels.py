"""A label that was acknowledged is found again, whatever becomes of the files meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from traffic import DIFFER

from irisab.errors import HistoryError
from irisab.store.database import log_of
from irisab.store.history import History

Record = Callable[..., bytes]


def after_a_kill(path: Path, folder: Path) -> list[float | None]:
    """Return the labels that a process finds which starts after this one was killed."""
    folder.mkdir()
    for each in path.parent.glob(f"{path.name}*"):
        shutil.copy(each, folder)
    found = History(folder / path.name)
    labels = [row["label"] for row in found.rows()]
    found.close()
    return labels


@pytest.mark.parametrize("replaced", [False, True])
def test_labels_outlive_a_deleted_log(
    replaced: bool,
    path: Path,
    history: History,
    record: Record,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """SQLite goes on writing into a deleted file; a label is acknowledged once it is elsewhere."""
    first, second, third = record([DIFFER]), record([DIFFER]), record([DIFFER])
    assert history.label(first, [1])
    assert not caplog.records
    log_of(path).unlink()
    if replaced:
        log_of(path).touch()
    for number, each in enumerate((second, third), start=2):
        assert history.label(each, [1])
        labels = after_a_kill(path, path.parent / f"copy {number}")
        assert labels == [*[1] * number, *[None] * (3 - number)]
    assert "history.sqlite3: its -wal file was deleted or replaced" in caplog.text


def test_others_hold_up_no_label_for_ever(path: Path, history: History, record: Record) -> None:
    """A label that cannot be kept now is refused, and can be sent again."""
    first, second = record(), record()
    assert history.label(first, [0])
    assert len([*history.rows()]) == 2
    log_of(path).unlink()
    with history._reader.reading() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM predictions").fetchall()
        with pytest.raises(HistoryError, match="its write-ahead log is gone"):
            history.label(second, [0])
        connection.execute("COMMIT")
    history.label(second, [0])
    assert after_a_kill(path, path.parent / "copy") == [0, 0]
