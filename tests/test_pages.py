"""Every page does what it says: links lead somewhere, commands print what is shown."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pages
import pytest
from newcomer import Newcomer
from pages import ROOT, Block

from irisab.__main__ import main

PAGES = pages.pages()
# Whoever takes the course begins with nothing: tests/test_course.py.
FOLLOWED = [page for page in PAGES if page not in pages.course()]
# Files that tests/host writes on a host, and looks at what comes of them.
ON_A_HOST = {"/etc/systemd/system/irisab-alert@.service.d/call.conf"}
ALERT = re.compile(r"^ +- alert: (\w+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Somebody for whom `make run` goes on; Ctrl-C ends it, and leaves nothing behind."""
    somebody = Newcomer(tmp_path_factory.mktemp("newcomer"))
    try:
        somebody.follow(pages.blocks("README.md", "console")[0])
        yield somebody
    finally:
        somebody.stop()
    assert "***" not in (somebody.folder / "make-run.log").read_text()
    for port in somebody.ports.values():
        with pytest.raises(ConnectionRefusedError):
            HTTPConnection("127.0.0.1", int(port), timeout=5).connect()


@pytest.mark.parametrize(
    "page",
    [
        each if each == "README.md" else pytest.param(each, marks=pytest.mark.slow)
        for each in FOLLOWED
    ],
)
def test_every_command_prints_what_the_page_shows(page: str, newcomer: Newcomer) -> None:
    """From top to bottom, each block that is not for a host is typed, or written to its file."""
    for block in pages.blocks(page, "console", "ini", "python"):
        newcomer.follow(block)


def test_the_page_looks_where_the_api_listens(newcomer: Newcomer) -> None:
    """The page of `make run` finds the API wherever the INI file has it listen."""
    page, deadline = newcomer.ports["8501"], time.monotonic() + 60
    while '"answers":"yes"' not in newcomer.type(f"curl -s http://127.0.0.1:{page}/stamps")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_port_that_is_taken_is_named(newcomer: Newcomer) -> None:
    """A second `make run` names the page's port, which the first one has, and another."""
    code, printed = newcomer.type("make run")
    taken = int(newcomer.ports["8501"])
    assert code == 2 and f"Port {taken}, where the browser page would be, is taken." in printed
    assert f"make run STREAMLIT_SERVER_PORT={taken + 1}\n" in printed


def test_a_broken_ini_is_for_the_service_to_judge(newcomer: Newcomer) -> None:
    """`make run` says what is wrong and goes on: the service knows the last good file."""
    ini = newcomer.folder / ".run/irisab.ini"
    good = ini.read_text()
    ini.write_text(f"{good}\n[split\n")
    try:
        _, printed = newcomer.type("make run")
    finally:
        ini.write_text(good)
    # It comes as far as to the ports, which the first one has.
    assert "irisab: .run/irisab.ini" in printed and "browser page would be, is taken" in printed


@pytest.mark.parametrize(
    "told", ["$ echo yes\nno\n", "$ false\n", "$ true\nsilence\n", "$ echo more\n"]
)
def test_what_a_page_shows_wrongly_is_noticed(told: str, newcomer: Newcomer) -> None:
    """Another output, none, some where there is none, and another exit code fail."""
    with pytest.raises(AssertionError):
        newcomer.follow(Block("console", told))


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_somebody_who_follows_it(page: str) -> None:
    """No fence without a test that asks for its like, and no command where nobody looks for one."""
    languages = {block.language for block in pages.blocks(page)} - pages.FOR_NOBODY
    for language in languages - pages.UNTRIED:
        taken = rf"""["`]{language}["\\]"""
        assert re.search(taken, (ROOT / pages.FOLLOWED_BY[language]).read_text()), language
    assert not languages & pages.UNTRIED or "Not tried" in pages.prose(page)
    # An unclosed fence, a prompt, or a block that is set off by its indentation alone.
    stray = r"^([ \t]*(```|~~~|\$ )|( {4}|\t)[ \t]*\S)"
    assert not re.search(stray, pages.prose(page), re.MULTILINE)
    for block in pages.blocks(page, "text"):
        assert not re.search(r"^ *\$ ", block.text, re.MULTILINE)
    files = {block.file for block in pages.blocks(page, "ini", "python")}
    assert {file for file in files if file.startswith("/")} <= ON_A_HOST


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Files and anchors that a page names exist."""
    for target in pages.links(page):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            assert pages.anchors(str(file.resolve().relative_to(ROOT))).count(anchor) == 1, target


def test_every_page_is_reached_from_the_readme() -> None:
    """Nobody has to guess that a page is there."""
    reached, new = set(), {"README.md"}
    while new:
        reached |= new
        new = {
            str(((ROOT / page).parent / target.partition("#")[0]).resolve().relative_to(ROOT))
            for page in new
            for target in pages.links(page)
            if target.partition("#")[0].endswith(".md")
        } - reached
    assert reached == set(PAGES) - {"CHANGELOG.md"}


def test_no_sentence_names_a_command_that_is_not_there() -> None:
    """`make X` is a target; a program of .venv is not written as if it were on the path."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    bare = re.compile(rf"(sudo )?(irisab ({'|'.join(documented_commands())})|streamlit|pytest)\b")
    for page in sorted(set(PAGES) - {"bench/RESULTS.md", "CHANGELOG.md"}):
        for span in [*pages.spans(page), *pages.typed(page)]:
            made = re.match(r"make((?: [a-z][a-z-]*(?!\S))*)", span)
            assert not made or set(made[1].split()) <= targets, (page, span)
            assert not bare.match(span), (page, span)


