"""What leaves is text and pictures: nothing a cell put out, or a student wrote, acts in a page or in a terminal."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbgrader.utils import determine_grade

from tests.grading import foreign
from tests.grading.pages import dangers, feedback, words
from tests.grading.running import by_student, grade, without_kernel
from torchdojo.checks import CheckReport, Place, TestOutcome, Verdict
from torchdojo.checks.table import as_html
from torchdojo.grading.graft import graft, keep
from torchdojo.grading.inert import clean_html, inert
from torchdojo.grading.inert_prose import make_prose_inert
from torchdojo.grading.journal import Journal
from torchdojo.grading.screen import Screen, as_json
from torchdojo.isolation.plain import plain, plain_line
from torchdojo.isolation.redact import without_hidden
from torchdojo.kernels.job import CellResult, Job, JobStatus, Result

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def shown(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {}} | more


def result(data: dict[str, Any]) -> dict[str, Any]:
    return shown(data, output_type="execute_result", execution_count=1)


def only(output: dict[str, Any]) -> dict[str, Any]:
    (kept,) = inert([output])
    return kept


# -------------------------------------------------------------------------------------------------- HTML

HOSTILE_HTML = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg/onload=alert(1)>",
    '<a href="javascript:alert(1)">a</a>',
    '<a href="https://evil.example/">a</a>',
    '<img src="https://evil.example/pixel.png">',
    '<img src="//evil.example/pixel.png" srcset="//evil.example/2x.png 2x">',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    '<form action="https://evil.example"><input name=q><button formaction="javascript:alert(1)">b</button></form>',
    "<style>body { background: url(https://evil.example) }</style>",
    '<b style="background:url(https://evil.example)">b</b>',
    '<b style="background:\\75\\72\\6c(https://evil.example)">b</b>',
    '<b style="position:fixed; top:0; left:0; width:100%; height:100%">b</b>',
    '<b style="margin-top:-500px">10 of 10 points</b>',
    '<table background="https://evil.example"><tr><td background="https://evil.example">x</table>',
    '<img src="data:image/svg+xml;base64,AAAA&quot; onerror=&quot;alert(1)">',
    '<img src="data:text/html;base64,PHNjcmlwdD4=">',
    f'<img src="data:image/png;base64,{PNG}" onload="alert(1)">',
    '<b class="tex2jax_process">$\\href{javascript:alert(1)}{x}$</b>',
    '</div></div><b class="mathjax_process">$\\href{javascript:alert(1)}{x}$</b>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '<object data="https://evil.example"></object><embed src="https://evil.example">',
    '<video poster="https://evil.example" src="https://evil.example"></video>',
    '<meta http-equiv="refresh" content="0; url=https://evil.example"><base href="https://evil.example">',
    '<link rel="stylesheet" href="https://evil.example">',
    '<input id="csrf_token" name="getElementById">',
    "<template><script>alert(1)</script></template><xmp><script></xmp><plaintext><script>",
    '<button onclick="alert(1)">b</button><details ontoggle=alert(1) open>d</details>',
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=`x` onerror=alert(1)//",
    "<!--[if IE]><script>alert(1)</script><![endif]--><!-->",
]


@pytest.mark.parametrize("text", HOSTILE_HTML)
def test_html_that_acts_or_loads(text: str) -> None:
    """Nothing in it runs, loads, leads away, asks for a click or lies over something else."""
    kept = only(shown({"text/html": text, "text/plain": "x"}))["data"]
    page = kept.get("text/html", "")
    assert not dangers(page), page
    assert "position" not in page
    assert "-500px" not in page
    assert "tex2jax_process" not in page
    assert kept["text/plain"] == "x"


PIECES = st.sampled_from(
    [
        *words("< > </ /> \" ' ` = / & ; &lt; &quot; <!-- --> --!> <![CDATA[ ]]> <? b img div table td svg math"),
        *words("style script title textarea noscript select template mglyph a p pre src href onerror class alt url("),
        *words("https://evil.example //evil.example data:image/png;base64, data:image/svg+xml;base64, color: x 1"),
        *("javascript:", "tex2jax_process", "$\\href{javascript:1}{x}$", PNG, " ", "\n", "\x00"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=200))
def test_any_html_comes_out_inert(text: str) -> None:
    """Whatever is put together: nothing dangerous, all in the one element that MathJax leaves alone."""
    page = only(shown({"text/html": text}))["data"].get("text/html", "")
    assert not dangers(page), page
    assert not dangers(str(BeautifulSoup(page, "html.parser"))), page  # as nbconvert writes it again
    if page:
        (outer,) = BeautifulSoup(page, "html.parser").contents
        assert outer["class"] == ["tex2jax_ignore", "mathjax_ignore"]  # type: ignore[index]
        assert not outer.find_all(class_="tex2jax_process")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        "<div>" * 200_000,
        "<span>" * 20_000 + "</x>" * 20_000,
        "".join(f"<b a={i}>" for i in range(3000)) + "<p>" * 3000,
        "<div " + " ".join(f"a{i}" for i in range(100_000)) + ">",
        "<div " + "/".join(f"a{i}" for i in range(100_000)) + ">",
        "&" * 2_000_000,
    ],
    ids=["deep", "ends", "formatting", "attributes", "slashes", "ampersands"],
)
def test_html_that_would_take_long_is_left_out(text: str) -> None:
    """nh3's parser takes minutes for each of these; the text beside it stands."""
    start = time.monotonic()
    assert only(shown({"text/html": text, "text/plain": "here"}))["data"] == {"text/plain": "here"}
    assert time.monotonic() - start < 5


