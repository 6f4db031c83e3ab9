"""What a cell put out, made inert: text and pictures, in every page, viewer and terminal that shows it later.

Plain data in and out. An allowlist: what is not known to be harmless is left out, and that is said in its place. What
nbgrader's scorer reads (kinds of output, the text of a result) says the same as before. What is no output stays none.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import nh3

from torchdojo.isolation.plain import plain, plain_line

Output = dict[str, Any]

_KEYS = {
    "stream": ("name", "text"),
    "error": ("ename", "evalue", "traceback"),
    "display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
}
_MAGIC = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
}
_SVG = "image/svg+xml"
_SOURCES = ("text/markdown", "text/latex")  # shown as they are written: a page would make links and scripts of them
_BASE64 = re.compile(r"[A-Za-z0-9+/\n]+={0,2}\n*")
_IS_NO_TEXT = re.compile(r"<[\w.]+ object(?: at 0x[0-9a-f]+)?>")  # the repr of Markdown, Latex, Javascript, SVG …
_LARGEST_SIDE = 20_000

# MathJax, where a page has it, reads no formula (\href, \require) out of what bears these classes
_HTML_BEGIN, _HTML_END = '<div class="tex2jax_ignore mathjax_ignore">', "</div>"


def inert(outputs: Sequence[Mapping[str, Any]]) -> list[Output]:
    """`outputs` of a code cell, as nbformat 4 has them, made of text and pictures."""
    return [_output(output) for output in outputs]


def _output(output: Mapping[str, Any]) -> Output:
    kind = output.get("output_type")
    keys = _KEYS.get(kind, ()) if isinstance(kind, str) else ()
    kept: Output = {"output_type": kind} | {key: output[key] for key in keys if key in output}
    if "data" in kept:
        kept["data"] = _bundle(kept["data"], is_result=kind == "execute_result")
    if "metadata" in kept:
        kept["metadata"] = _sizes(kept["metadata"], kept.get("data"))
    for key in ("name", "text", "ename", "evalue", "traceback"):
        if key in kept:
            kept[key] = _text(kept[key])
    return kept


def _text(value: Any) -> Any:
    """A text, or the lines of one; anything else as it is."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [plain(line) if isinstance(line, str) else line for line in value]
    return value


def _joined(value: Any) -> str:
    """nbformat has long texts as lists of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else ""


# ------------------------------------------------------------------------------------------------ by type


def _bundle(data: Any, *, is_result: bool) -> Any:
    """The representations of one output. A result's text is what is graded: it is never put where none was."""
    if not isinstance(data, dict):
        return data
    kept: dict[str, Any] = {"text/plain": _text(data["text/plain"])} if "text/plain" in data else {}
    text = _joined(kept.get("text/plain"))
    pictures = {mime: found for mime in _MAGIC if (found := image(_joined(data.get(mime)), mime))}
    page = clean_html(_joined(data.get("text/html"))) or _picture_of(_joined(data.get(_SVG)))
    source = next(filter(None, (plain(_joined(data.get(mime))) for mime in _SOURCES)), "")
    kept |= pictures
    if page:
        kept["text/html"] = _HTML_BEGIN + page + _HTML_END
    elif source and not pictures and (not text or _IS_NO_TEXT.fullmatch(text)):
        kept |= _as_text(source, is_result=is_result)
    if not kept and data:
        names = ", ".join(sorted(plain_line(str(mime))[:60] for mime in data)[:3])
        kept = _as_text(f"(left out: {names}. What is kept is text and pictures.)", is_result=is_result)
    return kept


def _as_text(text: str, *, is_result: bool) -> dict[str, str]:
    if is_result:
        return {"text/html": f"{_HTML_BEGIN}<pre>{html.escape(text)}</pre>{_HTML_END}"}
    return {"text/plain": text}


