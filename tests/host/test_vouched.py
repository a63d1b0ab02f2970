"""Pickled models on a host: opened on root's word, and never on that of the account that serves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from actions import INSTALL, Installed, ask
from bed import Host

IRISAB = "/usr/local/bin/irisab"
CURRENT = "/opt/irisab/current"
ROW = [5.1, 3.5, 1.4, 0.2]
# A model without a plain form, as a notebook leaves it.
FIT = """
import joblib
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB
joblib.dump(GaussianNB().fit(*load_iris(return_X_y=True)), "/tmp/model.joblib")
"""
# What somebody writes who has got into the service: a bundle whose hashes fit. Opened, it leaves a
# file where the service may write.
FORGE = """
import hashlib, json, os, pickle
from pathlib import Path
from irisab.model import publish
class Trap:
    def __reduce__(self):
        return os.mkdir, ("/var/lib/irisab/trapped",)
models = Path("/var/lib/irisab/models")
files = {each.name: each.read_bytes() for each in (models / "v3/current").iterdir()}
manifest = json.loads(files["manifest.json"])
files["model.joblib"] = pickle.dumps(Trap())
manifest["files"]["model.joblib"] = hashlib.sha256(files["model.joblib"]).hexdigest()
publish.put(models, "v3", {**files, "manifest.json": json.dumps(manifest).encode()})
"""


@pytest.fixture
def host(debian: Installed) -> Iterator[Host]:
    """A host to which a pickle was brought as v3; afterwards it is as it was."""
    host = debian.host
    ini = host.run("cat /etc/irisab.ini")
    python(host, "root", FIT)
    host.run("chmod 644 /tmp/model.joblib")
    yield host
    (host.root / "etc/irisab.ini").write_text(f"{ini}\n")
    host.run("systemctl reload irisab; rm -rf /tmp/model.joblib /var/lib/irisab/models/v3")
    assert host.code(f"{IRISAB} check") == 0


def python(host: Host, user: str, program: str) -> None:
    line = f"runuser -u {user} -- env PYTHONPATH={CURRENT} {CURRENT}/venv/bin/python"
    host.run(f"{line} - <<'END'\n{program}\nEND")


def bring(host: Host) -> str:
    """Import the model, and return what its output says to type."""
    said = host.run(f"{IRISAB} import /tmp/model.joblib --version v3 --trust")
    (command,) = re.findall(rf"  (sudo {IRISAB} vouch v3 [0-9a-f]{{12}})\n", said)
    return command


def served_by_v3(host: Host) -> int:
    return ask(f"{host.url}/predict", {"features": ROW, "model_version": "v3"}).status


def test_a_pickle_is_opened_on_root_s_word_alone(host: Host) -> None:
    """Brought and listed by root it serves, over a restart too; what the service's account has
    written is refused by every command, in one sentence with what to type, and is not run."""
    vouch = bring(host)
    host.run(r"printf '[split]\nv1 = 50\nv3 = 50\n' >/etc/irisab.ini")
    for command in "check", "reload":
        refused = host.run(f"{IRISAB} {command} 2>&1", check=False)
        assert f"root has not vouched for it: if you know who made it, '{vouch}'" in refused
    itself = vouch.replace("sudo", "runuser -u irisab --")
    assert "/etc/irisab/vouched: cannot be " in host.run(f"{itself} 2>&1", check=False)
    assert "root vouches for v3 " in host.run(vouch)
    assert host.run("stat -c '%U:%G %a' /etc/irisab/vouched") == "root:irisab 640"
    host.run("systemctl reload irisab && systemctl restart irisab")
    host.wait(lambda: served_by_v3(host) == 200)
    python(host, "irisab", FORGE)
    for command in "check", "reload", "evaluate", "models use v3 $(readlink {}/v3/current)":
        line = command.format("/var/lib/irisab/models")
        assert "root has not vouched for it" in host.run(f"{IRISAB} {line} 2>&1", check=False)
    # The service itself starts on what it served last.
    host.run("systemctl restart irisab")
    host.wait(lambda: served_by_v3(host) == 200)
    assert host.code("test -e /var/lib/irisab/trapped") == 1


def test_an_upgrade_goes_on_with_the_pickles_that_were_served(host: Host) -> None:
    """Of a release that asked nobody: it vouches for them once, and says so; the way back works."""
    bring(host)
    host.run(f"mv {CURRENT}/irisab/cli/vouch.py /root/vouch.py; rm -f /etc/irisab/vouched")
    release = host.run(f"readlink -f {CURRENT}")
    host.run(r"printf '[split]\nv1 = 50\nv3 = 50\n' >/etc/irisab.ini")
    host.copy_tree()
    with (host.root / "root/src/irisab/__init__.py").open("a") as file:
        file.write("# a newer release, which asks who vouches\n")
    assert "root vouches for v3 " in host.run(INSTALL)
    assert served_by_v3(host) == 200
    host.run(f"mv /root/vouch.py {release}/irisab/cli/vouch.py")
    assert "root vouches" not in host.run(INSTALL)
    assert "root vouches" not in host.run(f"{CURRENT}/bootstrap.sh --rollback")
    assert served_by_v3(host) == 200
    host.copy_tree()
    host.run(INSTALL)
