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
from irisab.store.recorder import Recorder

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
@pytest.mark.parametrize("deleted", [["-wal"], ["-shm"], ["-wal", "-shm"]])
def test_labels_outlive_a_deleted_log(
    deleted: list[str],
    replaced: bool,
    path: Path,
    history: History,
    writer: Recorder,
    record: Record,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """SQLite goes on writing into a deleted file: none is acknowledged until there is another."""
    writer.share(history)
    ids = [record([DIFFER]) for _ in range(4)]
    assert history.label(ids[0], [1])
    for each in deleted:
        path.with_name(path.name + each).unlink()
        if replaced:
            path.with_name(path.name + each).touch()
    with pytest.raises(HistoryError, match="its -wal or -shm file was deleted or replaced"):
        history.label(ids[1], [1])
    assert writer.flush()
    assert after_a_kill(path, path.parent / "copy 1") == [1, None, None, None]
    for number, each in enumerate(ids[1:], start=2):
        assert history.label(each, [1])
        labels = after_a_kill(path, path.parent / f"copy {number}")
        assert labels == [*[1] * number, *[None] * (4 - number)]
    (said,) = caplog.messages
    assert said.endswith("was deleted or replaced; it has a new one, and all rows")


def test_a_first_label_outlives_a_deleted_log(
    path: Path, history: History, writer: Recorder, record: Record
) -> None:
    """Nor does a connection that is opened after the deletion take another log for the writer's."""
    writer.share(history)
    first, second = record(), record()
    log_of(path).unlink()
    with pytest.raises(HistoryError):
        history.label(first, [0])
    assert writer.flush()
    assert history.label(first, [0])
    assert history.label(second, [0])
    assert after_a_kill(path, path.parent / "copy") == [0, 0]


def test_others_hold_up_no_label_for_ever(
    path: Path, history: History, writer: Recorder, record: Record
) -> None:
    """What was in a deleted log is kept first; until then predictions wait, and labels get 503."""
    writer.share(history)
    first, second = record(), record()
    assert history.label(first, [0])
    other = History(path)
    with other._reader.reading() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM predictions").fetchall()
        log_of(path).unlink()
        assert not writer.flush()
        with pytest.raises(HistoryError, match="its -wal or -shm file was deleted or replaced"):
            history.label(second, [0])
        connection.execute("COMMIT")
    other.close()
    assert writer.flush()
    assert history.label(second, [0])
    assert after_a_kill(path, path.parent / "copy") == [0, 0]
