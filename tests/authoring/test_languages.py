"""Another language: what is translated, what stays, what is refused, and who sees what."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_markdown_cell

from tests.conftest import ROOT, small_cells, write_notebook
from torchdojo.authoring import catalogue as catalogues
from torchdojo.authoring import words
from torchdojo.authoring.languages import gaps, language_named, messages_of, update
from torchdojo.authoring.messages import Text, templates, texts
from torchdojo.authoring.prose import docstring_pieces, markdown_pieces, translate_docstrings, translate_markdown
from torchdojo.authoring.release import release
from torchdojo.course import Course, load
from torchdojo.errors import AuthorError

PROSE = """\
### 1.1 · Twice
*●○○ · 2 minutes · 3 points*

Write `double`: the double of $x$ is $2x$.

- For 3 it gives 6.
- It takes `str` too."""

CHINESE = {
    "1 · Doubling": "1 · 加倍",
    "1.1 · Twice": "1.1 · 两倍",
    "*●○○ · 2 minutes · 3 points*": "*●○○ · 2 分钟 · 3 分*",
    "Write `double`: the double of $x$ is $2x$.": "请编写 `double`：$x$ 的两倍是 $2x$。",
    "For 3 it gives 6.": "对于 3，结果是 6。",
    "It takes `str` too.": "它也接受 `str`。",
    "Twice x.": "x 的两倍。",
    "Twice 3 is 6.": "3 的两倍是 6。",
    "Twice -4 is -8.": "-4 的两倍是 -8，负号要保留。",
    "Twice a text is the text twice over.": "文本的两倍是该文本重复两遍。",
    "{text} came back": "返回了 {text}",
    "The square was taken": "算成了平方",
    "What is the double of 1?": "1 的两倍是多少？",
    "Only numbers were thought of": "只考虑了数字",
    'What does 2 * "ab" give?': '2 * "ab" 得到什么？',
    "The sign was lost": "丢了符号",
    "What is the double of -1?": "-1 的两倍是多少？",
    "What do you get when you add a thing to itself?": "把一个东西与自身相加会得到什么？",
    "The operator + works for numbers and for text.": "运算符 + 对数字和文本都有效。",
    "Return x + x.": "返回 x + x。",
}


def cells() -> list[Any]:
    """The small notebook's cells, with some prose and a message in a hidden test."""
    made = small_cells()
    made.insert(2, new_markdown_cell(PROSE, id="about"))
    tests = next(cell for cell in made if cell.id == "test_double")
    tests.source = tests.source.replace(
        'assert student.double("ab") == "abab"',
        'text = student.double("ab")\n    assert len(text) == 4, f"{text} came back"',
    )
    return made


@pytest.fixture
def chinese_course(small_course: Path) -> Path:
    """A course in English and Chinese, its catalogue complete; returns its folder."""
    write_notebook(small_course / "source" / "01-small" / "01-small.ipynb", cells())
    file = small_course / "course.yml"
    file.write_text(file.read_text().replace("languages: [en]", "languages: [en, zh]"))
    update(load(small_course), "01-small", "zh")
    translate(small_course)
    return small_course


def translate(folder: Path, changed: dict[str, str] | None = None) -> None:
    """Fill in the catalogue, as a translator would."""
    path = folder / "source" / "01-small" / "zh.po"
    catalogue = catalogues.read(path)
    for message in catalogue:
        text = (CHINESE | (changed or {})).get(str(message.id))
        if message.id and text is not None:
            message.string = text
            message.flags.discard("fuzzy")
    path.write_text(catalogues.as_po(catalogue, "01-small", "en", "zh"), encoding="utf-8")


def edit(folder: Path, old: str, new: str) -> None:
    """Change the source notebook."""
    path = folder / "source" / "01-small" / "01-small.ipynb"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def open_gaps(folder: Path) -> list[str]:
    """What the gate says of the Chinese."""
    return [str(gap) for gap in gaps(load(folder), "01-small", "zh")]


# ------------------------------------------------------------------------------------------- pieces


