"""Reads course.yml: every mistake in it with its line, its place, what came and what to write."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from torchdojo.course_keys import CourseKeys
from torchdojo.errors import AuthorError

Place = tuple[int | str, ...]  # where a value stands: ("assignments", 3, "due")


class Mistake(NamedTuple):
    """One sentence or two about one place in the file."""

    line: int
    place: Place
    text: str


def read(file: Path) -> CourseKeys:
    """The keys of `file`.

    Raises: AuthorError with all its mistakes, in the order of their lines.
    """
    name = _shown(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise AuthorError(f"{name}: not found. Name a course.yml, or the folder that has one.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise AuthorError(f"{name}:{line}: not UTF-8 text. Save the file as UTF-8.") from None
    except OSError as error:
        raise AuthorError(f"{name}: cannot be read ({error.strerror}). Write a text file there.") from None

    data, mistakes = _parse(text)
    keys: CourseKeys | None = None
    if data is not None:
        try:
            keys = CourseKeys.model_validate(data)
        except ValidationError as error:
            mistakes += _mistakes(error, data)
        mistakes += [Mistake(_line(data, place), place, text) for place, text in _contradictions(data)]
    if mistakes or keys is None:
        lines = (f"{name}:{m.line}: {_path(m.place)}{m.text}" for m in sorted(mistakes, key=lambda m: m.line))
        raise AuthorError("\n".join(dict.fromkeys(lines)))
    return keys


def json_schema() -> dict[str, Any]:
    """The JSON schema of course.yml, for editors."""
    schema = CourseKeys.model_json_schema(schema_generator=_UntitledSchema)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema}


class _UntitledSchema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # "Cell Timeout S" helps nobody


# ------------------------------------------------------------------------------------------------ YAML


class _DatesAsText(RoundTripConstructor):
    """Leaves `2026-13-01` to our own rule, which says where it stands and what to write."""


_DatesAsText.add_constructor("tag:yaml.org,2002:timestamp", RoundTripConstructor.construct_yaml_str)


def _parse(text: str, *, duplicates: bool = False) -> tuple[Any, list[Mistake]]:
    """The file's content (None where there is none to go on with), and the mistakes in its YAML."""
    yaml = YAML()
    yaml.Constructor = _DatesAsText
    yaml.allow_duplicate_keys = duplicates
    try:
        data = yaml.load(text)
    except DuplicateKeyError as error:
        data, more = _parse(text, duplicates=True)
        group, key = error.context_mark, error.problem_mark
        word = text.splitlines()[key.line][key.column :].partition(":")[0]
        place = (*(_place_of(data, group.line, group.column) or ()), word)
        return data, [Mistake(key.line + 1, place, "written twice. Keep one of the two."), *more]
    except YAMLError as error:
        if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
            line, problem = error.problem_mark.line + 1, error.problem
        else:  # a character that YAML forbids
            line, problem = text[: getattr(error, "position", 0)].count("\n") + 1, "unprintable character"
        return None, [Mistake(line, (), f"not YAML ({problem}). Mend this line or the one above.")]
    if data is None:
        return None, [Mistake(1, (), "empty. Write `format: 1` and the course's title, to begin with.")]
    return data, []


def _line(data: Any, place: Place) -> int:
    """The line, from 1, of the deepest step of `place` that is in the file."""
    line = 0
    for step in place:
        lines = getattr(getattr(data, "lc", None), "data", None) or {}
        if step not in lines:
            break
        line = lines[step][0]
        data = data[step]
    return line + 1


def _place_of(data: Any, line: int, column: int) -> Place | None:
    """The place of the group of keys that begins there, both from 0."""
    if isinstance(data, CommentedMap) and (data.lc.line, data.lc.col) == (line, column):
        return ()
    inner = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list) else ()
    for step, value in inner:
        if (place := _place_of(value, line, column)) is not None:
            return (step, *place)
    return None


# ------------------------------------------------------------------------------------------ the mistakes


