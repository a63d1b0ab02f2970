"""The course is taken from its first chapter to its last, and explains each of its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pages
import pytest
from newcomer import Newcomer

CHAPTERS = pages.course()
GLOSSARY = "docs/glossary.md"
# What is typed before and around the installation, which Operate does not have.
AT_AMAZON = {"chmod 600 irisab.pem", "ssh-add irisab.pem", "sudo ./bootstrap.sh --self-signed"}

# Words that everybody knows, and that a chapter only makes exact.
EVERYDAY = {"serve", "version", "class", "row", "request", "split", "history", "example"}


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Somebody with an empty `.run`, for whom `make run` goes on from chapter to chapter."""
    somebody = Newcomer(tmp_path_factory.mktemp("course"))
    try:
        yield somebody
    finally:
        somebody.stop()


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_command_prints_what_the_chapter_shows(chapter: str, newcomer: Newcomer) -> None:
    """From top to bottom, and each chapter goes on where the one before has ended."""
    for block in pages.blocks(chapter, "console", "ini", "python"):
        newcomer.follow(block)


def test_there_are_eight_and_the_index_has_them_all() -> None:
    """In their order, under the title that each has."""
    listed = re.findall(
        r"^\| \[(.+?)\]\((.+?)\)", pages.text("docs/course/README.md"), re.MULTILINE
    )
    assert listed == [
        (pages.titles(chapter)[0], chapter.rpartition("/")[2]) for chapter in CHAPTERS
    ]
    assert [name[0] for _, name in listed] == list("12345678")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_ends_with_something_to_break_and_three_questions(chapter: str) -> None:
    """Each question has an answer, folded away; a picture is there, and the way to go on."""
    assert pages.titles(chapter, level="##")[-2:] == (
        ["Take it away", "Three questions"]
        if chapter == CHAPTERS[-1]
        else ["Break it", "Three questions"]
    )
    assert "Break it" in pages.titles(chapter)
    asked, _, answered = pages.chapter(chapter, "Three questions").partition("<details>")
    assert len(re.findall(r"^\d\. .+\?$", asked, re.MULTILINE)) == 3
    folded, _, after = answered.partition("</details>")
    assert re.findall(r"^(\d)\. ", folded, re.MULTILINE) == ["1", "2", "3"]
    following = [*CHAPTERS, GLOSSARY][CHAPTERS.index(chapter) + 1].rpartition("/")[2]
    assert following in after
    assert pages.blocks(chapter, "mermaid") or "![" in pages.prose(chapter)


def explained() -> dict[str, str]:
    """Return the words that the course prints in bold, each with its chapter."""
    found = [
        (word, chapter)
        for chapter in CHAPTERS
        for word in re.findall(r"\*\*([^*]+)\*\*", pages.prose(chapter))
    ]
    twice = [word for word, times in Counter(word for word, _ in found).items() if times > 1]
    assert not twice
    return dict(found)


def test_the_glossary_has_the_words_of_the_course() -> None:
    """Every bold word and no other, from a to z, each with the chapter that explains it."""
    rows = re.findall(
        r"^\| \*\*(.+?)\*\* \| .+ \| \[(\d)\]\((\S+)\) \|$", pages.text(GLOSSARY), re.MULTILINE
    )
    words = [word for word, _, _ in rows]
    assert words == sorted(words, key=str.lower)
    assert {word: f"docs/{target}" for word, _, target in rows} == explained()
    assert all(target.startswith(f"course/{number}-") for _, number, target in rows)


def test_no_word_is_used_before_it_is_explained() -> None:
    """A word of a later chapter is not taken for known in an earlier one."""
    for word, chapter in explained().items():
        before = [earlier for earlier in CHAPTERS if earlier < chapter]
        told = " ".join(pages.prose(earlier) for earlier in before)
        # What leads to another chapter, and what is code, is read past.
        told = re.sub(r"\[[^\]]*\]\([^)]*\)|`[^`]*`|\n> .*", " ", told)
        if word not in EVERYDAY:
            assert not re.search(rf"\b{re.escape(word)}s?\b", told), (word, chapter)


def test_what_is_typed_at_amazon_is_what_a_test_types_on_a_host() -> None:
    """The chapter of the cloud has no command for a host that Operate has not, and so no test."""
    typed = {
        line for block in pages.blocks(CHAPTERS[-1], "sh aws") for line in block.text.splitlines()
    }
    tried = {
        line for block in pages.blocks("docs/operate.md", "sh") for line in block.text.splitlines()
    }
    assert typed - tried == AT_AMAZON


def test_its_questions_to_prometheus_are_about_metrics_that_are_there() -> None:
    """Each metric is one of the reference, whose table is what is served, or `up`."""
    table = pages.chapter("docs/reference.md", "Metrics")
    asked = "\n".join(block.text for block in pages.blocks(CHAPTERS[-1], "promql"))
    names = set(re.findall(r"[a-z]+_[a-z_]+\b(?!\()", re.sub(r"#.*", "", asked)))
    assert len(names) >= 6
    assert {name.removesuffix("_bucket") for name in names} <= set(re.findall(r"`(\w+)", table))