@pytest.mark.parametrize("path", sorted((ROOT / "source").glob("*/*.ipynb")), ids=lambda path: path.stem)
def test_pieces_put_together_are_the_notebook(path: Path) -> None:
    """Every cell of the course, taken apart and put together untranslated, is what it was."""
    for cell in nbformat.read(path, as_version=4).cells:
        again = translate_markdown if cell.cell_type == "markdown" else translate_docstrings
        assert again(cell.source, lambda piece: piece) == cell.source, cell.id


def test_markdown_is_taken_apart_by_paragraph_item_and_table() -> None:
    """A heading, a paragraph, a list item, a table and a drawing are a piece each; code, rules and numbers are none."""
    text = (
        "# Title\ncard line\n\nTwo\nlines.\n\n1. one item\n2. another,\n   longer\n\n| a word | b |\n"
        "|---|---|\n"
        "| 1 | 2 |\n\n---\n\n```python\nx = word\n\ny\n```\n\n"
        "```text\nbox ──► word\n```\n\n> quoted words\n\n12 = 3 · 4"
    )
    assert markdown_pieces(text) == [
        "Title",
        "card line",
        "Two\nlines.",
        "one item",
        "another,\n   longer",
        "| a word | b |\n|---|---|\n| 1 | 2 |",
        "```text\nbox ──► word\n```",
        "quoted words",
    ]


def test_docstrings_are_translated_and_code_is_not() -> None:
    """Paragraphs of a docstring keep their indent; strings and comments that are no docstrings stay."""
    source = 'class A:\n    """One.\n\n    x   two\n    y   three\n    """\n    z = "One."  # One.\n'
    assert docstring_pieces(source) == ["One.", "x   two\ny   three"]
    new = translate_docstrings(source, {"One.": "一。", "x   two\ny   three": "x   二\ny   三"}.__getitem__)
    assert new == 'class A:\n    """一。\n\n    x   二\n    y   三\n    """\n    z = "One."  # One.\n'


@pytest.mark.parametrize("bad", ['"""; import os; """', "back\\slash \\x"])
def test_a_docstring_cannot_become_code(bad: str) -> None:
    """A translation that would end its docstring, or that Python reads otherwise, is refused."""
    with pytest.raises((ValueError, SyntaxError)):
        translate_docstrings('def f():\n    """One."""\n', lambda _: bad)


def test_templates_of_messages() -> None:
    """Names stand for themselves, other expressions for a number; both branches count; braces are doubled."""
    import ast

    def of(code: str) -> list[str]:
        return list(templates(ast.parse(code, mode="eval").body))

    assert of('f"got {x!r} and {len(y)}"') == ["got {x} and {part2}"]
    assert of('"a set {1}" if z else f"other {x}" + "!"') == ["a set {{1}}", "other {x}!"]
    assert of('f"{x}: {y}"') == []
    assert of("told") == []


def test_what_is_hidden_is_marked(chinese_course: Path) -> None:
    """Titles and messages of hidden tests, misconceptions and hints are hidden; in the catalogue a comment says so."""
    path = chinese_course / "source" / "01-small"
    said = {each.text: each for each in texts(nbformat.read(path / "01-small.ipynb", as_version=4))}
    assert set(said) == set(CHINESE)
    visible = {text for text, each in said.items() if not each.hidden}
    assert visible == set(list(CHINESE)[:8])
    po = (path / "zh.po").read_text(encoding="utf-8")
    assert '#. hidden: title of test_of_text\n#: test_double\nmsgid "Twice a text' in po


# ---------------------------------------------------------------------------------------- the gate


def test_complete_catalogue_has_no_gaps(chinese_course: Path) -> None:
    """With everything translated there is nothing to say, and writing the catalogue anew changes no byte."""
    assert open_gaps(chinese_course) == []
    path = chinese_course / "source" / "01-small" / "zh.po"
    before = path.read_bytes()
    update(load(chinese_course), "01-small", "zh")
    assert path.read_bytes() == before


def test_a_changed_text_is_fuzzy_and_others_stay(chinese_course: Path) -> None:
    """A small edit makes one entry fuzzy, first as a text that is not in the catalogue; the translator mends it."""
    edit(chinese_course, "It takes `str` too.", "It takes a `str` as well.")
    (said,) = open_gaps(chinese_course)
    assert "about: zh: 'It takes a `str` as well.' (text) is not in the catalogue. Type: torchdojo translate" in said
    update(load(chinese_course), "01-small", "zh")
    (said,) = open_gaps(chinese_course)
    assert "has changed since it was translated (fuzzy)" in said
    translate(chinese_course, {"It takes a `str` as well.": "它也接受 `str`。"})
    assert open_gaps(chinese_course) == []


