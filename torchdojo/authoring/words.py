"""What the package itself says to a learner, translated: `torchdojo/locale/zh.po`, and from it `zh.json`.

`python -m torchdojo.authoring.words zh` brings both up to date with the source, and what the course page says
(`site.zh.po`) too; tests fail while they are not.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from torchdojo.authoring import catalogue as catalogues
from torchdojo.authoring.messages import Text, templates
from torchdojo.authoring.site import words as of_the_site

_PACKAGE = Path(__file__).parent.parent
_SPEAKING = ("checks", "isolation", "practice/judging.py")
_RECORDS = ("Failure", "TestOutcome", "StudentLost", "StudentDied", "StudentStuck")
# What torch.testing and numpy.testing say, as `verdict` passes it on.
_OF_LIBRARIES = (
    "Mismatched elements: {wrong} / {all} ({share}%); Greatest absolute difference: {difference} at index {index} "
    "(up to {allowed} allowed)",
    "Mismatched elements: {wrong} / {all} ({share}%); Greatest absolute difference: {difference} at index {index}",
    "Mismatched elements: {wrong} / {all} ({share}%); Max absolute difference among violations: {difference}",
    "Mismatched elements: {wrong} / {all} ({share}%)",
)
_NAMES = ("message", "head", "_LEFT_OUT", "_VOICES", "_OPERATORS")


def package_texts() -> list[Text]:
    """Every template that a table, a verdict or the isolated judge may show."""
    files: list[Path] = []
    for place in _SPEAKING:
        path = _PACKAGE / place
        files += sorted(path.glob("*.py")) if path.is_dir() else [path]
    found: dict[str, Text] = {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for template in (each for each in _templates(node) if not each.startswith("<")):  # markup, file names
                place = path.relative_to(_PACKAGE).as_posix()
                found.setdefault(template, Text(template, place, "message", template=True))
    found |= {each: Text(each, "checks/verdict.py", "message", template=True) for each in _OF_LIBRARIES}
    return list(found.values())


def update(lang: str) -> int:
    """Write both files; how many templates are not translated."""
    path, said = _PACKAGE / "locale" / f"{lang}.po", package_texts()
    catalogue = catalogues.updated(catalogues.read(path), said)
    path.write_text(catalogues.as_po(catalogue, "torchdojo", "en", lang), encoding="utf-8")
    path.with_suffix(".json").write_text(as_json(lang), encoding="utf-8")
    return len(catalogues.gaps(catalogue, said, lang, f"python -m torchdojo.authoring.words {lang}"))


def as_json(lang: str) -> str:
    """What `zh.json` should hold: the catalogue's translations, for `checks.language`."""
    known = catalogues.translations(catalogues.read(_PACKAGE / "locale" / f"{lang}.po"), package_texts())
    return json.dumps(dict(sorted(known.items())), ensure_ascii=False, indent=1) + "\n"


def _templates(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        if name == "say" and node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)
        elif name in _RECORDS:
            for value in (*node.args, *(each.value for each in node.keywords if each.arg not in ("name", "exception"))):
                yield from templates(value)
    elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in _NAMES for t in node.targets):
        if isinstance(node.value, ast.Dict):
            for value in node.value.values:
                text = value.elts[1] if isinstance(value, ast.Tuple) else value  # a voice is (symbol, words, colour)
                said = text.value if isinstance(text, ast.Constant) else None
                if isinstance(said, str) and said != "{value}":
                    yield said
        else:
            yield from templates(node.value)
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):
        yield from templates(node.value)


if __name__ == "__main__":
    for code in sys.argv[1:]:
        print(f"locale/{code}.po: {update(code)} to do")
        of_the_site.catalogue_path(code).write_text(of_the_site.as_po(code), encoding="utf-8")
        print(f"locale/site.{code}.po: {len(of_the_site.gaps(code))} to do")