def test_no_page_asks_for_a_package_that_ci_does_without() -> None:
    """What they want from apt is what a clean machine gets in .ci/run, under the same name."""
    spans = [span for page in PAGES for span in pages.spans(page)]
    wanted = [span.split("install ")[1] for span in spans if "apt-get install " in span]
    assert len(wanted) >= 3
    assert set(" ".join(wanted).split()) <= set((ROOT / ".ci/run").read_text().split())


def test_every_alert_and_unit_names_a_chapter_that_is_there() -> None:
    """The runbook address of each alert is a heading; what a unit documents is installed."""
    rules = (ROOT / "prometheus/alerts.yml").read_text()
    names = ALERT.findall(rules)
    assert len(names) > 5
    assert re.findall(r"runbook_url: docs/alerts\.md#(\w+)", rules) == [
        name.lower() for name in names
    ]
    chapters = [each for each in pages.titles("docs/alerts.md", level="##") if "Irisab" in each]
    assert chapters == [*names, "IrisabFailed"]
    for unit in [*ROOT.glob("systemd/*.service"), *ROOT.glob("systemd/irisab*.[st]*")]:
        (path,) = re.findall(
            r"^Documentation=file:/opt/irisab/current/(\S+)$", unit.read_text(), re.MULTILINE
        )
        assert path in PAGES and is_installed(path), unit


def is_installed(path: str) -> bool:
    """True if bootstrap.sh makes a file a part of a release."""
    files = re.search(r"^FILES=\(([^)]+)\)", (ROOT / "bootstrap.sh").read_text(), re.MULTILINE)
    return path.partition("/")[0] in files[1].split()


def test_commands_of_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    """The table has every command of --help, and no other."""
    with pytest.raises(SystemExit):
        main(["--help"])
    served = re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE)
    assert documented_commands() == served


def documented_commands() -> list[str]:
    table = pages.chapter("docs/reference.md", "Commands")
    return list(dict.fromkeys(re.findall(r"^\| `([a-z]+)", table, re.MULTILINE)))


def test_every_metric_is_documented(newcomer: Newcomer) -> None:
    """The table has every metric that is served, and no other."""
    _, served = newcomer.type("curl -s http://127.0.0.1:5000/metrics")
    families = set(re.findall(r"^# TYPE (\w+) ", served, re.MULTILINE))
    table = pages.chapter("docs/reference.md", "Metrics")
    documented = set(re.findall(r"`(\w+)(?:\{[\w,]+\})?`", table))
    assert documented == {name for name in families if not name.startswith("process_")}


def test_a_florist_without_a_service_says_how_to_start_one(newcomer: Newcomer) -> None:
    """One sentence and exit 1, instead of a traceback."""
    ask = ".venv/bin/python examples/florist.py 1"
    code, printed = newcomer.type(f"IRISAB_API=http://127.0.0.1:1 {ask}")
    assert code == 1
    assert printed.startswith("florist: ") and "make run" in printed and printed.count("\n") == 1
