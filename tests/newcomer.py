"""Somebody who has a copy of the source tree and types what the pages say."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from pages import ROOT, Block
from processes import free_port

# What a page prints and another run prints otherwise.
VARIABLE = (
    (r'"model_version":"v\d"', '"model_version":"#"'),
    (r'"probabilities":\[[\d.,e-]+\]', '"probabilities":[#]'),
    (r"\b[0-9a-f]{32}\b|\b[0-9a-f]{12}\b", "#"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "#"),
    (r"Evidence \(e-value\): \S+", "Evidence (e-value): #"),
    (r"^  (v\d): .*requests.*", r"  \1: #"),
    # Who answered, and was labelled, is dealt by chance.
    (r"^  where the truth is (\w+): .*", r"  where the truth is \1: #"),
    (r"(right|closer) in \d+ and (v\d) in \d+", r"\1 in # and \2 in #"),
    (r"\d+ answers were right", "# answers were right"),
    (r"\bright in \d+ of \d+", "right in # of #"),
    # So many of the requests were dealt to the version that is rolled out.
    (r"^  \d+ requests (answered|scored)", r"  # requests \1"),
    # What is learned from the history depends on what was asked before.
    (r"\b\d+ (rows|labels)", r"# \1"),
    (r"\b\d+ in the exam", "# in the exam"),
    (r"\b(setosa|versicolor|virginica) \d+", r"\1 #"),
    (r"[+-]?\b\d+\.\d+\b", "#"),
    # Said where a machine is so busy that the shadow skips some.
    (r"^  Both scored .*; labels of the others tell nothing\n?", ""),
    # Said by the second, where a machine needs more than one.
    (r"^(.*\r)?fitting .*\n?", ""),
)
ROLLOUTS = {"baking": 0, "promoted": 0, "rolled": 1, "aborted": 1, "superseded": 1, "paused": 4}
VERDICTS = {"better": 0, "worse": 1, "inconclusive": 3, "equivalent": 4}
RETRAINED = {"PROPOSE": 0, "REJECT": 1, "VETO": 3}
FOLDER = "/home/you/irisab"
PORTS = "5000", "8501", "5001", "8502", "5002"
SERVES = re.compile(r"make run| serve$|streamlit run")


def masked(text: str) -> list[str]:
    """Return the lines of a printed text without what differs from run to run."""
    for pattern, replacement in VARIABLE:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text.strip().splitlines()


def exit_code(printed: str) -> int:
    """Return what a command exits with that prints this, as docs/reference.md has it."""
    if verdict := re.search(r"^(?:Verdict|v\d against v\d): (\w+)", printed, re.MULTILINE):
        return VERDICTS[verdict[1]]
    if rollout := re.search(
        r"^(?:Rollout of|A look would leave) \w+: (\w+)", printed, re.MULTILINE
    ):
        return ROLLOUTS.get(rollout[1], 3)
    if retrained := re.search(r"^(PROPOSE|REJECT|VETO): ", printed, re.MULTILINE):
        return RETRAINED[retrained[1]]
    if "Status: WARNING" in printed:
        return 1
    return 2 if re.search(r"^irisab: ", printed, re.MULTILINE) else 0


def lend_libraries(tree: Path) -> None:
    """Let the libraries of this very run stand in for what make venv downloads."""
    ours, venv = Path(sys.prefix), tree / ".venv"
    (venv / "bin").mkdir(parents=True)
    for name in "lib", "pyvenv.cfg":
        (venv / name).symlink_to(ours / name)
    # Scripts name the one that made the environment, which may be the longest of these names.
    for name in "python", "python3", f"python3.{sys.version_info.minor}":
        (venv / "bin" / name).symlink_to(Path(sys.executable).resolve())
    for name in "irisab", "streamlit":
        # Its first line leads to the Python of its own environment.
        script = venv / "bin" / name
        script.write_text((ours / "bin" / name).read_text().replace(str(ours), str(venv)))
        script.chmod(0o755)
    (venv / "ready").touch()


class Newcomer:
    """A copy of the tree, and a terminal for each command that goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {documented: str(free_port()) for documented in PORTS}
        self.request_id = ""
        self.serving: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = os.environ | {
            "PYTHONPATH": str(folder),
            "STREAMLIT_SERVER_PORT": self.ports["8501"],
            "IRISAB_API": f"http://127.0.0.1:{self.ports['5000']}",
        }
        self._copy_tree()
        lend_libraries(folder)
        subprocess.run(["make", "-s", ".run/irisab.ini"], cwd=folder, check=True)
        self.write(Block("ini", "# .run/irisab.ini\n" + (folder / ".run/irisab.ini").read_text()))

    def _copy_tree(self) -> None:
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)

    def follow(self, block: Block) -> None:
        """Do what a block says; AssertionError if something else comes of it than it shows."""
        if block.language == "console":
            for command, output in block.commands():
                (self.serve if SERVES.search(command) else self.try_out)(command, output)
        elif not block.file.startswith("/"):
            self.write(block)

    def write(self, block: Block) -> None:
        """Write the file that a block shows; what it leaves to default ports gets a free one."""
        text = block.text
        if block.file.endswith(".ini") and "[server]" not in text:
            text += "\n[server]\nlisten = 127.0.0.1:5000\n"
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._on_free_ports(text))

    def try_out(self, command: str, output: str) -> None:
        """Run a command that ends, and compare."""
        code, printed = self.type(command)
        assert code == exit_code(output), (command, code, printed)
        assert masked(self._as_documented(printed)) == masked(output), f"{command}\n{printed}"

    def type(self, command: str) -> tuple[int, str]:
        """Return the exit code of a command line and what it prints."""
        if self.request_id:
            command = re.sub(r"\b[0-9a-f]{32}\b", self.request_id, command)
        done = subprocess.run(
            ["bash", "-c", self._on_free_ports(command)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,  # what takes a second may take minutes on a machine that is busy
            check=False,
        )
        printed = done.stdout.decode()  # with its \r, which text mode would take for a line's end
        if answered := re.search(r'"request_id":"([0-9a-f]{32})"', printed):
            self.request_id = answered[1]
        return done.returncode, printed

    def serve(self, command: str, output: str) -> None:
        """Start a command that goes on, unless it does; wait for its lines and its ports."""
        log = self.folder / f"{re.sub(r'[^a-z]+', '-', command)}.log"
        if command not in self.serving:
            with log.open("wb") as out:
                self.serving[command] = subprocess.Popen(
                    ["bash", "-c", self._on_free_ports(command)],
                    cwd=self.folder,
                    env=self.environment,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
        deadline = time.monotonic() + 600
        while not (self._shows(log, output) and self._answers(output)):
            gone = self.serving[command].poll() is not None
            assert not gone and time.monotonic() < deadline, (command, log.read_text())
            time.sleep(0.2)

    def _shows(self, log: Path, output: str) -> bool:
        lines = masked(self._as_documented(log.read_text()))
        return [line for line in lines if line in masked(output)] == masked(output)

    def _answers(self, output: str) -> bool:
        """True once every address that a page shows in a command's output answers."""
        open_ = build_opener(ProxyHandler({})).open
        try:
            for port in re.findall(r"http://127\.0\.0\.1:(\d+)", output):
                health = "/health" if port.startswith("5") else "/_stcore/health"
                open_(f"http://127.0.0.1:{self.ports[port]}{health}", timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Press Ctrl-C in each terminal."""
        for process in self.serving.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        for process in self.serving.values():
            process.wait(90)

    def _on_free_ports(self, text: str) -> str:
        return re.sub(rf"\b(?:{'|'.join(PORTS)})\b", lambda found: self.ports[found[0]], text)

    def _as_documented(self, text: str) -> str:
        text = text.replace(str(self.folder), FOLDER)
        for documented, port in self.ports.items():
            text = re.sub(rf"\b{port}\b", documented, text)
        return text
