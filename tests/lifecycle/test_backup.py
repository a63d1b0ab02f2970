"""Backups of a running service, and what comes back from them."""

from __future__ import annotations

import io
import shutil
import sqlite3
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from processes import Served, free_port, irisab, recorded, running, write_config

from irisab import config
from irisab.errors import DataError
from irisab.lifecycle.backup import backup, restore
from irisab.store.history import History


@pytest.fixture
def served(tmp_path: Path, iris_models: Path) -> Iterator[Served]:
    models = tmp_path / "models"
    shutil.copytree(iris_models, models, symlinks=True)
    made = Served(write_config(tmp_path, models))
    yield made
    made.close()


def labelled(served: Served, count: int) -> None:
    for _ in range(count):
        label = {"request_id": served.predict()["request_id"], "label": 0}
        assert served.client.post("/feedback", label).json == {"status": "matched"}


@pytest.fixture
def archive(served: Served, tmp_path: Path) -> Path:
    labelled(served, 5)
    target = tmp_path / "backup.tar.gz"
    assert backup(config.load(served.config), target) == (2, 5)
    return target


def another(tmp_path: Path, models: str = "models") -> Path:
    """Write the INI of an empty host."""
    folder = tmp_path / "another"
    folder.mkdir()
    return write_config(folder, folder / models)


def contents(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_what_was_saved_comes_back(served: Served, archive: Path, tmp_path: Path) -> None:
    """Every row, label and bundle, and which is current; another INI than in force is kept."""
    ini = another(tmp_path)
    settings = config.load(ini)
    restored = restore(archive, settings, ini)
    assert (restored.rows, restored.models, restored.aside) == (5, 2, ())
    assert contents(settings.data.models) == contents(tmp_path / "models")
    with closing(History(settings.data.history)) as history:
        assert [row["label"] for row in history.rows()] == [0] * 5
        assert history.version_counts(served.service.snapshot.revision_id)
    assert restored.ini is not None and restored.ini.read_text() == served.config.read_text()
    again = Served(ini)
    assert again.predict()["prediction"] == 0
    again.close()


def test_a_history_is_whole_whenever_it_is_copied(served: Served, tmp_path: Path) -> None:
    """While predictions and labels are written, a backup has each label with its evidence."""
    labelled(served, 1)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            labelled(served, 1)
            served.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            target = tmp_path / f"{number}.tar.gz"
            backup(config.load(served.config), target)
            with tarfile.open(target) as tar:
                tar.extract("history.sqlite3", tmp_path / str(number), filter="data")
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        with closing(sqlite3.connect(tmp_path / str(number) / "history.sqlite3")) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            (labels,) = copy.execute("SELECT count(label) FROM predictions").fetchone()
            (counted,) = copy.execute("SELECT ifnull(sum(labelled), 0) FROM versions").fetchone()
            assert labels == counted


def test_what_was_there_is_put_aside(archive: Path, served: Served, tmp_path: Path) -> None:
    """A restore over data deletes nothing, and says where it is."""
    served.close()
    ini = another(tmp_path)
    settings = config.load(ini)
    other = shutil.copytree(tmp_path / "models" / "v1", settings.data.models / "v9", symlinks=True)
    before = contents(other)
    with closing(sqlite3.connect(settings.data.history)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    restored = restore(archive, settings, ini)
    history, models = restored.aside
    with closing(sqlite3.connect(history)) as connection:
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)
    assert contents(models / "v9") == before
    assert sorted(each.name for each in settings.data.models.iterdir()) == ["v1", "v2"]


Member = tuple[tarfile.TarInfo, bytes]


def repack(archive: Path, edit: Callable[[tarfile.TarInfo, bytes], Member]) -> None:
    with tarfile.open(archive) as tar:
        members = [(each, tar.extractfile(each).read() if each.isreg() else b"") for each in tar]
    with tarfile.open(archive, "w:gz") as tar:
        for member, data in members:
            member, data = edit(member, data)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def flipped(member: tarfile.TarInfo, data: bytes) -> Member:
    return member, data[:-1] + bytes([data[-1] ^ 1]) if member.name.endswith(".npz") else data


def outside(member: tarfile.TarInfo, data: bytes) -> Member:
    if member.name == "irisab.ini":
        member.name = "../irisab.ini"
    return member, data


def elsewhere(member: tarfile.TarInfo, data: bytes) -> Member:
    if member.issym():
        member.linkname = "/etc"
    return member, data


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (flipped, "is damaged: models/v1/.*/forest.npz is not as it was written"),
        (outside, "'../irisab.ini' is not part of a backup"),
        (elsewhere, "models/v1/current leads to /etc"),
    ],
)
def test_what_is_no_whole_backup_changes_nothing(
    edit: Callable[[tarfile.TarInfo, bytes], Member],
    reason: str,
    archive: Path,
    tmp_path: Path,
) -> None:
    """It is refused by the name of the member, and nothing is put in place."""
    repack(archive, edit)
    ini = another(tmp_path)
    with pytest.raises(DataError, match=reason):
        restore(archive, config.load(ini), ini)
    assert sorted(each.name for each in ini.parent.iterdir()) == ["irisab.ini"]


def test_a_cut_backup_is_refused(archive: Path, tmp_path: Path) -> None:
    """Of a copy that was interrupted nothing comes back."""
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])
    ini = another(tmp_path)
    with pytest.raises(DataError, match="cannot be restored"):
        restore(archive, config.load(ini), ini)
    assert sorted(each.name for each in ini.parent.iterdir()) == ["irisab.ini"]


def test_an_existing_file_is_not_overwritten(archive: Path, served: Served) -> None:
    """A backup never replaces an older one."""
    before = archive.read_bytes()
    with pytest.raises(DataError, match="is there already"):
        backup(config.load(served.config), archive)
    assert archive.read_bytes() == before


def test_the_commands_say_what_to_type_next(tmp_path: Path, iris_models: Path) -> None:
    """backup while it serves; restore refuses as long as it does, then brings everything back."""
    port = free_port()
    models = shutil.copytree(iris_models, tmp_path / "models", symlinks=True)
    ini = write_config(tmp_path, models, listen=f"127.0.0.1:{port}")
    target = tmp_path / "b.tar.gz"
    with running(ini, port) as process:
        recorded(process, 1)
        saved = process.run("backup", str(target))
        assert saved.returncode == 0 and "2 models" in saved.stdout
        refused = process.run("restore", str(target))
        assert refused.returncode == 2 and refused.stderr.count("\n") == 1
        assert "stop it first" in refused.stderr and "systemctl stop irisab" in refused.stderr
    command = irisab(ini, "restore", str(target))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 predictions and 2 models are back" in done.stdout
    assert "irisab --config" in done.stdout.splitlines()[-1]
