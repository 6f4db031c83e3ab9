"""The course in its other languages: translations keep what they must, and releases are up to date."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.course.test_notebooks import COURSE, NAMES, files_below
from torchdojo.authoring.languages import gaps

BEGUN = sorted((path.parent.name, path.stem) for path in (ROOT / "source").glob("*/*.po"))
TRANSLATED = [(name, lang) for lang in COURSE.languages[1:] for name in NAMES]


@pytest.mark.parametrize(("name", "lang"), BEGUN)
def test_what_is_translated_keeps_what_it_must(name: str, lang: str) -> None:
    """No translation has other code, numbers, names, placeholders or markup than its text."""
    kept = [str(gap) for gap in gaps(COURSE, name, lang) if "keep" in gap.sentence or "placeholders" in gap.sentence]
    assert kept == []


@pytest.mark.parametrize(("name", "lang"), TRANSLATED)
def test_translations_are_complete(name: str, lang: str) -> None:
    """A language of course.yml lacks nothing, and nothing in it is fuzzy."""
    assert [str(gap) for gap in gaps(COURSE, name, lang)] == []


@pytest.mark.parametrize(("name", "lang"), TRANSLATED)
def test_translated_release_is_up_to_date(name: str, lang: str, course_copy: Path) -> None:
    """What is committed in release/zh/ is what source/ gives, byte for byte."""
    command = [sys.executable, "-m", "torchdojo", "release", name, "--lang", lang]
    done = subprocess.run(command, cwd=course_copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    new, committed = files_below(course_copy / "release" / lang / name), files_below(ROOT / "release" / lang / name)
    assert new == committed, f"release/{lang}/{name} is old. Type: torchdojo release {name} --lang {lang}"


@pytest.fixture
def course_copy(tmp_path: Path, name: str) -> Path:
    """A course with the source of one assignment."""
    for file in ("course.yml", "nbgrader_config.py"):
        shutil.copy(ROOT / file, tmp_path)
    shutil.copytree(ROOT / "source" / name, tmp_path / "source" / name)
    return tmp_path