PANDAS = """<div>
<style scoped>.dataframe tbody tr th { vertical-align: top; }</style>
<table border="1" class="dataframe"><thead><tr style="text-align: right;"><th></th><th>loss</th></tr></thead>
<tbody><tr><th>0</th><td>0.25</td></tr></tbody></table><p>1 rows × 1 columns</p></div>"""


def test_a_table_stays_a_table() -> None:
    """What pandas shows, less its style sheet."""
    page = only(result({"text/html": PANDAS, "text/plain": "   loss\n0  0.25"}))["data"]["text/html"]
    soup = BeautifulSoup(page, "html.parser")
    assert [cell.text for cell in soup.find_all(["th", "td"])] == ["", "loss", "0", "0.25"]
    assert soup.table is not None
    assert soup.table["class"] == ["dataframe"]
    assert "1 rows × 1 columns" in page


def test_a_large_table_stays_a_table() -> None:
    """60 rows of 20 columns, pandas's own limits, are not too much."""
    rows = "".join("<tr>" + f"<td>{row}</td>" * 20 + "</tr>" for row in range(60))
    assert clean_html(f"<table>{rows}</table>").count("<td>") == 1200


def test_the_table_of_check_stays_as_it_is() -> None:
    """In courses judged in the kernel it is shown by the student's process, and cleaned: it must not look different."""
    outcome = TestOutcome("test_x", "A <title> & more", Verdict.WRONG, expected="1", got="'\"2\"'", place=Place(1, "x"))
    page = as_html(CheckReport(1.0, 3.0, (outcome,)))
    before, after = (BeautifulSoup(text, "html.parser") for text in (page, clean_html(page)))

    def styles(soup: BeautifulSoup) -> list[str]:
        return [str(tag.get("style", "")).replace(" ", "") for tag in soup.find_all()]

    assert after.get_text() == before.get_text()
    assert styles(after) == styles(before)


# ------------------------------------------------------------------------------------------ other types


@pytest.mark.parametrize(
    ("mime", "data"),
    [
        ("image/png", PNG + '" onerror="alert(1)'),
        ("image/png", base64.b64encode(b"<script>alert(1)</script>").decode()),
        ("image/png", "<script>alert(1)</script>"),
        ("image/jpeg", PNG),
        ("image/gif", "not base64!"),
        ("image/gif", "R0lGODlh=AAAA"),
    ],
)
def test_a_picture_that_is_none_is_left_out(mime: str, data: str) -> None:
    """Only the base64 of such a file: an attribute of a page will hold it."""
    assert only(shown({mime: data, "text/plain": "x"}))["data"] == {"text/plain": "x"}


@pytest.mark.parametrize("data", [PNG, PNG + "\n", [PNG[:8] + "\n", PNG[8:]]])
def test_a_picture_stays(data: Any) -> None:
    """To the letter, with its size; lines are joined."""
    metadata = {"image/png": {"width": 640, "height": "1 onload=alert(1)"}, "isolated": True}
    kept = only(shown({"image/png": data, "text/plain": "<Figure>"}, metadata=metadata))
    assert kept["data"] == {"image/png": "".join(data), "text/plain": "<Figure>"}
    assert kept["metadata"] == {"image/png": {"width": 640}}


