"""The README's commands, run in a copy of the tree as a newcomer would run them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import palmerpenguins
import pytest
import requests
from readme import ROOT, chapter, commands
from serving import free_port, replace_in

VARIABLE = (
    (r'"model_version":"v\d"', '"model_version":"#"'),
    (r"\b[0-9a-f]{32}\b|\b[0-9a-f]{12}\b", "#"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "#"),
    (r"\b\d+\.\d+\b", "#"),
)


def masked(text: str) -> str:
    """Return a printed text without what differs from run to run."""
    for pattern, replacement in VARIABLE:
        text = re.sub(pattern, replacement, text)
    return text


class Newcomer:
    """A copy of the tree, `make run` in it, and a second terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"5000": str(free_port()), "8501": str(free_port())}
        self.request_id = ""
        self._copy_tree()
        self.environment = os.environ | {
            "PYTHONPATH": str(folder),
            "STREAMLIT_SERVER_PORT": self.ports["8501"],
        }

    def _copy_tree(self) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        # The libraries of this very run stand in for what make venv downloads.
        (self.folder / ".venv").mkdir()
        (self.folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
        (self.folder / ".venv" / "ready").touch()
        self.listen()

    def listen(self) -> None:
        """Let make write its INI file, and put the API on a free port."""
        config = ".run/irisab.ini"
        subprocess.run(["make", "-s", config], cwd=self.folder, check=True)
        listen = f"[server]\nlisten = 127.0.0.1:{self.ports['5000']}\n\n[data]"
        replace_in(self.folder / config, "[data]", listen)

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command line in the folder."""
        for documented, port in self.ports.items():
            command = command.replace(f":{documented}/", f":{port}/")
        if self.request_id:
            command = re.sub(r"\b[0-9a-f]{32}\b", self.request_id, command)
        found = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        answered = re.search(r'"request_id":"([0-9a-f]{32})"', found.stdout)
        self.request_id = answered[1] if answered else self.request_id
        return found

    def follow(self, title: str) -> None:
        """Run every command of a chapter, and compare what is printed."""
        for command, expected in commands(title):
            if command.startswith("make run"):
                continue
            found = self.type(command)
            printed = found.stdout + found.stderr
            assert found.returncode in _exit_codes(command, expected), (command, printed)
            if expected:
                assert masked(printed).strip() == masked(expected).strip(), command


def _exit_codes(command: str, expected: str) -> set[int]:
    if "verdict" in command:
        return {0, 3, 4}
    return {2} if expected.startswith("irisab: ") else {0}


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    found = Newcomer(tmp_path_factory.mktemp("newcomer"))
    log = found.folder / "run.log"
    with log.open("wb") as out:
        make = subprocess.Popen(
            ["make", "run"],
            cwd=found.folder,
            env=found.environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        wait_for_health(found, make)
        yield found
    finally:
        os.killpg(make.pid, signal.SIGINT)
        make.wait(30)
    assert "***" not in log.read_text()
    for port in found.ports.values():
        with pytest.raises(ConnectionRefusedError):
            HTTPConnection("127.0.0.1", int(port), timeout=5).connect()


def wait_for_health(found: Newcomer, make: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while found.type("curl -sf http://127.0.0.1:5000/health").returncode != 0:
        assert make.poll() is None and time.monotonic() < deadline, (
            found.folder / "run.log"
        ).read_text()
        time.sleep(0.2)


def test_start(newcomer: Newcomer) -> None:
    """make run, a prediction, a split, a mistake, a label: all as printed; Ctrl-C ends it all."""
    first = next(output for command, output in commands("Start") if command == "make run")
    log = (newcomer.folder / "run.log").read_text()
    for documented, port in newcomer.ports.items():
        log = log.replace(f":{port} ", f":{documented} ")
    assert [line for line in masked(log).splitlines() if line in masked(first).splitlines()] == (
        masked(first).splitlines()
    )
    newcomer.follow("Start")


def test_where_the_page_looks(newcomer: Newcomer) -> None:
    """The page of `make run` finds the API wherever the INI file has it listen."""
    page, deadline = newcomer.ports["8501"], time.monotonic() + 30
    while '"answers":"yes"' not in newcomer.type(f"curl -s http://127.0.0.1:{page}/stamps").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_port_taken(newcomer: Newcomer) -> None:
    """A second `make run` names the page's port, which the first one has, and another."""
    found = newcomer.type("make run")
    assert found.returncode == 2
    taken = int(newcomer.ports["8501"])
    assert f"Port {taken}, where the browser page would be, is taken." in found.stderr
    assert f"make run STREAMLIT_SERVER_PORT={taken + 1}\n" in found.stderr


def test_drift(newcomer: Newcomer) -> None:
    """The drift report and retraining from labels work as printed."""
    for number in range(150):
        send_labelled(newcomer, number * 7 % 150)
    newcomer.follow("Drift")


def send_labelled(newcomer: Newcomer, number: int) -> None:
    from sklearn.datasets import load_iris

    iris = load_iris()
    base = f"http://127.0.0.1:{newcomer.ports['5000']}"
    answer = requests.post(f"{base}/predict", json={"features": iris.data[number].tolist()})
    label = {"request_id": answer.json()["request_id"], "label": int(iris.target[number])}
    assert requests.post(f"{base}/feedback", json=label).json() == {"status": "matched"}


def test_your_own_data(newcomer: Newcomer) -> None:
    """Penguins are trained as the README does; missing cells are explained, then dropped."""
    penguins = Path(palmerpenguins.__file__).parent / "data" / "penguins.csv"
    shutil.copy(penguins, newcomer.folder / "penguins.csv")
    (newcomer.folder / "my.ini").write_text("[data]\nmodels = my-models\nhistory = my.sqlite3\n")
    ((command, _),) = commands("Your own data")
    found = newcomer.type(command)
    assert found.returncode == 2 and "--drop" in found.stderr
    assert newcomer.type(f"{command} --drop").returncode == 0
    assert newcomer.type(".venv/bin/irisab --config my.ini check").returncode == 0


def test_another_estimator(newcomer: Newcomer) -> None:
    """The Python example fits a pipeline that can be served."""
    (code,) = re.findall(r"```python\n(.*?)```", chapter("Your own data"), re.DOTALL)
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=newcomer.folder, capture_output=True, check=False
    )
    assert found.returncode == 0, found.stderr
    config = newcomer.folder / ".run" / "irisab.ini"
    other = config.with_name("other.ini")
    other.write_text(
        re.sub(r"\[split\]\n.*", "[split]\nv1 = 50\nv3 = 50\n", config.read_text(), flags=re.S)
    )
    assert newcomer.type(".venv/bin/irisab --config .run/other.ini check").returncode == 0


def test_develop(newcomer: Newcomer) -> None:
    """`make` lists its targets, and those of the README are among them."""
    listed = newcomer.type("make").stdout
    for command, _ in commands("Develop"):
        target = command.removeprefix("make").strip()
        assert not target or re.search(rf"^{target} ", listed, re.MULTILINE)


def test_every_metric_is_documented(newcomer: Newcomer) -> None:
    """The README's table has every metric that is served, and no other."""
    served = newcomer.type("curl -s http://127.0.0.1:5000/metrics").stdout
    families = set(re.findall(r"^# TYPE (\w+) ", served, re.MULTILINE))
    documented = set(re.findall(r"`(\w+)(?:\{[\w,]+\})?`", chapter("Metrics")))
    assert documented == {name for name in families if not name.startswith("process_")}


def test_links_lead_somewhere() -> None:
    """Files and anchors that the README names exist."""
    text = (ROOT / "README.md").read_text()
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("http"):
            assert (ROOT / target).exists(), target
