"""The course page: all of it from course.yml and source/, every link right, nothing hidden shown."""

from __future__ import annotations

import html
import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import ROOT
from torchdojo.authoring.leaks import hidden_lines
from torchdojo.authoring.site import build_site, plain, words
from torchdojo.authoring.site.cards import read_card
from torchdojo.course import load
from torchdojo.errors import AuthorError
from torchdojo.notebook import read_node

COURSE = load(ROOT)


def site(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`torchdojo site` in a course's folder."""
    command = [sys.executable, "-m", "torchdojo", "site", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def shown(file: Path) -> str:
    """What a page says, without its markup."""
    return plain(file.read_text(encoding="utf-8"))


class Page(HTMLParser):
    """The ids of a page, and what it leads to or loads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        target = values.get("href") or values.get("src") or ""
        if target and tag == "a":
            self.links.append(target)
        elif target:
            self.loads.append(target)


def test_a_small_course(small_course: Path) -> None:
    """Run whole: the table has what each test said, misconceptions have title and hint; no code is shown."""
    done = site(small_course)
    assert done.returncode == 0, done.stderr
    assert "Running 3 wrong solutions of 01-small" in done.stderr
    assert done.stdout.strip() == "site/index.html"
    table = (small_course / "site" / "tests" / "01-small.html").read_text()
    row = html.unescape(table.partition("The sign was lost")[2].partition("</tr>")[0])
    assert [word for word in ("passed", "wrong") for _ in range(row.count(f">{word}"))] == ["passed", "passed", "wrong"]
    assert "Twice -4 is -8." in table
    assert "What is the double of -1?" in shown(small_course / "site" / "misconceptions" / "01-small.html")
    for file in (small_course / "site").rglob("*.html"):
        assert "abs(x)" not in shown(file)
        assert "twice_of_what_was_given" not in shown(file)


def test_what_was_run_is_kept(small_course: Path) -> None:
    """A second time nothing is run; a changed notebook is; with --quick nothing, and the page says who is meant to."""
    kept = small_course / ".torchdojo" / "site" / "01-small.json"
    done = site(small_course, "--quick", "--out", "quick")
    assert (done.returncode, kept.exists()) == (0, False)
    page = shown(small_course / "quick" / "tests" / "01-small.html")
    assert "The sign was lost Twice -4 is -8." in page
    assert "Running" in site(small_course).stderr
    content = json.loads(kept.read_text())
    content["rows"]["double"]["squares"]["test_of_three"] = "raised NobodySaidThis"
    kept.write_text(json.dumps(content))
    assert "Running" not in site(small_course).stderr
    assert "NobodySaidThis" in shown(small_course / "site" / "tests" / "01-small.html")
    notebook = small_course / "source" / "01-small" / "01-small.ipynb"
    notebook.write_text(notebook.read_text().replace("# 1 · Doubling", "# 1 · Twice"))
    assert "Running" in site(small_course).stderr
    assert "NobodySaidThis" not in shown(small_course / "site" / "tests" / "01-small.html")


def test_a_hidden_line_is_refused_and_what_was_there_stays(small_course: Path) -> None:
    """A document that quotes a solution: refused with file and line; the former page stays, nothing else is left."""
    course = load(small_course)
    target = small_course / "site"
    build_site(course, target, langs=["en"], outcomes={})
    before = (target / "index.html").read_bytes()
    (small_course / "docs").mkdir()
    (small_course / "docs" / "notes.md").write_text("# Notes\n\n`twice_of_what_was_given = x + x`, of course.\n")
    with pytest.raises(AuthorError, match=r"docs/notes\.md would show 'twice_of_what_was_given = x \+ x'"):
        build_site(course, target, langs=["en"], outcomes={})
    assert (target / "index.html").read_bytes() == before
    assert not list(small_course.glob(".site-*"))


def test_a_broken_link_is_refused(small_course: Path) -> None:
    """A document that leads nowhere: one message with the page and the link."""
    (small_course / "docs").mkdir()
    (small_course / "docs" / "notes.md").write_text("# Notes\n\n[gone](gone.md), [outside](../README.md)\n")
    with pytest.raises(AuthorError, match=r"docs/notes\.md.*gone\.md"):
        build_site(load(small_course), small_course / "site", langs=["en"], outcomes={})
    assert not (small_course / "site").exists()


def test_somebody_elses_folder_is_refused(small_course: Path) -> None:
    """--out of a folder that holds something else: refused, status 2, and all is as it was."""
    done = site(small_course, "--quick", "--out", "source")
    assert done.returncode == 2
    assert "source: holds something else than a course page" in done.stderr
    assert (small_course / "source" / "01-small" / "01-small.ipynb").is_file()


def test_a_language_that_there_is_not(small_course: Path) -> None:
    """--lang of a language that the page does not have: status 2, and the languages that it has."""
    done = site(small_course, "--quick", "--lang", "xx")
    assert (done.returncode, "--lang xx: the page has no such language. Write en." in done.stderr) == (2, True)


def test_due_dates(small_course: Path) -> None:
    """A due date stands in the syllabus and on the card, with its time zone."""
    file = small_course / "course.yml"
    file.write_text(file.read_text().replace("points: 3}", "points: 3, due: 2026-10-05 23:59}"))
    build_site(load(small_course), small_course / "site", langs=["en"], outcomes={})
    for page in ("index.html", "assignments/01-small.html"):
        assert "October 5, 2026 23:59 (UTC)" in shown(small_course / "site" / page)


@pytest.mark.parametrize("assignment", COURSE.assignments, ids=lambda each: each.name)
def test_cards_say_what_the_notebooks_say(assignment: object) -> None:
    """Of every notebook: each exercise has its number, difficulty and minutes; the points are course.yml's."""
    card = read_card(COURSE, replace(assignment), {})  # type: ignore[type-var]
    assert card.head
    assert all(e.number and e.level and e.minutes and e.title for e in card.exercises)
    assert sum(e.points for e in card.exercises) == card.points
    assert all(e.tests and e.misconceptions for e in card.exercises if not e.by_hand)


def test_the_page_speaks_chinese() -> None:
    """Everything that the page itself says is translated, and the catalogue is what the templates ask for."""
    assert [str(gap) for gap in words.gaps("zh")] == []
    assert words.catalogue_path("zh").read_text(encoding="utf-8") == words.as_po("zh")


def test_chinese_pages(real_site: Path) -> None:
    """A translated assignment is Chinese throughout; documents are led to, in English."""
    card = shown(real_site / "zh" / "assignments" / "05-modules.html")
    assert "模块、前向传播、初始化" in card
    assert "学完之后你能够" in card
    assert "Afterwards you can" not in card
    assert "尚未全部译成中文" not in card
    documents = (real_site / "zh" / "docs" / "index.html").read_text()
    assert 'href="../../docs/grading.html" hreflang="en"' in documents
    assert '<html lang="zh"' in documents


def test_every_link_leads_somewhere(real_site: Path) -> None:
    """In the whole site each link has its page and its place on it, and each page is there in each language."""
    pages = {file: Page(file) for file in real_site.rglob("*.html") if file.name != "404.html"}
    broken = []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if there not in pages or (parts.fragment and unquote(parts.fragment) not in pages[there].ids):
                broken.append(f"{file.relative_to(real_site)}: {link}")
    assert broken == []
    in_english = {file.relative_to(real_site) for file in pages if file.relative_to(real_site).parts[0] != "zh"}
    in_chinese = {file.relative_to(real_site / "zh") for file in pages if (real_site / "zh") in file.parents}
    assert {file for file in in_english if file.parts[0] != "docs"} == in_chinese - {Path("docs/index.html")}


def test_nothing_is_loaded_from_elsewhere(real_site: Path) -> None:
    """Scripts, styles and pictures lie in the site: it works without a network."""
    for file in real_site.rglob("*.html"):
        assert [load for load in Page(file).loads if urlsplit(load).netloc] == []
    styles = [file.read_text(encoding="utf-8") for file in real_site.rglob("*.css")]
    assert styles
    assert not any("url(http" in style or "@import" in style for style in styles)


def test_nothing_hidden_is_shown(real_site: Path) -> None:
    """No line of a solution, a hidden test, a wrong solution or a hint stands in any page or in the search index."""
    files = [file for kind in ("*.html", "*.json", "*.xml", "*.js") for file in real_site.rglob(kind)]
    texts = {file: shown(file) for file in files if "assets" not in file.parts}
    for index in real_site.rglob("search_index.json"):
        texts[index] = plain(" ".join(each["text"] for each in json.loads(index.read_text())["docs"]))
    assert len(texts) > 70
    everything = "\n".join(texts.values())
    hidden = {line for entry in COURSE.assignments for line in hidden_lines(read_node(COURSE.source_notebook(entry)))}
    assert len(hidden) > 1000
    assert [line for line in hidden if plain(line) in everything] == []


def test_hidden_lines_of_the_small_notebook(small_course: Path) -> None:
    """What counts as hidden: solution, hidden test, variants, hints. Not what tests and misconceptions say."""
    lines = hidden_lines(read_node(small_course / "source" / "01-small" / "01-small.ipynb"))
    assert {line.split(" ")[0] for line in lines} == {"twice_of_what_was_given", "assert", "return", "1.", "2."}