def test_svg_becomes_a_picture() -> None:
    """As <img> it runs no script and loads nothing; it stays itself."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
    page = only(shown({"image/svg+xml": svg}))["data"]["text/html"]
    assert not dangers(page)
    (picture,) = BeautifulSoup(page, "html.parser").find_all("img")
    assert base64.b64decode(str(picture["src"]).partition(",")[2]).decode() == svg


@pytest.mark.parametrize("mime", ["text/markdown", "text/latex"])
def test_sources_are_shown_as_written(mime: str) -> None:
    """A page would make links, scripts and formulas of them."""
    hostile = "[x](javascript:alert(1)) $\\href{javascript:alert(1)}{x}$ <script>alert(1)</script>"
    assert only(shown({mime: hostile}))["data"] == {"text/plain": hostile}
    kept = only(result({mime: hostile, "text/plain": "<IPython.core.display.Markdown object>"}))["data"]
    assert kept["text/plain"] == "<IPython.core.display.Markdown object>"
    assert not dangers(kept["text/html"])
    assert BeautifulSoup(kept["text/html"], "html.parser").get_text() == hostile
    assert only(result({mime: hostile, "text/plain": "x**2"}))["data"] == {"text/plain": "x**2"}


ACTIVE_TYPES = [
    "application/javascript",
    "application/vnd.jupyter.widget-view+json",
    "application/json",
    "application/pdf",
    "text/vnd.mermaid",
    "TEXT/HTML",
    "text/html; charset=utf-8",
    "text/javascript\x1b[2J",
]


@pytest.mark.parametrize("mime", ACTIVE_TYPES)
def test_other_types_are_left_out(mime: str) -> None:
    """The text beside it stands; where nothing is left, a line says so."""
    assert only(shown({mime: "alert(1)", "text/plain": "x"}))["data"] == {"text/plain": "x"}
    said = only(shown({mime: "alert(1)"}))["data"]
    assert said.keys() == {"text/plain"}
    assert "left out" in said["text/plain"]
    assert not CONTROL.search(said["text/plain"])


def test_keys_of_no_output_are_left_out() -> None:
    """nbformat lets any through."""
    stream = {"output_type": "stream", "name": "stdout", "text": "x", "svg_filename": "x", "transient": {}}
    assert only(stream) == {"output_type": "stream", "name": "stdout", "text": "x"}


# -------------------------------------------------------------------------------------------------- text


@given(st.text())
def test_text_obeys_no_escape(text: str) -> None:
    """Control characters become marks, one for one; newlines, tabs, returns and colours stay."""
    kept = plain(text)
    assert not CONTROL.search(COLOUR.sub("", kept))
    assert len(kept) == len(text)
    assert plain(kept) == kept
    line = plain_line(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", line)


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;https://evil.example\x1b\\x", "\x9b2J", "\x1bPq\x1b\\", "\x08" * 9]
)
def test_terminal_sequences(text: str) -> None:
    """Clearing, titles, links, pictures, and what hides in 8 bits."""
    stream = only({"output_type": "stream", "name": "stdout", "text": f"a\x1b[31mred\x1b[0m{text}\r\n\tb"})
    assert not CONTROL.search(COLOUR.sub("", stream["text"]))
    assert stream["text"].startswith("a\x1b[31mred\x1b[0m")
    error = only({"output_type": "error", "ename": text, "evalue": text, "traceback": [text, "x"]})
    assert not any(CONTROL.search(part) for part in (error["ename"], error["evalue"], *error["traceback"]))


def test_a_checkers_report_obeys_no_escape() -> None:
    """Also there a student's words are shown: what they raised, what they gave back, their line."""
    outcome = TestOutcome("t", "T", Verdict.RAISED, message="\x1b[2J", got="\x9b", place=Place(1, "\x1b]0;x\x07"))
    (kept,) = without_hidden(CheckReport(0.0, 1.0, (outcome,)), "").outcomes
    assert kept.place is not None
    assert not CONTROL.search(kept.message + kept.got + kept.place.text)


