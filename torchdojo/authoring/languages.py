"""An assignment in another language: `release/zh/NAME/`, made from the English release and the catalogue.

Prose and the docstrings of solution cells are translated. All other code stays, byte for byte, so that one gradebook
grades submissions in either language. What tests say lies beside the notebook, in `NAME.zh.json`: of visible tests
only. Hidden ones are translated where grading happens (`messages_of`).
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchdojo.authoring import catalogue as catalogues
from torchdojo.authoring.catalogue import Gap
from torchdojo.authoring.leaks import describe, leaks
from torchdojo.authoring.messages import Text, texts
from torchdojo.authoring.prose import translate_docstrings, translate_markdown
from torchdojo.course import Assignment, Course
from torchdojo.errors import AuthorError
from torchdojo.notebook import read_node

_KEY = "torchdojo"  # in the metadata of a notebook
_TELLING = 10  # characters of a translated text from which it stands nowhere by chance


def catalogue_path(course: Course, assignment: Assignment, lang: str) -> Path:
    """Where the translations of an assignment lie."""
    return course.source_notebook(assignment).parent / f"{lang}.po"


def update(course: Course, name: str, lang: str) -> tuple[Path, list[Gap]]:
    """Bring a catalogue up to date with its notebook, or begin it; its path, and what is still to translate.

    Raises: AuthorError
    """
    assignment = course.assignment(name)
    path = catalogue_path(course, assignment, lang)
    said = _texts(course, assignment)
    catalogue = catalogues.updated(catalogues.read(path), said)
    path.write_text(catalogues.as_po(catalogue, name, course.languages[0], lang), encoding="utf-8")
    return path, gaps(course, name, lang)


def gaps(course: Course, name: str, lang: str) -> list[Gap]:
    """What an assignment lacks in a language.

    Raises: AuthorError
    """
    assignment = course.assignment(name)
    path = catalogue_path(course, assignment, lang)
    if not path.is_file():
        return [Gap("the notebook", lang, f"is not translated. Type: {_command(name, lang)}")]
    return catalogues.gaps(catalogues.read(path), _texts(course, assignment), lang, _command(name, lang))


def translations_of(course: Course, name: str, lang: str) -> dict[str, str]:
    """What is translated of an assignment, as far as it is, hidden texts too.

    Raises: AuthorError
    """
    assignment = course.assignment(name)
    return catalogues.translations(
        catalogues.read(catalogue_path(course, assignment, lang)), _texts(course, assignment)
    )


def release_translated(course: Course, name: str, lang: str, released: Path, target: Path) -> None:
    """Write `target`, the translation of the folder `released`.

    Raises: AuthorError where a text is not translated, or students would get what is hidden.
    """
    assignment = course.assignment(name)
    missing = gaps(course, name, lang)
    if missing:
        listed = "\n".join(f"  {gap}" for gap in missing[:10]) + "\n  …" * (len(missing) > 10)
        raise AuthorError(f"{name}: not released, {len(missing)} texts are not right in {lang}:\n{listed}")
    said = _texts(course, assignment)
    catalogue = catalogues.read(catalogue_path(course, assignment, lang))
    source = read_node(course.source_notebook(assignment))
    node = translated(
        read_node(released / f"{assignment.notebook}.ipynb"), catalogues.translations(catalogue, said), lang
    )
    messages = catalogues.spoken(catalogue, [each for each in said if not each.hidden])
    content = json.dumps({"language": lang, "messages": messages}, ensure_ascii=False, indent=1) + "\n"
    shutil.copytree(released, target)
    _refuse_leaks(source, node, content, _hidden_texts(catalogue, said), target / f"{assignment.notebook}.ipynb")
    (target / f"{assignment.notebook}.ipynb").write_text(_as_nbgrader_writes(node), encoding="utf-8")
    (target / words_file(assignment, lang)).write_text(content, encoding="utf-8")


def words_file(assignment: Assignment, lang: str) -> str:
    """The name of the file, beside a released notebook, with what its visible tests say in its language."""
    return f"{assignment.notebook}.{lang}.json"


def translated(node: Any, known: dict[str, str], lang: str) -> Any:
    """A released notebook with its prose and docstrings from `known`, and the name of its language in its metadata.

    Raises: AuthorError where a docstring's translation breaks the code around it.
    """
    from nbgrader.utils import compute_checksum

    for cell in node.cells:
        meta = cell.metadata.get("nbgrader") or {}
        if cell.cell_type == "markdown" and not meta:
            cell.source = translate_markdown(cell.source, lambda piece: known.get(piece, piece))
        elif cell.cell_type == "code" and meta.get("solution") and not meta.get("grade"):
            try:
                cell.source = translate_docstrings(cell.source, lambda piece: known.get(piece, piece))
            except ValueError as error:
                raise AuthorError(f"cell {cell.id!r}: {lang}: {error}") from error
            if "checksum" in meta:  # nbgrader's sign of an untouched cell
                meta["checksum"] = compute_checksum(cell)
    node.metadata[_KEY] = {"language": lang}
    return node


def language_named(metadata: Any, course: Course | None) -> str:
    """The language that a notebook's metadata names, if the course has it; else the one the course is written in."""
    if course is None:
        return "en"
    own = metadata.get(_KEY) if isinstance(metadata, dict) else None
    named = own.get("language") if isinstance(own, dict) else None
    return named if named in course.languages else course.languages[0]