def _mistakes(error: ValidationError, data: Any) -> list[Mistake]:
    """One mistake for each place, whatever the number of pydantic's errors there."""
    schema = json_schema()
    found: dict[Place, str] = {}
    for detail in error.errors(include_url=False, include_context=False):
        place, text = _sentence(detail["loc"], detail["type"], detail["input"], schema)
        found.setdefault(place, text)
    return [Mistake(_line(data, place), place, text) for place, text in found.items()]


def _sentence(place: Place, kind: str, got: Any, schema: dict[str, Any]) -> tuple[Place, str]:
    if kind in ("extra_forbidden", "invalid_key"):
        known = list(_rule_at(place[:-1], schema)[1].get("properties", {}))
        return place, f"unknown key. {_suggest(str(place[-1]), known)}"
    if place[-1:] == ("[key]",):
        return place[:-1], f"{_show(got)} is not a name. Write it in quotes."
    place, rule = _rule_at(place, schema)
    must = rule.get("errorMessage") or _SHAPES[rule["type"]]
    if kind == "missing":
        return place, f"missing. {must.partition('. ')[2]}"
    return place, f"{_show(got)} {must}"


_SHAPES = {
    "object": "is not a group of keys. Write one `key: value` a line, indented.",
    "array": "is not a list. Write one `- item` a line, indented.",
}


def _rule_at(place: Place, schema: dict[str, Any]) -> tuple[Place, dict[str, Any]]:
    """The part of the schema for `place`, and `place` without the steps that only pydantic knows."""

    def deref(node: dict[str, Any]) -> dict[str, Any]:
        choices = node.get("anyOf", [])
        if {"type": "null"} in choices:
            node = choices[0]
        ref = node.get("$ref")
        return schema["$defs"][ref.rpartition("/")[2]] if ref else node

    node, known = schema, 0
    for step in place:
        inner = node.get("properties", {}).get(step)
        if inner is None:
            inner = node.get("items") if isinstance(step, int) else node.get("additionalProperties")
        if not isinstance(inner, dict):
            break
        node, known = deref(inner), known + 1
    return place[:known], node


def _contradictions(data: Any) -> Iterator[tuple[Place, str]]:
    """Values that are right by themselves and wrong together. `data` may be anything."""
    runners = _get(data, "runners", {"local": {}})
    for name, runner in runners.items() if isinstance(runners, Mapping) else ():
        if _get(runner, "without_gpu") is not None and _get(runner, "device", "cpu") == "cpu":
            place: Place = ("runners", name, "without_gpu")
            yield place, "means nothing with device cpu. Write device: cuda, or remove this line."
    assignments = _get(data, "assignments")
    first: dict[str, int] = {}
    for i, assignment in enumerate(assignments if isinstance(assignments, list) else ()):
        if not isinstance(assignment, Mapping):
            continue
        name, runner = assignment.get("name"), assignment.get("runner", "local")
        if isinstance(name, str) and first.setdefault(name, i) != i:
            text = f"'{name}' is the name of assignments[{first[name]}] already. Write another name."
            yield ("assignments", i, "name"), text
        if isinstance(runner, str) and isinstance(runners, Mapping) and runner not in runners:
            text = f"'{runner}' is not one of the runners. {_suggest(runner, [str(r) for r in runners])}"
            yield ("assignments", i, "runner"), text


def _get(data: Any, key: str, default: Any = None) -> Any:
    return data.get(key, default) if isinstance(data, Mapping) else default


# ---------------------------------------------------------------------------------------------- wording


def _suggest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Write one of: {', '.join(known)}."


def _show(got: Any) -> str:
    if got is None:
        return "nothing"
    if isinstance(got, bool):
        return str(got).lower()
    if isinstance(got, Mapping):
        return "a group of keys"
    if isinstance(got, list):
        return "a list" if got else "an empty list"
    shown = repr(got) if isinstance(got, str) else str(got)
    return shown if len(shown) <= 60 else f"{shown[:56]}…"


def _path(place: Place) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return f"{path.lstrip('.')}: " if path else ""


def _shown(file: Path) -> str:
    """`file` from where the reader stands, if it lies below."""
    relative = os.path.relpath(file)
    return str(file) if relative.startswith("..") else relative