# ------------------------------------------------------------------------------------------- the same grade

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.text(max_size=30) | st.sampled_from(
    ["3", " 2.5\n", "nan", "-1", "inf", "'3'", "\x1c3", "3\x00", "\x1b[31m3", ""]
)
MIMES = st.sampled_from(["text/plain", "text/html", "image/png", "image/svg+xml", "text/markdown", "text/latex", "x/y"])
BUNDLES = st.dictionaries(MIMES, TEXT | st.lists(TEXT, max_size=3), max_size=4)
OUTPUTS = st.lists(
    st.fixed_dictionaries(
        {"output_type": st.just("stream"), "name": st.sampled_from(["stdout", "stderr", "st\u202aderr"]), "text": TEXT}
    )
    | st.fixed_dictionaries(
        {"output_type": st.sampled_from(["display_data"]), "data": BUNDLES, "metadata": st.dictionaries(MIMES, JSON)}
    )
    | st.fixed_dictionaries(
        {
            "output_type": st.just("execute_result"),
            "data": BUNDLES,
            "metadata": st.just({}),
            "execution_count": st.just(1),
        }
    )
    | st.fixed_dictionaries(
        {"output_type": st.just("error"), "ename": TEXT, "evalue": TEXT, "traceback": st.lists(TEXT, max_size=2)}
    ),
    max_size=3,
)


def _score(outputs: Any) -> Any:
    meta = {"nbgrader": {"grade": True, "solution": False, "grade_id": "t", "points": 4}}
    cell = nbformat.v4.new_code_cell("x", metadata=meta, outputs=nbformat.from_dict(outputs))
    try:
        return repr(determine_grade(cell))
    except Exception as error:
        return type(error)


@settings(max_examples=300, deadline=None)
@given(OUTPUTS)
def test_the_score_stays_the_same(outputs: Any) -> None:
    """nbgrader's scorer gives the same, or refuses the same, before and after; an output stays an output."""
    assert _score(inert(outputs)) == _score(outputs)
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=nbformat.from_dict(inert(outputs)))])
    nbformat.validate(node)


EMPTY = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}}
KEYS = st.sampled_from(["output_type", "name", "text", "data", "metadata"])


@settings(deadline=None)
@given(st.lists(st.dictionaries(KEYS, JSON), max_size=2))
def test_what_is_no_output_stays_none(outputs: Any) -> None:
    """Nothing raises, and nothing that nbformat refuses becomes what it takes."""

    def valid(each: Any) -> bool:
        cell = nbformat.v4.new_code_cell("x")
        cell.outputs = nbformat.from_dict(each)
        try:
            nbformat.validate(nbformat.NotebookNode(EMPTY | {"cells": [cell]}), relax_add_props=True)
        except nbformat.ValidationError:
            return False
        return True

    kept = inert(outputs)
    assert valid(outputs) or not valid(kept)


# ------------------------------------------------------------------------------------------------- prose

HOSTILE_PROSE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<b\nonclick=alert(1)>b</b>",
    "[x](javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&amp;colon;alert(1))",
    "[a\\]b]: javascript:alert(1)\n\n[a\\]b]",
    "> [a]:\njavascript:alert(1)\n\n[a]",
    "<javascript:alert(1)>",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](https://evil.example/pixel.png)",
    "![x](//evil.example/pixel.png)",
    "![x](https&colon;//evil.example)",
    "![x][y]\n\n[y]: https://evil.example/pixel.png",
    "![[a](b)](https://evil.example)",
    "![x](attachment:missing.png)",
    "![x](attachment:page.png)",
    "```mermaid\n<img src=x onerror=alert(1)>\n```",
    "$\\href{javascript:alert(1)}{x}$",
    "$$\n```\n$$<img src=x onerror=alert(1)>",
    "\\`<img src=x onerror=alert(1)>`",
    "$a`$<img src=x onerror=alert(1)>`",
    "http://a`<img src=x onerror=alert(1)>`",
    "| a |\n|---|\n| `b | <img src=x onerror=alert(1)> `|",
    "a `` b\n```\n<iframe src=//evil.example>",
    "\x1b[2J",
]


def rendered(cell: Any) -> str:
    """As nbconvert renders it, raising what it raises."""
    renderer = IPythonRenderer(escape=False, attachments=cell.get("attachments", {}), exclude_anchor_links=True)
    return str(MarkdownWithMath(renderer=renderer).render(cell.source))


def prose(source: str) -> Any:
    cell = nbformat.v4.new_markdown_cell(source)
    cell["attachments"] = {"page.png": {"text/html": "PHNjcmlwdD4="}, "good.png": {"image/png": PNG, "x": "y"}}
    make_prose_inert(nbformat.v4.new_notebook(cells=[cell]), {})
    return cell


