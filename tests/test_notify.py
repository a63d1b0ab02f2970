"""What bootstrap.sh makes of --notify-email and its like: settings that Alertmanager takes."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from checkout import ROOT

HARNESS = """
source ./bootstrap.sh
trap - ERR
ETC={0}/etc NOTIFY={0}/etc/alertmanager scratch={0}/scratch dry_run=''
tls_cert='' tls_key='' notify_email='' notify_webhook='' smtp='' smtp_user='' smtp_password=''
smtp_from=''
public_address() {{ echo 203.0.113.7; }}
notify() {{ parse "$@"; keep_notify; write_alertmanager alertmanager; }}
"""
MAIL = "--notify-email ops@example.org --smtp mail.example.org:587"
LOGIN = "--smtp-user me --smtp-password -"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name in ("etc", "scratch"):
        (tmp_path / name).mkdir()
    return tmp_path


def notify(host: Path, options: str, password: str = "") -> subprocess.CompletedProcess[str]:
    line = f"{HARNESS.format(shlex.quote(str(host)))}notify {options}"
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, input=password, capture_output=True, text=True
    )


def settings(host: Path) -> str:
    return (host / "etc/alertmanager/alertmanager.yml").read_text()


def check(host: Path) -> str:
    """What Alertmanager's own checker says of the settings; without it the test is skipped."""
    if not (amtool := shutil.which("amtool")):
        pytest.skip("THE SETTINGS WERE NOT CHECKED: need amtool")
    command = [amtool, "check-config", host / "etc/alertmanager/alertmanager.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr + "refused"


@pytest.mark.parametrize(
    ("options", "receiver"),
    [
        ("", "  - name: person\n"),
        (MAIL, "smarthost: 'mail.example.org:587'"),
        (f"{MAIL} {LOGIN}", "auth_password: 'it''s \\ \"#%{{ }}'"),
        ("--notify-webhook https://hooks.example.org/a?b=c#d", "url: 'https://hooks.example.org/a"),
        (f"{MAIL} --notify-webhook http://127.0.0.1:1/", "webhook_configs:"),
    ],
)
def test_alertmanager_takes_the_settings(options: str, receiver: str, host: Path) -> None:
    """Nobody, a mail, a login with whatever is in its password, a webhook, both."""
    done = notify(host, options, "it's \\ \"#%{{ }}\nnot this line\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert receiver in settings(host) and "refused" not in check(host)
    assert "not this line" not in settings(host)


def test_what_was_given_stays_until_it_is_given_anew(host: Path) -> None:
    """A run without options keeps all; another mail server forgets the login of the old one."""
    notify(host, f"{MAIL} {LOGIN} --smtp-from from@example.org --notify-webhook http://a/", "pw")
    before = settings(host)
    assert "from: 'from@example.org'" in before
    notify(host, "")
    assert settings(host) == before
    notify(host, "--notify-email new@example.org --smtp localhost:25")
    after = settings(host)
    assert "to: 'new@example.org'" in after and "from: 'new@example.org'" in after
    assert "url: 'http://a/'" in after
    assert "auth_" not in after and not (host / "etc/alertmanager/smtp-password").exists()


@pytest.mark.parametrize(
    ("server", "encrypted"),
    [
        ("mail.example.org:587", "true"),
        ("localhost.example.org:25", "true"),
        ("127.example.org:25", "true"),
        ("localhost:25", "false"),
        ("127.0.0.1:2525", "false"),
        ("[::1]:25", "false"),
    ],
)
def test_only_the_host_itself_may_go_without_encryption(
    server: str, encrypted: str, host: Path
) -> None:
    """No other server gets a mail, or the password, in the clear."""
    notify(host, f"--notify-email ops@example.org --smtp {server}")
    assert f"require_tls: {encrypted}\n" in settings(host)


def test_nobody_else_can_read_a_secret(host: Path) -> None:
    """Folder and files are for root alone, and nothing of it is printed."""
    done = notify(host, f"{MAIL} {LOGIN}", "secret")
    assert "secret" not in done.stdout + done.stderr
    assert (host / "etc/alertmanager").stat().st_mode & 0o777 == 0o700
    holders = [path for path in (host / "etc").rglob("*") if path.is_file()]
    holders = [path for path in holders if "secret" in path.read_text()]
    assert len(holders) == 3
    assert {path.stat().st_mode & 0o777 for path in holders} == {0o600}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--notify-email ops@example.org", "--notify-email and --smtp go together"),
        ("--smtp localhost:25", "--notify-email and --smtp go together"),
        (f"{MAIL} --smtp-user me", "--smtp-user and --smtp-password go together"),
        (f"{MAIL} --smtp-password /none", "--smtp-user and --smtp-password go together"),
        (f"{MAIL} --smtp-user me --smtp-password /none", "--smtp-password: /none cannot be read"),
        (f"{MAIL} {LOGIN}", "there is no password in /dev/stdin"),
        ("--smtp-from ops@example.org", "go with --notify-email and --smtp: say all of it again"),
        ("--notify-email ops --smtp a:1", "--notify-email: ops is no address"),
        (f"{MAIL} --smtp-from ops", "--smtp-from: ops is no address"),
        ("--notify-email a@b --smtp mail", "mail is not HOST:PORT, such as mail.example.org:587"),
        ("--notify-webhook hooks.example.org", "is not a URL, such as https://"),
        ("--notify-webhook", "--notify-webhook needs a value: bootstrap.sh --help"),
        ("--notify-email --smtp a:1", "--notify-email needs a value: bootstrap.sh --help"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: str, sentence: str, host: Path) -> None:
    """In one sentence, before anything is kept."""
    done = notify(host, options)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr and done.stderr.count("\n") == 1
    assert not (host / "etc/alertmanager").exists()