def test_a_text_that_comes_back_has_its_translation(chinese_course: Path) -> None:
    """What was taken out of a notebook and put back need not be translated again."""
    for old, new in (("The sign was lost", "Zzz"), ("Zzz", "The sign was lost")):
        edit(chinese_course, old, new)
        update(load(chinese_course), "01-small", "zh")
    assert open_gaps(chinese_course) == []


@pytest.mark.parametrize(
    ("text", "chinese", "said"),
    [
        (
            "For 3 it gives 6.",
            "对于 3，结果是 9。",
            "must keep its numbers: the translation lacks 6 and has 9 besides.",
        ),
        ("It takes `str` too.", "它也接受字符串。", "must keep its code: the translation lacks `str`."),
        (
            "Write `double`: the double of $x$ is $2x$.",
            "`double`：$x$。",
            "must keep its formulas: the translation lacks",
        ),
        ("{text} came back", "返回了 {part}", "has other placeholders in {}"),
        ("Return x + x.", "", "is not translated."),
    ],
)
def test_what_a_translation_must_keep(text: str, chinese: str, said: str, chinese_course: Path) -> None:
    """Numbers, code, formulas and placeholders are the same in both languages; the gate names what differs."""
    translate(chinese_course, {text: chinese})
    (gap,) = open_gaps(chinese_course)
    assert said in gap
    with pytest.raises(AuthorError, match="1 texts are not right in zh"):
        release(load(chinese_course), "01-small", lang="zh")
    assert not (chinese_course / "release" / "zh").exists()


@pytest.mark.slow
def test_verify_names_what_is_not_translated(chinese_course: Path) -> None:
    """`torchdojo verify` is green with a whole catalogue, and has a finding for each text that is missing or fuzzy."""
    arguments = ["torchdojo", "verify", "01-small", "--seeds", "1", "--workers", "1", "--quiet"]
    done = run(*arguments, cwd=chinese_course)
    assert "translat" not in done.stdout, done.stdout + done.stderr
    translate(chinese_course, {"Return x + x.": ""})
    again = run(*arguments, cwd=chinese_course)
    assert again.returncode == 1
    assert "01-small: variant-4: zh: 'Return x + x.' (hint 3) is not translated." in again.stdout
    assert len(again.stdout.splitlines()) == len(done.stdout.splitlines()) + 1


def test_names_of_a_program_stay() -> None:
    """Words with an underscore, a dot or capitals inside are names; words of the language are not."""

    def gap(text: str, chinese: str) -> bool:
        catalogue = catalogues.updated(catalogues.Catalog(), [Text(text, "c", "text")])
        catalogue.get(text).string = chinese  # type: ignore[union-attr]
        return bool(catalogues.gaps(catalogue, [Text(text, "c", "text")], "zh", ""))

    assert not gap("A ValueError for x.shape, e.g. (N, D): read it.", "x.shape 为 (N, D) 等时抛出 ValueError：请阅读。")
    assert gap("A ValueError is raised.", "抛出 TypeError。")
    assert gap("x.shape is kept.", "形状不变。")
    assert gap("shape (N, D)", "形状 (N, M)")