def image(text: Any, mime: str) -> str:
    """`text` if it is the base64 of such an image, or nothing."""
    if not isinstance(text, str) or not _BASE64.fullmatch(text):
        return ""
    try:
        content = base64.b64decode(text.replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return text if content.startswith(_MAGIC.get(mime, ())) else ""


def _picture_of(svg: str) -> str:
    """An SVG as <img>: as a picture it runs no script and loads nothing."""
    if "<svg" not in svg[:10_000]:
        return ""
    encoded = base64.b64encode(svg.encode("utf-8", "replace")).decode("ascii")
    return f'<img src="data:{_SVG};base64,{encoded}">'


def _sizes(metadata: Any, data: Any) -> dict[str, Any]:
    """Of an output's metadata, the width and height of its pictures."""

    def sizes(of: Any) -> dict[str, int]:
        pairs = of.items() if isinstance(of, dict) else ()
        return {k: v for k, v in pairs if k in ("width", "height") and type(v) is int and 0 < v <= _LARGEST_SIDE}

    if not isinstance(metadata, dict):
        return {}
    by_type = {mime: found for mime in data or () if mime in _MAGIC and (found := sizes(metadata.get(mime)))}
    return sizes(metadata) | by_type


# ----------------------------------------------------------------------------------------------- HTML


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words(
    "abbr b big blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption figure "
    "font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strike strong sub summary sup table "
    "tbody td tfoot th thead tr tt u ul var"
)
_NUMBERS = _words("border cellpadding cellspacing colspan height rowspan span start value width")
_ATTRIBUTES = {"*": {*_NUMBERS, "align", "valign", "alt", "color", "style"}, "img": {"src"}, "details": {"open"}}
_NUMBER = re.compile(r"\d{1,4}(?:\.\d{1,4})?(?:%|px|em)?")
_IMAGE_SOURCE = re.compile(r"data:(image/(?:png|jpeg|gif|svg\+xml));base64,([A-Za-z0-9+/=\n]*)")

_STYLES = _words(
    "background background-color border border-bottom border-collapse border-color border-left border-radius "
    "border-right border-spacing border-style border-top border-width color font-family font-size font-style "
    "font-variant font-weight height letter-spacing line-height list-style-type margin margin-bottom margin-left "
    "margin-right margin-top max-height max-width min-height min-width overflow-wrap padding padding-bottom "
    "padding-left padding-right padding-top table-layout text-align text-decoration text-transform vertical-align "
    "white-space width word-break"
)
# words, numbers that are not negative (which would move a text over another), and functions that only count or name
_STYLE_VALUE = re.compile(r"(?:(?:var|rgba?|hsla?)\(|[\w.,%#)' \"]|--jp-|(?<=[a-z])-(?=[a-z]))*")


def clean_html(text: str) -> str:
    """`text` without anything that acts, loads, links or lies outside its place; nothing where nothing is left."""
    if not text or not _affordable(text):
        return ""
    cleaned: str = nh3.clean(
        text,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        allowed_classes={"table": {"dataframe"}},
        filter_style_properties=set(_STYLES),
        url_schemes={"data"},
        link_rel=None,
    )
    return plain(cleaned) if re.search(r"\S", cleaned) else ""


def _attribute(tag: str, name: str, value: str) -> str | None:
    if name in _NUMBERS:
        return value if _NUMBER.fullmatch(value) else None
    if name == "src":
        match = _IMAGE_SOURCE.fullmatch(value)
        return value if match and (match[1] == _SVG or image(match[2], match[1])) else None
    if name == "style":
        kept = [part for part in value.split(";") if _STYLE_VALUE.fullmatch(part.partition(":")[2])]
        return ";".join(kept) or None
    return value


# ---------------------------------------------------------- HTML that would take long, or much memory, to be cleaned
# A parser of HTML compares each tag with those open, each attribute with those before it, and opens each <b> again in
# each <p>: time and memory may grow with the square of a text's length. Measured with nh3 0.3: 20,000 nested <div> 4 s.
# These keep it under 0.2 s; a table of pandas, 60 rows of 20 columns at most, has 1,300 cells.
_LENGTH, _SLASHES, _ENTITIES, _SPACES_IN_A_TAG = 2_000_000, 10_000, 50_000, 2000
_TAGS_BY_OPEN, _TAGS_BY_FORMATTING = 10_000_000, 500_000
_FORMATTING = re.compile(r"(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)\b", re.IGNORECASE)
_SPACE = re.compile(r"[\s\"'=]")


def _affordable(text: str) -> bool:
    if len(text) > _LENGTH or text.count("/") > _SLASHES or text.count("&") > _ENTITIES:
        return False
    parts = text.split("<")[1:]
    opening = sum(part[:1].isalpha() for part in parts)
    formatting = sum(bool(_FORMATTING.match(part)) for part in parts)
    if opening * len(parts) > _TAGS_BY_OPEN or formatting * opening > _TAGS_BY_FORMATTING:
        return False
    return all(len(_SPACE.findall(part[: part.rfind(">")])) <= _SPACES_IN_A_TAG for part in parts if ">" in part)
