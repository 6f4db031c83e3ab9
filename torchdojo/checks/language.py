"""What a check says, in a learner's language: translated when it is shown. Records stay English, whoever reads them."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from string import Formatter

from torchdojo.checks.outcome import CheckReport, TestOutcome

SOURCE = "en"  # what tests and this package are written in
VARIABLE = "TORCHDOJO_LANGUAGE"
_LOCALE = Path(__file__).parent.parent / "locale"
_ALSO_TRANSLATED = ("title", "value")  # placeholders that hold words of ours, not the learner's


class Language:
    """A language, and its words for what tests and this package say.

    Messages are templates as `str.format` has them (a brace of the text itself is doubled), English to translated: a
    record's text was put together long before it is shown, so it is taken apart again by the template that fits.
    """

    def __init__(self, code: str = SOURCE, messages: Mapping[str, str] | None = None) -> None:
        self.code = code
        known = dict(_package_messages(code)) | dict(messages or {})
        self._messages = {source: text for source, text in known.items() if fits(source, text)}
        templates = [_Template(*pair) for pair in self._messages.items()]
        self._exact = {each.parts[0]: each.translated.format() for each in templates if not each.names}
        # the one that begins as the text does, then the one with most words of its own, is the one meant
        fillable = [each for each in templates if each.names]
        self._templates = sorted(fillable, key=lambda each: (not each.parts[0], -each.size))

    def say(self, template: str, **values: str) -> str:
        """A template in this language, filled in."""
        return self._messages.get(template, template).format(**values)

    def translate(self, text: str) -> str:
        """A text that was made from a template, in this language; as it is where no template fits."""
        if text in self._exact:
            return self._exact[text]
        for template in self._templates:
            values = template.values_in(text)
            if values is not None:
                return template.translated.format(
                    **{n: self.translate(v) if n in _ALSO_TRANSLATED else v for n, v in values.items()}
                )
        return text

    def report(self, report: CheckReport) -> CheckReport:
        """The report with what its outcomes say in this language."""
        if not self._messages:
            return report
        return replace(report, outcomes=tuple(self._outcome(outcome) for outcome in report.outcomes))

    def _outcome(self, outcome: TestOutcome) -> TestOutcome:
        return replace(
            outcome,
            title=self.translate(outcome.title),
            message=self.translate(outcome.message),
            expected=self.translate(outcome.expected),
            got=self.translate(outcome.got),
        )


class _Template:
    """An English template and its translation. `parts` are the texts before, between and behind the placeholders."""

    def __init__(self, source: str, translated: str) -> None:
        self.translated = translated
        self.names: list[str] = []
        self.parts = [""]
        for text, name, _, _ in Formatter().parse(source):
            self.parts[-1] += text
            if name is not None:
                self.names.append(name)
                self.parts.append("")
        self.size = sum(map(len, self.parts))

    def values_in(self, text: str) -> dict[str, str] | None:
        """What the placeholders hold in `text`, or None. In one pass: a learner decides what stands in a message."""
        first, *others = self.parts
        if not self.size or not text.startswith(first):
            return None
        values: dict[str, str] = {}
        at = len(first)
        for name, part in zip(self.names, others, strict=True):
            last = name == self.names[-1]
            end = len(text) - len(part) if last and text.endswith(part) else -1 if last else text.find(part, at)
            if end < at:
                return None
            values[name] = text[at:end]
            at = end + len(part)
        return values


def fits(source: str, translated: str) -> bool:
    """Whether a translated template can be filled in where `source` can: it has the same placeholders."""
    try:
        return _fields(source) == _fields(translated)
    except ValueError:
        return False


def _fields(template: str) -> set[tuple[str, str, str]]:
    return {(n, spec or "", kind or "") for _, n, spec, kind in Formatter().parse(template) if n is not None}


def beside(folder: Path) -> Language:
    """The language of the notebooks in `folder`: that of a file like `05-modules.zh.json`, released beside them.

    The environment's TORCHDOJO_LANGUAGE comes first. English where nothing, or nothing readable, says otherwise.
    """
    chosen = os.environ.get(VARIABLE, "")
    found: dict[str, dict[str, str]] = {}
    for code, messages in _released(folder):
        found.setdefault(code, {}).update(messages)
    code = chosen or next(iter(found), SOURCE)
    return Language(code, found.get(code))


@functools.lru_cache(maxsize=32)  # a class has the same messages
def language_of(code: str, messages: tuple[tuple[str, str], ...]) -> Language:
    """A language from plain data, as a job has it."""
    return Language(code, dict(messages))


def _released(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for path in sorted(folder.glob("*.??.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            code, messages = content["language"], content["messages"]
            pairs = {str(key): str(value) for key, value in messages.items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue  # somebody else's file, or one that was changed: English still says it all
        if isinstance(code, str):
            yield code, pairs


@functools.cache
def _package_messages(code: str) -> Mapping[str, str]:
    path = _LOCALE / f"{code}.json"
    if not code.isalpha() or not path.is_file():
        return {}
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


ENGLISH = Language()