def messages_of(course: Course, name: str, lang: str) -> tuple[tuple[str, str], ...]:
    """What the tests of an assignment say in a language, hidden tests too. For grading; no student may have it.

    As far as it is translated: a grade never waits for a translator.
    """
    assignment = course.assignment(name)
    paths = (catalogue_path(course, assignment, lang), course.source_notebook(assignment))
    if lang == course.languages[0] or not all(path.is_file() for path in paths):
        return ()
    return _messages(*((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths))


@functools.lru_cache(maxsize=64)  # a class has the same tests
def _messages(catalogue: tuple[Path, int, int], notebook: tuple[Path, int, int]) -> tuple[tuple[str, str], ...]:
    said = texts(read_node(notebook[0]), str(notebook[0]))
    return tuple(catalogues.spoken(catalogues.read(catalogue[0]), said).items())


def _command(name: str, lang: str) -> str:
    return f"torchdojo translate {name} --lang {lang}"


def _texts(course: Course, assignment: Assignment) -> list[Text]:
    path = course.source_notebook(assignment)
    return texts(read_node(path), str(path))


def _hidden_texts(catalogue: Any, said: Sequence[Text]) -> list[tuple[Text, str]]:
    """Hidden texts with their translations, without those that a visible text has too."""
    known = catalogues.translations(catalogue, said)
    visible = {each.text for each in said if not each.hidden}
    shown = {known[text] for text in visible if text in known}
    secret = [each for each in said if each.hidden and not any(each.text in text for text in visible)]
    hidden = [(each, known[each.text]) for each in secret if each.text in known]
    return [(each, text) for each, text in hidden if text not in shown and len(text) >= _TELLING]


def _refuse_leaks(source: Any, node: Any, content: str, hidden: Sequence[tuple[Text, str]], path: Path) -> None:
    found = leaks(source, node)
    if found:
        raise AuthorError(f"{path}: not released, students would get what is hidden:\n{describe(found)}")
    everything = [*(cell.source for cell in node.cells), *json.loads(content)["messages"].values()]
    for each, text in hidden:
        if any(text in other for other in everything):
            raise AuthorError(
                f"{path}: not released, students would get what is hidden: {text!r} translates the {each.role} of cell "
                f"{each.cell!r}. Write the visible text otherwise."
            )


def _as_nbgrader_writes(node: Any) -> str:
    import nbformat

    return str(nbformat.writes(node, nbformat.NO_CONVERT)).rstrip("\n") + "\n"


__all__ = [
    "catalogue_path",
    "gaps",
    "language_named",
    "messages_of",
    "release_translated",
    "translated",
    "translations_of",
    "update",
    "words_file",
]