@pytest.mark.parametrize("source", HOSTILE_PROSE)
def test_hostile_prose_is_shown_as_typed(source: str) -> None:
    """Every word is there to be read, and a page does nothing with it."""
    cell = prose(source)
    page = rendered(cell)
    assert not dangers(page)
    assert BeautifulSoup(page, "html.parser").get_text().rstrip("\n") == plain(source).rstrip("\n")
    assert list(cell["attachments"]) == ["good.png"]
    assert cell["attachments"]["good.png"] == {"image/png": PNG}


PROSE_PIECES = st.sampled_from(
    [
        *words("[ ] ]( ) ![ ]: < > </ ` ``` $ $$ \\ | > - javascript: javascript&colon; java script: data:text/html,"),
        *words(
            "//evil.example https://evil.example attachment:good.png attachment:page.png a x= \" ' &amp; &lt; &#60;"
        ),
        *words("src= b br onerror= \\begin{a} \\end{a} \\href{ } mermaid # 1. * ~~ |-|-| \\[ \\( \\\\[ \\\\] img"),
        *("\n", "\n\n", " ", "    ", "\t", "> ", "- ", "# ", "1. "),
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.lists(PROSE_PIECES, max_size=25).map("".join))
def test_any_prose_renders_inert(source: str) -> None:
    """Whatever is put together, nbconvert makes a page of it in which nothing acts or loads; links may lead away."""
    found = dangers(rendered(prose(source)))
    assert all(each.startswith("a href=http") or each.startswith("a href=//") or "input" in each for each in found), (
        found
    )


@pytest.mark.parametrize(
    "source",
    [
        "# Title\n\nA **bold** word, $x < y$, a [link](https://example.org), H<sub>2</sub>O<br>",
        "![plot](attachment:good.png) and ![local](plots/a.png)",
        f"![inline](data:image/png;base64,{PNG})",
        "It says `tensor(2., grad_fn=<AddBackward0>)`, and `torch` is a name.",
        "Data: 60,000 images, <https://example.org>",
        "| a | b |\n|---|---|\n| 1 < 2 | 3 |",
    ],
)
def test_honest_prose_stays(source: str) -> None:
    """To the letter."""
    assert prose(source).source == source


# ------------------------------------------------------------------------------------------------- pages

HOSTILE_OUTPUTS = [
    *(shown({"text/html": text}) for text in HOSTILE_HTML),
    *(shown({mime: "alert(1)"}) for mime in ACTIVE_TYPES),
    shown({"image/svg+xml": "<svg onload=alert(1)><script>alert(1)</script></svg>"}),
    shown({"image/png": PNG + '" onerror="alert(1)'}),
    shown({"image/png": PNG}, metadata={"image/png": {"width": '1 onerror="x"'}, "filenames": {"image/png": "//e/x"}}),
    shown({"text/html": "<b>x</b>"}, metadata={"text/html": {"isolated": True}}),
    shown({"text/markdown": "<script>alert(1)</script>[x](javascript:alert(1))"}),
    shown({"text/latex": "$\\href{javascript:alert(1)}{x}$</div><script>alert(1)</script>"}),
    {"output_type": "stream", "name": "stdout", "text": "<script>alert(1)</script>\x1b[31m<b>\x1b]0;x\x07"},
    {"output_type": "error", "ename": "<script>", "evalue": "<script>", "traceback": ["<img src=x onerror=alert(1)>"]},
]
WIDGETS = {"application/vnd.jupyter.widget-state+json": {"state": {"x": {"state": {"value": "<script>"}}}}}


def _writes_prose(first: dict[str, Any], second: dict[str, Any]) -> None:
    first["essay"].source = "\n\n".join(["My words.", *HOSTILE_PROSE[:1]])
    first["node"].metadata["widgets"] = WIDGETS
    first["node"].metadata["title"] = "</title><script>alert(1)</script>"
    first["imports"].metadata["tags"] = ['"><script>alert(1)</script>']
    for source in HOSTILE_PROSE:
        cell = nbformat.v4.new_markdown_cell(source)
        cell["attachments"] = {"page.png": {'image/png" onerror="alert(1)': "AAAA", "text/html": "PHNjcmlwdD4="}}
        first["node"].cells.append(cell)
    first["node"].cells.append(nbformat.v4.new_raw_cell("<script>alert(1)</script><img src=x onerror=alert(1)>"))


def _puts_out(job: Job) -> Result:
    """A runner whose first cell puts out all that is hostile."""
    done = without_kernel(job)
    if "/eve/p1" not in job.key:
        return done
    first, *rest = done.cells
    return Result(
        job.key, JobStatus.COMPLETED, (CellResult(first.index, tuple(HOSTILE_OUTPUTS), 1), *rest), widgets=WIDGETS
    )


def test_a_feedback_page_is_inert(course: Path) -> None:
    """nbgrader's own page of a hostile notebook has nothing in it that the page of an honest one has not."""
    foreign.submit(course, "ann", foreign.solve)
    foreign.submit(course, "eve", _writes_prose)
    grade(course, execute=_puts_out)
    pages = feedback(course, "ps1")
    extra = dangers(pages["eve/p1"]) - dangers(pages["ann/p1"])
    assert not extra
    assert "alert(1)" in BeautifulSoup(pages["eve/p1"], "html.parser").get_text()  # it is read, not run
    assert "widgets" not in json.loads((course / "autograded/eve/ps1/p1.ipynb").read_text())["metadata"]


def test_outputs_that_a_student_sent_are_inert_too() -> None:
    """Where nothing is executed, and for cells that did not run."""
    sent = [shown({"text/html": "<script>alert(1)</script>hello"})]
    skipped = nbformat.v4.new_code_cell("x", metadata={"tags": ["skip-execution"]}, outputs=nbformat.from_dict(sent))
    for act in (keep, lambda node: graft(node, Result("k", JobStatus.COMPLETED))):
        node = nbformat.v4.new_notebook(cells=[nbformat.from_dict(skipped)], metadata={"widgets": WIDGETS})
        act(node)
        assert "script" not in json.dumps(node.cells[0].outputs)
        assert "hello" in json.dumps(node.cells[0].outputs)
        assert "widgets" not in node.metadata


def test_a_checkers_outputs_are_left_alone() -> None:
    """They are ours, and escaped."""
    ours = shown({"text/html": '<p id="ours">table</p>'})
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x")])
    graft(node, Result("k", JobStatus.COMPLETED, (CellResult(0, (ours,), judged_in_kernel=False),)))
    assert node.cells[0].outputs == [ours]


# ------------------------------------------------------------------------------- sentences, cells, file names

ESCAPE = "\x1b[2J\x1b]0;gone\x07\x9b31m\u202e"


def _is_named_so(first: dict[str, Any], second: dict[str, Any]) -> None:
    first["imports"].metadata["nbgrader"] = {"grade_id": f"id{ESCAPE}", "grade": True, "solution": False, "points": 1}
    first["imports"].metadata["nbgrader"] |= {"locked": False, "schema_version": 3, "task": False}


def test_nothing_a_student_named_reaches_a_terminal(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Grade ids, file names, and what is wrong with a file: in the journal, as JSON and on the screen."""
    foreign.submit(course, "ann", _is_named_so)
    (foreign.submit(course, "bea") / "p1.ipynb").write_text(json.dumps({"nbformat": 4, "cells": [{ESCAPE: 1}]}))
    (foreign.submit(course, "cyd") / "timestamp.txt").write_text(f"tomorrow{ESCAPE}")

    def dies(job: Job) -> Result:
        return Result(job.key, JobStatus.DIED, sentence=f"It raised Nasty{ESCAPE}.")

    report = grade(course, execute=lambda job: dies(job) if "ann" in job.key else without_kernel(job))
    assert {graded.student for graded in report.graded} == {"ann", "bea", "cyd"}
    with Screen("ps1", json_lines=True) as screen:
        for graded in report.graded:
            screen.graded(graded)
        screen.summary(report)
    said = capsys.readouterr()
    with Journal(course / ".torchdojo", f"sqlite:///{course}/gradebook.db") as journal:
        written = [json.dumps(as_json(entry.graded), ensure_ascii=False) for entry in journal.entries("ps1").values()]
    for text in (said.out, *written, *(json.dumps(as_json(each), ensure_ascii=False) for each in report.graded)):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]|\\u00[019]", text)
    assert "\x1b[2J" not in said.err
    assert "\x1b]0" not in said.err
    assert "Nasty␛[2J" in by_student(report)["ann"].sentence
