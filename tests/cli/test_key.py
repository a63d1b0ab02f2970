"""irisab key: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from irisab import keys
from irisab.__main__ import run
from irisab.rfc3339 import seconds

KEY = re.compile(r"irisab_[A-Za-z0-9_-]{43}\n")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "irisab.ini"
    path.write_text("[data]\nhistory = h.sqlite3\n")
    return path


@pytest.fixture
def file(config: Path) -> Path:
    return config.with_name("keys")


def key(config: Path, *arguments: str) -> int:
    return run(["--config", str(config), "key", *arguments])


def test_a_new_key_is_alone_on_stdout(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So a script can take it; the file has its hash only, and a person is told what to do next."""
    assert key(config, "add", "shop", "--scope", "predict,feedback", "--expires", "90d") == 0
    printed = capsys.readouterr()
    assert KEY.fullmatch(printed.out)
    (line,) = keys.read(file)
    assert (line.name, line.scopes) == ("shop", ("predict", "feedback"))
    assert line.sha256 == keys.fingerprint(printed.out.strip())
    assert line.expires == pytest.approx(time.time() + 90 * 86400, abs=600)
    assert printed.out.strip() not in file.read_text() + printed.err
    assert "shown only now" in printed.err and "require = feedback, or all" in printed.err
    assert f"--config {config} reload" in printed.err


def test_once_keys_are_needed_nothing_more_is_to_do(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hint about [auth] goes away with its reason."""
    config.write_text("[auth]\nrequire = all\n")
    assert key(config, "add", "shop", "--scope", "read") == 0
    assert "[auth]" not in capsys.readouterr().err


def test_a_rotated_key_has_a_successor(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new one has the scopes and expiry of the old one, which lives for the overlap."""
    key(config, "add", "shop", "--scope", "read,force", "--expires", "2099-01-01")
    assert key(config, "rotate", "shop", "--overlap", "2h") == 0
    first, second = capsys.readouterr().out.splitlines()
    old, new = keys.read(file)
    assert (old.sha256, new.sha256) == (keys.fingerprint(first), keys.fingerprint(second))
    assert old.name == new.name == "shop" and old.scopes == new.scopes == ("read", "force")
    assert new.expires == seconds("2099-01-01")
    assert old.expires == pytest.approx(time.time() + 7200, abs=600)
    assert key(config, "rotate", "shop", "--overlap", "30d") == 0
    again = keys.read(file)
    assert [each.sha256 for each in again[:2]] == [old.sha256, new.sha256] and len(again) == 3
    assert again[0].expires == old.expires  # never longer than it had
    assert again[2].expires == seconds("2099-01-01")


def test_a_revoked_name_has_no_key(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All its lines go, nobody else's; whatever is wrong with the INI file."""
    for name in ("shop", "lab"):
        key(config, "add", name, "--scope", "read")
    key(config, "rotate", "shop")
    config.write_text("not an INI\n")
    assert key(config, "revoke", "shop") == 0
    assert [each.name for each in keys.read(file)] == ["lab"]


def test_the_list_shows_everything_but_the_key(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people and for programs: name, scopes, expiry, the day of the last use."""
    assert key(config, "list") == 0
    assert "there is no key yet; to make one: " in capsys.readouterr().out
    key(config, "add", "shop", "--scope", "predict")
    secret = capsys.readouterr().out.strip()
    over = keys.Key("over", "1" * 64, ("read",), 1e9)
    keys.edit(file, lambda before: [*before, over])
    config.with_name("keys-used.json").write_text('{"shop": "2026-01-31"}')
    assert key(config, "list") == 0
    table = capsys.readouterr().out
    assert re.search(r"^shop  predict  never +2026-01-31$", table, re.MULTILINE)
    assert re.search(r"^over  read +2001-09-09T01:46:40.000Z \(over\)  -$", table, re.MULTILINE)
    assert key(config, "list", "--json") == 0
    printed = capsys.readouterr().out
    expires = "2001-09-09T01:46:40.000Z"
    assert json.loads(printed) == [
        {"name": "shop", "scopes": ["predict"], "expires": None, "last_used": "2026-01-31"},
        {"name": "over", "scopes": ["read"], "expires": expires, "last_used": None},
    ]
    assert keys.fingerprint(secret) not in table + printed and "1" * 64 not in table + printed


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["add", "shop", "--scope", "admin"], "--scope must be of predict, feedback, read, force"),
        (["add", "shop", "--scope", ""], "--scope must be of"),
        (["add", "two words", "--scope", "read"], "a name must be 1 to 64 letters"),
        (["add", "a\nb", "--scope", "read"], "a name must be 1 to 64 letters"),
        (["add", "old", "--scope", "read"], "old has a key already; for another one: "),
        (["add", "shop", "--scope", "read", "--expires", "soon"], "'soon' is no time: say such"),
        (["add", "shop", "--scope", "read", "--expires", "9999999d"], "is no time"),
        (["add", "shop", "--scope", "read", "--expires", "2001-01-01"], "is over already"),
        (["rotate", "nobody"], "has no key of that name; see: "),
        (["rotate", "old", "--overlap", "x"], "'x' is no time"),
        (["revoke", "nobody"], "has no key of that name; see: "),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    arguments: list[str], why: str, config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit 2, nothing on stdout, and the file as it was."""
    keys.edit(file, lambda _: [keys.Key("old", "1" * 64, ("read",))])
    before = file.read_text()
    assert key(config, *arguments) == 2
    printed = capsys.readouterr()
    assert why in printed.err and printed.err.count("\n") == 1 and printed.out == ""
    assert file.read_text() == before


def test_a_broken_file_is_not_edited(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line is named, so that a person mends it; list says so, too."""
    file.write_text("broken\n")
    for arguments in (["add", "shop", "--scope", "read"], ["list"], ["revoke", "shop"]):
        assert key(config, *arguments) == 2
        assert f"{file}: line 1: " in capsys.readouterr().err
    assert file.read_text() == "broken\n"


@pytest.mark.parametrize(
    ("arguments", "who"),
    [
        ("key list", "root"),
        ("--config /etc/irisab.ini key revoke shop", "root"),
        ("--config=/etc/irisab.ini key add shop", "root"),
        ("train key", "irisab"),
        ("--config key train", "irisab"),
        ("check", "irisab"),
        ("", "irisab"),
    ],
)
def test_on_a_host_the_keys_are_root_s_and_nothing_else_is(
    arguments: str, who: str, tmp_path: Path
) -> None:
    """The service's user gives itself no key; any other command of root's runs as that user."""
    release = tmp_path / "release"
    for name, text in (
        ("bin/irisab", (Path(__file__).parents[2] / "bin/irisab").read_text()),
        ("venv/bin/python", '#!/bin/sh\necho root "$@"\n'),
        ("path/id", "#!/bin/sh\necho 0\n"),
        ("path/runuser", "#!/bin/sh\necho irisab\n"),
        ("path/systemd-run", "#!/bin/sh\necho irisab\n"),
    ):
        program = release / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    done = subprocess.run(
        [release / "bin/irisab", *arguments.split()],
        env={"PATH": f"{release}/path:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    expected = f"root -P -m irisab {arguments}" if who == "root" else "irisab"
    assert done.stdout.strip() == expected