def test_a_broken_catalogue_is_the_authors(chinese_course: Path) -> None:
    """A merge conflict in the catalogue is one message with its line."""
    path = chinese_course / "source" / "01-small" / "zh.po"
    path.write_text("<<<<<<< HEAD\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(AuthorError, match=r"zh\.po:1: is no gettext catalogue"):
        open_gaps(chinese_course)


def test_translate_command(small_course: Path) -> None:
    """It begins a catalogue, lists what is to do, and says so by its exit status."""
    done = run("torchdojo", "translate", "01-small", cwd=small_course)
    assert done.returncode == 1
    assert "(title of test_of_three) is not translated." in done.stdout
    translate(small_course)
    done = run("torchdojo", "translate", cwd=small_course)
    assert (done.returncode, done.stdout) == (0, "")
    done = run("torchdojo", "translate", "--lang", "en", cwd=small_course)
    assert done.returncode == 2


# ------------------------------------------------------------------------------------- the release


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python module of the environment."""
    return subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False)


def both(course: Course) -> tuple[Any, Any, Path]:
    """The released notebooks, English and Chinese, and the folder of the latter."""
    folder = release(course, "01-small", lang="zh")
    read: Callable[[Path], Any] = lambda path: nbformat.read(path / "01-small.ipynb", as_version=4)  # noqa: E731
    return read(course.root / "release" / "01-small"), read(folder), folder


def test_chinese_release(chinese_course: Path) -> None:
    """Prose and docstrings are Chinese; grade cells are the same, checksum too; the notebook names its language."""
    english, chinese, folder = both(load(chinese_course))
    assert folder == chinese_course / "release" / "zh" / "01-small"
    assert chinese.metadata.torchdojo == {"language": "zh"}
    assert [cell.id for cell in chinese.cells] == [cell.id for cell in english.cells]
    title, about, double, tests = chinese.cells
    assert title.source == "# 1 · 加倍"
    assert "- 它也接受 `str`。" in about.source
    assert '"""x 的两倍。"""' in double.source
    assert "raise NotImplementedError()" in double.source
    assert tests == english.cells[3]
    assert double.metadata.nbgrader.checksum != english.cells[2].metadata.nbgrader.checksum


def test_nothing_hidden_is_released(chinese_course: Path) -> None:
    """Neither the Chinese notebook nor the file beside it has a hidden text, in either language."""
    _, _, folder = both(load(chinese_course))
    assert sorted(path.name for path in folder.iterdir()) == ["01-small.ipynb", "01-small.zh.json"]
    assert not list((chinese_course / "release").rglob("*.po"))
    everything = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    for text, chinese in list(CHINESE.items())[8:]:
        assert text not in everything
        assert chinese not in everything
    assert json.loads((folder / "01-small.zh.json").read_text(encoding="utf-8")) == {
        "language": "zh",
        "messages": {"Twice 3 is 6.": "3 的两倍是 6。"},
    }


def test_a_translation_that_gives_a_hidden_text_away_is_refused(chinese_course: Path) -> None:
    """A hidden test's Chinese title within a visible text is a leak."""
    hidden = CHINESE["Twice a text is the text twice over."]
    translate(chinese_course, {"For 3 it gives 6.": f"对于 3，结果是 6。{hidden}"})
    with pytest.raises(AuthorError, match="title of test_of_text"):
        release(load(chinese_course), "01-small", lang="zh")
    assert not (chinese_course / "release" / "zh" / "01-small").exists()


def test_a_configuration_that_would_release_catalogues_is_refused(chinese_course: Path) -> None:
    """Without the pattern *.po in nbgrader's list of files to leave out, nothing is released."""
    file = chinese_course / "nbgrader_config.py"
    file.write_text(file.read_text().replace(', "*.po"]', "]"))
    with pytest.raises(AuthorError, match=r"zh\.po, which translates hidden tests"):
        release(load(chinese_course), "01-small")
    assert not (chinese_course / "release" / "01-small").exists()


def test_same_bytes_every_time(chinese_course: Path) -> None:
    """Released twice, with nothing known of the first time, the bytes are the same."""

    def digest() -> dict[str, str]:
        folder = release(load(chinese_course), "01-small", lang="zh")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    first = digest()
    shutil.rmtree(chinese_course / "release")
    (chinese_course / "gradebook.db").unlink()
    assert digest() == first


# ----------------------------------------------------------------------------------- what is shown


def test_the_package_speaks_chinese() -> None:
    """Every sentence of the package is in its catalogue and translated; the file that is read is made from it."""
    locale = ROOT / "torchdojo" / "locale"
    catalogue = catalogues.read(locale / "zh.po")
    assert catalogues.gaps(catalogue, words.package_texts(), "zh", "python -m torchdojo.authoring.words zh") == []
    assert (locale / "zh.json").read_text(encoding="utf-8") == words.as_json("zh")


@pytest.mark.parametrize(
    ("metadata", "lang"),
    [
        ({"torchdojo": {"language": "zh"}}, "zh"),
        ({"torchdojo": {"language": "fr"}}, "en"),
        ({"torchdojo": {"language": ["zh"]}}, "en"),
        ({"torchdojo": "zh"}, "en"),
        ({}, "en"),
        (None, "en"),
    ],
)
def test_the_language_that_a_notebook_names(metadata: Any, lang: str, chinese_course: Path) -> None:
    """A language of the course, named in the metadata; whatever else stands there is English."""
    assert language_named(metadata, load(chinese_course)) == lang


def test_messages_for_grading_have_hidden_titles(chinese_course: Path) -> None:
    """Where grading happens, hidden titles and messages are translated too."""
    messages = dict(messages_of(load(chinese_course), "01-small", "zh"))
    assert messages["Twice a text is the text twice over."] == "文本的两倍是该文本重复两遍。"
    assert messages["{text} came back"] == "返回了 {text}"
    assert messages_of(load(chinese_course), "01-small", "en") == ()


def solved(folder: Path, source: str) -> Any:
    """The Chinese notebook, its solution cell filled in."""
    node = nbformat.read(release(load(folder), "01-small", lang="zh") / "01-small.ipynb", as_version=4)
    assert node.cells[2].id == "double"
    node.cells[2].source = source
    return node


@pytest.mark.slow
def test_a_check_in_a_kernel_is_chinese(chinese_course: Path, tmp_path: Path) -> None:
    """In a real kernel, in the folder that was released, the table and the visible title are Chinese."""
    node = solved(chinese_course, "def double(x):\n    return x * x")
    resources = {"metadata": {"path": str(chinese_course / "release" / "zh" / "01-small")}}
    NotebookClient(node, kernel_name="python3", timeout=120, resources=resources).execute()
    text = node.cells[3].outputs[0].data["text/plain"]
    assert "1 项测试中通过 0 项 · 得分 0/3" in text
    assert "✗ 3 的两倍是 6。  [还不对]" in text
    assert "期望：6" in text
    assert 'lang="zh"' in node.cells[3].outputs[0].data["text/html"]


@pytest.mark.slow
def test_one_gradebook_grades_both(chinese_course: Path) -> None:
    """A submission in Chinese and one in English get the same points by one gradebook, each in its own language."""
    source = 'def double(x):\n    return x * 2 if isinstance(x, int) else "ab"'
    chinese = solved(chinese_course, source)
    english = nbformat.read(chinese_course / "release" / "01-small" / "01-small.ipynb", as_version=4)
    english.cells[2].source = source
    for student, node in (("ming", chinese), ("mary", english)):
        folder = chinese_course / "submitted" / student / "01-small"
        folder.mkdir(parents=True)
        nbformat.write(node, folder / "01-small.ipynb")
    words_file = chinese_course / "release" / "zh" / "01-small" / "01-small.zh.json"
    shutil.copy(words_file, chinese_course / "submitted" / "ming" / "01-small")
    done = run("torchdojo", "autograde", "01-small", cwd=chinese_course)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "did not run" not in done.stdout + done.stderr
    shown = {}
    for student in ("ming", "mary"):
        path = chinese_course / "autograded" / student / "01-small" / "01-small.ipynb"
        outputs = nbformat.read(path, as_version=4).cells[3].outputs
        shown[student] = outputs[0].data["text/plain"]
        assert outputs[-1].data["text/plain"] == "2.0"
    assert "✗ 文本的两倍是该文本重复两遍。  [还不对]" in shown["ming"]
    assert "返回了 ab" in shown["ming"]
    assert "✗ Twice a text is the text twice over.  [not yet right]" in shown["mary"]
    validated = run("nbgrader", "autograde", "01-small", "--force", cwd=chinese_course)
    assert validated.returncode == 0, validated.stderr
    outputs = (
        nbformat.read(chinese_course / "autograded" / "ming" / "01-small" / "01-small.ipynb", as_version=4)
        .cells[3]
        .outputs
    )
    assert outputs[-1].data["text/plain"] == "2.0"
    assert "3 项测试中通过 2 项" in outputs[0].data["text/plain"]
